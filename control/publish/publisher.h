// From Linux's state to the workers' view: follows Linux's changes in the routes (published_routes.h)
// and in the settings of ports and interfaces (published_views.h), finds the routes of endpoints, and
// publishes snapshots when something changed.
//
// Only the control thread calls. Prefix changes reach the workers at once, one prefix at a time; everything
// else with the next flush().
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/publish/link_owners.h"
#include "control/publish/outer_route.h"
#include "control/publish/published_routes.h"
#include "control/publish/published_views.h"
#include "control/publish/routes_changed.h"
#include "control/publish/short_cut_rules.h"
#include "dataplane/dataplane.h"

namespace wg::control {

class Publisher {
 public:
  Publisher(dataplane::Dataplane& dataplane, NetlinkMirror& mirror, NetlinkConfigure& netlink);

  // ---- what is published. Indices are reused; views are changed in place and published by flush().
  dataplane::PortIndex add_port(const dataplane::PortView& view, std::uint32_t ifindex);
  void remove_port(dataplane::PortIndex index);
  // No path and no connection leads to a port that has gone: its number may be another's. Nothing happens
  // while routes are to be compared, or before take_routes_changed() has told of the removal.
  void release_ports();
  // Whether a port and an interface can be added now.
  [[nodiscard]] bool has_room() const { return owners_.has_room(); }
  [[nodiscard]] dataplane::PortView& port(dataplane::PortIndex index) {
    touch();
    return next_.ports[index];
  }
  dataplane::InterfaceId add_interface(const dataplane::InterfaceView& view, std::uint32_t ifindex);
  void remove_interface(dataplane::InterfaceId id);
  [[nodiscard]] const dataplane::InterfaceView& interface(dataplane::InterfaceId id) const {
    return next_.interfaces[id];
  }
  [[nodiscard]] dataplane::InterfaceView& interface(dataplane::InterfaceId id) {
    touch();
    return next_.interfaces[id];
  }
  void touch() { dirty_ = true; }

  // ---- connections that workers carry
  // Null: none; views with `flows` are then published as if they had `forwarding: kernel`.
  void set_flows(const dataplane::FlowTable* flows) { touch(), next_.flows = flows; }
  // Null: the interface has no program. A program in place of Linux gets every packet of the peers: no short
  // cut, no route, no way between peers. One beside the peers changes nothing for them.
  void set_ring(dataplane::InterfaceId id, dataplane::ProgramRing* ring);
  // Null: no watch runs.
  void set_watches(std::shared_ptr<const dataplane::WatchSet> watches) {
    touch(), next_.watches = std::move(watches);
  }
  // Where packets of this Linux interface come in, if it belongs to a port or an interface with `flows`.
  [[nodiscard]] dataplane::FlowIngress flow_ingress(std::uint32_t ifindex) const;
  // Then the main table alone does not decide about routes.
  [[nodiscard]] bool in_vrf() const { return routes_.in_vrf(); }

  // ---- what Linux says
  void on_changes(const std::vector<Change>& changes);
  // Whether Linux has IPsec policies: then it routes everything.
  void set_ipsec(bool policies);
  // The MAC addresses beside its own that each TAP listens to, by ifindex.
  void set_filters(std::map<std::uint32_t, std::vector<MacAddress>> filters);
  // Since the last call.
  [[nodiscard]] RoutesChanged take_routes_changed();
  // Neighbours whose MAC or usability changed since the last call.
  [[nodiscard]] std::vector<NextHopKey> take_changed_neighbours() {
    return std::exchange(changed_neighbours_, {});
  }

  // ---- paths
  // Of datagrams from `local`, whose address may be zero, to `remote`: what the kernel would do with them.
  [[nodiscard]] OuterRoute resolve_outer_route(const Endpoint& remote, const Endpoint& local,
                                               std::uint32_t fwmark, std::uint32_t own_ifindex) const;
  // A port, or a VLAN device on top of one; nullopt: neither.
  [[nodiscard]] std::optional<PortLink> port_of(std::uint32_t ifindex) const {
    return owners_.port_of(ifindex);
  }
  // The workers' decision about a packet to there; null: leave it to the kernel.
  [[nodiscard]] const dataplane::NextHop* next_hop_for(const IpAddress& destination) const {
    return routes_.next_hop_for(destination);
  }
  void want_neighbour(const NextHopKey& key) { routes_.hops().want(key); }
  void refresh_neighbours() { routes_.hops().refresh(); }

  // Publishes when something changed, all of it.
  void flush();
  // The same, but all routes that are to be compared with Linux's may be left to flush_paced().
  void flush_settings();
  // At the end of a round. Routes are compared until `until`. Changes of next hops alone wait until
  // next_flush(): one snapshot a millisecond, however many neighbours change.
  void flush_paced(BootTime now, std::chrono::steady_clock::time_point until);
  [[nodiscard]] bool compares_routes() const { return routes_.stale(); }
  [[nodiscard]] std::optional<BootTime> next_flush() const;  // none: nothing waits
  [[nodiscard]] std::size_t routes() const { return routes_.size(); }

 private:
  void on_change(const RouteChanged& route);
  void on_change(const NeighbourChanged& neighbour);
  void on_change(const AddressChanged&);
  void on_change(const LinkChanged&) { start_over(); }
  void on_change(const RulesChanged&) { start_over(); }
  void on_change(const SwitchesChanged&) { touch_views(); }
  void on_change(const Resynced&) { start_over(); }
  void start_over();
  void touch_views();
  void list_rings();
  void on_removed();
  void publish();

  dataplane::Dataplane& dataplane_;
  NetlinkMirror& mirror_;
  LinkOwners owners_;
  ShortCutRules rules_;
  dataplane::Snapshot next_;    // copied by publish()
  PublishedRoutes routes_;      // of next_
  PublishedViews views_;        // of next_
  BootTime hops_due_ = kNever;  // when a change of next hops alone may be published
  bool dirty_ = true;
  RoutesChanged routes_changed_;
  std::uint64_t generation_ = 0;
  std::vector<NextHopKey> changed_neighbours_;
};

}  // namespace wg::control
