// Kernel parameters under /proc/sys/net in the calling thread's network namespace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/kernel/types.h"
#include "dataplane/base/expected.h"

namespace wg::control {

// `path` is relative to /proc/sys and has slashes, because interface names may contain dots:
// write_sysctl("net/ipv4/ip_forward", "1").
Expected<> write_sysctl(const std::string& path, std::string_view value);
Expected<std::string> read_sysctl(const std::string& path);  // without the newline

struct WantedSysctl {
  std::string path;  // as above
  std::string value;
};

constexpr const char* kIpForward = "net/ipv4/ip_forward";
constexpr const char* kIpForward6 = "net/ipv6/conf/all/forwarding";

enum class IpVersion : std::uint8_t { kV4, kV6 };
enum class Switch : std::uint8_t { kOff, kOn };

// The parameters per interface that linegate sets. `link` is an interface name, "all" or "default".
Expected<> set_ipv6_disabled(const std::string& link, bool disabled);
Expected<> set_forwarding(const std::string& link, IpVersion version, Switch wanted);
// Switches net.ipv4.ip_forward on, so that switching it off stops all forwarding. The kernel then forwards on
// every link; those that did not before are switched off again. New ones forward, as the VLAN and macvlan
// devices of a port have to.
Expected<> enable_ipv4_forwarding();
Expected<> set_rp_filter(const std::string& link, int mode);  // 0 off, 1 strict, 2 loose
Expected<> set_accept_dad(const std::string& link, int mode);
// `mode`: 0 EUI-64, 1 none (no link-local address on a TUN).
Expected<> set_addr_gen_mode(const std::string& link, int mode);

}  // namespace wg::control
