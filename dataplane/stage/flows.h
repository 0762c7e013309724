// Connections of `forwarding: flows`: takes the packets that workers carry out of a burst, and leaves to
// Linux what else comes from such ports and interfaces.
//
// A packet is believed to belong to a connection only if it came in where the connection's own side is routed
// to (FlowDirection::ingress). Otherwise any host on another port could send packets of a connection whose
// addresses and ports it guesses.
#pragma once

#include <cstddef>

#include "dataplane/core/core.h"
#include "dataplane/core/egress.h"
#include "dataplane/core/flow_burst.h"
#include "dataplane/flow/flow_table.h"

namespace wg::dataplane {

class Flows {
 public:
  Flows(Core& core, Egress& egress) : core_(core), egress_(egress) {}

  // The packets of such ports and interfaces: `inner` itself, when all are, as in nearly every burst; else
  // they are moved `apart`.
  [[nodiscard]] static InnerBurst& take(const Snapshot& view, InnerBurst& inner, InnerBurst& apart) noexcept;
  // Needs at.view->flows. Gives Linux what no connection names. The rest stays in `packets`, with the
  // destinations with which it leaves, but unchanged as bytes: what refuses a packet later answers with the
  // packet as its sender knows it.
  void run(const BurstContext& at, InnerBurst& packets, FlowBurst& carried);

 private:
  using Found = std::array<FlowDirection*, kBurst>;

  static void find(const FlowTable& table, const InnerBurst& packets, Found& found) noexcept;
  void keep_found(const BurstContext& at, const Found& found, InnerBurst& packets, FlowBurst& carried);
  void leave_to_linux(const BurstContext& at, const InnerBurst& packets, std::size_t i);

  Core& core_;
  Egress& egress_;
};

}  // namespace wg::dataplane
