#include "control/publish/published_routes.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace wg::control {

using dataplane::HopKind;
using dataplane::kNoInterface;

namespace {

// local, main, default, and one for all VRFs.
constexpr std::size_t kDefaultRules = 4;

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
    if (!table.insert(address, length, value)) return;
    hops.hold(value);
  }
  if (old != lpm::kNoMatch) hops.release(old);
}

}  // namespace

PublishedRoutes::PublishedRoutes(const Parts& parts)
    : mirror_(parts.mirror),
      owners_(parts.owners),
      rules_(parts.rules),
      next_(parts.next),
      routes4_(parts.dataplane.reclaimer()),
      routes6_(parts.dataplane.reclaimer()),
      hops_(parts.mirror, parts.netlink, parts.next, parts.dataplane.quiescence()) {
  next_.routes4 = &routes4_;
  next_.routes6 = &routes6_;
}

bool PublishedRoutes::update(const RouteChanged& route) {
  if (stale_ || (route.table != RT_TABLE_MAIN && route.table != RT_TABLE_LOCAL)) return true;
  // A local prefix stands before what the table main has within it.
  const bool is_host = route.prefix.length == address_bits(route.prefix.address);
  if (route.table == RT_TABLE_LOCAL && !is_host) return false;
  update_prefix(route.prefix);
  update_hosts_within(route.prefix);
  return true;
}

bool PublishedRoutes::update(const NextHopKey& neighbour) {
  if (!owners_.port_of(neighbour.ifindex) || !hops_.update(neighbour)) return false;
  if (!stale_) update_prefix(host_prefix(neighbour.address));
  return true;
}

// Packets from it are ours now, or are not any more: a rule about them counts, or does not.
void PublishedRoutes::on_own_address(bool v6) {
  if (mirror_.rules(v6).size() > kDefaultRules) stale_ = true;
}

bool PublishedRoutes::set_ipsec(bool policies) {
  return std::exchange(ipsec_, policies) != policies;
}

void PublishedRoutes::refresh() {
  if (stale_) rebuild();
}

const dataplane::NextHop* PublishedRoutes::next_hop_for(const IpAddress& destination) const {
  const lpm::Value value = destination.v6 ? routes6_.lookup(destination.bytes.data())
                                          : routes4_.lookup(destination.v4_host_order());
  return value < next_.next_hops.size() ? &next_.next_hops[value] : nullptr;
}

void PublishedRoutes::rebuild() {
  stale_ = false;
  in_vrf_ = std::any_of(mirror_.links().begin(), mirror_.links().end(), [this](const auto& at) {
    return (owners_.port_of(at.first) || owners_.interface_of(at.first)) &&
           mirror_.vrf_of_link(at.first) != 0;
  });
  hops_.reload([this](std::uint32_t ifindex) { return owners_.port_of(ifindex).has_value(); });
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

void PublishedRoutes::update_prefix(const IpPrefix& prefix) {
  const lpm::Value value = value_for(prefix);
  if (prefix.address.v6) {
    set_value(routes6_, hops_, address6(prefix.address), prefix.length, value);
  } else {
    set_value(routes4_, hops_, prefix.address.v4_host_order(), prefix.length, value);
  }
}

// Hosts on a link are more specific than its prefix: whether they still hold depends on the routes above.
void PublishedRoutes::update_hosts_within(const IpPrefix& prefix) {
  for (const auto& [key, mac] : hops_.resolved()) {
    if (prefix.contains(key.address)) update_prefix(host_prefix(key.address));
  }
}

lpm::Value PublishedRoutes::value_for(const IpPrefix& prefix) {
  // With routing rules of the operator one table is not enough: Linux routes everything.
  if (!rules_.destination_decides(prefix.address.v6) || in_vrf_ || ipsec_) return lpm::kNoMatch;
  const Resolved route = rules_.route_for(prefix);
  if (route.type != RTN_UNSPEC || route.unsure) return value_of(route, prefix.address.v6);
  return prefix.length == address_bits(prefix.address) ? value_for_host(prefix) : lpm::kNoMatch;
}

// A resolved neighbour gets a host route of its own, if the kernel would reach it on that very link.
lpm::Value PublishedRoutes::value_for_host(const IpPrefix& prefix) {
  const Resolved route = mirror_.resolve(prefix.address);
  if (route.type != RTN_UNICAST || route.gateway || route.unsure) return lpm::kNoMatch;
  const auto link = owners_.port_of(route.ifindex);
  const NextHopKey key{route.ifindex, prefix.address};
  if (!link || !hops_.resolved().contains(key)) return lpm::kNoMatch;
  return hops_.via(*link, key, {route.mtu16(), prefix.address.v6});
}

// Unreachable and prohibited destinations are Linux's too: it answers with its own errors, at its own rate.
lpm::Value PublishedRoutes::value_of(const Resolved& route, bool v6) {
  const HopUse use{route.mtu16(), v6};
  if (route.type == RTN_BLACKHOLE && !route.unsure)
    return hops_.simple(HopKind::kDrop, kNoInterface, {0, v6});
  const auto of_linux = [&] { return hops_.simple(HopKind::kKernel, kNoInterface, {0, v6}); };
  if (route.type != RTN_UNICAST || route.unsure) return of_linux();
  if (const auto id = owners_.interface_of(route.ifindex)) return hops_.simple(HopKind::kInterface, *id, use);
  const auto link = owners_.port_of(route.ifindex);
  if (!link || !route.gateway) return of_linux();
  return hops_.via(*link, {route.ifindex, *route.gateway}, use);
}

}  // namespace wg::control
