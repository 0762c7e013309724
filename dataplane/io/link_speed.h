// The speed of a netdev as ethtool(8) and /sys/class/net/NAME/speed show it. Control thread.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/expected.h"

namespace wg::dataplane {

// In Mbit/s; 0: unknown, or it has no link.
[[nodiscard]] std::uint32_t link_speed(const std::string& netdev);
// For a TAP, whose own is 10 Mbit/s whatever stands behind it. 0: unknown.
Expected<> set_link_speed(const std::string& netdev, std::uint32_t mbps);

}  // namespace wg::dataplane
