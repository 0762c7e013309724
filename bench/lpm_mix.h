// The prefixes and keys of the bench: random host routes like those of peers, and a mix like a full BGP
// table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace wg::bench {

// Both families keep 16 bytes in network order; IPv4 uses the first 4.
struct Route {
  std::array<std::uint8_t, 16> bits;
  unsigned length;
  std::uint32_t value;
};

enum class Mix { kRandom, kBgp };

// Distinct prefixes. Random: full length, each with a value of its own. BGP: lengths as in the global table,
// two in three inside an earlier shorter one, 64 next hops.
std::vector<Route> make_routes(unsigned family, Mix mix, std::size_t count);

// Seven of eight keys are at a random place in one of the routes, the rest anywhere.
std::vector<std::array<std::uint8_t, 16>> make_keys(unsigned family, const std::vector<Route>& routes,
                                                    std::size_t count);

inline std::uint32_t host_order(const std::array<std::uint8_t, 16>& bits) {
  return static_cast<std::uint32_t>(bits[0]) << 24 | static_cast<std::uint32_t>(bits[1]) << 16 |
         static_cast<std::uint32_t>(bits[2]) << 8 | bits[3];
}

}  // namespace wg::bench
