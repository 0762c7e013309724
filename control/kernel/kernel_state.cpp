#include "control/kernel/kernel_state.h"

#include <linux/neighbour.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <utility>

#include "control/kernel/sysctl.h"

namespace wg::control {
namespace {

bool sysctl_is_on(const std::string& path) {
  return read_sysctl(path).value_or("0") != "0";
}

// The kernel's evaluation: for IPv4 "all" or the link's own value, for IPv6 the link's own value.
std::array<bool, 2> read_ignored_without_carrier(const std::string& name) {
  const char* leaf = "/ignore_routes_with_linkdown";
  const bool v4 =
      sysctl_is_on(std::string("net/ipv4/conf/all") + leaf) || sysctl_is_on("net/ipv4/conf/" + name + leaf);
  return {v4, sysctl_is_on("net/ipv6/conf/" + name + leaf)};
}

// 0: none, the link has no IPv6.
std::uint32_t read_ipv6_mtu(const std::string& name) {
  const std::string text = read_sysctl("net/ipv6/conf/" + name + "/mtu").value_or("0");
  return static_cast<std::uint32_t>(std::strtoul(text.c_str(), nullptr, 10));
}

// The IPv6 MTU of a link whose MTU has changed. The message comes before IPv6 has followed: a read may be
// too early. IPv6 ends below its smallest MTU, but on the loopback device (addrconf_notify).
std::uint32_t ipv6_mtu_after(const Link& link) {
  constexpr std::uint32_t kSmallest = 1280;
  if (link.mtu >= kSmallest) return link.mtu;
  return link.name == "lo" ? read_ipv6_mtu(link.name) : 0;
}

}  // namespace

void KernelState::take(const nlmsghdr* message) {
  struct Taker {
    std::uint16_t type;
    void (KernelState::*take)(const nlmsghdr*);
  };
  static constexpr Taker kTakers[] = {
      {RTM_NEWLINK, &KernelState::take_link},        {RTM_DELLINK, &KernelState::take_gone_link},
      {RTM_NEWADDR, &KernelState::take_address},     {RTM_DELADDR, &KernelState::take_address},
      {RTM_NEWROUTE, &KernelState::take_route},      {RTM_DELROUTE, &KernelState::take_route},
      {RTM_NEWNEIGH, &KernelState::take_neighbour},  {RTM_DELNEIGH, &KernelState::take_neighbour},
      {RTM_NEWRULE, &KernelState::take_rule},        {RTM_DELRULE, &KernelState::take_rule},
      {RTM_NEWNEXTHOP, &KernelState::take_nexthop},  {RTM_DELNEXTHOP, &KernelState::take_gone_nexthop},
      {RTM_NEWNETCONF, &KernelState::take_switches},
  };
  for (const Taker& taker : kTakers) {
    if (taker.type == message->nlmsg_type) return (this->*taker.take)(message);
  }
}

void KernelState::note(const Change& change) {
  if (!loading_) changes_.note(change);
}

void KernelState::walk(RouteTable::Walk walk) {
  if (!loading_) routes_.add_walk(std::move(walk));
}

RouteTable::ChangeSink KernelState::noting_routes() {
  return [this](std::uint32_t table, const IpPrefix& prefix) { note(RouteChanged{table, prefix}); };
}

// ---- links

void KernelState::take_link(const nlmsghdr* message) {
  auto link = parse_link(message);
  if (!link) return;
  if (!link->carrier) link->ignored_without_carrier = read_ignored_without_carrier(link->name);
  const Link* known = links_.find(link->ifindex);
  const bool other_mtu = known != nullptr && known->mtu != link->mtu;
  link->ipv6_mtu = other_mtu ? ipv6_mtu_after(*link) : read_ipv6_mtu(link->name);
  const std::optional<Link> old = links_.put(*link);
  if (old == *link) return;
  note(LinkChanged{link->ifindex});
  if (old && !loading_) follow_link(*old, *link);
}

void KernelState::follow_ipv6_mtu(std::uint32_t ifindex) {
  const Link* known = links_.find(ifindex);
  if (known == nullptr) return;
  const std::uint32_t mtu = read_ipv6_mtu(known->name);
  if (mtu == known->ipv6_mtu) return;
  Link link = *known;
  link.ipv6_mtu = mtu;
  links_.put(link);
  changes_.note(LinkChanged{ifindex});
}

void KernelState::follow_link(const Link& old, const Link& link) {
  if (old.mtu != link.mtu) follow_link_mtu(link.ifindex, old.mtu, link.mtu);
  if (old.up && !link.up) forget_routes_via(link.ifindex, Loss::kDown);
  if ((old.up && !link.up) || (old.carrier && !link.carrier)) forget_nexthops_via(link.ifindex);
  const bool carrier_counts = old.ignored_without_carrier != link.ignored_without_carrier;
  if (old.up != link.up || carrier_counts) note_routes_with_choice_via(link.ifindex, carrier_counts);
}

void KernelState::take_gone_link(const nlmsghdr* message) {
  const auto link = parse_link(message);
  if (!link || !links_.remove(link->ifindex)) return;
  note(LinkChanged{link->ifindex});
  forget_routes_via(link->ifindex, Loss::kUnregistered);
  forget_nexthops_via(link->ifindex);
  addresses_.remove_link(link->ifindex);
  neighbours_.remove_link(link->ifindex);
  switches_.remove_link(link->ifindex);
}

// IPv4 routes vanish with their link without a notification; so do IPv6 routes where skip_notify_on_dev_down
// is set (fib_sync_down_dev, fib6_ifdown). A multipath route lives as long as another nexthop does, unless a
// link is unregistered. IPv4 routes of host scope (the local addresses) survive while the link is down. A
// link that loses its last IPv4 address loses all of them (fib_disable_ip).
void KernelState::forget_routes_via(std::uint32_t ifindex, Loss loss) {
  const auto gone = [this, ifindex, loss](const Forwarding& forwarding) {
    if (forwarding.nexthop_id != 0 || !leads_via(forwarding, ifindex)) return false;
    if (loss == Loss::kUnregistered) return true;
    if (loss == Loss::kDown && forwarding.scope == RT_SCOPE_HOST) return false;
    return std::all_of(forwarding.nexthops.begin(), forwarding.nexthops.end(), [&](const NextHop& hop) {
      const Link* other = links_.find(hop.ifindex);
      return hop.ifindex == ifindex || other == nullptr || !other->up ||
             addresses_.has_lost_ipv4(hop.ifindex);
    });
  };
  RouteTable::Walk removal{RouteTable::Walk::Task::kRemove, gone};
  if (loss == Loss::kLastAddress) removal.v6 = false;
  walk(std::move(removal));
}

// Reports the multipath routes that remain but gain or lose a nexthop with the link.
void KernelState::note_routes_with_choice_via(std::uint32_t ifindex, bool carrier_counts) {
  walk({RouteTable::Walk::Task::kReport, [this, ifindex, carrier_counts](const Forwarding& forwarding) {
          return leads_via(forwarding, ifindex) && (forwarding.nexthops.size() > 1 || carrier_counts);
        }});
}

bool KernelState::leads_via(const Forwarding& forwarding, std::uint32_t ifindex) const {
  const auto& hops = forwarding.nexthops;
  if (std::any_of(hops.begin(), hops.end(), [&](const NextHop& hop) { return hop.ifindex == ifindex; }))
    return true;
  const NexthopObject* object = nexthops_.find(forwarding.nexthop_id);
  return object != nullptr && object->hop && object->hop->ifindex == ifindex;
}

// The kernel adapts the MTU metric of IPv6 routes to the link's MTU: it lowers a metric above the new MTU,
// and raises one that equalled the old MTU (fib6_nh_mtu_change).
void KernelState::follow_link_mtu(std::uint32_t ifindex, std::uint32_t old_mtu, std::uint32_t new_mtu) {
  RouteTable::Walk rewriting{RouteTable::Walk::Task::kRewrite, [=, this](const Forwarding& forwarding) {
                               const std::uint32_t mtu = forwarding.mtu;
                               return mtu != 0 && mtu != new_mtu && (mtu > new_mtu || mtu == old_mtu) &&
                                      leads_via(forwarding, ifindex);
                             }};
  rewriting.v6 = true;
  rewriting.change = [new_mtu](Forwarding& forwarding) { forwarding.mtu = new_mtu; };
  walk(std::move(rewriting));
}

// ---- addresses

void KernelState::take_address(const nlmsghdr* message) {
  const auto address = parse_address(message);
  if (!address) return;
  const bool gone = message->nlmsg_type == RTM_DELADDR;
  const bool changed = gone ? addresses_.remove(*address) : addresses_.put(*address, loading_);
  if (changed) note(AddressChanged{address->ifindex, address->prefix.address});
  // A work queue announces an IPv6 address after it is in use, so its removal may arrive without its
  // addition.
  if (gone) forget_source(*address);
  if (changed && !address->prefix.address.v6 && !loading_) follow_ipv4_presence(address->ifindex);
}

// Removing a link's last IPv4 address removes the link's routes. Adding one reactivates its nexthops.
void KernelState::follow_ipv4_presence(std::uint32_t ifindex) {
  const auto presence = addresses_.follow_ipv4_presence(ifindex);
  if (presence == AddressTable::Ipv4Presence::kAsBefore) return;
  if (presence == AddressTable::Ipv4Presence::kLost) forget_routes_via(ifindex, Loss::kLastAddress);
  note_routes_with_choice_via(ifindex, false);
}

// Older kernels silently drop IPv4 routes whose preferred source has vanished (fib_sync_down_addr). Every
// kernel clears the preferred source of IPv6 routes over the same link (fib6_remove_prefsrc).
void KernelState::forget_source(const LocalAddress& gone) {
  const IpAddress address = gone.prefix.address;
  RouteTable::Walk following;
  if (address.v6) {
    following.task = RouteTable::Walk::Task::kRewrite;
    following.v6 = true;
    following.test = [this, address, ifindex = gone.ifindex](const Forwarding& forwarding) {
      return forwarding.source == address && forwarding.nexthop_id == 0 && leads_via(forwarding, ifindex);
    };
    following.change = [](Forwarding& forwarding) { forwarding.source.reset(); };
    return walk(std::move(following));
  }
  if (addresses_.is_local(address)) return;
  const std::uint32_t vrf_table = links_.table_of_vrf(links_.vrf_of_link(gone.ifindex));
  following.task = RouteTable::Walk::Task::kRemove;
  following.table = vrf_table != 0 ? vrf_table : std::uint32_t{RT_TABLE_MAIN};
  following.test = [address](const Forwarding& forwarding) { return forwarding.source == address; };
  walk(std::move(following));
}

// ---- routes

void KernelState::take_route(const nlmsghdr* message) {
  auto route = parse_route(message);
  if (!route || route->cloned) return;
  // The nexthop object holds the nexthop, and a change of the object is announced separately.
  if (nexthops_.find(route->forwarding.nexthop_id) != nullptr) route->forwarding.nexthops.clear();
  const std::uint16_t flags = loading_ ? std::uint16_t{NLM_F_APPEND} : message->nlmsg_flags;
  const bool gone = message->nlmsg_type == RTM_DELROUTE;
  const auto outcome = gone ? routes_.remove(*route) : routes_.add(*route, flags);
  if (outcome == RouteTable::Effect::kUnsure && !loading_) unsure_ = true;
  if (outcome == RouteTable::Effect::kChanged) note(RouteChanged{route->table, route->prefix.network()});
}

// ---- nexthop objects

void KernelState::take_nexthop(const nlmsghdr* message) {
  const auto object = parse_nexthop(message);
  if (object && nexthops_.put(*object) == NexthopTable::Effect::kChanged) note_nexthop_routes(object->id);
}

void KernelState::take_gone_nexthop(const nlmsghdr* message) {
  if (const auto object = parse_nexthop(message)) remove_nexthop(object->id);
}

void KernelState::note_nexthop_routes(std::uint32_t id) {
  walk({RouteTable::Walk::Task::kReport,
        [this, id](const Forwarding& forwarding) { return nexthops_.contains(forwarding.nexthop_id, id); }});
}

// Removing an object removes its routes and its membership in groups; an empty group is removed too.
void KernelState::remove_nexthop(std::uint32_t id) {
  const NexthopTable::Removed removed = nexthops_.remove(id);
  if (!removed.known) return;
  walk({RouteTable::Walk::Task::kRemove,
        [id](const Forwarding& forwarding) { return forwarding.nexthop_id == id; }});
  for (const std::uint32_t group : removed.smaller) note_nexthop_routes(group);
  for (const std::uint32_t group : removed.emptied) remove_nexthop(group);
}

// The kernel flushes the objects of a link that goes down, loses its carrier or is unregistered
// (nh_netdev_event).
void KernelState::forget_nexthops_via(std::uint32_t ifindex) {
  for (const std::uint32_t id : nexthops_.objects_via(ifindex)) remove_nexthop(id);
}

// ---- neighbours, rules and switches

void KernelState::take_neighbour(const nlmsghdr* message) {
  const auto neighbour = parse_neighbour(message);
  if (!neighbour || (neighbour->flags & NTF_PROXY)) return;
  const bool gone = message->nlmsg_type == RTM_DELNEIGH;
  if (gone ? neighbours_.remove(*neighbour) : neighbours_.put(*neighbour))
    note(NeighbourChanged{neighbour->ifindex, neighbour->address});
}

void KernelState::take_rule(const nlmsghdr* message) {
  const auto rule = parse_rule(message);
  if (!rule) return;
  const bool gone = message->nlmsg_type == RTM_DELRULE;
  if (gone ? rules_.remove(*rule) : rules_.put(*rule)) note(RulesChanged{});
}

void KernelState::take_switches(const nlmsghdr* message) {
  const auto switches = parse_switches(message);
  if (switches && switches_.put(*switches)) note(SwitchesChanged{});
}

}  // namespace wg::control
