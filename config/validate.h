// Errors that no single value shows: two values that cannot both be. parse_file() calls this itself;
// call it for a Gateway that was made or changed in memory before applying it.
#pragma once

#include <cstddef>

#include "config/types.h"

namespace wg::config {

// Fewer than workers have room for: one that goes keeps its place for a moment, in which another may come.
inline constexpr std::size_t kMostPorts = 48, kMostInterfaces = 240;

// Checks: how many ports and interfaces there are; names used by both a port and an interface; doubled
// listen ports; doubled devices; within one interface: doubled public keys and peer names, one prefix on
// two peers, the interface's own key as a peer; own addresses twice; lcores, groups and sizes that exclude
// each other.
[[nodiscard]] Problems validate(const Gateway& gateway);

}  // namespace wg::config
