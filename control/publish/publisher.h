// From what Linux knows to what the workers see: keeps the longest-prefix match of the routes and the next
// hops they lead to, finds the routes of endpoints, and publishes snapshots when something changed.
//
// Only the control thread calls. Prefix changes reach the workers at once, one prefix at a time; everything
// else with the next flush().
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/publish/next_hops.h"
#include "control/publish/outer_route.h"
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
  // Where packets of this Linux interface come in, if it belongs to a port or an interface with `flows`.
  [[nodiscard]] dataplane::FlowIngress flow_ingress(std::uint32_t ifindex) const;
  // Then the main table alone does not decide about routes.
  [[nodiscard]] bool in_vrf() const { return in_vrf_; }

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
  [[nodiscard]] std::optional<PortLink> port_of(std::uint32_t ifindex) const;
  // What the workers would do with a packet to there; null: leave it to the kernel.
  [[nodiscard]] const dataplane::NextHop* next_hop_for(const IpAddress& destination) const;
  void want_neighbour(const NextHopKey& key) { hops_.want(key); }
  void refresh_neighbours() { hops_.refresh(); }

  // Publishes when something changed.
  void flush();
  // The same at the end of an iteration, but changes of next hops alone wait until next_flush(): one snapshot
  // a millisecond, however many neighbours change.
  void flush_paced(BootTime now);
  [[nodiscard]] std::optional<BootTime> next_flush() const;  // none: nothing waits
  [[nodiscard]] std::size_t routes() const { return routes4_.size() + routes6_.size(); }

 private:
  void on_change(const RouteChanged& route);
  void on_change(const NeighbourChanged& neighbour);
  void on_change(const AddressChanged&);
  void on_change(const LinkChanged&) { start_over(); }
  void on_change(const RulesChanged&) { start_over(); }
  void on_change(const SwitchesChanged&) { touch_views(); }
  void on_change(const Resynced&) { start_over(); }
  void start_over();
  void touch_views() { views_stale_ = true, touch(); }
  [[nodiscard]] std::optional<dataplane::InterfaceId> interface_of(std::uint32_t ifindex) const;
  void note_route(const IpPrefix& prefix);
  void refresh_views();
  void refresh_port(dataplane::PortIndex index, const Link* tap);
  [[nodiscard]] dataplane::ById<dataplane::PortIndex, dataplane::VlanIds> vlans_of_ports() const;
  void rebuild_routes();
  void update_prefix(const IpPrefix& prefix);
  void update_hosts_within(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_for(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_for_host(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_of(const Resolved& route, bool v6);
  void refresh_local_addresses();
  void refresh_listen_ports();
  void publish();

  dataplane::Dataplane& dataplane_;
  NetlinkMirror& mirror_;
  ShortCutRules rules_;
  lpm::Lpm4 routes4_;
  lpm::Lpm6 routes6_;
  dataplane::Snapshot next_;  // copied by flush()
  NextHops hops_;             // of next_
  BootTime hops_due_ = 0;     // when a change of hops_ alone may be published
  bool dirty_ = true;
  bool rebuild_ = true;
  bool ipsec_ = false;
  bool in_vrf_ = false;  // a port or an interface is: the main table is not the truth for all, Linux routes
  RoutesChanged routes_changed_;
  bool views_stale_ = true;  // what ports and interfaces may do, and the gateway's own addresses
  std::uint64_t generation_ = 0;
  std::vector<NextHopKey> changed_neighbours_;
  std::unordered_map<std::uint32_t, dataplane::PortIndex> port_by_ifindex_;
  std::unordered_map<std::uint32_t, dataplane::InterfaceId> interface_by_ifindex_;
  dataplane::ById<dataplane::PortIndex, std::uint32_t> port_ifindex_;
  dataplane::ById<dataplane::InterfaceId, std::uint32_t> interface_ifindex_;
  std::map<std::uint32_t, std::vector<MacAddress>> filters_;  // by ifindex, of ports alone
};

}  // namespace wg::control
