// Whether something happens more often in one kind of window than in another that was taken beside each.
#pragma once

#include <cstdint>
#include <span>

namespace wg::test {

struct Window {
  std::uint64_t over = 0;   // loops that were too long
  std::uint64_t loops = 0;  // of so many
};

struct Excess {
  double per_million = 0;  // more such loops of a million; below 0: fewer
  double at_most = 0;      // upper bound of the 95 % interval, by resampling the pairs of windows (bootstrap)
  double p = 1;  // probability of a difference this large by chance: random signs for the pairs' differences
};

// with[i] and without[i] were taken one after the other.
[[nodiscard]] Excess excess(std::span<const Window> with, std::span<const Window> without);

}  // namespace wg::test
