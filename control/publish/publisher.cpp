#include "control/publish/publisher.h"

#include <linux/neighbour.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "dataplane/packet/checksum.h"

namespace wg::control {

using dataplane::HopKind;
using dataplane::kNone16;

namespace {

// A next hop stays asked for this many refresh rounds after its last use.
constexpr unsigned kWantedRounds = 4;
// Beyond this many changed prefixes, looking at every path is cheaper.
constexpr std::size_t kChangedPrefixesMax = 4096;

template <typename Views>
std::uint16_t free_slot(Views& views, const std::vector<std::uint32_t>& ifindexes) {
  for (std::size_t i = 0; i < ifindexes.size(); ++i) {
    if (ifindexes[i] == 0) return static_cast<std::uint16_t>(i);
  }
  views.emplace_back();
  return static_cast<std::uint16_t>(views.size() - 1);
}

lpm::Address6 address6(const IpAddress& address) {
  return {address.bytes};
}

std::uint16_t clamp16(std::uint32_t value) {
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(value, 65535));
}

// Writes Ethernet [VLAN] with the EtherType of `v6`; returns its length.
std::uint8_t write_ethernet(std::uint8_t* out, const MacAddress& to, const MacAddress& from,
                            const std::optional<std::uint16_t>& vlan, bool v6) {
  using namespace dataplane;
  auto* ethernet = header_at<EthernetHeader>(out);
  ethernet->destination = to;
  ethernet->source = from;
  const Be16 type{v6 ? ether_type::kIpv6 : ether_type::kIpv4};
  if (!vlan) {
    ethernet->type = type;
    return kEthernetHeaderSize;
  }
  ethernet->type = Be16{ether_type::kVlan};
  auto* tag = header_at<VlanTag>(out + kEthernetHeaderSize);
  tag->control = Be16{*vlan};
  tag->type = type;
  return kEthernetHeaderSize + kVlanTagSize;
}

}  // namespace

std::size_t NextHopKeyHash::operator()(const NextHopKey& key) const noexcept {
  std::uint64_t words[2];
  std::memcpy(words, key.address.bytes.data(), sizeof words);
  return (words[0] * 31 + words[1] + key.ifindex) * 0x9e3779b97f4a7c15u;
}

void RoutesChanged::narrow() {
  for (IpPrefix& prefix : prefixes) prefix = prefix.network();
  std::sort(prefixes.begin(), prefixes.end());
  const auto within = [](const IpPrefix& wide, const IpPrefix& prefix) {
    return wide.contains(prefix.address);
  };
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end(), within), prefixes.end());
}

// Asked for both ends of every path.
bool RoutesChanged::concerns(const IpAddress& address) const {
  const auto after = std::upper_bound(prefixes.begin(), prefixes.end(), IpPrefix{address, 255});
  return everywhere || (after != prefixes.begin() && std::prev(after)->contains(address));
}

RoutesChanged Publisher::take_routes_changed() {
  RoutesChanged taken = std::exchange(routes_changed_, {});
  taken.narrow();
  return taken;
}

Publisher::Publisher(dataplane::Dataplane& dataplane, NetlinkMirror& mirror, NetlinkConfigure& netlink)
    : dataplane_(dataplane),
      mirror_(mirror),
      netlink_(netlink),
      routes4_(dataplane.reclaimer()),
      routes6_(dataplane.reclaimer()) {
  next_.routes4 = &routes4_;
  next_.routes6 = &routes6_;
  next_.keypairs = &dataplane.keypairs();
  next_.peers = &dataplane.peers();
}

std::uint16_t Publisher::add_port(const dataplane::PortView& view, std::uint32_t ifindex) {
  const std::uint16_t index = free_slot(next_.ports, port_ifindex_);
  next_.ports[index] = view;
  port_ifindex_.resize(next_.ports.size());
  port_ifindex_[index] = ifindex;
  port_by_ifindex_[ifindex] = index;
  rebuild_ = local_addresses_stale_ = true;
  touch();
  return index;
}

void Publisher::remove_port(std::uint16_t index) {
  port_by_ifindex_.erase(port_ifindex_[index]);
  port_ifindex_[index] = 0;
  next_.ports[index] = {};
  rebuild_ = routes_changed_.everywhere = true;
  touch();
}

std::uint16_t Publisher::add_interface(const dataplane::InterfaceView& view, std::uint32_t ifindex) {
  const std::uint16_t id = free_slot(next_.interfaces, interface_ifindex_);
  next_.interfaces[id] = view;
  next_.interfaces[id].id = id;
  next_.interfaces[id].present = true;
  interface_ifindex_.resize(next_.interfaces.size());
  interface_ifindex_[id] = ifindex;
  interface_by_ifindex_[ifindex] = id;
  rebuild_ = local_addresses_stale_ = true;
  touch();
  return id;
}

void Publisher::remove_interface(std::uint16_t id) {
  interface_by_ifindex_.erase(interface_ifindex_[id]);
  interface_ifindex_[id] = 0;
  next_.interfaces[id] = {};
  rebuild_ = routes_changed_.everywhere = true;
  touch();
}

std::optional<Publisher::PortLink> Publisher::port_of(std::uint32_t ifindex) const {
  if (const auto at = port_by_ifindex_.find(ifindex); at != port_by_ifindex_.end())
    return PortLink{at->second, {}};
  const Link* link = mirror_.link(ifindex);
  if (link == nullptr || !link->vlan_id) return std::nullopt;
  const auto parent = port_by_ifindex_.find(link->parent);
  if (parent == port_by_ifindex_.end()) return std::nullopt;
  return PortLink{parent->second, link->vlan_id};
}

std::optional<std::uint16_t> Publisher::interface_of(std::uint32_t ifindex) const {
  const auto at = interface_by_ifindex_.find(ifindex);
  return at == interface_by_ifindex_.end() ? std::nullopt : std::optional(at->second);
}

// ---------------------------------------------------------------- what Linux says

void Publisher::on_changes(const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    if (const auto* route = std::get_if<RouteChanged>(&change)) {
      note_route(route->prefix);
      if (rebuild_ || (route->table != RT_TABLE_MAIN && route->table != RT_TABLE_LOCAL)) continue;
      update_prefix(route->prefix);
      update_hosts_within(route->prefix);
    } else if (const auto* neighbour = std::get_if<NeighbourChanged>(&change)) {
      const NextHopKey key{neighbour->ifindex, neighbour->address};
      if (!port_of(key.ifindex)) continue;
      MacAddress mac{};
      const bool usable = mirror_.neighbour_state(key.ifindex, key.address, &mac) == NeighbourState::kUsable;
      const auto known = known_macs_.find(key);
      // The kernel's entries wander between reachable and stale all the time; only the MAC matters here.
      if (usable ? known != known_macs_.end() && known->second == mac : known == known_macs_.end()) continue;
      if (usable) {
        known_macs_[key] = mac;
      } else {
        known_macs_.erase(known);
      }
      changed_neighbours_.push_back(key);
      for (std::size_t i = 0; i < hop_use_.size(); ++i) {
        if (hop_use_[i].neighbour == key) fill_hop(next_.next_hops[i], hop_use_[i].link, key);
      }
      touch();
      if (!rebuild_) update_prefix({key.address, static_cast<std::uint8_t>(address_bits(key.address))});
    } else if (std::holds_alternative<AddressChanged>(change)) {
      local_addresses_stale_ = true;
      touch();
    } else {
      // Links, rules, or a resync: start over.
      rebuild_ = routes_changed_.everywhere = local_addresses_stale_ = true;
      touch();
    }
  }
}

void Publisher::note_route(const IpPrefix& prefix) {
  if (routes_changed_.everywhere) return;
  routes_changed_.prefixes.push_back(prefix);
  if (routes_changed_.prefixes.size() > kChangedPrefixesMax) routes_changed_ = {true, {}};
}

void Publisher::rebuild_routes() {
  rebuild_ = false;
  in_vrf_ = std::any_of(mirror_.links().begin(), mirror_.links().end(), [this](const auto& at) {
    return (port_of(at.first) || interface_of(at.first)) && mirror_.vrf_of_link(at.first) != 0;
  });
  known_macs_.clear();
  for (const auto& [ifindex, link] : mirror_.links()) {
    if (!port_of(ifindex)) continue;
    mirror_.for_each_neighbour(ifindex, [&, ifindex = ifindex](const Neighbour& neighbour) {
      if (neighbour.usable() && neighbour.mac) known_macs_[{ifindex, neighbour.address}] = *neighbour.mac;
    });
  }
  for (std::size_t i = 0; i < hop_use_.size(); ++i) {
    if (hop_use_[i].neighbour.ifindex != 0)
      fill_hop(next_.next_hops[i], hop_use_[i].link, hop_use_[i].neighbour);
  }
  std::set<IpPrefix> wanted;
  mirror_.routes().for_each([&](std::uint32_t table, const IpPrefix& prefix, const std::vector<Route>&) {
    if (table == RT_TABLE_MAIN || table == RT_TABLE_LOCAL) wanted.insert(prefix);
  });
  for (const auto& [key, mac] : known_macs_)
    wanted.insert({key.address, static_cast<std::uint8_t>(address_bits(key.address))});
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
    if (value == lpm::kNoMatch) {
      routes6_.remove(address6(prefix.address), prefix.length);
    } else {
      routes6_.insert(address6(prefix.address), prefix.length, value);
    }
  } else if (value == lpm::kNoMatch) {
    routes4_.remove(prefix.address.v4_host_order(), prefix.length);
  } else {
    routes4_.insert(prefix.address.v4_host_order(), prefix.length, value);
  }
}

// Hosts on a link are more specific than its prefix: whether they still hold depends on the routes above.
void Publisher::update_hosts_within(const IpPrefix& prefix) {
  for (const auto& [key, mac] : known_macs_) {
    if (prefix.contains(key.address))
      update_prefix({key.address, static_cast<std::uint8_t>(address_bits(key.address))});
  }
}

lpm::Value Publisher::value_for(const IpPrefix& prefix) {
  // With rules of the operator's own, one table does not tell the whole truth: Linux routes everything.
  if (!mirror_.rules_are_default(prefix.address.v6) || in_vrf_) return lpm::kNoMatch;
  Resolved route = mirror_.best(RT_TABLE_LOCAL, prefix);
  if (route.type == RTN_UNSPEC) route = mirror_.best(RT_TABLE_MAIN, prefix);
  if (route.type != RTN_UNSPEC) return value_of(route);
  return prefix.length == address_bits(prefix.address) ? value_for_host(prefix) : lpm::kNoMatch;
}

// A resolved neighbour gets a host route of its own, if the kernel would reach it on that very link.
lpm::Value Publisher::value_for_host(const IpPrefix& prefix) {
  const Resolved route = mirror_.resolve(prefix.address);
  if (route.type != RTN_UNICAST || route.gateway) return lpm::kNoMatch;
  const auto link = port_of(route.ifindex);
  const NextHopKey key{route.ifindex, prefix.address};
  if (!link || !known_macs_.contains(key)) return lpm::kNoMatch;
  return hop_via(*link, key, clamp16(route.mtu));
}

lpm::Value Publisher::value_of(const Resolved& route) {
  switch (route.type) {
    case RTN_UNICAST:
      break;
    case RTN_BLACKHOLE:
    case RTN_UNREACHABLE:
    case RTN_PROHIBIT:
      return simple_hop(HopKind::drop, kNone16, 0);
    default:
      return simple_hop(HopKind::kernel, kNone16, 0);
  }
  const std::uint16_t mtu = clamp16(route.mtu);
  if (const auto id = interface_of(route.ifindex)) return simple_hop(HopKind::interface, *id, mtu);
  const auto link = port_of(route.ifindex);
  if (!link || !route.gateway) return simple_hop(HopKind::kernel, kNone16, 0);
  const NextHopKey key{route.ifindex, *route.gateway};
  want_neighbour(key);
  return hop_via(*link, key, mtu);
}

lpm::Value Publisher::simple_hop(HopKind kind, std::uint16_t interface_id, std::uint16_t mtu) {
  const auto [at, fresh] = simple_hops_.try_emplace({static_cast<int>(kind), interface_id, mtu},
                                                    static_cast<lpm::Value>(next_.next_hops.size()));
  if (fresh) {
    dataplane::NextHop hop;
    hop.kind = kind;
    hop.interface_id = interface_id;
    // Of an interface, Linux's route may allow less than the interface does.
    hop.mtu = mtu != 0 ? mtu : std::numeric_limits<std::uint16_t>::max();
    next_.next_hops.push_back(hop);
    hop_use_.emplace_back();
    touch();
  }
  return at->second;
}

lpm::Value Publisher::hop_via(const PortLink& link, const NextHopKey& neighbour, std::uint16_t mtu) {
  const auto [at, fresh] =
      gateway_hops_.try_emplace({neighbour, mtu}, static_cast<lpm::Value>(next_.next_hops.size()));
  if (fresh) {
    next_.next_hops.emplace_back();
    next_.next_hops.back().mtu = mtu;
    hop_use_.push_back({neighbour, link});
  }
  hop_use_[at->second].link = link;
  fill_hop(next_.next_hops[at->second], link, neighbour);
  touch();
  return at->second;
}

// Without a MAC address the hop says "kernel": Linux resolves, packets take the exception path meanwhile.
void Publisher::fill_hop(dataplane::NextHop& hop, const PortLink& link, const NextHopKey& neighbour) {
  const auto mac = known_macs_.find(neighbour);
  if (mac == known_macs_.end() || next_.ports[link.port].port == nullptr) {
    hop.kind = HopKind::kernel;
    return;
  }
  hop.kind = HopKind::port;
  hop.port = link.port;
  hop.header_length =
      write_ethernet(hop.header.data(), mac->second, next_.ports[link.port].mac, link.vlan, false);
}

void Publisher::refresh_local_addresses() {
  local_addresses_stale_ = false;
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
  for (std::size_t i = 0; i < port_ifindex_.size(); ++i) {
    next_.ports[i].icmp_source4 = first(port_ifindex_[i], false);
    next_.ports[i].icmp_source6 = first(port_ifindex_[i], true);
    if (any4.is_zero()) any4 = next_.ports[i].icmp_source4;
    if (any6.is_zero()) any6 = next_.ports[i].icmp_source6;
  }
  for (std::size_t i = 0; i < interface_ifindex_.size(); ++i) {
    const IpAddress own4 = first(interface_ifindex_[i], false), own6 = first(interface_ifindex_[i], true);
    next_.interfaces[i].icmp_source4 = own4.is_zero() ? any4 : own4;
    next_.interfaces[i].icmp_source6 = own6.is_zero() ? any6 : own6;
  }
}

// ---------------------------------------------------------------- paths

Way Publisher::way_to(const Endpoint& remote, std::uint32_t fwmark, std::uint32_t own_ifindex) const {
  Way way;
  const Resolved route = mirror_.resolve(remote.address, {fwmark, 0, remote.scope});
  way.source = route.source;
  way.mtu = clamp16(route.mtu);
  if (route.type != RTN_UNICAST) {
    way.kind = route.type == RTN_LOCAL ? Way::Kind::kernel : Way::Kind::none;
    return way;
  }
  if (route.ifindex == own_ifindex) {
    way.kind = Way::Kind::loop;
    return way;
  }
  way.kind = Way::Kind::kernel;
  const auto link = port_of(route.ifindex);
  if (!link || next_.ports[link->port].port == nullptr) return way;
  way.next_hop = {route.ifindex, route.next_hop(remote.address)};
  if (route.neighbour != NeighbourState::kUsable) {
    way.unresolved = true;
    return way;
  }
  way.kind = Way::Kind::port;
  way.port = link->port;
  way.vlan = link->vlan;
  way.destination_mac = route.mac;
  way.source_mac = next_.ports[link->port].mac;
  return way;
}

const dataplane::NextHop* Publisher::hop_to(const IpAddress& destination) const {
  const lpm::Value value = destination.v6 ? routes6_.lookup(destination.bytes.data())
                                          : routes4_.lookup(destination.v4_host_order());
  return value < next_.next_hops.size() ? &next_.next_hops[value] : nullptr;
}

std::unique_ptr<dataplane::Path> Publisher::make_path(const Way& way, const Endpoint& remote,
                                                      const Endpoint& local, std::uint8_t tos) {
  using namespace dataplane;
  auto path = std::make_unique<Path>();
  path->remote = remote;
  path->local = local;
  path->mtu = way.mtu;
  if (way.kind == Way::Kind::loop) path->port = kLoopPath;
  if (way.kind != Way::Kind::port) return path;
  const IpAddress& source = local.address.is_zero() ? way.source : local.address;
  if (source.is_zero() || source.v6 != remote.address.v6) return path;  // the kernel will know, or refuse
  path->port = way.port;
  std::uint8_t* out = path->header.data();
  path->l3_offset = write_ethernet(out, way.destination_mac, way.source_mac, way.vlan, remote.address.v6);
  std::uint8_t* l3 = out + path->l3_offset;
  std::uint8_t l3_length;
  if (remote.address.v6) {
    auto* ip = header_at<Ipv6Header>(l3);
    *ip = {};
    ip->version_class_flow = Be32{6u << 28};
    ip->set_traffic_class(tos);
    ip->next_header = ip_protocol::kUdp;
    ip->hop_limit = 64;
    std::copy_n(source.bytes.begin(), 16, ip->source.begin());
    std::copy_n(remote.address.bytes.begin(), 16, ip->destination.begin());
    l3_length = kIpv6HeaderSize;
  } else {
    auto* ip = header_at<Ipv4Header>(l3);
    *ip = {};
    ip->version_ihl = 0x45;
    ip->ttl = 64;  // DF stays clear (protocol C5-10)
    ip->protocol = ip_protocol::kUdp;
    std::copy_n(source.bytes.begin(), 4, ip->source.begin());
    std::copy_n(remote.address.bytes.begin(), 4, ip->destination.begin());
    ipv4_checksum_fill(ip);  // with length, id and ECN still zero: the worker adds them
    l3_length = kIpv4HeaderSize;
  }
  auto* udp = header_at<UdpHeader>(l3 + l3_length);
  udp->source_port = Be16{local.port};
  udp->destination_port = Be16{remote.port};
  path->header_length = static_cast<std::uint8_t>(path->l3_offset + l3_length + kUdpHeaderSize);
  return path;
}

void Publisher::want_neighbour(const NextHopKey& key) {
  if (key.ifindex == 0) return;
  const auto [at, fresh] = wanted_.try_emplace(key, kWantedRounds);
  at->second = kWantedRounds;
  if (fresh && !known_macs_.contains(key)) ask_neighbour(key);
}

// Asking for an entry that an administrator made permanent would make the kernel forget it.
void Publisher::ask_neighbour(const NextHopKey& key) {
  const Neighbour* known = mirror_.neighbour(key.ifindex, key.address);
  if (known != nullptr && (known->state & (NUD_PERMANENT | NUD_NOARP)) != 0) return;
  static_cast<void>(netlink_.request_neighbour(key.ifindex, key.address));
}

void Publisher::refresh_neighbours() {
  for (auto at = wanted_.begin(); at != wanted_.end();) {
    ask_neighbour(at->first);
    at = --at->second == 0 ? wanted_.erase(at) : std::next(at);
  }
  for (const HopUse& use : hop_use_) {
    if (use.neighbour.ifindex != 0 && use.neighbour.address.is_zero()) continue;
    if (gateway_hops_.size() < 4096 && use.neighbour.ifindex != 0) want_neighbour(use.neighbour);
  }
}

void Publisher::flush() {
  if (rebuild_) rebuild_routes();
  if (!dirty_) return;
  dirty_ = false;
  if (local_addresses_stale_) refresh_local_addresses();
  auto ports = std::make_shared<dataplane::ListenPorts>();
  bool same = next_.listen_ports != nullptr;
  ports->fill(kNone16);
  for (const dataplane::InterfaceView& view : next_.interfaces) {
    if (view.present && view.listen_port != 0) (*ports)[view.listen_port] = view.id;
  }
  same = same && *ports == *next_.listen_ports;
  if (!same) next_.listen_ports = std::move(ports);
  next_.generation = ++generation_;
  dataplane_.publish(std::make_unique<dataplane::Snapshot>(next_));
}

}  // namespace wg::control
