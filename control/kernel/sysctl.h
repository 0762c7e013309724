// Kernel parameters under /proc/sys/net in the calling thread's network namespace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control/kernel/types.h"

namespace wg::control {

// `path` is relative to /proc/sys and has slashes, because interface names may contain dots:
// write_sysctl("net/ipv4/ip_forward", "1").
KernelResult write_sysctl(const std::string& path, std::string_view value);
[[nodiscard]] std::optional<std::string> read_sysctl(const std::string& path);  // without the newline

enum class IpVersion : std::uint8_t { kV4, kV6 };
enum class Switch : std::uint8_t { kOff, kOn };

// The parameters per interface that linegate sets. `link` is an interface name, "all" or "default".
KernelResult set_ipv6_disabled(const std::string& link, bool disabled);
KernelResult set_forwarding(const std::string& link, IpVersion version, Switch wanted);
// Switches net.ipv4.ip_forward on, so that switching it off stops all forwarding. The kernel then forwards on
// every link; those that did not before are switched off again, and so is the default for new ones.
KernelResult enable_ipv4_forwarding();
KernelResult set_rp_filter(const std::string& link, int mode);  // 0 off, 1 strict, 2 loose
KernelResult set_accept_dad(const std::string& link, int mode);
// `mode`: 0 EUI-64, 1 none (no link-local address on a TUN).
KernelResult set_addr_gen_mode(const std::string& link, int mode);

}  // namespace wg::control
