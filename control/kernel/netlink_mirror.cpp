#include "control/kernel/netlink_mirror.h"

#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "control/kernel/sysctl.h"

namespace wg::control {
namespace {

constexpr std::size_t kReceiveBuffer = 64 * 1024;
constexpr int kDumpAttempts = 3;
constexpr int kGroups[] = {RTNLGRP_LINK,       RTNLGRP_NEIGH,      RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                           RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

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

bool same_change(const Change& a, const Change& b) {
  if (a.index() != b.index()) return false;
  if (const auto* route = std::get_if<RouteChanged>(&a)) {
    const auto& other = std::get<RouteChanged>(b);
    return route->table == other.table && route->prefix == other.prefix;
  }
  if (const auto* neighbour = std::get_if<NeighbourChanged>(&a)) {
    const auto& other = std::get<NeighbourChanged>(b);
    return neighbour->ifindex == other.ifindex && neighbour->address == other.address;
  }
  if (const auto* address = std::get_if<AddressChanged>(&a)) {
    const auto& other = std::get<AddressChanged>(b);
    return address->ifindex == other.ifindex && address->address == other.address;
  }
  if (const auto* link = std::get_if<LinkChanged>(&a))
    return link->ifindex == std::get<LinkChanged>(b).ifindex;
  return true;
}

// IPv4 identifies an address by prefix length and peer as well, IPv6 by the link alone.
bool same_address(const LocalAddress& a, const LocalAddress& b) {
  if (a.prefix.address != b.prefix.address) return false;
  return a.prefix.address.v6 || (a.prefix.length == b.prefix.length && a.peer == b.peer);
}

// True when the change makes no difference to a user of the entry.
bool same_to_users(const Neighbour& a, const Neighbour& b) {
  constexpr unsigned kFailed = NUD_FAILED;
  return a.usable() == b.usable() && a.mac == b.mac && (a.state & kFailed) == (b.state & kFailed);
}

}  // namespace

NetlinkMirror::NetlinkMirror(const MirrorOptions& options) : options_(options), buffer_(kReceiveBuffer) {
  open_monitor();
  dump_all();
}

int NetlinkMirror::fd() const {
  return mnl_socket_get_fd(monitor_.get());
}

// The monitor is subscribed before the first dump, so that no change is lost between the two. A notification
// of something that the dump already contained is recognised as a repeat.
void NetlinkMirror::open_monitor() {
  monitor_.reset(mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!monitor_ || mnl_socket_bind(monitor_.get(), 0, MNL_SOCKET_AUTOPID) != 0)
    fail("opening the rtnetlink monitor");
  const int bytes = static_cast<int>(options_.receive_buffer);
  if (setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0) {
    setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  for (int group : kGroups) {
    if (mnl_socket_setsockopt(monitor_.get(), NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) {
      fail("subscribing to rtnetlink");
    }
  }
  int nexthops = RTNLGRP_NEXTHOP;  // kernels before 5.3 lack this group
  mnl_socket_setsockopt(monitor_.get(), NETLINK_ADD_MEMBERSHIP, &nexthops, sizeof nexthops);
}

// ---- dumps

void NetlinkMirror::dump_all() {
  loading_ = true;
  links_.clear();
  addresses_.clear();
  neighbours_.clear();
  without_ipv4_.clear();
  nexthops_.clear();
  for (auto& rules : rules_) rules.clear();
  routes_.clear();
  dump(RTM_GETLINK, AF_UNSPEC);
  dump(RTM_GETNEXTHOP, AF_UNSPEC);
  for (const std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    dump(RTM_GETADDR, family);
    dump(RTM_GETRULE, family);
    dump(RTM_GETROUTE, family);
    dump(RTM_GETNEIGH, family);
  }
  loading_ = false;
  stale_ = false;
}

// A dump that the kernel reports as interrupted is retried a few times. After that the notifications queued
// in the monitor complete it: a busy routing daemon may never leave a gap that is long enough.
void NetlinkMirror::dump(std::uint16_t type, std::uint8_t family) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    NetlinkMessage message(type, 0);
    switch (type) {
      case RTM_GETLINK:
        message.extra<ifinfomsg>()->ifi_family = family;
        break;
      case RTM_GETADDR:
        message.extra<ifaddrmsg>()->ifa_family = family;
        break;
      case RTM_GETRULE:
        message.extra<fib_rule_hdr>()->family = family;
        break;
      case RTM_GETROUTE:
        message.extra<rtmsg>()->rtm_family = family;
        break;
      case RTM_GETNEIGH:
        message.extra<ndmsg>()->ndm_family = family;
        break;
      default:
        message.extra<nhmsg>()->nh_family = family;
        break;
    }
    const auto outcome = requests_.dump(message, [this](const nlmsghdr* reply) { apply(reply); });
    if (outcome.error != EINTR) return;
  }
}

void NetlinkMirror::resync() {
  discard_pending();
  dump_all();
  changes_.clear();
  note(Resynced{});
}

void NetlinkMirror::discard_pending() {
  // Reading also clears pending socket errors, ENOBUFS among them.
  for (int errors = 0; errors < 16;) {
    const ssize_t got = mnl_socket_recvfrom(monitor_.get(), buffer_.data(), buffer_.size());
    if (got >= 0) continue;
    if (errno == EAGAIN) return;
    ++errors;
  }
}

// ---- notifications

bool NetlinkMirror::process() {
  drain();
  if (stale_) {
    ++resyncs_;
    resync();
  }
  return !changes_.empty();
}

void NetlinkMirror::drain() {
  for (std::size_t messages = 0; messages < options_.messages_per_process && !stale_;) {
    const ssize_t got = mnl_socket_recvfrom(monitor_.get(), buffer_.data(), buffer_.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      stale_ = errno != EAGAIN;
      return;
    }
    int left = static_cast<int>(got);
    for (auto* m = reinterpret_cast<const nlmsghdr*>(buffer_.data()); mnl_nlmsg_ok(m, left);
         m = mnl_nlmsg_next(m, &left)) {
      apply(m);
      ++messages;
    }
  }
}

std::vector<Change> NetlinkMirror::take_changes() {
  return std::exchange(changes_, {});
}

void NetlinkMirror::note(const Change& change) {
  if (loading_ || (!changes_.empty() && same_change(changes_.back(), change))) return;
  changes_.push_back(change);
}

RouteTable::ChangeSink NetlinkMirror::noting_routes() {
  return [this](std::uint32_t table, const IpPrefix& prefix) { note(RouteChanged{table, prefix}); };
}

void NetlinkMirror::apply(const nlmsghdr* message) {
  const auto type = message->nlmsg_type;
  switch (type) {
    case RTM_NEWLINK:
      if (const auto link = parse_link(message)) apply_link(*link);
      break;
    case RTM_DELLINK:
      if (const auto link = parse_link(message)) remove_link(link->ifindex);
      break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
      if (const auto address = parse_address(message)) apply_address(*address, type == RTM_DELADDR);
      break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (auto route = parse_route(message))
        apply_route(std::move(*route), type == RTM_DELROUTE, message->nlmsg_flags);
      break;
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      if (const auto neighbour = parse_neighbour(message)) apply_neighbour(*neighbour, type == RTM_DELNEIGH);
      break;
    case RTM_NEWRULE:
    case RTM_DELRULE:
      if (const auto rule = parse_rule(message)) apply_rule(*rule, type == RTM_DELRULE);
      break;
    case RTM_NEWNEXTHOP:
      if (const auto object = parse_nexthop(message)) apply_nexthop(*object);
      break;
    case RTM_DELNEXTHOP:
      if (const auto object = parse_nexthop(message)) remove_nexthop(object->id);
      break;
    default:
      break;
  }
}

// ---- links

void NetlinkMirror::apply_link(const Link& told) {
  Link link = told;
  if (!link.carrier) link.ignored_without_carrier = read_ignored_without_carrier(link.name);
  const auto [at, is_new] = links_.try_emplace(link.ifindex, link);
  const Link old = at->second;
  if (!is_new && old == link) return;
  at->second = link;
  note(LinkChanged{link.ifindex});
  if (is_new || loading_) return;
  if (old.mtu != link.mtu) follow_link_mtu(link.ifindex, old.mtu, link.mtu);
  if (old.up && !link.up) forget_routes_via(link.ifindex, Loss::kDown);
  if ((old.up && !link.up) || (old.carrier && !link.carrier)) forget_nexthops_via(link.ifindex);
  const bool carrier_counts = old.ignored_without_carrier != link.ignored_without_carrier;
  if (old.up != link.up || carrier_counts) note_routes_with_choice_via(link.ifindex, carrier_counts);
}

void NetlinkMirror::remove_link(std::uint32_t ifindex) {
  if (links_.erase(ifindex) == 0) return;
  note(LinkChanged{ifindex});
  forget_routes_via(ifindex, Loss::kUnregistered);
  forget_nexthops_via(ifindex);
  addresses_.erase(ifindex);
  neighbours_.erase(ifindex);
  without_ipv4_.erase(ifindex);
}

// IPv4 routes vanish with their link without a notification; so do IPv6 routes where skip_notify_on_dev_down
// is set (fib_sync_down_dev, fib6_ifdown). A multipath route lives as long as another nexthop does, unless a
// link is unregistered. IPv4 routes of host scope (the local addresses) survive while the link is down. A
// link that loses its last IPv4 address loses all of them (fib_disable_ip).
void NetlinkMirror::forget_routes_via(std::uint32_t ifindex, Loss loss) {
  const auto gone = [&](const Forwarding& forwarding) {
    if (forwarding.nexthop_id != 0 || !leads_via(forwarding, ifindex)) return false;
    if (loss == Loss::kUnregistered) return true;
    if (loss == Loss::kDown && forwarding.scope == RT_SCOPE_HOST) return false;
    return std::all_of(forwarding.nexthops.begin(), forwarding.nexthops.end(), [&](const NextHop& hop) {
      const Link* other = link(hop.ifindex);
      return hop.ifindex == ifindex || other == nullptr || !other->up || without_ipv4_.contains(hop.ifindex);
    });
  };
  RouteTable::Only only;
  if (loss == Loss::kLastAddress) only.v6 = false;
  routes_.remove_if(gone, only, noting_routes());
}

// Reports the multipath routes that remain but gain or lose a nexthop with the link.
void NetlinkMirror::note_routes_with_choice_via(std::uint32_t ifindex, bool carrier_counts) {
  routes_.visit_if(
      [&](const Forwarding& forwarding) {
        return leads_via(forwarding, ifindex) && (forwarding.nexthops.size() > 1 || carrier_counts);
      },
      noting_routes());
}

bool NetlinkMirror::leads_via(const Forwarding& forwarding, std::uint32_t ifindex) const {
  const auto& hops = forwarding.nexthops;
  if (std::any_of(hops.begin(), hops.end(), [&](const NextHop& hop) { return hop.ifindex == ifindex; }))
    return true;
  const auto object = nexthops_.find(forwarding.nexthop_id);
  return object != nexthops_.end() && object->second.hop && object->second.hop->ifindex == ifindex;
}

// The kernel adapts the MTU metric of IPv6 routes to the link's MTU: it lowers a metric above the new MTU,
// and raises one that equalled the old MTU (fib6_nh_mtu_change).
void NetlinkMirror::follow_link_mtu(std::uint32_t ifindex, std::uint32_t old_mtu, std::uint32_t new_mtu) {
  routes_.rewrite_if(
      true,
      [&](const Forwarding& forwarding) {
        const std::uint32_t mtu = forwarding.mtu;
        return mtu != 0 && mtu != new_mtu && (mtu > new_mtu || mtu == old_mtu) &&
               leads_via(forwarding, ifindex);
      },
      [&](Forwarding& forwarding) { forwarding.mtu = new_mtu; }, noting_routes());
}

// ---- addresses

// Keeps the order in which the kernel chooses source addresses: IPv4 primaries by scope before secondaries
// (__inet_insert_ifa), IPv6 by scope with the newest first (ipv6_link_dev_addr). A dump has the same order.
void NetlinkMirror::insert_address(std::vector<LocalAddress>& list, const LocalAddress& address) const {
  const bool v6 = address.prefix.address.v6;
  auto at = list.end();
  if (!loading_ && v6) {
    at = std::find_if(list.begin(), list.end(), [&](const LocalAddress& other) {
      return other.prefix.address.v6 && other.scope >= address.scope;
    });
  } else if (!loading_ && (address.flags & IFA_F_SECONDARY) == 0) {
    at = list.begin();
    for (auto other = list.begin(); other != list.end(); ++other) {
      const bool primary = !other->prefix.address.v6 && (other->flags & IFA_F_SECONDARY) == 0;
      if (primary && address.scope <= other->scope) at = other + 1;
    }
  }
  list.insert(at, address);
}

void NetlinkMirror::apply_address(const LocalAddress& address, bool gone) {
  auto& list = addresses_[address.ifindex];
  const auto at = std::find_if(list.begin(), list.end(),
                               [&](const LocalAddress& other) { return same_address(other, address); });
  // A work queue announces an IPv6 address after it is in use, so its removal may arrive without its
  // addition.
  if (gone && at == list.end()) return forget_source(address);
  if (!gone && at != list.end() && *at == address) return;
  if (gone) {
    list.erase(at);
  } else if (at != list.end()) {
    *at = address;
  } else {
    insert_address(list, address);
  }
  note(AddressChanged{address.ifindex, address.prefix.address});
  if (gone) forget_source(address);
  if (!address.prefix.address.v6 && !loading_) follow_ipv4_presence(address.ifindex);
}

// Removing a link's last IPv4 address removes the link's routes. Adding one reactivates its nexthops.
void NetlinkMirror::follow_ipv4_presence(std::uint32_t ifindex) {
  const auto& list = addresses(ifindex);
  const bool any =
      std::any_of(list.begin(), list.end(), [](const LocalAddress& a) { return !a.prefix.address.v6; });
  if (any && without_ipv4_.erase(ifindex) == 0) return;
  if (!any) {
    without_ipv4_.insert(ifindex);
    forget_routes_via(ifindex, Loss::kLastAddress);
  }
  note_routes_with_choice_via(ifindex, false);
}

// Older kernels silently drop IPv4 routes whose preferred source has vanished (fib_sync_down_addr). Every
// kernel clears the preferred source of IPv6 routes over the same link (fib6_remove_prefsrc).
void NetlinkMirror::forget_source(const LocalAddress& gone) {
  const IpAddress& address = gone.prefix.address;
  if (address.v6) {
    routes_.rewrite_if(
        true,
        [&](const Forwarding& forwarding) {
          return forwarding.source == address && forwarding.nexthop_id == 0 &&
                 leads_via(forwarding, gone.ifindex);
        },
        [](Forwarding& forwarding) { forwarding.source.reset(); }, noting_routes());
    return;
  }
  if (is_local(address)) return;
  const std::uint32_t vrf_table = table_of_vrf(vrf_of_link(gone.ifindex));
  RouteTable::Only only;
  only.table = vrf_table != 0 ? vrf_table : std::uint32_t{RT_TABLE_MAIN};
  routes_.remove_if([&](const Forwarding& forwarding) { return forwarding.source == address; }, only,
                    noting_routes());
}

// ---- routes

void NetlinkMirror::apply_route(ParsedRoute route, bool gone, std::uint16_t flags) {
  if (route.cloned || route.from_source) return;
  // The nexthop object holds the nexthop, and a change of the object is announced separately.
  if (nexthops_.contains(route.forwarding.nexthop_id)) route.forwarding.nexthops.clear();
  const auto outcome = gone ? routes_.remove(route)
                            : routes_.add(route, loading_ ? static_cast<std::uint16_t>(NLM_F_APPEND) : flags);
  if (outcome == RouteTable::Outcome::kUnsure && !loading_) stale_ = true;
  if (outcome == RouteTable::Outcome::kChanged) note(RouteChanged{route.table, route.prefix.network()});
}

// ---- nexthop objects

void NetlinkMirror::apply_nexthop(const NexthopObject& object) {
  const auto [at, is_new] = nexthops_.try_emplace(object.id, object);
  if (!is_new && at->second == object) return;
  at->second = object;
  if (!is_new) note_nexthop_routes(object.id);
}

void NetlinkMirror::note_nexthop_routes(std::uint32_t id) {
  routes_.visit_if(
      [&](const Forwarding& forwarding) {
        if (forwarding.nexthop_id == id) return true;
        const auto group = nexthops_.find(forwarding.nexthop_id);
        if (group == nexthops_.end()) return false;
        const auto& members = group->second.members;
        return std::find(members.begin(), members.end(), id) != members.end();
      },
      noting_routes());
}

// Removing an object removes its routes and its membership in groups; an empty group is removed too.
void NetlinkMirror::remove_nexthop(std::uint32_t id) {
  if (nexthops_.erase(id) == 0) return;
  routes_.remove_if([&](const Forwarding& forwarding) { return forwarding.nexthop_id == id; }, {},
                    noting_routes());
  std::vector<std::uint32_t> emptied;
  for (auto& [group_id, group] : nexthops_) {
    if (std::erase(group.members, id) == 0) continue;
    if (group.members.empty()) {
      emptied.push_back(group_id);
    } else {
      note_nexthop_routes(group_id);
    }
  }
  for (const std::uint32_t group_id : emptied) remove_nexthop(group_id);
}

// The kernel flushes the objects of a link that goes down, loses its carrier or is unregistered
// (nh_netdev_event).
void NetlinkMirror::forget_nexthops_via(std::uint32_t ifindex) {
  std::vector<std::uint32_t> gone;
  for (const auto& [id, object] : nexthops_) {
    if (object.hop && object.hop->ifindex == ifindex) gone.push_back(id);
  }
  for (const std::uint32_t id : gone) remove_nexthop(id);
}

// ---- neighbours and rules

void NetlinkMirror::apply_neighbour(const Neighbour& neighbour, bool gone) {
  if (neighbour.flags & NTF_PROXY) return;
  Neighbours& list = neighbours_[neighbour.ifindex];
  const auto at = list.find(neighbour.address);
  if (gone) {
    if (at == list.end()) return;
    list.erase(at);
  } else if (at != list.end()) {
    const Neighbour old = std::exchange(at->second, neighbour);
    if (same_to_users(old, neighbour)) return;
  } else {
    list.emplace(neighbour.address, neighbour);
  }
  note(NeighbourChanged{neighbour.ifindex, neighbour.address});
}

void NetlinkMirror::apply_rule(const RoutingRule& rule, bool gone) {
  auto& list = rules_[rule.v6 ? 1 : 0];
  const auto at = std::find(list.begin(), list.end(), rule);
  if (gone == (at == list.end())) return;
  if (gone) {
    list.erase(at);
  } else {
    const auto after =
        std::upper_bound(list.begin(), list.end(), rule,
                         [](const RoutingRule& a, const RoutingRule& b) { return a.priority < b.priority; });
    list.insert(after, rule);
  }
  note(RulesChanged{});
}

}  // namespace wg::control
