#include "control/kernel/netlink_configure.h"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <net/if.h>

#include <cerrno>

#include "control/kernel/netlink_parse.h"

namespace wg::control {
namespace {

constexpr std::size_t kMaxNexthops = 32;

std::uint8_t family_of(const IpAddress& address) {
  return static_cast<std::uint8_t>(address.v6 ? AF_INET6 : AF_INET);
}

Refusal with_action(const Refusal& refusal, const std::string& what) {
  return Refusal::from_errno(refusal.code, what, refusal.text);
}

// ---- routes

std::uint16_t message_type(RouteVerb verb) {
  return verb == RouteVerb::kRemove ? RTM_DELROUTE : RTM_NEWROUTE;
}

std::uint16_t message_flags(RouteVerb verb) {
  switch (verb) {
    case RouteVerb::kAdd:
      return NLM_F_CREATE | NLM_F_EXCL;
    case RouteVerb::kReplace:
      return NLM_F_CREATE | NLM_F_REPLACE;
    case RouteVerb::kRemove:
      break;
  }
  return 0;
}

std::uint8_t route_scope(RouteVerb verb, const RouteSpec& route) {
  if (verb == RouteVerb::kRemove) return RT_SCOPE_NOWHERE;  // matches every scope
  if (route.type == RTN_LOCAL) return RT_SCOPE_HOST;
  const bool on_link = route.type == RTN_UNICAST && route.nexthops.size() == 1 && !route.nexthops[0].gateway;
  return on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

void put_gateway(NetlinkMessage& message, const IpAddress& gateway, bool route_is_v6) {
  if (gateway.v6 == route_is_v6) return message.put_address(RTA_GATEWAY, gateway);
  struct {
    std::uint16_t family;
    std::array<std::uint8_t, 16> address;
  } via{family_of(gateway), gateway.bytes};
  message.put(RTA_VIA, &via, sizeof via.family + (gateway.v6 ? 16 : 4));
}

void put_multipath(NetlinkMessage& message, const RouteSpec& route) {
  nlattr* nest = message.begin_nested(RTA_MULTIPATH);
  for (const NextHopSpec& nexthop : route.nexthops) {
    rtnexthop* hop = message.append_rtnexthop();
    hop->rtnh_ifindex = static_cast<int>(nexthop.ifindex);
    if (nexthop.gateway) put_gateway(message, *nexthop.gateway, route.prefix.address.v6);
    message.close_rtnexthop(hop);
  }
  message.end_nested(nest);
}

void put_nexthops(NetlinkMessage& message, const RouteSpec& route) {
  if (route.nexthops.size() > 1) return put_multipath(message, route);
  if (route.nexthops.empty()) return;
  const NextHopSpec& nexthop = route.nexthops[0];
  if (nexthop.ifindex != 0) message.put_u32(RTA_OIF, nexthop.ifindex);
  if (nexthop.gateway) put_gateway(message, *nexthop.gateway, route.prefix.address.v6);
}

NetlinkMessage route_message(RouteVerb verb, const RouteSpec& route) {
  NetlinkMessage message(message_type(verb), message_flags(verb));
  auto* header = message.extra<rtmsg>();
  header->rtm_family = family_of(route.prefix.address);
  header->rtm_dst_len = route.prefix.length;
  header->rtm_table =
      route.table < 256 ? static_cast<std::uint8_t>(route.table) : std::uint8_t{RT_TABLE_UNSPEC};
  header->rtm_protocol = route.protocol;
  header->rtm_scope = route_scope(verb, route);
  header->rtm_type = route.type;
  if (route.nexthops.size() == 1 && route.nexthops[0].on_link) header->rtm_flags |= RTNH_F_ONLINK;
  if (route.prefix.length > 0) message.put_address(RTA_DST, route.prefix.network().address);
  message.put_u32(RTA_TABLE, route.table);
  if (route.metric != 0) message.put_u32(RTA_PRIORITY, route.metric);
  if (route.source) message.put_address(RTA_PREFSRC, *route.source);
  put_nexthops(message, route);
  if (route.mtu != 0 && verb != RouteVerb::kRemove) {
    nlattr* nest = message.begin_nested(RTA_METRICS);
    message.put_u32(RTAX_MTU, route.mtu);
    message.end_nested(nest);
  }
  return message;
}

RouteSpec to_spec(const ParsedRoute& route) {
  RouteSpec spec;
  spec.prefix = route.prefix;
  spec.type = route.forwarding.type;
  spec.table = route.table;
  spec.metric = route.metric;
  spec.protocol = route.forwarding.protocol;
  if (spec.type == RTN_UNICAST) {
    for (const NextHop& hop : route.forwarding.nexthops) spec.nexthops.push_back({hop.ifindex, hop.gateway});
  }
  // A route with more nexthops than one message holds is removed by its key alone.
  if (spec.nexthops.size() > kMaxNexthops) spec.nexthops.clear();
  return spec;
}

bool uses_interface(const Forwarding& forwarding, std::uint32_t ifindex) {
  if (ifindex == 0) return true;
  for (const NextHop& hop : forwarding.nexthops) {
    if (hop.ifindex == ifindex) return true;
  }
  return false;
}

}  // namespace

RouteSpec RouteSpec::via_device(const IpPrefix& prefix, std::uint32_t ifindex) {
  RouteSpec route;
  route.prefix = prefix;
  route.nexthops.push_back({ifindex, std::nullopt});
  return route;
}

RouteSpec RouteSpec::via_gateway(const IpPrefix& prefix, const IpAddress& gateway, std::uint32_t ifindex) {
  RouteSpec route;
  route.prefix = prefix;
  route.nexthops.push_back({ifindex, gateway});
  return route;
}

// ---- links

std::optional<LinkSummary> NetlinkConfigure::query_link(NetlinkMessage& message) {
  std::optional<LinkSummary> found;
  const auto outcome = socket_.query(message, [&](const nlmsghdr* reply) {
    const auto link = parse_link(reply);
    if (link)
      found = LinkSummary{link->ifindex, link->name, link->mtu, link->up, link->mac.value_or(MacAddress{})};
  });
  return outcome ? found : std::nullopt;
}

std::optional<LinkSummary> NetlinkConfigure::find_link(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ) return std::nullopt;
  NetlinkMessage message(RTM_GETLINK, 0);
  message.extra<ifinfomsg>();
  message.put_string(IFLA_IFNAME, name);
  return query_link(message);
}

std::optional<LinkSummary> NetlinkConfigure::find_link(std::uint32_t ifindex) {
  NetlinkMessage message(RTM_GETLINK, 0);
  message.extra<ifinfomsg>()->ifi_index = static_cast<int>(ifindex);
  return query_link(message);
}

std::optional<std::uint32_t> NetlinkConfigure::ifindex(const std::string& name) {
  const auto link = find_link(name);
  return link ? std::optional(link->ifindex) : std::nullopt;
}

std::string NetlinkConfigure::link_name(std::uint32_t ifindex) {
  const auto link = find_link(ifindex);
  return link ? link->name : "interface " + std::to_string(ifindex);
}

Expected<> NetlinkConfigure::change_link(std::uint32_t ifindex, NetlinkMessage& message,
                                         const std::string& what) {
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(), what + " " + link_name(ifindex));
}

Expected<> NetlinkConfigure::change_flags(std::uint32_t ifindex, unsigned mask, unsigned value,
                                          const char* what) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* header = message.extra<ifinfomsg>();
  header->ifi_index = static_cast<int>(ifindex);
  header->ifi_change = mask;
  header->ifi_flags = value;
  return change_link(ifindex, message, what);
}

Expected<> NetlinkConfigure::set_up(std::uint32_t ifindex, bool up) {
  return change_flags(ifindex, IFF_UP, up ? IFF_UP : 0, up ? "setting up" : "setting down");
}

Expected<> NetlinkConfigure::set_noarp(std::uint32_t ifindex, bool noarp) {
  return change_flags(ifindex, IFF_NOARP, noarp ? IFF_NOARP : 0, "changing NOARP of");
}

Expected<> NetlinkConfigure::set_promiscuous(std::uint32_t ifindex, bool promiscuous) {
  return change_flags(ifindex, IFF_PROMISC, promiscuous ? IFF_PROMISC : 0, "changing promiscuous mode of");
}

Expected<> NetlinkConfigure::set_mtu(std::uint32_t ifindex, std::uint32_t mtu) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.extra<ifinfomsg>()->ifi_index = static_cast<int>(ifindex);
  message.put_u32(IFLA_MTU, mtu);
  return change_link(ifindex, message, "setting MTU " + std::to_string(mtu) + " on");
}

Expected<> NetlinkConfigure::set_mac(std::uint32_t ifindex, const MacAddress& mac) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.extra<ifinfomsg>()->ifi_index = static_cast<int>(ifindex);
  message.put(IFLA_ADDRESS, mac.data(), mac.size());
  return change_link(ifindex, message, "setting MAC address " + to_string(mac) + " on");
}

Expected<> NetlinkConfigure::rename_link(std::uint32_t ifindex, const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ)
    return Refusal::from_errno(EINVAL, "renaming to \"" + name + "\"");
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.extra<ifinfomsg>()->ifi_index = static_cast<int>(ifindex);
  message.put_string(IFLA_IFNAME, name);
  return change_link(ifindex, message, "renaming to " + name + " the interface");
}

Expected<> NetlinkConfigure::delete_link(std::uint32_t ifindex) {
  NetlinkMessage message(RTM_DELLINK, 0);
  message.extra<ifinfomsg>()->ifi_index = static_cast<int>(ifindex);
  return change_link(ifindex, message, "deleting");
}

Expected<> NetlinkConfigure::add_vlan(std::uint32_t parent, const std::string& name, std::uint16_t id) {
  if (name.empty() || name.size() >= IFNAMSIZ)
    return Refusal::from_errno(EINVAL, "adding VLAN \"" + name + "\"");
  NetlinkMessage message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  message.extra<ifinfomsg>();
  message.put_string(IFLA_IFNAME, name);
  message.put_u32(IFLA_LINK, parent);
  nlattr* info = message.begin_nested(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_KIND, "vlan");
  nlattr* data = message.begin_nested(IFLA_INFO_DATA);
  message.put(IFLA_VLAN_ID, &id, sizeof id);
  message.end_nested(data);
  message.end_nested(info);
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(),
                     "adding VLAN " + std::to_string(id) + " as " + name + " to " + link_name(parent));
}

// ---- addresses

Expected<> NetlinkConfigure::add_address(std::uint32_t ifindex, const IpPrefix& address,
                                         const AddressOptions& options) {
  NetlinkMessage message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
  auto* header = message.extra<ifaddrmsg>();
  header->ifa_family = family_of(address.address);
  header->ifa_prefixlen = address.length;
  header->ifa_index = ifindex;
  message.put_address(IFA_LOCAL, address.address);
  message.put_address(IFA_ADDRESS, options.peer.value_or(address.address));
  const unsigned flags = (options.noprefixroute ? unsigned{IFA_F_NOPREFIXROUTE} : 0u) |
                         (options.nodad && address.address.v6 ? unsigned{IFA_F_NODAD} : 0u);
  if (flags != 0) message.put_u32(IFA_FLAGS, flags);
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(), "adding " + to_string(address) + " to " + link_name(ifindex));
}

Expected<> NetlinkConfigure::remove_address(std::uint32_t ifindex, const IpPrefix& address) {
  NetlinkMessage message(RTM_DELADDR, 0);
  auto* header = message.extra<ifaddrmsg>();
  header->ifa_family = family_of(address.address);
  header->ifa_prefixlen = address.length;
  header->ifa_index = ifindex;
  message.put_address(IFA_LOCAL, address.address);
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(), "removing " + to_string(address) + " from " + link_name(ifindex));
}

LinkFilters NetlinkConfigure::link_filters() {
  LinkFilters filters;
  NetlinkMessage message(RTM_GETNEIGH, 0);
  message.extra<ndmsg>()->ndm_family = PF_BRIDGE;
  const auto visit = [&](const nlmsghdr* reply) {
    const auto entry = parse_filter_entry(reply);
    if (!entry) return;
    const bool group = (entry->mac[0] & 1) != 0;
    (group ? filters.groups : filters.unicast)[entry->ifindex].push_back(entry->mac);
  };
  static_cast<void>(socket_.dump(message, visit));  // a list cut short is completed by the next call
  for (LinkFilters::ByLink* kind : {&filters.unicast, &filters.groups}) {
    for (auto& [ifindex, macs] : *kind) std::sort(macs.begin(), macs.end());
  }
  return filters;
}

std::vector<IpPrefix> NetlinkConfigure::addresses(std::uint32_t ifindex) {
  NetlinkMessage message(RTM_GETADDR, 0);
  message.extra<ifaddrmsg>()->ifa_index = ifindex;
  std::vector<IpPrefix> found;
  const auto outcome = socket_.dump(message, [&](const nlmsghdr* reply) {
    const auto address = parse_address(reply);
    if (address && address->ifindex == ifindex) found.push_back(address->prefix);
  });
  return outcome ? found : std::vector<IpPrefix>{};
}

// ---- routes

std::string NetlinkConfigure::describe(RouteVerb verb, const RouteSpec& route) {
  static constexpr const char* kVerbs[] = {"adding", "replacing", "removing"};
  std::string text =
      std::string(kVerbs[static_cast<unsigned>(verb)]) + " route " + to_string(route.prefix.network());
  for (const NextHopSpec& hop : route.nexthops) {
    if (hop.gateway) text += " via " + dataplane::to_string(*hop.gateway);
    if (hop.ifindex != 0) text += " dev " + link_name(hop.ifindex);
  }
  if (route.table != RT_TABLE_MAIN) text += " table " + std::to_string(route.table);
  return text;
}

Expected<> NetlinkConfigure::change_route(RouteVerb verb, const RouteSpec& route) {
  if (route.nexthops.size() > kMaxNexthops) return Refusal::from_errno(E2BIG, describe(verb, route));
  NetlinkMessage message = route_message(verb, route);
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(), describe(verb, route));
}

BatchOutcome NetlinkConfigure::change_routes(RouteVerb verb, std::span<const RouteSpec> routes) {
  for (const RouteSpec& route : routes) {
    if (route.nexthops.size() > kMaxNexthops) {
      return {0, routes.size(), Refusal::from_errno(E2BIG, describe(verb, route))};
    }
  }
  std::size_t refused = 0;
  std::size_t first_index = 0;
  Refusal first;
  const auto outcome = socket_.batch(
      routes.size(), [&](std::size_t i) { return route_message(verb, routes[i]); },
      [&](std::size_t index, const Refusal& refusal) {
        if (refused++ > 0) return;
        first_index = index;
        first = refusal;
      });
  if (!outcome)
    return {0, routes.size(),
            with_action(outcome.error(), "changing " + std::to_string(routes.size()) + " routes")};
  if (refused == 0) return {routes.size(), 0, {}};
  // The sentence is built after the batch, because looking up an interface name uses the same socket.
  return {routes.size() - refused, refused, with_action(first, describe(verb, routes[first_index]))};
}

BatchOutcome NetlinkConfigure::remove_routes(std::uint8_t protocol, std::uint32_t ifindex) {
  return remove_routes_if(
      protocol, [&](const ParsedRoute& route) { return uses_interface(route.forwarding, ifindex); });
}

BatchOutcome NetlinkConfigure::remove_unreachable(std::uint8_t protocol, std::uint32_t metric) {
  return remove_routes_if(protocol, [&](const ParsedRoute& route) {
    return route.forwarding.type == RTN_UNREACHABLE && route.metric == metric;
  });
}

BatchOutcome NetlinkConfigure::remove_routes_if(std::uint8_t protocol,
                                                const std::function<bool(const ParsedRoute&)>& test) {
  std::vector<RouteSpec> found;
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    NetlinkMessage message(RTM_GETROUTE, 0);
    auto* header = message.extra<rtmsg>();
    header->rtm_family = family;
    header->rtm_protocol = protocol;
    const auto outcome = socket_.dump(message, [&](const nlmsghdr* reply) {
      const auto route = parse_route(reply);
      if (!route || route->cloned || route->forwarding.protocol != protocol) return;
      if (test(*route)) found.push_back(to_spec(*route));
    });
    // EINTR: the table changed during the dump. The routes found so far are removed anyway.
    if (!outcome && outcome.error().code != EINTR)
      return {0, 0, with_action(outcome.error(), "listing routes")};
  }
  return change_routes(RouteVerb::kRemove, found);
}

// ---- neighbours

namespace {

NetlinkMessage neighbour_message(std::uint16_t type, std::uint16_t flags, std::uint32_t ifindex,
                                 const IpAddress& address, std::uint16_t state,
                                 std::uint8_t neighbour_flags) {
  NetlinkMessage message(type, flags);
  auto* header = message.extra<ndmsg>();
  header->ndm_family = family_of(address);
  header->ndm_ifindex = static_cast<int>(ifindex);
  header->ndm_state = state;
  header->ndm_flags = neighbour_flags;
  message.put_address(NDA_DST, address);
  return message;
}

}  // namespace

Expected<> NetlinkConfigure::request_neighbour(std::uint32_t ifindex, const IpAddress& address) {
  auto message =
      neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, ifindex, address, NUD_NONE, NTF_USE);
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(),
                     "resolving " + dataplane::to_string(address) + " on " + link_name(ifindex));
}

Expected<> NetlinkConfigure::set_neighbour(std::uint32_t ifindex, const IpAddress& address,
                                           const MacAddress& mac) {
  auto message =
      neighbour_message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, ifindex, address, NUD_PERMANENT, 0);
  message.put(NDA_LLADDR, mac.data(), mac.size());
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(),
                     "setting neighbour " + dataplane::to_string(address) + " on " + link_name(ifindex));
}

Expected<> NetlinkConfigure::remove_neighbour(std::uint32_t ifindex, const IpAddress& address) {
  auto message = neighbour_message(RTM_DELNEIGH, 0, ifindex, address, 0, 0);
  const auto outcome = socket_.request(message);
  if (outcome) return outcome;
  return with_action(outcome.error(),
                     "removing neighbour " + dataplane::to_string(address) + " from " + link_name(ifindex));
}

}  // namespace wg::control
