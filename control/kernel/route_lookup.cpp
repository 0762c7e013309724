#include "control/kernel/route_lookup.h"

#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>

#include <algorithm>
#include <cstddef>

#include "control/kernel/source_address.h"

namespace wg::control {
namespace {

// True when the lookup goes on to the next rule: there is no route, or a throw route.
bool continues_lookup(const Resolved& found) {
  return found.type == RTN_UNSPEC || found.type == RTN_THROW;
}

Resolved outcome(std::uint8_t type) {
  Resolved result;
  result.type = type;
  return result;
}

// Between IPv6 routes of one prefix and metric the kernel chooses by preference and reachability, between
// IPv4 default routes of one metric by the state of their gateways (fib_select_default).
bool has_equal(const RouteTable& routes, std::uint32_t table, const IpPrefix& prefix, const Route& route) {
  const auto* list = routes.find(table, prefix);
  if (list == nullptr || (!prefix.address.v6 && prefix.length != 0)) return false;
  const auto equals = [&](const Route& other) { return other.metric == route.metric; };
  return std::count_if(list->begin(), list->end(), equals) > 1;
}

}  // namespace

NeighbourState RouteLookup::neighbour_state(std::uint32_t ifindex, const IpAddress& address,
                                            MacAddress* mac) const {
  const Link* on = state_.links().find(ifindex);
  if (on != nullptr && on->noarp) return NeighbourState::kNotNeeded;
  const Neighbour* entry = state_.neighbours().find(ifindex, address);
  if (entry == nullptr) return NeighbourState::kUnresolved;
  if (entry->usable()) {
    *mac = *entry->mac;
    return NeighbourState::kUsable;
  }
  return (entry->state & NUD_FAILED) ? NeighbourState::kFailed : NeighbourState::kUnresolved;
}

// ---- nexthops

bool RouteLookup::usable(const NextHop& hop, bool v6) const {
  const Link* out = state_.links().find(hop.ifindex);
  if (out == nullptr || !out->up) return false;
  return out->carrier || !out->ignored_without_carrier[v6 ? 1 : 0];
}

template <class Visit>
void RouteLookup::for_each_usable(const Forwarding& forwarding, bool v6, Visit visit) const {
  const bool choice = !v6 && forwarding.nexthops.size() > 1;
  for (const NextHop& hop : forwarding.nexthops) {
    if (choice && state_.addresses().has_lost_ipv4(hop.ifindex)) continue;
    if (usable(hop, v6)) visit(hop);
  }
  const NexthopObject* object = state_.nexthops().find(forwarding.nexthop_id);
  if (object == nullptr) return;
  if (object->hop && usable(*object->hop, v6)) visit(*object->hop);
  for (const std::uint32_t id : object->members) {
    const NexthopObject* member = state_.nexthops().find(id);
    if (member != nullptr && member->hop && usable(*member->hop, v6)) visit(*member->hop);
  }
}

std::optional<NextHop> RouteLookup::first_usable(const Forwarding& forwarding, bool v6) const {
  std::optional<NextHop> first;
  for_each_usable(forwarding, v6, [&](const NextHop& hop) {
    if (!first) first = hop;
  });
  return first;
}

// False when the kernel chooses among nexthops by a hash, or does what is not known here.
bool RouteLookup::is_followed(const Forwarding& forwarding, bool v6) const {
  if (forwarding.kernel_only || forwarding.from) return false;
  if (forwarding.nexthop_id != 0) {
    const NexthopObject* object = state_.nexthops().find(forwarding.nexthop_id);
    if (object == nullptr || object->kernel_only) return false;
    for (const std::uint32_t id : object->members) {
      const NexthopObject* member = state_.nexthops().find(id);
      if (member == nullptr || member->kernel_only) return false;
    }
  }
  std::size_t usable_hops = 0;
  for_each_usable(forwarding, v6, [&](const NextHop&) { ++usable_hops; });
  return usable_hops <= 1;
}

// A route is eligible when it needs no nexthop or has a usable one. Routes for a TOS or a source are never
// eligible.
bool RouteLookup::is_eligible(const Route& route, bool v6) const {
  if (route.is_selective()) return false;
  const Forwarding& forwarding = *route.forwarding;
  const NexthopObject* object = state_.nexthops().find(forwarding.nexthop_id);
  if (object != nullptr && object->blackhole) return true;
  return forwarding.type != RTN_UNICAST || first_usable(forwarding, v6).has_value();
}

Resolved RouteLookup::describe(std::uint32_t table, const IpPrefix& prefix, const Route& route) const {
  const Forwarding& forwarding = *route.forwarding;
  Resolved result = outcome(forwarding.type);
  result.table = table;
  result.prefix = prefix;
  result.scope = forwarding.scope;
  result.mtu = forwarding.mtu;
  result.unsure =
      !is_followed(forwarding, prefix.address.v6) || has_equal(state_.routes(), table, prefix, route);
  if (forwarding.source) result.source = *forwarding.source;
  result.source.v6 = prefix.address.v6;
  const NexthopObject* object = state_.nexthops().find(forwarding.nexthop_id);
  if (object != nullptr && object->blackhole) result.type = RTN_BLACKHOLE;
  auto hop = first_usable(forwarding, prefix.address.v6);
  // A local address is reachable even when its link is down.
  if (!hop && result.type == RTN_LOCAL && !forwarding.nexthops.empty()) hop = forwarding.nexthops.front();
  if (!hop) return result;
  result.ifindex = hop->ifindex;
  result.gateway = hop->gateway;
  const Link* out = state_.links().find(hop->ifindex);
  const std::uint32_t most = out == nullptr ? 0 : out->mtu_for(prefix.address.v6);
  if (out != nullptr && (result.mtu == 0 || result.mtu > most)) result.mtu = most;
  return result;
}

Resolved RouteLookup::best(std::uint32_t table, const IpPrefix& prefix) const {
  const auto* list = state_.routes().find(table, prefix);
  if (list == nullptr) return {};
  const bool v6 = prefix.address.v6;
  bool selective = false;
  for (auto route = list->begin(); route != list->end(); ++route) {
    selective |= route->is_selective();
    if (!is_eligible(*route, v6)) continue;
    Resolved result = describe(table, prefix.network(), *route);
    result.source = {};
    result.unsure |= selective;
    if (result.type != RTN_UNICAST) return result;
    // There is no destination host yet. The zero address has no entry, so an on-link route yields kUnresolved
    // or kNotNeeded.
    result.neighbour = neighbour_state(result.ifindex, result.gateway.value_or(IpAddress{}), &result.mac);
    return result;
  }
  Resolved nothing;
  nothing.unsure = selective;
  return nothing;
}

// ---- longest match and rules

Resolved RouteLookup::look_up(std::uint32_t table, const IpAddress& destination) const {
  bool selective = false;  // a route for a TOS or a source comes first
  const auto match = state_.routes().longest_match(table, destination, [&](const Route& route) {
    selective |= route.is_selective();
    return is_eligible(route, destination.v6);
  });
  Resolved result = match.route == nullptr ? Resolved{} : describe(table, match.prefix, *match.route);
  result.unsure |= selective;
  return result;
}

// Without custom rules the kernel keeps the IPv4 tables local and main in one structure, so the longer match
// wins, whichever table holds it.
Resolved RouteLookup::look_up_merged(const IpAddress& destination) const {
  const Resolved local = look_up(RT_TABLE_LOCAL, destination);
  const Resolved main = look_up(RT_TABLE_MAIN, destination);
  const bool takes_main =
      local.type == RTN_UNSPEC || (main.type != RTN_UNSPEC && main.prefix.length > local.prefix.length);
  Resolved result = takes_main ? main : local;
  result.unsure = local.unsure || main.unsure;
  return result;
}

Resolved RouteLookup::follow(const RoutingRule& rule, const IpAddress& destination,
                             const ResolveKey& key) const {
  switch (rule.action) {
    case FR_ACT_BLACKHOLE:
      return outcome(RTN_BLACKHOLE);
    case FR_ACT_UNREACHABLE:
      return outcome(RTN_UNREACHABLE);
    case FR_ACT_PROHIBIT:
      return outcome(RTN_PROHIBIT);
    case FR_ACT_TO_TBL:
      break;
    default:
      return {};
  }
  const Resolved found =
      look_up(rule.l3mdev ? state_.links().table_of_vrf(key.vrf) : rule.table, destination);
  // A match of at most this length is ignored (fib4_rule_suppress).
  if (rule.suppress_prefix_length >= 0 && found.prefix.length <= rule.suppress_prefix_length) return {};
  return found;
}

Resolved RouteLookup::follow_rules(const IpAddress& destination, const ResolveKey& key) const {
  const auto& list = state_.rules().of(destination.v6);
  std::uint32_t not_before = 0;  // lowest priority to evaluate, set by a goto
  bool unsure = false;
  for (const RoutingRule& rule : list) {
    if (rule.priority < not_before) continue;
    unsure |= rule.selects_more;
    if (rule.selects_more || selects(rule, destination, key) == rule.invert) continue;
    if (rule.action == FR_ACT_GOTO) not_before = rule.goto_priority;
    Resolved found = follow(rule, destination, key);
    unsure |= found.unsure;
    if (continues_lookup(found)) continue;
    found.unsure = unsure;
    return found;
  }
  Resolved nothing;
  nothing.unsure = unsure;
  return nothing;
}

// Do the rule's selectors fit a packet that this machine sends, from a socket bound to no interface?
bool RouteLookup::selects(const RoutingRule& rule, const IpAddress& destination,
                          const ResolveKey& key) const {
  const auto fits = [](const std::optional<PortRange>& range, UdpPort port) {
    return !range || range->contains(port);
  };
  if (rule.fwmask != 0 && (key.fwmark & rule.fwmask) != (rule.fwmark & rule.fwmask)) return false;
  if (rule.l3mdev && state_.links().table_of_vrf(key.vrf) == 0) return false;
  if (rule.destination.length != 0 && !rule.destination.contains(destination)) return false;
  if (rule.source.length != 0 && (key.source.is_zero() || !rule.source.contains(key.source))) return false;
  if (!rule.oif.empty() || (!rule.iif.empty() && rule.iif != "lo")) return false;
  if (rule.protocol != 0 && rule.protocol != key.protocol) return false;
  return fits(rule.source_ports, key.source_port) && fits(rule.destination_ports, key.destination_port);
}

// The on-link route of one link. fe80::/64 is on every link, and no table decides between them.
Resolved RouteLookup::on_link(std::uint32_t ifindex) const {
  const Link* out = state_.links().find(ifindex);
  if (out == nullptr || !out->up) return {};
  Resolved result = outcome(RTN_UNICAST);
  result.scope = RT_SCOPE_LINK;
  result.ifindex = ifindex;
  result.mtu = out->mtu_for(true);
  return result;
}

Resolved RouteLookup::resolve(const IpAddress& destination, const ResolveKey& key) const {
  const bool merged = !destination.v6 && key.vrf == 0 && state_.rules().of(false).size() == 3 &&
                      state_.rules().are_default(false);
  const bool scoped = key.link != 0 && destination.v6 && is_link_local(destination);
  Resolved found = merged ? look_up_merged(destination) : scoped ? on_link(key.link) : Resolved{};
  if (continues_lookup(found) && !scoped) {
    const bool unsure = found.unsure;
    found = follow_rules(destination, key);
    found.unsure |= unsure;
  }
  if (!key.source.is_zero() && key.source.v6 == destination.v6) {
    found.source = key.source;
  } else if (found.source.is_zero()) {
    found.source = destination.v6 ? choose_source_v6(found, destination) : choose_source_v4(found);
    if (found.type == RTN_LOCAL) found.source = destination;
  }
  if (found.type == RTN_UNICAST) {
    found.neighbour = neighbour_state(found.ifindex, found.next_hop(destination), &found.mac);
  }
  return found;
}

// ---- source addresses

// The link's first primary address whose scope is at least as wide.
IpAddress RouteLookup::first_address_v4(std::uint32_t ifindex, std::uint8_t scope) const {
  for (const LocalAddress& local : state_.addresses().of(ifindex)) {
    if (local.prefix.address.v6 || (local.flags & IFA_F_SECONDARY) || local.scope > scope) continue;
    return local.prefix.address;
  }
  return {};
}

// Follows inet_select_addr: first an address in the gateway's network, then any address of the link, then of
// the VRF device, then of any link.
IpAddress RouteLookup::choose_source_v4(const Resolved& route) const {
  if (route.type != RTN_UNICAST) return {};
  for (const LocalAddress& local : state_.addresses().of(route.ifindex)) {
    if (local.prefix.address.v6 || (local.flags & IFA_F_SECONDARY) || local.scope > route.scope) continue;
    const IpPrefix network{local.peer.value_or(local.prefix.address), local.prefix.length};
    if (!route.gateway || route.gateway->v6 || network.contains(*route.gateway)) return local.prefix.address;
  }
  if (const IpAddress own = first_address_v4(route.ifindex, route.scope); !own.is_zero()) return own;
  const std::uint32_t vrf = state_.links().vrf_of_link(route.ifindex);
  if (vrf != 0) {
    if (const IpAddress own = first_address_v4(vrf, route.scope); !own.is_zero()) return own;
  }
  for (const auto& [ifindex, other] : state_.links().all()) {
    if (state_.links().vrf_of_link(ifindex) != vrf) continue;
    for (const LocalAddress& local : state_.addresses().of(ifindex)) {
      const bool fits =
          !local.prefix.address.v6 && !(local.flags & IFA_F_SECONDARY) && local.scope != RT_SCOPE_LINK;
      if (fits && local.scope <= route.scope) return local.prefix.address;
    }
  }
  return {};
}

IpAddress RouteLookup::choose_source_v6(const Resolved& route, const IpAddress& destination) const {
  if (route.type != RTN_UNICAST) return {};
  const std::uint32_t vrf = state_.links().vrf_of_link(route.ifindex);
  const bool on_link_only = is_link_local(destination) || destination.bytes[0] == 0xff;
  const LocalAddress* best_so_far = nullptr;
  for (const auto& [ifindex, list] : state_.addresses().all()) {
    if (on_link_only ? ifindex != route.ifindex : state_.links().vrf_of_link(ifindex) != vrf) continue;
    for (const LocalAddress& candidate : list) {
      if (!candidate.prefix.address.v6 || !candidate.usable()) continue;
      if (best_so_far == nullptr || better_source(candidate, *best_so_far, destination, route.ifindex)) {
        best_so_far = &candidate;
      }
    }
  }
  IpAddress none;
  none.v6 = true;
  return best_so_far == nullptr ? none : best_so_far->prefix.address;
}

}  // namespace wg::control
