// The protocol's limits, spelled as in the WireGuard paper (section 6.1) so that they can be searched for.
#pragma once

#include <chrono>
#include <cstdint>

#include "dataplane/base/clocks.h"

namespace wg {

inline constexpr std::chrono::nanoseconds REKEY_AFTER_TIME = std::chrono::seconds(120);
inline constexpr std::chrono::nanoseconds REJECT_AFTER_TIME = std::chrono::seconds(180);
inline constexpr std::chrono::nanoseconds REKEY_ATTEMPT_TIME = std::chrono::seconds(90);
inline constexpr std::chrono::nanoseconds REKEY_TIMEOUT = std::chrono::seconds(5);
inline constexpr std::chrono::nanoseconds KEEPALIVE_TIMEOUT = std::chrono::seconds(10);

inline constexpr std::uint64_t REKEY_AFTER_MESSAGES = std::uint64_t{1} << 60;
// The paper's value, 2^64 - 2^13 - 1. It is the smallest limit of any implementation, so no peer's replay
// window overflows.
inline constexpr std::uint64_t REJECT_AFTER_MESSAGES = ~std::uint64_t{0} - (std::uint64_t{1} << 13);

// An initiator that receives with an older key asks for a new one (paper section 6.2): 165 s.
inline constexpr std::chrono::nanoseconds kKeyFreshAfter =
    REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;

}  // namespace wg
