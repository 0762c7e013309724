#include "control/publish/publisher.h"

#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <variant>

namespace wg::control {

using dataplane::HopKind;
using dataplane::kNoInterface;

namespace {

// Beyond this many changed prefixes it is cheaper to check every path.
constexpr std::size_t kChangedPrefixesMax = 4096;
// local, main, default, and one for all VRFs.
constexpr std::size_t kDefaultRules = 4;
// A host on a link can make a change as often as it likes; this bounds what the snapshots of that cost.
constexpr BootTime kHopsInterval = 1'000'000;  // ns

template <typename Id, typename View>
Id free_slot(dataplane::ById<Id, View>& views, const dataplane::ById<Id, std::uint32_t>& ifindexes) {
  for (const Id id : ifindexes.ids()) {
    if (ifindexes[id] == 0) return id;
  }
  views.emplace_back();
  return static_cast<Id>(static_cast<std::underlying_type_t<Id>>(views.size() - 1));
}

lpm::Address6 address6(const IpAddress& address) {
  return {address.bytes};
}

IpPrefix host_prefix(const IpAddress& address) {
  return {address, static_cast<std::uint8_t>(address_bits(address))};
}

// The table's value for one prefix, and who holds which next hop. kNoMatch: no entry.
template <typename Table, typename Address>
void set_value(Table& table, NextHops& hops, const Address& address, unsigned length, lpm::Value value) {
  const lpm::Value old = table.find_exact(address, length).value_or(lpm::kNoMatch);
  if (value == old) return;
  if (value == lpm::kNoMatch) {
    table.remove(address, length);
  } else {
    table.insert(address, length, value);
    hops.hold(value);
  }
  if (old != lpm::kNoMatch) hops.release(old);
}

std::uint16_t clamp16(std::uint32_t value) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(value, 65535));
}

}  // namespace

RoutesChanged Publisher::take_routes_changed() {
  RoutesChanged taken = std::exchange(routes_changed_, {});
  taken.narrow();
  return taken;
}

Publisher::Publisher(dataplane::Dataplane& dataplane, NetlinkMirror& mirror, NetlinkConfigure& netlink)
    : dataplane_(dataplane),
      mirror_(mirror),
      rules_(mirror),
      routes4_(dataplane.reclaimer()),
      routes6_(dataplane.reclaimer()),
      hops_(mirror, netlink, next_, dataplane.quiescence()) {
  next_.routes4 = &routes4_;
  next_.routes6 = &routes6_;
  next_.keypairs = &dataplane.keypairs();
  next_.peers = &dataplane.peers();
}

dataplane::PortIndex Publisher::add_port(const dataplane::PortView& view, std::uint32_t ifindex) {
  const dataplane::PortIndex index = free_slot(next_.ports, port_ifindex_);
  next_.ports[index] = view;
  port_ifindex_.resize(next_.ports.size());
  port_ifindex_[index] = ifindex;
  port_by_ifindex_[ifindex] = index;
  rebuild_ = views_stale_ = true;
  touch();
  return index;
}

void Publisher::remove_port(dataplane::PortIndex index) {
  port_by_ifindex_.erase(port_ifindex_[index]);
  port_ifindex_[index] = 0;
  next_.ports[index] = {};
  rebuild_ = routes_changed_.everywhere = true;
  touch();
}

dataplane::InterfaceId Publisher::add_interface(const dataplane::InterfaceView& view, std::uint32_t ifindex) {
  const dataplane::InterfaceId id = free_slot(next_.interfaces, interface_ifindex_);
  next_.interfaces[id] = view;
  next_.interfaces[id].id = id;
  next_.interfaces[id].present = true;
  interface_ifindex_.resize(next_.interfaces.size());
  interface_ifindex_[id] = ifindex;
  interface_by_ifindex_[ifindex] = id;
  rebuild_ = views_stale_ = true;
  touch();
  return id;
}

void Publisher::remove_interface(dataplane::InterfaceId id) {
  interface_by_ifindex_.erase(interface_ifindex_[id]);
  interface_ifindex_[id] = 0;
  next_.interfaces[id] = {};
  rebuild_ = routes_changed_.everywhere = true;
  touch();
}

std::optional<PortLink> Publisher::port_of(std::uint32_t ifindex) const {
  if (const auto at = port_by_ifindex_.find(ifindex); at != port_by_ifindex_.end())
    return PortLink{at->second, {}};
  const Link* link = mirror_.link(ifindex);
  if (link == nullptr || !link->vlan_id) return std::nullopt;
  const auto parent = port_by_ifindex_.find(link->parent);
  if (parent == port_by_ifindex_.end()) return std::nullopt;
  return PortLink{parent->second, link->vlan_id};
}

std::optional<dataplane::InterfaceId> Publisher::interface_of(std::uint32_t ifindex) const {
  const auto at = interface_by_ifindex_.find(ifindex);
  return at == interface_by_ifindex_.end() ? std::nullopt : std::optional(at->second);
}

dataplane::FlowIngress Publisher::flow_ingress(std::uint32_t ifindex) const {
  using dataplane::FlowIngress;
  if (const auto id = interface_of(ifindex))
    return next_.interfaces[*id].flows ? FlowIngress::interface(*id) : FlowIngress();
  const auto link = port_of(ifindex);
  if (!link || !next_.ports[link->port].flows) return {};
  return FlowIngress::port(link->port, link->vlan.value_or(0));
}

// ---------------------------------------------------------------- what Linux says

void Publisher::on_changes(const std::vector<Change>& changes) {
  for (const Change& change : changes) std::visit([this](const auto& kind) { on_change(kind); }, change);
}

void Publisher::on_change(const RouteChanged& route) {
  note_route(route.prefix);
  if (rebuild_ || (route.table != RT_TABLE_MAIN && route.table != RT_TABLE_LOCAL)) return;
  // A local prefix stands before what the table main has within it.
  const bool is_host = route.prefix.length == address_bits(route.prefix.address);
  if (route.table == RT_TABLE_LOCAL && !is_host) return start_over();
  update_prefix(route.prefix);
  update_hosts_within(route.prefix);
}

void Publisher::on_change(const NeighbourChanged& neighbour) {
  const NextHopKey key{neighbour.ifindex, neighbour.address};
  if (!port_of(key.ifindex) || !hops_.update(key)) return;
  changed_neighbours_.push_back(key);
  if (!rebuild_) update_prefix(host_prefix(key.address));
}

void Publisher::on_change(const AddressChanged& changed) {
  touch_views();
  // Packets from it are ours now, or are not any more: a rule about them counts, or does not.
  if (mirror_.rules(changed.address.v6).size() > kDefaultRules) rebuild_ = true;
}

// After a change of links or rules, or a resync.
void Publisher::start_over() {
  rebuild_ = routes_changed_.everywhere = views_stale_ = true;
  touch();
}

void Publisher::note_route(const IpPrefix& prefix) {
  if (routes_changed_.everywhere) return;
  routes_changed_.prefixes.push_back(prefix);
  if (routes_changed_.prefixes.size() > kChangedPrefixesMax) routes_changed_ = {true, {}};
}

// For each port, the VLAN devices on its TAP.
dataplane::ById<dataplane::PortIndex, dataplane::VlanIds> Publisher::vlans_of_ports() const {
  dataplane::ById<dataplane::PortIndex, dataplane::VlanIds> vlans(next_.ports.size());
  for (const auto& [ifindex, link] : mirror_.links()) {
    const auto parent = port_by_ifindex_.find(link.parent);
    if (parent == port_by_ifindex_.end() || !link.vlan_id || !link.vlan_8021q || !link.up) continue;
    dataplane::VlanIds& ids = vlans[parent->second];
    if (*link.vlan_id >= ids.up.size() || !rules_.keeps_its_frames(link)) continue;
    ids.up.set(*link.vlan_id);
    for (const bool v6 : {false, true})
      ids.linux_forwards[v6 ? 1 : 0][*link.vlan_id] = rules_.forwards_from(link, v6);
  }
  return vlans;
}

// `ip link set PORT down` stops the workers too. A TAP that the mirror has not read of yet is not up.
void Publisher::refresh_port(dataplane::PortIndex index, const Link* tap) {
  dataplane::PortView& view = next_.ports[index];
  view.up = tap != nullptr && tap->up;
  const bool own = view.up && rules_.keeps_its_frames(*tap);
  view.untagged = own && !view.has_own_vlan;
  for (const bool v6 : {false, true}) view.linux_forwards[v6 ? 1 : 0] = own && rules_.forwards_from(*tap, v6);
  if (tap == nullptr) return;
  if (tap->mac) view.mac = *tap->mac;
  const auto filter = filters_.find(tap->ifindex);
  const bool filtered = filter != filters_.end();
  view.other_macs = filtered ? std::make_shared<const std::vector<MacAddress>>(filter->second) : nullptr;
  // A TAP cannot filter, so the kernel makes it promiscuous once for all other addresses.
  view.all_macs = tap->promiscuity > (filtered ? 1u : 0u);
}

void Publisher::set_ipsec(bool policies) {
  if (policies == ipsec_) return;
  ipsec_ = policies;
  start_over();
}

void Publisher::set_filters(std::map<std::uint32_t, std::vector<MacAddress>> filters) {
  std::erase_if(filters, [this](const auto& entry) { return !port_by_ifindex_.contains(entry.first); });
  if (filters == filters_) return;
  filters_ = std::move(filters);
  touch_views();
}

void Publisher::refresh_views() {
  views_stale_ = false;
  const auto vlans = vlans_of_ports();
  for (const auto& [ifindex, index] : port_by_ifindex_) {
    const Link* tap = mirror_.link(ifindex);
    refresh_port(index, tap);
    const bool none = vlans[index].up.none() || tap == nullptr || !rules_.keeps_its_frames(*tap);
    next_.ports[index].vlans = none ? nullptr : std::make_shared<const dataplane::VlanIds>(vlans[index]);
  }
  for (const auto& [ifindex, id] : interface_by_ifindex_) {
    const Link* tun = mirror_.link(ifindex);
    for (const bool v6 : {false, true})
      next_.interfaces[id].linux_forwards[v6 ? 1 : 0] = tun != nullptr && rules_.forwards_from(*tun, v6);
  }
  refresh_local_addresses();
}

void Publisher::rebuild_routes() {
  rebuild_ = false;
  in_vrf_ = std::any_of(mirror_.links().begin(), mirror_.links().end(), [this](const auto& at) {
    return (port_of(at.first) || interface_of(at.first)) && mirror_.vrf_of_link(at.first) != 0;
  });
  hops_.reload([this](std::uint32_t ifindex) { return port_of(ifindex).has_value(); });
  std::set<IpPrefix> wanted;
  mirror_.routes().for_each([&](std::uint32_t table, const IpPrefix& prefix, const std::vector<Route>&) {
    if (table == RT_TABLE_MAIN || table == RT_TABLE_LOCAL) wanted.insert(prefix);
  });
  for (const auto& [key, mac] : hops_.resolved()) wanted.insert(host_prefix(key.address));
  std::vector<IpPrefix> gone;
  routes4_.for_each([&](std::uint32_t prefix, unsigned length, lpm::Value) {
    const std::uint32_t network_order = __builtin_bswap32(prefix);
    const IpPrefix p{IpAddress::from_v4(&network_order), static_cast<std::uint8_t>(length)};
    if (!wanted.contains(p)) gone.push_back(p);
  });
  routes6_.for_each([&](const lpm::Address6& prefix, unsigned length, lpm::Value) {
    const IpPrefix p{IpAddress::from_v6(prefix.bytes.data()), static_cast<std::uint8_t>(length)};
    if (!wanted.contains(p)) gone.push_back(p);
  });
  for (const IpPrefix& prefix : wanted) update_prefix(prefix);
  for (const IpPrefix& prefix : gone) update_prefix(prefix);
}

void Publisher::update_prefix(const IpPrefix& prefix) {
  const lpm::Value value = value_for(prefix);
  if (prefix.address.v6) {
    set_value(routes6_, hops_, address6(prefix.address), prefix.length, value);
  } else {
    set_value(routes4_, hops_, prefix.address.v4_host_order(), prefix.length, value);
  }
}

// Hosts on a link are more specific than its prefix: whether they still hold depends on the routes above.
void Publisher::update_hosts_within(const IpPrefix& prefix) {
  for (const auto& [key, mac] : hops_.resolved()) {
    if (prefix.contains(key.address)) update_prefix(host_prefix(key.address));
  }
}

lpm::Value Publisher::value_for(const IpPrefix& prefix) {
  // With routing rules of the operator one table is not enough: Linux routes everything.
  if (!rules_.destination_decides(prefix.address.v6) || in_vrf_ || ipsec_) return lpm::kNoMatch;
  const Resolved route = rules_.route_for(prefix);
  if (route.type != RTN_UNSPEC || route.unsure) return value_of(route, prefix.address.v6);
  return prefix.length == address_bits(prefix.address) ? value_for_host(prefix) : lpm::kNoMatch;
}

// A resolved neighbour gets a host route of its own, if the kernel would reach it on that very link.
lpm::Value Publisher::value_for_host(const IpPrefix& prefix) {
  const Resolved route = mirror_.resolve(prefix.address);
  if (route.type != RTN_UNICAST || route.gateway || route.unsure) return lpm::kNoMatch;
  const auto link = port_of(route.ifindex);
  const NextHopKey key{route.ifindex, prefix.address};
  if (!link || !hops_.resolved().contains(key)) return lpm::kNoMatch;
  return hops_.via(*link, key, {clamp16(route.mtu), prefix.address.v6});
}

// Unreachable and prohibited destinations are Linux's too: it answers with its own errors, at its own rate.
lpm::Value Publisher::value_of(const Resolved& route, bool v6) {
  const HopUse use{clamp16(route.mtu), v6};
  if (route.type == RTN_BLACKHOLE && !route.unsure)
    return hops_.simple(HopKind::kDrop, kNoInterface, {0, v6});
  const auto of_linux = [&] { return hops_.simple(HopKind::kKernel, kNoInterface, {0, v6}); };
  if (route.type != RTN_UNICAST || route.unsure) return of_linux();
  if (const auto id = interface_of(route.ifindex)) return hops_.simple(HopKind::kInterface, *id, use);
  const auto link = port_of(route.ifindex);
  if (!link || !route.gateway) return of_linux();
  return hops_.via(*link, {route.ifindex, *route.gateway}, use);
}

void Publisher::refresh_local_addresses() {
  std::vector<IpAddress> all;
  for (const auto& [ifindex, link] : mirror_.links()) {
    for (const LocalAddress& address : mirror_.addresses(ifindex)) all.push_back(address.prefix.address);
  }
  next_.local_addresses = dataplane::LocalAddresses(all);
  const auto first = [this](std::uint32_t ifindex, bool v6) {
    for (const LocalAddress& address : mirror_.addresses(ifindex)) {
      if (address.prefix.address.v6 == v6 && !is_link_local(address.prefix.address))
        return address.prefix.address;
    }
    return IpAddress{};
  };
  IpAddress any4, any6;
  for (const dataplane::PortIndex i : port_ifindex_.ids()) {
    next_.ports[i].icmp_source4 = first(port_ifindex_[i], false);
    next_.ports[i].icmp_source6 = first(port_ifindex_[i], true);
    if (any4.is_zero()) any4 = next_.ports[i].icmp_source4;
    if (any6.is_zero()) any6 = next_.ports[i].icmp_source6;
  }
  for (const dataplane::InterfaceId i : interface_ifindex_.ids()) {
    const IpAddress own4 = first(interface_ifindex_[i], false), own6 = first(interface_ifindex_[i], true);
    next_.interfaces[i].icmp_source4 = own4.is_zero() ? any4 : own4;
    next_.interfaces[i].icmp_source6 = own6.is_zero() ? any6 : own6;
  }
}

// ---------------------------------------------------------------- paths

OuterRoute Publisher::resolve_outer_route(const Endpoint& remote, const Endpoint& local, std::uint32_t fwmark,
                                          std::uint32_t own_ifindex) const {
  OuterRoute out;
  const Resolved route = mirror_.resolve(
      remote.address, {fwmark, 0, remote.scope, local.address, IPPROTO_UDP, local.port, remote.port});
  out.source = route.source;
  out.mtu = clamp16(route.mtu);
  if (route.type != RTN_UNICAST) {
    out.kind = route.type == RTN_LOCAL ? OuterRoute::Kind::kKernel : OuterRoute::Kind::kNone;
    return out;
  }
  if (route.ifindex == own_ifindex) {
    out.kind = OuterRoute::Kind::kLoop;
    return out;
  }
  out.kind = OuterRoute::Kind::kKernel;
  if (route.unsure || ipsec_) return out;
  out.link = route.ifindex;
  const auto link = port_of(route.ifindex);
  if (!link || next_.ports[link->port].port == nullptr) return out;
  out.next_hop = {route.ifindex, route.next_hop(remote.address)};
  if (route.neighbour != NeighbourState::kUsable) {
    out.unresolved = true;
    return out;
  }
  out.kind = OuterRoute::Kind::kPort;
  out.port = link->port;
  out.vlan = link->vlan;
  out.destination_mac = route.mac;
  const Link* exit = mirror_.link(route.ifindex);
  out.source_mac = exit != nullptr && exit->mac ? *exit->mac : next_.ports[link->port].mac;
  return out;
}

const dataplane::NextHop* Publisher::next_hop_for(const IpAddress& destination) const {
  const lpm::Value value = destination.v6 ? routes6_.lookup(destination.bytes.data())
                                          : routes4_.lookup(destination.v4_host_order());
  return value < next_.next_hops.size() ? &next_.next_hops[value] : nullptr;
}

void Publisher::flush() {
  if (views_stale_) refresh_views();
  if (rebuild_) rebuild_routes();
  if (hops_.take_changed()) touch();
  if (dirty_) publish();
}

void Publisher::flush_paced(BootTime now) {
  const bool others = dirty_ || rebuild_;
  if (!others && (!hops_.changed() || now < hops_due_)) return;
  hops_due_ = now + kHopsInterval;
  flush();
}

std::optional<BootTime> Publisher::next_flush() const {
  return hops_.changed() ? std::optional(hops_due_) : std::nullopt;
}

void Publisher::refresh_listen_ports() {
  auto ports = std::make_shared<dataplane::ListenPorts>();
  ports->fill(kNoInterface);
  for (const dataplane::InterfaceView& view : next_.interfaces) {
    if (view.present && view.listen_port != 0) (*ports)[view.listen_port] = view.id;
  }
  if (next_.listen_ports == nullptr || *ports != *next_.listen_ports) next_.listen_ports = std::move(ports);
}

void Publisher::publish() {
  dirty_ = false;
  hops_.trim();
  refresh_listen_ports();
  next_.generation = ++generation_;
  auto snapshot = std::make_unique<dataplane::Snapshot>(next_);
  if (snapshot->flows == nullptr) {
    for (dataplane::PortView& port : snapshot->ports) port.flows = false;
    for (dataplane::InterfaceView& interface : snapshot->interfaces) interface.flows = false;
  }
  dataplane_.publish(std::move(snapshot));
  hops_.published();
}

}  // namespace wg::control
