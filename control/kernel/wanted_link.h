// The wanted state of one of our links in Linux, and where it differs: the comparison with the kernel behind
// `diff`, `reload` and the drift in `show` (docs/decisions/0042-drift.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/kernel/sysctl.h"

namespace wg::control {

// The netdev under a port, which carries its frames and does nothing of its own.
struct WantedWire {
  std::string name;
  std::uint32_t ifindex = 0;
  bool promiscuous = false;     // false: packet sockets see to it
  std::uint32_t least_mtu = 0;  // 0: any
};

struct WantedLink {
  std::string what;  // "port wan"
  std::string name;  // of the link when it was made
  std::uint32_t ifindex = 0;
  bool up = true;
  std::uint32_t mtu = 0;
  std::optional<MacAddress> mac = {};    // nullopt: any
  std::vector<IpPrefix> addresses = {};  // others may stand beside them
  std::vector<RouteSpec> routes = {};    // of one nexthop
  std::vector<WantedSysctl> sysctls = {};
  std::optional<WantedWire> wire = {};

  // A link with an IPv6 address needs IPv6.
  void allow_ipv6();
};

struct Deviation {
  enum class Kind : std::uint8_t {
    kUpOrDown,
    kMtu,
    kMac,
    kForwarding,
    kAddress,
    kRoute,
    kSysctl,
    kWireDown,
    kWireArp,
    kWirePromiscuous,
    kWireMtu
  };
  Kind kind{};
  std::size_t index = 0;  // of the address, the route or the sysctl
  std::string text;       // "port wan: address 192.0.2.1/24 is missing"
  bool taken = false;     // another program's route is in the place of ours

  // The others may be set so on purpose; an operator's `reload` decides.
  [[nodiscard]] bool is_loss() const { return kind == Kind::kAddress || (kind == Kind::kRoute && !taken); }
};

// As the mirror knows it. Nothing for a link that is gone. Addresses and routes of a link that is down are
// not compared: it has none.
[[nodiscard]] std::vector<Deviation> deviations(const WantedLink& wanted, const NetlinkMirror& mirror);
// The kernel announces no change of a sysctl: they are read, a few microseconds each.
[[nodiscard]] std::vector<Deviation> sysctl_deviations(const WantedLink& wanted);

// False: it was as wanted already, or what stands in its place is not ours.
Expected<bool> put_back(const WantedLink& wanted, const Deviation& deviation, NetlinkConfigure& netlink);

}  // namespace wg::control
