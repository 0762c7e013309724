// A live copy of the kernel's routing state: links, addresses, routes of every table, rules, neighbours and
// nexthop objects. It follows rtnetlink: the control thread polls fd() and calls process().
//
// The kernel does not announce every change (IPv4 routes vanish with their link or preferred source, nexthop
// objects with their link); the mirror repeats those changes by the kernel's own rules. When notifications
// overflow (ENOBUFS) the mirror dumps everything again and reports Resynced.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "control/kernel/netlink_parse.h"
#include "control/kernel/netlink_socket.h"
#include "control/kernel/route_table.h"

namespace wg::control {

struct LinkChanged {
  std::uint32_t ifindex;
};
struct AddressChanged {
  std::uint32_t ifindex;
  IpAddress address;
};
// A route of `prefix` in `table` was added or removed, or resolves differently (a nexthop's link went down).
struct RouteChanged {
  std::uint32_t table;
  IpPrefix prefix;
};
struct NeighbourChanged {
  std::uint32_t ifindex;
  IpAddress address;
};
struct RulesChanged {};
// Everything may have changed: publish from scratch. Changes reported before this one may be discarded.
struct Resynced {};
using Change =
    std::variant<LinkChanged, AddressChanged, RouteChanged, NeighbourChanged, RulesChanged, Resynced>;

enum class NeighbourState : std::uint8_t {
  kNotNeeded,   // the link needs no resolution (TUN, loopback), or the packet has no nexthop
  kUsable,      // `mac` is valid
  kUnresolved,  // not resolved yet: call NetlinkConfigure::request_neighbour
  kFailed,      // resolution failed: no answer
};

// The kernel's decision for a packet to an address.
struct Resolved {
  std::uint8_t type = RTN_UNSPEC;  // RTN_UNSPEC: no route; RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, ...
  std::uint32_t table = 0;
  IpPrefix prefix;                   // the matching route's
  std::uint8_t scope = 0;            // of the route; RT_SCOPE_*
  std::uint32_t ifindex = 0;         // outgoing link; for RTN_LOCAL the link that owns the address
  std::optional<IpAddress> gateway;  // nullopt: on-link
  IpAddress source;                  // the kernel's choice; zero when there is none
  std::uint32_t mtu = 0;             // the route's metric or the link's MTU, whichever is smaller
  NeighbourState neighbour = NeighbourState::kNotNeeded;
  MacAddress mac{};  // when neighbour == kUsable

  // The address to resolve on the link.
  [[nodiscard]] const IpAddress& next_hop(const IpAddress& destination) const {
    return gateway ? *gateway : destination;
  }
};

struct ResolveKey {
  std::uint32_t fwmark = 0;
  std::uint32_t vrf = 0;   // ifindex of the VRF device; 0: none
  std::uint32_t link = 0;  // ifindex of a link-local IPv6 destination (sin6_scope_id); 0: unspecified
};

struct MirrorOptions {
  std::size_t receive_buffer = 16u << 20;   // bytes; when full the kernel drops messages and a resync follows
  std::size_t messages_per_process = 8192;  // limit per process() call; epoll reports the rest
};

class NetlinkMirror {
 public:
  // Opens the sockets and takes the first full dump. Throws std::system_error.
  explicit NetlinkMirror(const MirrorOptions& options = {});

  [[nodiscard]] int fd() const;  // readable: call process()
  // Applies at most messages_per_process pending messages. Returns true when there are changes to take. After
  // an overflow this call also takes the new dump (about 1 us per route).
  bool process();
  // Returns the changes since the last call, in order, without consecutive repeats.
  [[nodiscard]] std::vector<Change> take_changes();
  // Dumps everything again and reports Resynced.
  void resync();

  // ---- state
  [[nodiscard]] const std::map<std::uint32_t, Link>& links() const { return links_; }
  [[nodiscard]] const Link* link(std::uint32_t ifindex) const;
  [[nodiscard]] const Link* link(const std::string& name) const;
  // In the kernel's order of preference for source addresses.
  [[nodiscard]] const std::vector<LocalAddress>& addresses(std::uint32_t ifindex) const;
  [[nodiscard]] bool is_local(const IpAddress& address) const;
  [[nodiscard]] std::uint32_t link_of(
      const IpAddress& address) const;  // the first link that has the address; 0: none
  [[nodiscard]] const RouteTable& routes() const { return routes_; }
  [[nodiscard]] const Neighbour* neighbour(std::uint32_t ifindex, const IpAddress& address) const;
  [[nodiscard]] const std::vector<RoutingRule>& rules(bool v6) const { return rules_[v6 ? 1 : 0]; }
  // True when the rules are the kernel's defaults (local, main, default, VRFs). Then local + main, or a VRF's
  // table, decide everything and may be published as one table.
  [[nodiscard]] bool rules_are_default(bool v6) const;
  // True when no rule selects by a property that resolve() does not know (source, interface, ports, user).
  [[nodiscard]] bool rules_are_evaluated(bool v6) const;
  [[nodiscard]] std::uint32_t table_of_vrf(std::uint32_t vrf_ifindex) const;  // 0: no such VRF
  [[nodiscard]] std::uint32_t vrf_of_link(std::uint32_t ifindex) const;       // 0: none

  // ---- lookups
  // The entry that a longest-prefix table should hold for exactly this prefix: the route with the lowest
  // metric and a usable nexthop (multipath: the first usable one). type RTN_UNSPEC: no entry. `source` is
  // left zero, and `neighbour` is that of the gateway (on-link: kUnresolved, because each host is resolved by
  // itself).
  [[nodiscard]] Resolved best(std::uint32_t table, const IpPrefix& prefix) const;
  // Resolves `destination` by rules, longest match and nexthops.
  [[nodiscard]] Resolved resolve(const IpAddress& destination, const ResolveKey& key = {}) const;
  // Neighbour state and MAC address for a host on a link.
  [[nodiscard]] NeighbourState neighbour_state(std::uint32_t ifindex, const IpAddress& address,
                                               MacAddress* mac) const;
  // Calls visit(address, neighbour) for each entry of the link.
  void for_each_neighbour(std::uint32_t ifindex, const std::function<void(const Neighbour&)>& visit) const;

  // The kernel's own answer (RTM_GETROUTE, a system call), as an oracle for tests and checks. Errors become
  // types: EINVAL RTN_BLACKHOLE, EACCES RTN_PROHIBIT, EHOSTUNREACH RTN_UNREACHABLE, ENETUNREACH RTN_UNSPEC.
  // For RTN_LOCAL the kernel reports the loopback interface. prefix, table and neighbour are not filled.
  [[nodiscard]] Resolved kernel_route(const IpAddress& destination, std::uint32_t fwmark = 0);

  [[nodiscard]] std::uint64_t resyncs() const {
    return resyncs_;
  }  // resyncs after overflows, without the first dump

 private:
  struct AddressLess {
    bool operator()(const IpAddress& a, const IpAddress& b) const { return compare(a, b) < 0; }
  };
  using Neighbours = std::map<IpAddress, Neighbour, AddressLess>;

  void open_monitor();
  void dump_all();
  void dump(std::uint16_t type, std::uint8_t family);
  void drain();
  void discard_pending();
  void note(const Change& change);

  // One function per message type. Each applies the message and notes its changes.
  void apply(const nlmsghdr* message);
  void apply_link(const Link& link);
  void remove_link(std::uint32_t ifindex);
  void apply_address(const LocalAddress& address, bool gone);
  void insert_address(std::vector<LocalAddress>& list, const LocalAddress& address) const;
  void apply_route(ParsedRoute route, bool gone, std::uint16_t flags);
  void apply_neighbour(const Neighbour& neighbour, bool gone);
  void apply_rule(const RoutingRule& rule, bool gone);
  void apply_nexthop(const NexthopObject& object);

  // Changes that the kernel makes without a message.
  enum class Loss : std::uint8_t { kDown, kLastAddress, kUnregistered };
  void forget_routes_via(std::uint32_t ifindex, Loss loss);
  void forget_nexthops_via(std::uint32_t ifindex);
  void remove_nexthop(std::uint32_t id);
  void forget_source(const LocalAddress& address);
  void follow_ipv4_presence(std::uint32_t ifindex);
  void follow_link_mtu(std::uint32_t ifindex, std::uint32_t old_mtu, std::uint32_t new_mtu);
  void note_routes_with_choice_via(std::uint32_t ifindex, bool carrier_counts);
  void note_nexthop_routes(std::uint32_t id);
  [[nodiscard]] bool leads_via(const Forwarding& forwarding, std::uint32_t ifindex) const;
  [[nodiscard]] RouteTable::ChangeSink noting_routes();

  // Lookups (mirror_lookup.cpp).
  [[nodiscard]] bool usable(const NextHop& hop, bool v6) const;
  [[nodiscard]] std::optional<NextHop> first_usable(const Forwarding& forwarding, bool v6) const;
  [[nodiscard]] bool is_eligible(const Route& route, bool v6) const;
  [[nodiscard]] Resolved describe(std::uint32_t table, const IpPrefix& prefix, const Route& route) const;
  [[nodiscard]] Resolved look_up(std::uint32_t table, const IpAddress& destination) const;
  [[nodiscard]] Resolved look_up_merged(const IpAddress& destination) const;
  [[nodiscard]] Resolved follow_rules(const IpAddress& destination, const ResolveKey& key) const;
  [[nodiscard]] Resolved follow(const RoutingRule& rule, const IpAddress& destination,
                                const ResolveKey& key) const;
  [[nodiscard]] Resolved on_link(std::uint32_t ifindex) const;
  [[nodiscard]] IpAddress choose_source_v4(const Resolved& route) const;
  [[nodiscard]] IpAddress first_address_v4(std::uint32_t ifindex, std::uint8_t scope) const;
  [[nodiscard]] IpAddress choose_source_v6(const Resolved& route, const IpAddress& destination) const;

  struct Closer {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };

  MirrorOptions options_;
  std::unique_ptr<mnl_socket, Closer> monitor_;
  NetlinkSocket requests_;
  std::vector<char> buffer_;
  bool loading_ = false;  // during a dump, which reports state and not changes
  bool stale_ = false;    // notifications were lost or ambiguous: dump again
  std::uint64_t resyncs_ = 0;

  std::map<std::uint32_t, Link> links_;
  std::map<std::uint32_t, std::vector<LocalAddress>> addresses_;
  // Links without any IPv4 address left. Their nexthops in multipath routes are unusable until they get one.
  std::set<std::uint32_t> without_ipv4_;
  std::map<std::uint32_t, Neighbours> neighbours_;
  std::map<std::uint32_t, NexthopObject> nexthops_;
  std::array<std::vector<RoutingRule>, 2> rules_;  // IPv4, IPv6; by priority
  RouteTable routes_;
  std::vector<Change> changes_;
};

}  // namespace wg::control
