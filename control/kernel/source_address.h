// RFC 6724 source address selection for IPv6, as far as the kernel applies it to addresses of its own.
#pragma once

#include <cstdint>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

// True when `a` is a strictly better source than `b` for a packet to `destination` out of `ifindex`
// (section 5, rules 1, 2, 3, 5, 6, 8).
[[nodiscard]] bool better_source(const LocalAddress& a, const LocalAddress& b, const IpAddress& destination,
                                 std::uint32_t ifindex);

}  // namespace wg::control
