// Kernel switches under /proc/sys/net, of the calling thread's network namespace.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "control/kernel/types.h"

namespace wg::control {

// `path` below /proc/sys, with slashes because interface names may contain dots:
// write_sysctl("net/ipv4/ip_forward", "1").
KernelResult write_sysctl(const std::string& path, std::string_view value);
[[nodiscard]] std::optional<std::string> read_sysctl(const std::string& path);  // without the newline

// The per-interface switches that linegate sets; `link` is a name, "all" or "default".
KernelResult set_ipv6_disabled(const std::string& link, bool disabled);
KernelResult set_forwarding(const std::string& link, bool v6, bool on);
KernelResult set_rp_filter(const std::string& link, int mode);  // 0 off, 1 strict, 2 loose
KernelResult set_accept_dad(const std::string& link, int mode);
// "none" (no link-local address on a TUN) = 1, EUI-64 = 0.
KernelResult set_addr_gen_mode(const std::string& link, int mode);

}  // namespace wg::control
