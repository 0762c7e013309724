// Synchronous rtnetlink requests that change the kernel's configuration. Every call waits for the kernel's
// acknowledgement (microseconds). Errors carry a sentence: "adding 10.0.0.1/24 to wg0: File exists". The
// requests act in the network namespace in which the object was created.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "control/kernel/netlink_socket.h"
#include "control/kernel/types.h"
#include "dataplane/base/expected.h"

namespace wg::control {

struct ParsedRoute;

// Linegate's routes carry this protocol number, so that `ip route show proto 87` lists them and a restart
// after a crash can find and remove them.
inline constexpr std::uint8_t kRouteProtocol = 87;

struct AddressOptions {
  bool nodad = true;              // IPv6: no duplicate address detection, usable immediately
  bool noprefixroute = false;     // no connected route for the prefix
  std::optional<IpAddress> peer;  // point-to-point remote address
};

// One nexthop of a route. Without a gateway the destination is on the link.
struct NextHopSpec {
  std::uint32_t ifindex = 0;
  std::optional<IpAddress> gateway;  // may be IPv6 for an IPv4 route
  bool on_link = false;              // the gateway is, although no address says so. Of a single nexthop
};

// The kernel's, of an IPv6 route without one.
inline constexpr std::uint32_t kIpv6Metric = 1024;

struct RouteSpec {
  IpPrefix prefix;                    // the request clears the host bits
  std::uint8_t type = RTN_UNICAST;    // RTN_UNICAST | RTN_BLACKHOLE | RTN_UNREACHABLE | RTN_PROHIBIT
  std::vector<NextHopSpec> nexthops;  // one, several for multipath, none for blackhole and similar types
  std::optional<IpAddress> source;    // preferred source
  std::uint32_t table = RT_TABLE_MAIN;
  std::uint32_t metric = 0;  // 0: the kernel's default (0 for IPv4, kIpv6Metric)
  std::uint32_t mtu = 0;     // 0: none
  std::uint8_t protocol = kRouteProtocol;

  // The value that the kernel uses for `metric`.
  [[nodiscard]] std::uint32_t metric_in_force() const {
    return metric == 0 && prefix.address.v6 ? kIpv6Metric : metric;
  }
  static RouteSpec via_device(const IpPrefix& prefix, std::uint32_t ifindex);
  static RouteSpec via_gateway(const IpPrefix& prefix, const IpAddress& gateway, std::uint32_t ifindex);
};

enum class RouteVerb : std::uint8_t { kAdd, kReplace, kRemove };

struct BatchOutcome {
  std::size_t done = 0;
  std::size_t failed = 0;
  Expected<> first_failure;  // a refusal when failed != 0
};

struct LinkSummary {
  std::uint32_t ifindex = 0;
  std::string name;
  std::uint32_t mtu = 0;
  bool up = false;
  MacAddress mac{};
};

// MAC addresses by ifindex, sorted.
struct LinkFilters {
  using ByLink = std::map<std::uint32_t, std::vector<MacAddress>>;
  ByLink unicast;  // of macvlan and VLAN devices, of VRRP, or set by `bridge fdb`
  ByLink groups;   // multicast
};

class NetlinkConfigure {
 public:
  // Throws std::system_error when netlink is unavailable.
  NetlinkConfigure() = default;

  // ---- links
  [[nodiscard]] std::optional<LinkSummary> find_link(const std::string& name);
  [[nodiscard]] std::optional<LinkSummary> find_link(std::uint32_t ifindex);
  [[nodiscard]] std::optional<std::uint32_t> ifindex(const std::string& name);
  Expected<> set_up(std::uint32_t ifindex, bool up);
  Expected<> set_mtu(std::uint32_t ifindex, std::uint32_t mtu);
  Expected<> set_mac(std::uint32_t ifindex, const MacAddress& mac);
  Expected<> set_noarp(std::uint32_t ifindex, bool noarp);
  Expected<> set_promiscuous(std::uint32_t ifindex, bool promiscuous);
  Expected<> rename_link(std::uint32_t ifindex, const std::string& name);
  Expected<> delete_link(std::uint32_t ifindex);
  // Adds a VLAN device with tag `id` on `parent`.
  Expected<> add_vlan(std::uint32_t parent, const std::string& name, std::uint16_t id);

  // The addresses that Ethernet links listen to beside their own. The kernel does not announce changes.
  [[nodiscard]] LinkFilters link_filters();

  // ---- addresses. Adding an existing one fails with EEXIST, removing a missing one with EADDRNOTAVAIL.
  Expected<> add_address(std::uint32_t ifindex, const IpPrefix& address, const AddressOptions& options = {});
  Expected<> remove_address(std::uint32_t ifindex, const IpPrefix& address);
  [[nodiscard]] std::vector<IpPrefix> addresses(std::uint32_t ifindex);

  // ---- routes. kReplace adds the route, or overwrites the one with the same prefix, table and metric.
  Expected<> change_route(RouteVerb verb, const RouteSpec& route);
  Expected<> add_route(const RouteSpec& route) { return change_route(RouteVerb::kAdd, route); }
  Expected<> replace_route(const RouteSpec& route) { return change_route(RouteVerb::kReplace, route); }
  Expected<> remove_route(const RouteSpec& route) { return change_route(RouteVerb::kRemove, route); }
  // Changes many routes in batches and continues after a refusal.
  BatchOutcome change_routes(RouteVerb verb, std::span<const RouteSpec> routes);
  // Removes the routes of `protocol` via `ifindex` (0: any interface) from every table.
  BatchOutcome remove_routes(std::uint8_t protocol, std::uint32_t ifindex = 0);

  // Removes the unreachable routes of `protocol` with that metric from every table.
  BatchOutcome remove_unreachable(std::uint8_t protocol, std::uint32_t metric);

  // ---- neighbours
  // Makes the kernel resolve `address` on the link (ARP or neighbour discovery), as if it had a packet to
  // send. The answer arrives as a neighbour event. Fails (EINVAL, for example) when the link cannot resolve
  // addresses.
  Expected<> request_neighbour(std::uint32_t ifindex, const IpAddress& address);
  // Adds a permanent entry (point-to-point peers, tests).
  Expected<> set_neighbour(std::uint32_t ifindex, const IpAddress& address, const MacAddress& mac);
  Expected<> remove_neighbour(std::uint32_t ifindex, const IpAddress& address);

 private:
  Expected<> change_flags(std::uint32_t ifindex, unsigned mask, unsigned value, const char* what);
  Expected<> change_link(std::uint32_t ifindex, NetlinkMessage& message, const std::string& what);
  // The interface's name for error texts: "wg0", or "interface 7" when it no longer exists.
  std::string link_name(std::uint32_t ifindex);
  std::string describe(RouteVerb verb, const RouteSpec& route);
  BatchOutcome remove_routes_if(std::uint8_t protocol, const std::function<bool(const ParsedRoute&)>& test);
  std::optional<LinkSummary> query_link(NetlinkMessage& message);

  NetlinkSocket socket_;
};

}  // namespace wg::control
