#include "control/kernel/netlink_parse.h"

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <net/if.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string_view>

#include "control/kernel/netlink_socket.h"

namespace wg::control {
namespace {

#ifndef IFF_LOWER_UP
constexpr unsigned IFF_LOWER_UP = 0x10000;
#endif

// In Linux 6.17 and later; missing in older headers.
constexpr unsigned kNetconfForceForwarding = 9;

// A set of attribute types, all below 64.
using TypeSet = std::uint64_t;
template <class... Types>
constexpr TypeSet types(Types... each) {
  return (TypeSet{0} | ... | (TypeSet{1} << each));
}

// The attributes of one message or nest, indexed by type. The last of several wins.
class Attributes {
 public:
  void collect(const nlattr* attribute) {
    const unsigned type = mnl_attr_get_type(attribute);
    if (type < at_.size()) at_[type] = attribute;
    present_ |= type < 64 ? types(type) : kBeyond;
  }
  // Is there an attribute that is not in `known`?
  [[nodiscard]] bool has_more_than(TypeSet known) const { return (present_ & ~known) != 0; }
  static Attributes of_message(const nlmsghdr* message, std::size_t header) {
    Attributes result;
    for_each_attribute(message, header, [&](const nlattr* attribute) { result.collect(attribute); });
    return result;
  }
  static Attributes of_bytes(const void* bytes, std::size_t size) {
    Attributes result;
    for_each_attribute(bytes, size, [&](const nlattr* attribute) { result.collect(attribute); });
    return result;
  }
  static Attributes of_nest(const nlattr* nest) {
    return of_bytes(mnl_attr_get_payload(nest), mnl_attr_get_payload_len(nest));
  }
  [[nodiscard]] const nlattr* get(unsigned type) const { return at_[type]; }
  template <class T>
  [[nodiscard]] std::optional<T> value(unsigned type) const {
    if (!at_[type] || mnl_attr_get_payload_len(at_[type]) < sizeof(T)) return std::nullopt;
    T result;
    std::memcpy(&result, mnl_attr_get_payload(at_[type]), sizeof(T));
    return result;
  }
  [[nodiscard]] std::uint32_t u32(unsigned type) const { return value<std::uint32_t>(type).value_or(0); }
  [[nodiscard]] std::string text(unsigned type) const {
    if (!at_[type]) return {};
    const auto* chars = static_cast<const char*>(mnl_attr_get_payload(at_[type]));
    return {chars, strnlen(chars, mnl_attr_get_payload_len(at_[type]))};
  }
  [[nodiscard]] std::optional<IpAddress> address(unsigned type) const {
    if (!at_[type]) return std::nullopt;
    switch (mnl_attr_get_payload_len(at_[type])) {
      case 4:
        return IpAddress::from_v4(mnl_attr_get_payload(at_[type]));
      case 16:
        return IpAddress::from_v6(mnl_attr_get_payload(at_[type]));
      default:
        return std::nullopt;
    }
  }
  [[nodiscard]] std::optional<MacAddress> mac(unsigned type) const {
    if (!at_[type] || mnl_attr_get_payload_len(at_[type]) != sizeof(MacAddress)) return std::nullopt;
    return value<MacAddress>(type);
  }

 private:
  static constexpr std::size_t kTypes =
      65;  // covers every IFLA_*, IFA_*, RTA_*, NDA_*, NHA_* and FRA_* that is read
  static constexpr TypeSet kBeyond = types(63);  // stands for every type from 63 on
  std::array<const nlattr*, kTypes> at_{};
  TypeSet present_ = 0;
};

// The attributes that a lookup follows, or that do not matter to where a packet goes. A route with any other
// is the kernel's: RTA_ENCAP, RTA_FLOW (realms), RTA_NEWDST, and what newer kernels have.
constexpr TypeSet kFollowedInRoutes =
    types(RTA_DST, RTA_SRC, RTA_IIF, RTA_OIF, RTA_GATEWAY, RTA_PRIORITY, RTA_PREFSRC, RTA_METRICS,
          RTA_MULTIPATH, RTA_CACHEINFO, RTA_TABLE, RTA_VIA, RTA_PREF, RTA_EXPIRES, RTA_PAD, RTA_NH_ID);
constexpr TypeSet kFollowedInHops = types(RTA_GATEWAY, RTA_VIA);
// Metrics of sockets of this machine count for no packet that is forwarded.
constexpr TypeSet kFollowedMetrics =
    types(RTAX_LOCK, RTAX_MTU, RTAX_WINDOW, RTAX_RTT, RTAX_RTTVAR, RTAX_SSTHRESH, RTAX_CWND, RTAX_ADVMSS,
          RTAX_REORDERING, RTAX_HOPLIMIT, RTAX_INITCWND, RTAX_FEATURES, RTAX_RTO_MIN, RTAX_INITRWND,
          RTAX_QUICKACK, RTAX_CC_ALGO, RTAX_FASTOPEN_NO_COOKIE);
constexpr unsigned kNhaOpFlags = 14, kNhaHwStatsUsed = 17;  // counters of nexthop objects, Linux 6.9
constexpr TypeSet kFollowedInNexthops =
    types(NHA_ID, NHA_GROUP, NHA_GROUP_TYPE, NHA_BLACKHOLE, NHA_OIF, NHA_GATEWAY, kNhaOpFlags,
          kNhaOpFlags + 1, kNhaOpFlags + 2, kNhaHwStatsUsed);
constexpr unsigned kSourcePortMask = 28, kDestinationPortMask = 29;  // of rules, Linux 6.15
constexpr TypeSet kFollowedInRules = types(
    FRA_DST, FRA_SRC, FRA_IIFNAME, FRA_GOTO, FRA_UNUSED2, FRA_PRIORITY, FRA_FWMARK, FRA_FLOW, FRA_TUN_ID,
    FRA_SUPPRESS_IFGROUP, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, FRA_FWMASK, FRA_OIFNAME, FRA_PAD, FRA_L3MDEV,
    FRA_PROTOCOL, FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE, kSourcePortMask, kDestinationPortMask);

template <class Header>
const Header* header_of(const nlmsghdr* message) {
  if (mnl_nlmsg_get_payload_len(message) < sizeof(Header)) return nullptr;
  return static_cast<const Header*>(mnl_nlmsg_get_payload(message));
}

bool is_ip(unsigned family) {
  return family == AF_INET || family == AF_INET6;
}

// Reads a prefix whose address attribute is absent for length 0.
std::optional<IpPrefix> read_prefix(const std::optional<IpAddress>& address, unsigned family,
                                    unsigned length) {
  IpAddress value;
  value.v6 = family == AF_INET6;
  if (address) value = *address;
  if (value.v6 != (family == AF_INET6) || length > address_bits(value)) return std::nullopt;
  return IpPrefix{value, static_cast<std::uint8_t>(length)};
}

// Kinds of links on top of another that leave its frames alone: those with tags or addresses of their own,
// and tunnels, whose IFLA_LINK is only where they send. What is not listed (ipvlan, MACsec, ...) takes them.
bool leaves_frames(const std::string& kind, const nlattr* data) {
  if (kind == "macvlan" || kind == "macvtap") {
    const std::uint32_t mode = data == nullptr ? 0 : Attributes::of_nest(data).u32(IFLA_MACVLAN_MODE);
    return mode != MACVLAN_MODE_PASSTHRU && mode != MACVLAN_MODE_SOURCE;
  }
  constexpr std::string_view kKinds[] = {"",       "vlan",      "veth",   "vxlan", "geneve",   "gre",
                                         "gretap", "ip6gre",    "ipip",   "sit",   "vti",      "vti6",
                                         "ip6tnl", "ip6gretap", "erspan", "xfrm",  "ip6erspan"};
  return std::find(std::begin(kKinds), std::end(kKinds), kind) != std::end(kKinds);
}

void read_link_kind(const nlattr* info, Link* link) {
  const auto nest = Attributes::of_nest(info);
  link->kind = nest.text(IFLA_INFO_KIND);
  link->takes_frames = link->parent != 0 && !leaves_frames(link->kind, nest.get(IFLA_INFO_DATA));
  if (!nest.get(IFLA_INFO_DATA)) return;
  if (link->kind == "vlan") {
    const auto vlan = Attributes::of_nest(nest.get(IFLA_INFO_DATA));
    link->vlan_id = vlan.value<std::uint16_t>(IFLA_VLAN_ID);
    // Kernels before 3.10 have no other protocol and do not report it.
    const auto protocol = vlan.value<std::uint16_t>(IFLA_VLAN_PROTOCOL).value_or(htons(ETH_P_8021Q));
    link->vlan_8021q = protocol == htons(ETH_P_8021Q);
  } else if (link->kind == "vrf") {
    link->vrf_table = Attributes::of_nest(nest.get(IFLA_INFO_DATA)).u32(IFLA_VRF_TABLE);
  }
}

// Reads RTA_GATEWAY, of the route's own family, or RTA_VIA, of the other family.
std::optional<IpAddress> read_gateway(const Attributes& attributes) {
  if (attributes.get(RTA_GATEWAY)) return attributes.address(RTA_GATEWAY);
  const nlattr* via = attributes.get(RTA_VIA);
  if (!via) return std::nullopt;
  const std::size_t size = mnl_attr_get_payload_len(via);
  const auto* bytes = static_cast<const std::uint8_t*>(mnl_attr_get_payload(via));
  std::uint16_t family = 0;
  if (size < sizeof family) return std::nullopt;
  std::memcpy(&family, bytes, sizeof family);
  if (family == AF_INET6 && size == sizeof family + 16) return IpAddress::from_v6(bytes + sizeof family);
  if (family == AF_INET && size == sizeof family + 4) return IpAddress::from_v4(bytes + sizeof family);
  return std::nullopt;
}

void read_multipath(const nlattr* nest, Forwarding* out) {
  std::size_t left = mnl_attr_get_payload_len(nest);
  const auto* at = static_cast<const std::uint8_t*>(mnl_attr_get_payload(nest));
  while (left >= sizeof(rtnexthop)) {
    rtnexthop hop;
    std::memcpy(&hop, at, sizeof hop);
    if (hop.rtnh_len < sizeof hop || hop.rtnh_len > left) return;
    const auto attributes = Attributes::of_bytes(at + sizeof hop, hop.rtnh_len - sizeof hop);
    out->nexthops.push_back({static_cast<std::uint32_t>(hop.rtnh_ifindex), read_gateway(attributes)});
    out->kernel_only |= attributes.has_more_than(kFollowedInHops);
    const std::size_t step = MNL_ALIGN(hop.rtnh_len);
    if (step >= left) return;
    at += step;
    left -= step;
  }
}

std::optional<PortRange> read_ports(const Attributes& attributes, unsigned type) {
  const auto range = attributes.value<fib_rule_port_range>(type);
  if (!range) return std::nullopt;
  return PortRange{range->start, range->end};
}

void read_forwarding(const Attributes& attributes, Forwarding* out) {
  if (const nlattr* multipath = attributes.get(RTA_MULTIPATH)) {
    read_multipath(multipath, out);
  } else if (attributes.get(RTA_OIF)) {
    out->nexthops.push_back({attributes.u32(RTA_OIF), read_gateway(attributes)});
  }
  out->nexthop_id = attributes.u32(RTA_NH_ID);
  out->source = attributes.address(RTA_PREFSRC);
  out->kernel_only |= attributes.has_more_than(kFollowedInRoutes);
  if (const nlattr* nest = attributes.get(RTA_METRICS)) {
    const auto metrics = Attributes::of_nest(nest);
    out->mtu = metrics.u32(RTAX_MTU);
    const bool mtu_locked = (metrics.u32(RTAX_LOCK) & 1u << RTAX_MTU) != 0;
    out->kernel_only |= mtu_locked || metrics.has_more_than(kFollowedMetrics);
  }
}

}  // namespace

bool LocalAddress::usable() const {
  const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  return !tentative && (flags & IFA_F_DADFAILED) == 0;
}

bool Neighbour::usable() const {
  constexpr unsigned kUsable = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP;
  return (state & kUsable) != 0 && mac.has_value();
}

std::optional<Link> parse_link(const nlmsghdr* message) {
  const auto* header = header_of<ifinfomsg>(message);
  if (!header || header->ifi_family != AF_UNSPEC) return std::nullopt;
  const auto attributes = Attributes::of_message(message, sizeof *header);
  Link link;
  link.ifindex = static_cast<std::uint32_t>(header->ifi_index);
  link.name = attributes.text(IFLA_IFNAME);
  link.mtu = attributes.u32(IFLA_MTU);
  link.hardware = header->ifi_type;
  link.up = (header->ifi_flags & IFF_UP) != 0;
  link.carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
  link.noarp = (header->ifi_flags & (IFF_NOARP | IFF_LOOPBACK)) != 0;
  link.loopback = (header->ifi_flags & IFF_LOOPBACK) != 0;
  link.mac = attributes.mac(IFLA_ADDRESS);
  if (!attributes.get(IFLA_LINK_NETNSID)) link.parent = attributes.u32(IFLA_LINK);
  link.master = attributes.u32(IFLA_MASTER);
  link.all_multicast = (header->ifi_flags & IFF_ALLMULTI) != 0;
  link.promiscuity = attributes.u32(IFLA_PROMISCUITY);
  if (const nlattr* xdp = attributes.get(IFLA_XDP))
    link.has_xdp = Attributes::of_nest(xdp).value<std::uint8_t>(IFLA_XDP_ATTACHED).value_or(0) != 0;
  if (const nlattr* info = attributes.get(IFLA_LINKINFO)) read_link_kind(info, &link);
  return link;
}

std::optional<LocalAddress> parse_address(const nlmsghdr* message) {
  const auto* header = header_of<ifaddrmsg>(message);
  if (!header || !is_ip(header->ifa_family)) return std::nullopt;
  const auto attributes = Attributes::of_message(message, sizeof *header);
  const auto local = attributes.address(IFA_LOCAL);
  const auto remote = attributes.address(IFA_ADDRESS);
  const auto prefix = read_prefix(local ? local : remote, header->ifa_family, header->ifa_prefixlen);
  if (!prefix || (!local && !remote)) return std::nullopt;
  LocalAddress address;
  address.prefix = *prefix;
  address.ifindex = header->ifa_index;
  if (local && remote && *local != *remote) address.peer = remote;
  address.scope = header->ifa_scope;
  address.flags = attributes.value<std::uint32_t>(IFA_FLAGS).value_or(header->ifa_flags);
  return address;
}

std::optional<ParsedRoute> parse_route(const nlmsghdr* message) {
  const auto* header = header_of<rtmsg>(message);
  if (!header || !is_ip(header->rtm_family)) return std::nullopt;
  const auto attributes = Attributes::of_message(message, sizeof *header);
  const auto prefix = read_prefix(attributes.address(RTA_DST), header->rtm_family, header->rtm_dst_len);
  if (!prefix) return std::nullopt;
  ParsedRoute route;
  route.prefix = *prefix;
  route.table = attributes.value<std::uint32_t>(RTA_TABLE).value_or(header->rtm_table);
  route.metric = attributes.u32(RTA_PRIORITY);
  route.tos = header->rtm_tos;
  route.cloned = (header->rtm_flags & RTM_F_CLONED) != 0;
  if (header->rtm_src_len != 0)
    route.forwarding.from = read_prefix(attributes.address(RTA_SRC), header->rtm_family, header->rtm_src_len);
  route.forwarding.type = header->rtm_type;
  route.forwarding.scope = header->rtm_scope;
  route.forwarding.protocol = header->rtm_protocol;
  read_forwarding(attributes, &route.forwarding);
  return route;
}

std::optional<Neighbour> parse_neighbour(const nlmsghdr* message) {
  const auto* header = header_of<ndmsg>(message);
  if (!header || !is_ip(header->ndm_family)) return std::nullopt;
  const auto attributes = Attributes::of_message(message, sizeof *header);
  const auto address = attributes.address(NDA_DST);
  if (!address || address->v6 != (header->ndm_family == AF_INET6)) return std::nullopt;
  return Neighbour{static_cast<std::uint32_t>(header->ndm_ifindex), *address, attributes.mac(NDA_LLADDR),
                   header->ndm_state, header->ndm_flags};
}

std::optional<FilterEntry> parse_filter_entry(const nlmsghdr* message) {
  const auto* header = header_of<ndmsg>(message);
  if (!header || header->ndm_family != PF_BRIDGE || (header->ndm_flags & NTF_SELF) == 0) return std::nullopt;
  const auto mac = Attributes::of_message(message, sizeof *header).mac(NDA_LLADDR);
  if (!mac) return std::nullopt;
  return FilterEntry{static_cast<std::uint32_t>(header->ndm_ifindex), *mac};
}

std::optional<NexthopObject> parse_nexthop(const nlmsghdr* message) {
  const auto* header = header_of<nhmsg>(message);
  if (!header) return std::nullopt;
  const auto attributes = Attributes::of_message(message, sizeof *header);
  NexthopObject object;
  object.id = attributes.u32(NHA_ID);
  object.blackhole = attributes.get(NHA_BLACKHOLE) != nullptr;
  object.kernel_only = attributes.has_more_than(kFollowedInNexthops) ||
                       attributes.value<std::uint16_t>(NHA_GROUP_TYPE).value_or(NEXTHOP_GRP_TYPE_MPATH) !=
                           NEXTHOP_GRP_TYPE_MPATH;
  if (const nlattr* group = attributes.get(NHA_GROUP)) {
    const std::size_t count = mnl_attr_get_payload_len(group) / sizeof(nexthop_grp);
    for (std::size_t i = 0; i < count; ++i) {
      nexthop_grp member;
      std::memcpy(&member, static_cast<const char*>(mnl_attr_get_payload(group)) + i * sizeof member,
                  sizeof member);
      object.members.push_back(member.id);
    }
  } else if (attributes.get(NHA_OIF) && !object.blackhole) {
    object.hop = NextHop{attributes.u32(NHA_OIF), attributes.address(NHA_GATEWAY)};
  }
  if (object.id == 0) return std::nullopt;
  return object;
}

std::optional<RoutingRule> parse_rule(const nlmsghdr* message) {
  const auto* header = header_of<fib_rule_hdr>(message);
  if (!header || !is_ip(header->family)) return std::nullopt;
  const auto attributes = Attributes::of_message(message, sizeof *header);
  const auto destination = read_prefix(attributes.address(FRA_DST), header->family, header->dst_len);
  const auto source = read_prefix(attributes.address(FRA_SRC), header->family, header->src_len);
  if (!destination || !source) return std::nullopt;
  RoutingRule rule;
  rule.destination = *destination;
  rule.source = *source;
  rule.iif = attributes.text(FRA_IIFNAME);
  rule.oif = attributes.text(FRA_OIFNAME);
  rule.protocol = attributes.value<std::uint8_t>(FRA_IP_PROTO).value_or(0);
  rule.source_ports = read_ports(attributes, FRA_SPORT_RANGE);
  rule.destination_ports = read_ports(attributes, FRA_DPORT_RANGE);
  rule.v6 = header->family == AF_INET6;
  rule.priority = attributes.u32(FRA_PRIORITY);
  rule.action = header->action;
  rule.table = attributes.value<std::uint32_t>(FRA_TABLE).value_or(header->table);
  rule.fwmark = attributes.u32(FRA_FWMARK);
  rule.fwmask = attributes.u32(FRA_FWMASK);
  rule.invert = (header->flags & FIB_RULE_INVERT) != 0;
  rule.l3mdev = attributes.value<std::uint8_t>(FRA_L3MDEV).value_or(0) != 0;
  rule.goto_priority = attributes.u32(FRA_GOTO);
  if (const auto length = attributes.value<std::int32_t>(FRA_SUPPRESS_PREFIXLEN))
    rule.suppress_prefix_length = *length;
  const auto group = attributes.value<std::int32_t>(FRA_SUPPRESS_IFGROUP);
  // The kernel reports a tunnel id of 0 and an interface group of -1 with every rule that has none.
  rule.selects_more = header->tos != 0 || (group && *group != -1) ||
                      attributes.value<std::uint64_t>(FRA_TUN_ID).value_or(0) != 0 ||
                      (header->flags & FIB_RULE_FIND_SADDR) != 0 ||
                      attributes.has_more_than(kFollowedInRules);
  // One port alone is reported with the mask of all its bits.
  for (const unsigned type : {kSourcePortMask, kDestinationPortMask})
    rule.selects_more |= attributes.value<std::uint16_t>(type).value_or(0xffff) != 0xffff;
  return rule;
}

std::optional<ParsedSwitches> parse_switches(const nlmsghdr* message) {
  const auto* header = header_of<netconfmsg>(message);
  if (!header || !is_ip(header->ncm_family)) return std::nullopt;
  const auto attributes = Attributes::of_message(message, sizeof *header);
  const auto ifindex = attributes.value<std::int32_t>(NETCONFA_IFINDEX);
  if (!ifindex) return std::nullopt;
  const auto number = [&](unsigned type) { return attributes.value<std::int32_t>(type); };
  const auto is_on = [&](unsigned type) -> std::optional<bool> {
    const auto value = number(type);
    return value ? std::optional(*value != 0) : std::nullopt;
  };
  ParsedSwitches switches;
  switches.v6 = header->ncm_family == AF_INET6;
  switches.ifindex = *ifindex;
  switches.forwarding = is_on(NETCONFA_FORWARDING);
  switches.rp_filter = number(NETCONFA_RP_FILTER);
  switches.force_forwarding = is_on(kNetconfForceForwarding);
  return switches;
}

}  // namespace wg::control
