// IPv6 source address selection by RFC 6724, to the extent that the kernel implements it for its own
// addresses.
#pragma once

#include <cstdint>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

// True when `a` is a strictly better source than `b` for a packet to `destination` via `ifindex` (section 5,
// rules 1, 2, 3, 5, 6, 8).
[[nodiscard]] bool better_source(const LocalAddress& a, const LocalAddress& b, const IpAddress& destination,
                                 std::uint32_t ifindex);

}  // namespace wg::control
