// The protocol's limits, spelled as in the WireGuard paper (section 6.1) so that they grep.
#pragma once

#include <chrono>
#include <cstdint>

namespace wg {

using namespace std::chrono_literals;

inline constexpr std::chrono::nanoseconds REKEY_AFTER_TIME = 120s;
inline constexpr std::chrono::nanoseconds REJECT_AFTER_TIME = 180s;
inline constexpr std::chrono::nanoseconds REKEY_ATTEMPT_TIME = 90s;
inline constexpr std::chrono::nanoseconds REKEY_TIMEOUT = 5s;
inline constexpr std::chrono::nanoseconds KEEPALIVE_TIMEOUT = 10s;

inline constexpr std::uint64_t REKEY_AFTER_MESSAGES = std::uint64_t{1} << 60;
// The paper's value, 2^64 - 2^13 - 1: the smallest of those in use, so nobody's window is overrun.
inline constexpr std::uint64_t REJECT_AFTER_MESSAGES = ~std::uint64_t{0} - (std::uint64_t{1} << 13);

// Nanoseconds of CLOCK_BOOTTIME: counts suspend, never steps. 0 means "never".
using BootTime = std::uint64_t;

constexpr BootTime nanoseconds(std::chrono::nanoseconds duration) {
  return static_cast<BootTime>(duration.count());
}

}  // namespace wg
