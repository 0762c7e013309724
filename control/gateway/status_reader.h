// The running state as plain values for the sockets. It reads; it can change nothing.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "control/api/secret_source.h"
#include "control/api/status_source.h"
#include "control/flows/flow_service.h"
#include "control/gateway/drift.h"
#include "control/gateway/drop_times.h"
#include "control/gateway/notices.h"
#include "control/gateway/objects.h"
#include "control/gateway/path_errors.h"
#include "control/gateway/port_keeper.h"
#include "control/gateway/running_config.h"
#include "control/gateway/worker_watch.h"
#include "control/noise/types.h"
#include "control/services.h"
#include "dataplane/session/peer_table.h"

namespace wg::control {

class StatusReader final : public StatusSource, public SecretSource {
 public:
  // The parts it reads.
  struct Parts {
    const Services& services;
    const Objects& objects;
    const RunningConfig& running;
    const WorkerWatch& watch;
    const PortKeeper& keeper;
    const Notices& notices;
    const Drift& drift;
    const FlowService& flows;
    const dataplane::PeerTable& peers;
    const DropTimes& drop_times;
    const PathErrors& path_errors;
  };
  explicit StatusReader(const Parts& parts);

  // ---- StatusSource
  GatewayStatus status() const override;
  std::vector<InterfaceStatus> interfaces() const override;
  std::optional<InterfaceIdentity> find_interface(std::string_view interface) const override;
  std::vector<PortStatus> ports() const override;
  std::vector<WorkerStatus> workers() const override;
  std::vector<DropStatus> drops() const override;
  std::unique_ptr<FlowReading> read_flows(const FlowQuery& query) const override;
  bool visit_peers(PeerCursor& at, const PeerFilter& filter, SliceEnd until,
                   const std::function<void(PeerStatus&&)>& visit) const override;
  std::optional<PeerStatus> find_peer(std::string_view interface, std::string_view peer) const override;
  std::optional<PeerFacts> explain_peer(std::string_view interface, std::string_view peer) const override;
  RouteFacts explain_route(const config::Address& address) const override;
  Expected<PacketFacts> explain_packet(const PacketQuery& query) const override;

  // ---- SecretSource
  Expected<bool> visit_config(std::string_view interface, ConfigCursor& at, SliceEnd until,
                              const ConfigVisitor& visit) const override;
  std::optional<WgDevice> wg_get(std::string_view interface) const override;
  Expected<bool> wg_peers(std::string_view interface, PeerCursor& at, SliceEnd until,
                          const std::function<void(WgPeer&&)>& visit) const override;

 private:
  // Over the peers of an interface.
  struct Sums {
    std::uint64_t active = 0, rx_bytes = 0, tx_bytes = 0, rx_packets = 0, tx_packets = 0;
  };
  [[nodiscard]] std::vector<Sums> sums() const;  // by number of the interface
  [[nodiscard]] PeerStatus peer_status(const Interface& interface, const PeerRecord& record,
                                       const noise::Now& at) const;
  [[nodiscard]] WgPeer wg_peer(const noise::Engine& engine, const PeerRecord& record,
                               const noise::Now& at) const;
  [[nodiscard]] bool has_route(const Interface& interface, const PeerStatus& peer) const;
  void find_owner(const config::Address& address, const noise::Now& at, RouteFacts& facts) const;
  // `route`: of the mirror.
  [[nodiscard]] RouteFacts route_facts(const config::Address& address, const Resolved& route) const;
  [[nodiscard]] PacketConnections connections_of(const PacketQuery& packet) const;
  [[nodiscard]] InterfaceStatus interface_status(const Interface& interface, const Sums& sums) const;

  Parts parts_;
  const WallTime started_;
};

}  // namespace wg::control
