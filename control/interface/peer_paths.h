// The paths by which sealed packets leave for the peers of an interface: built from the routes of the kernel,
// and built again when routes, neighbours, the listen port or the mark change. One change of the kernel's may
// concern the paths of all peers, so they are looked at in steps.
//
// Control thread only; workers read the paths.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <unordered_set>
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
  // The port or the mark of the interface is another one: all paths are built again, with a source that the
  // kernel chooses.
  void renew();

  // ---- what Linux says. The paths that it concerns are built again by advance().
  void on_routes_changed(const RoutesChanged& changed);
  void on_neighbours_changed(const std::vector<NextHopKey>& keys);
  void advance(std::chrono::steady_clock::time_point until);
  [[nodiscard]] bool has_more_to_do() const { return walked_.any() || waiting_.any(); }

 private:
  struct Changed {
    RoutesChanged routes;
    std::unordered_set<NextHopKey, NextHopKeyHash> neighbours;
    bool sources = false;  // none counts any more

    [[nodiscard]] bool any() const { return routes.any() || !neighbours.empty(); }
  };

  void begin_walk();
  void look_at(PeerRecord& record);
  void route_again(PeerRecord& record, const Endpoint& remote, const Endpoint& local);
  [[nodiscard]] bool takes_configured_scope(const PeerRecord& record, const Endpoint& remote);
  void install(PeerRecord& record, std::unique_ptr<dataplane::Path> path);
  void install_route(PeerRecord& record, const OuterRoute& route, const Endpoint& remote,
                     const Endpoint& local);
  void build(PeerRecord& record, const Endpoint& remote, const Endpoint& local);
  [[nodiscard]] OuterRoute outer_route(const Endpoint& remote, Endpoint local) const;

  InterfaceCore& core_;
  Changed walked_;   // which paths are looked at again, from the slot next_ on
  Changed waiting_;  // what has changed since that walk began
  std::uint32_t next_slot_ = 0;
};

}  // namespace wg::control
