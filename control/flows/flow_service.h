// `forwarding: flows` as a whole: the table that the workers read, connection tracking, and the follower
// between them. Exists while a port or an interface asks for it. When the kernel refuses, which is logged,
// those ports and interfaces are as with `forwarding: kernel`.
//
// Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "config/types.h"
#include "control/api/packet_facts.h"
#include "control/api/status_source.h"
#include "control/flows/flow_events.h"
#include "control/flows/flow_follower.h"
#include "control/flows/flow_ways.h"
#include "control/kernel/conntrack.h"
#include "control/log.h"
#include "control/services.h"
#include "dataplane/base/expected.h"

namespace wg::control {

class FlowService {
 public:
  FlowService(Services& services, Logger log);
  ~FlowService();
  FlowService(const FlowService&) = delete;
  FlowService& operator=(const FlowService&) = delete;

  // A plan has been carried out and `value` runs; publishes the table, or takes it away.
  void apply(const config::Gateway& value);
  void on_routes_changed(const RoutesChanged& changed);
  // Goes on with what is left to do; true: there is more.
  bool advance();
  void every_second();
  // Before the dataplane ends.
  void stop();

  [[nodiscard]] std::unique_ptr<FlowReading> read(const FlowQuery& query) const;
  // See flow_search.h.
  [[nodiscard]] PacketConnections connections_of(const FlowTuple& packet, dataplane::FlowIngress from) const;

 private:
  // The objects that exist while flows are configured.
  struct Active;

  void start(const config::Flows& settings);
  Expected<> watch();
  void receive();
  // In the gateway's counters, and in the log.
  void report();
  void announce(GatewayEventKind kind, std::string words);
  [[nodiscard]] FlowFollower::Counts counts() const;

  Services& services_;
  Logger log_;
  const FlowWays ways_;
  config::Flows settings_;
  std::unique_ptr<Active> active_;
  FlowEvents events_;
  FlowFollower::Counts before_;  // of followers that have gone
};

}  // namespace wg::control
