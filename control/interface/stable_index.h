// The ifindex of an interface with an id: the same after every start, on every machine.
#pragma once

#include <cstdint>
#include <string_view>

namespace wg::control {

inline constexpr std::uint32_t kLeastStableIndex = 0x40000000;  // far above what Linux numbers by itself
inline constexpr std::uint32_t kStableIndexes = 0x10000000;

// The `attempt`th number that follows from the id, by a keyed hash.
[[nodiscard]] std::uint32_t stable_index(std::string_view id, unsigned attempt);
// The first of them that no interface of this network namespace has; 0: none of the first sixteen is free.
[[nodiscard]] std::uint32_t free_stable_index(std::string_view id);

}  // namespace wg::control
