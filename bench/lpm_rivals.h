// One interface for DPDK's longest-prefix tables.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/lpm_mix.h"

namespace wg::bench {

// Keys in the forms that the tables need: host order for IPv4, 16 bytes for IPv6.
struct Keys {
  std::vector<std::uint32_t> v4;
  std::vector<std::array<std::uint8_t, 16>> v6;
};

class Rival {
 public:
  virtual ~Rival() = default;
  // Looks up keys [first, first + n) and returns the sum of the answers, so that no lookup can be optimised
  // away.
  virtual std::uint64_t lookup(Keys& keys, std::size_t first, std::size_t n) = 0;
  // The answer for one key, -1 for a miss.
  virtual std::int64_t answer(Keys& keys, std::size_t key) = 0;

  std::string name;
  std::size_t bytes = 0;  // taken from DPDK's heap
};

// Builds the tables of this family that can hold the routes, and prints the others on stdout.
std::vector<std::unique_ptr<Rival>> make_rivals(unsigned family, const std::vector<Route>& routes);

}  // namespace wg::bench
