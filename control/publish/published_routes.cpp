#include "control/publish/published_routes.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace wg::control {

using dataplane::HopKind;
using dataplane::kNoInterface;

namespace {

// local, main, default, and one for all VRFs.
constexpr std::size_t kDefaultRules = 4;
constexpr std::size_t kPrefixesPerLook = 64;  // at the clock
// Those that the workers' tables are made of.
constexpr std::pair<std::uint32_t, bool> kTables[] = {
    {RT_TABLE_LOCAL, false}, {RT_TABLE_MAIN, false}, {RT_TABLE_LOCAL, true}, {RT_TABLE_MAIN, true}};

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
  if ((stale_ && !walk_) || (route.table != RT_TABLE_MAIN && route.table != RT_TABLE_LOCAL)) return true;
  // A local prefix stands before what the table main has within it.
  const bool is_host = route.prefix.length == address_bits(route.prefix.address);
  if (route.table == RT_TABLE_LOCAL && !is_host) return false;
  update_prefix(route.prefix);
  if (!is_host) update_hosts_within(route.prefix);
  return true;
}

bool PublishedRoutes::update(const NextHopKey& neighbour) {
  if (!owners_.port_of(neighbour.ifindex) || !hops_.update(neighbour)) return false;
  if (!stale_ || walk_) update_prefix(host_prefix(neighbour.address));
  return true;
}

// Packets from it are ours now, or are not any more: a rule about them counts, or does not.
void PublishedRoutes::on_own_address(bool v6) {
  if (mirror_.rules(v6).size() > kDefaultRules) stale_ = true;
}

bool PublishedRoutes::set_ipsec(bool policies) {
  return std::exchange(ipsec_, policies) != policies;
}

const dataplane::NextHop* PublishedRoutes::next_hop_for(const IpAddress& destination) const {
  const lpm::Value value = destination.v6 ? routes6_.lookup(destination.bytes.data())
                                          : routes4_.lookup(destination.v4_host_order());
  return value < next_.next_hops.size() ? &next_.next_hops[value] : nullptr;
}

// ---------------------------------------------------------------- comparing all of them

// A walk that is on its way comes to its end before the next begins: else whoever changes something often
// enough would keep it from the last prefixes for ever.
void PublishedRoutes::refresh(Clock::time_point until) {
  while (stale()) {
    if (!walk_) begin_walk();
    if (!walk_on(until)) return;
    walk_.reset();
  }
}

void PublishedRoutes::begin_walk() {
  stale_ = false;
  in_vrf_ = std::any_of(mirror_.links().begin(), mirror_.links().end(), [this](const auto& at) {
    return (owners_.port_of(at.first) || owners_.interface_of(at.first)) &&
           mirror_.vrf_of_link(at.first) != 0;
  });
  hops_.reload([this](std::uint32_t ifindex) { return owners_.port_of(ifindex).has_value(); });
  walk_ = Walk{{}, 0, 0, 0, std::nullopt};
  for (const auto& [key, mac] : hops_.resolved()) walk_->listed.push_back(host_prefix(key.address));
}

// False: all parts have been listed.
bool PublishedRoutes::list_part() {
  std::vector<IpPrefix>& listed = walk_->listed;
  if (walk_->part4) {
    walk_->part4 = routes4_.for_part(*walk_->part4, [&](std::uint32_t prefix, unsigned length, lpm::Value) {
      const std::uint32_t network_order = __builtin_bswap32(prefix);
      listed.push_back({IpAddress::from_v4(&network_order), static_cast<std::uint8_t>(length)});
    });
    return true;
  }
  if (!walk_->part6) return false;
  walk_->part6 =
      routes6_.for_part(*walk_->part6, [&](const lpm::Address6& prefix, unsigned length, lpm::Value) {
        listed.push_back({IpAddress::from_v6(prefix.bytes.data()), static_cast<std::uint8_t>(length)});
      });
  return true;
}

// True: the walk is over.
bool PublishedRoutes::walk_on(Clock::time_point until) {
  std::size_t left = kPrefixesPerLook;
  const auto compare = [&](const IpPrefix& prefix) {
    update_prefix(prefix);
    if (--left != 0) return true;
    left = kPrefixesPerLook;
    return Clock::now() < until;
  };
  std::vector<IpPrefix>& listed = walk_->listed;
  do {
    while (!listed.empty()) {
      const IpPrefix prefix = listed.back();
      listed.pop_back();
      if (!compare(prefix)) return false;
    }
  } while (list_part());
  for (; walk_->table < std::size(kTables); ++walk_->table) {
    const auto& [table, v6] = kTables[walk_->table];
    walk_->last = mirror_.routes().for_some(table, v6, walk_->last, compare);
    if (walk_->last) return false;
  }
  return true;
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
