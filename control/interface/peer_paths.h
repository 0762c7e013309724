// The paths by which sealed packets leave for the peers of an interface: built from the routes of the kernel,
// and built again when routes, neighbours, the listen port or the mark change.
//
// Control thread only; workers read the paths.
#pragma once

#include <memory>
#include <vector>

#include "control/interface/core.h"

namespace wg::control {

class PeerPaths {
 public:
  explicit PeerPaths(InterfaceCore& core) : core_(core) {}

  // An unknown `remote` leaves the peer without a path.
  void lead_to(PeerRecord& record, const Endpoint& remote, const Endpoint& local);
  // The peer leaves.
  void remove(PeerRecord& record);
  void on_routes_changed(const RoutesChanged& changed = {true, {}});
  void on_neighbours_changed(const std::vector<NextHopKey>& keys);

 private:
  void install(PeerRecord& record, std::unique_ptr<dataplane::Path> path);
  void install_route(PeerRecord& record, const OuterRoute& route, const Endpoint& remote,
                     const Endpoint& local);
  void build(PeerRecord& record, const Endpoint& remote, const Endpoint& local);
  [[nodiscard]] OuterRoute outer_route(const Endpoint& remote, Endpoint local) const;

  InterfaceCore& core_;
};

}  // namespace wg::control
