// Parses rtnetlink messages into plain values. Pure functions over bytes from the kernel: they check the
// length of every attribute, and return nullopt for a malformed message.
#pragma once

#include <linux/rtnetlink.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/kernel/types.h"

namespace wg::control {

struct Link {
  std::uint32_t ifindex = 0;
  std::string name;
  std::string kind;  // "tun", "veth", "vlan", "vrf", ...; empty for hardware and loopback
  std::uint32_t mtu = 0;
  std::uint16_t hardware = 0;  // ARPHRD_*
  bool up = false;             // IFF_UP
  bool carrier = false;
  bool noarp = false;  // no neighbour resolution: TUN, loopback, point-to-point
  bool loopback = false;
  std::optional<MacAddress> mac;
  std::uint32_t parent = 0;              // IFLA_LINK, when in the same namespace
  std::optional<std::uint16_t> vlan_id;  // kind == "vlan": tag on `parent`
  std::uint32_t master = 0;              // bridge, bond or VRF that it belongs to
  bool vlan_8021q = false;               // kind == "vlan": its tags are 0x8100 (802.1Q, not 802.1ad)
  std::uint32_t vrf_table = 0;           // kind == "vrf": its routing table
  bool all_multicast = false;            // IFF_ALLMULTI: a multicast router, the user
  std::uint32_t promiscuity = 0;         // how many listen to every frame: packet sockets, a bridge, the user
  // [IPv4, IPv6]: routes over this link are ignored without carrier (sysctl ignore_routes_with_linkdown). The
  // message does not contain it: the mirror reads it when the carrier is lost.
  std::array<bool, 2> ignored_without_carrier{};
  // The length of IPv6 packets at most (sysctl net.ipv6.conf.NAME.mtu), read beside the messages; 0: not
  // known.
  std::uint32_t ipv6_mtu = 0;
  bool has_xdp = false;  // a program sees its frames before its stack
  // Frames of `parent` are its own, so that the parent's stack does not see all of them.
  bool takes_frames = false;

  [[nodiscard]] std::uint32_t mtu_for(bool v6) const {
    return v6 && ipv6_mtu != 0 && ipv6_mtu < mtu ? ipv6_mtu : mtu;
  }

  friend bool operator==(const Link&, const Link&) = default;
};

struct LocalAddress {
  std::uint32_t ifindex = 0;
  IpPrefix prefix;                // host bits kept
  std::optional<IpAddress> peer;  // point-to-point
  std::uint8_t scope = 0;         // RT_SCOPE_*
  std::uint32_t flags = 0;        // IFA_F_*

  [[nodiscard]] bool usable() const;  // not tentative, not failed
  friend bool operator==(const LocalAddress&, const LocalAddress&) = default;
};

struct NextHop {
  std::uint32_t ifindex = 0;
  std::optional<IpAddress> gateway;  // nullopt: on-link

  friend bool operator==(const NextHop&, const NextHop&) = default;
};

// The part of a route that many routes share: a BGP table has a million prefixes and a handful of these.
struct Forwarding {
  std::vector<NextHop> nexthops;
  std::uint32_t nexthop_id = 0;     // RTA_NH_ID; 0 = none
  std::optional<IpAddress> source;  // preferred source
  std::uint32_t mtu = 0;            // RTAX_MTU; 0 = none
  std::uint8_t type = RTN_UNICAST;  // RTN_UNICAST | RTN_LOCAL | RTN_BROADCAST | RTN_BLACKHOLE | ...
  std::uint8_t scope = 0;
  std::uint8_t protocol = 0;
  std::optional<IpPrefix> from;  // IPv6: only for packets from there (RTA_SRC)
  // Has an attribute that a lookup does not follow (an encapsulation, a realm, a locked MTU, anything newer
  // than this program): only the kernel decides where its packets go.
  bool kernel_only = false;

  friend bool operator==(const Forwarding&, const Forwarding&) = default;
};

struct ParsedRoute {
  std::uint32_t table = 0;
  IpPrefix prefix;
  std::uint32_t metric = 0;
  std::uint8_t tos = 0;
  bool cloned = false;  // a cache entry, not a route
  Forwarding forwarding;
};

struct Neighbour {
  std::uint32_t ifindex = 0;
  IpAddress address;
  std::optional<MacAddress> mac;
  std::uint16_t state = 0;  // NUD_*
  std::uint8_t flags = 0;   // NTF_*

  // True when `mac` may be used now.
  [[nodiscard]] bool usable() const;
};

struct NexthopObject {
  std::uint32_t id = 0;
  std::optional<NextHop> hop;  // nullopt for a blackhole or a group
  bool blackhole = false;
  std::vector<std::uint32_t> members;  // non-empty: this is a group
  bool kernel_only = false;            // an encapsulation, a resilient group, an unknown attribute

  friend bool operator==(const NexthopObject&, const NexthopObject&) = default;
};

// The range of ports of a rule, of any transport protocol, in host order.
struct PortRange {
  std::uint16_t first = 0, last = 0;

  [[nodiscard]] bool contains(UdpPort port) const {
    return number_of(port) >= first && number_of(port) <= last;
  }
  friend bool operator==(const PortRange&, const PortRange&) = default;
};

// One `ip rule`.
struct RoutingRule {
  bool v6 = false;
  std::uint32_t priority = 0;
  std::uint8_t action = 0;  // FR_ACT_*
  std::uint32_t table = 0;
  std::uint32_t fwmark = 0;
  std::uint32_t fwmask = 0;   // 0: the rule ignores the mark
  IpPrefix destination;       // length 0: any
  IpPrefix source;            // length 0: any
  std::string iif, oif;       // incoming and outgoing interface; "lo": sent by this machine. Empty: any
  std::uint8_t protocol = 0;  // IP protocol; 0: any
  std::optional<PortRange> source_ports, destination_ports;
  bool invert = false;
  bool l3mdev = false;  // use the table of the packet's VRF
  std::uint32_t goto_priority = 0;
  std::int32_t suppress_prefix_length = -1;  // ignore a match of at most this length
  bool selects_more = false;  // also by TOS, user, tunnel or a newer property: a lookup does not follow it

  friend bool operator==(const RoutingRule&, const RoutingRule&) = default;
};

// The content of one message about the switches of a link, or of all (RTM_NEWNETCONF). A notification names
// only what has changed.
struct ParsedSwitches {
  bool v6 = false;
  std::int32_t ifindex = 0;  // NETCONFA_IFINDEX_ALL: "all"; NETCONFA_IFINDEX_DEFAULT: "default"
  std::optional<bool> forwarding;
  std::optional<int> rp_filter;          // IPv4: 0 off, 1 strict, 2 loose
  std::optional<bool> force_forwarding;  // IPv6, Linux 6.17: forwards although "all" does not
};

// An address that a link's own filter lets pass (`bridge fdb`, flag self).
struct FilterEntry {
  std::uint32_t ifindex = 0;
  MacAddress mac{};
};

[[nodiscard]] std::optional<Link> parse_link(const nlmsghdr* message);
[[nodiscard]] std::optional<LocalAddress> parse_address(const nlmsghdr* message);
[[nodiscard]] std::optional<ParsedRoute> parse_route(const nlmsghdr* message);
[[nodiscard]] std::optional<Neighbour> parse_neighbour(const nlmsghdr* message);
[[nodiscard]] std::optional<FilterEntry> parse_filter_entry(const nlmsghdr* message);
[[nodiscard]] std::optional<NexthopObject> parse_nexthop(const nlmsghdr* message);
[[nodiscard]] std::optional<RoutingRule> parse_rule(const nlmsghdr* message);
[[nodiscard]] std::optional<ParsedSwitches> parse_switches(const nlmsghdr* message);

}  // namespace wg::control
