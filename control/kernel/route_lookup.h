// The kernel's decision for a packet: rules, longest match, nexthop and source address, by the kernel's
// algorithms, from the mirrored state.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "control/kernel/kernel_state.h"

namespace wg::control {

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
  // A rule or a route that this lookup does not follow stands before or beside this one: the kernel may
  // decide otherwise.
  bool unsure = false;
  NeighbourState neighbour = NeighbourState::kNotNeeded;
  MacAddress mac{};  // when neighbour == kUsable

  // As packets of IP can use it.
  [[nodiscard]] std::uint16_t mtu16() const {
    return static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu, 65535));
  }

  // The address to resolve on the link.
  [[nodiscard]] const IpAddress& next_hop(const IpAddress& destination) const {
    return gateway ? *gateway : destination;
  }
};

// A packet that this machine sends.
struct ResolveKey {
  std::uint32_t fwmark = 0;
  std::uint32_t vrf = 0;   // ifindex of the VRF device; 0: none
  std::uint32_t link = 0;  // ifindex of a link-local IPv6 destination (sin6_scope_id); 0: unspecified
  IpAddress source{};      // zero: the kernel chooses
  std::uint8_t protocol = 0;
  UdpPort source_port = kAnyPort, destination_port = kAnyPort;
};

class RouteLookup {
 public:
  // `state` outlives it.
  explicit RouteLookup(const KernelState& state) : state_(state) {}

  // The entry that a longest-prefix table should hold for exactly this prefix: the route with the lowest
  // metric and a usable nexthop. type RTN_UNSPEC: no entry. `unsure`: the kernel chooses by more than the
  // destination (TOS, source, several nexthops), or by what is not followed here. `source` is left zero, and
  // `neighbour` is that of the gateway (on-link: kUnresolved, because each host is resolved by itself).
  [[nodiscard]] Resolved best(std::uint32_t table, const IpPrefix& prefix) const;
  // Resolves `destination` by rules, longest match and nexthops.
  [[nodiscard]] Resolved resolve(const IpAddress& destination, const ResolveKey& key) const;
  // Neighbour state and MAC address for a host on a link.
  [[nodiscard]] NeighbourState neighbour_state(std::uint32_t ifindex, const IpAddress& address,
                                               MacAddress* mac) const;

 private:
  [[nodiscard]] bool usable(const NextHop& hop, bool v6) const;
  // Calls visit(hop) for each usable nexthop of the route or of its nexthop object.
  template <class Visit>
  void for_each_usable(const Forwarding& forwarding, bool v6, Visit visit) const;
  [[nodiscard]] std::optional<NextHop> first_usable(const Forwarding& forwarding, bool v6) const;
  [[nodiscard]] bool is_eligible(const Route& route, bool v6) const;
  [[nodiscard]] bool is_followed(const Forwarding& forwarding, bool v6) const;
  [[nodiscard]] Resolved describe(std::uint32_t table, const IpPrefix& prefix, const Route& route) const;
  [[nodiscard]] Resolved look_up(std::uint32_t table, const IpAddress& destination) const;
  [[nodiscard]] Resolved look_up_merged(const IpAddress& destination) const;
  [[nodiscard]] Resolved follow_rules(const IpAddress& destination, const ResolveKey& key) const;
  [[nodiscard]] bool selects(const RoutingRule& rule, const IpAddress& destination,
                             const ResolveKey& key) const;
  [[nodiscard]] Resolved follow(const RoutingRule& rule, const IpAddress& destination,
                                const ResolveKey& key) const;
  [[nodiscard]] Resolved on_link(std::uint32_t ifindex) const;
  [[nodiscard]] IpAddress choose_source_v4(const Resolved& route) const;
  [[nodiscard]] IpAddress first_address_v4(std::uint32_t ifindex, std::uint8_t scope) const;
  [[nodiscard]] IpAddress choose_source_v6(const Resolved& route, const IpAddress& destination) const;

  const KernelState& state_;
};

}  // namespace wg::control
