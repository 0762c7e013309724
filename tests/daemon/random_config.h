// Configurations out of a small universe, so that two of them have much in common and much that moves.
#pragma once

#include <cstdint>
#include <string>

namespace wg::test {

// The file of configuration `seed`; the same for the same seed.
std::string random_config(std::uint64_t seed);

}  // namespace wg::test
