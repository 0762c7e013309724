// Which numbers of a row of packets arrived: in order, late, or twice.
#pragma once

#include <cstdint>

namespace wg::bench {

enum class Arrival : std::uint8_t { kInOrder, kLate, kTwice };

class Sequence {
 public:
  // A number more than 63 behind the highest one counts as late: whether it came before is not kept.
  Arrival take(std::uint64_t number) noexcept {
    if (!any_ || number > highest_) {
      const std::uint64_t step = any_ ? number - highest_ : 64;
      seen_ = step < 64 ? seen_ << step | 1 : 1;
      highest_ = number;
      any_ = true;
      return Arrival::kInOrder;
    }
    const std::uint64_t behind = highest_ - number;
    if (behind > 63) return Arrival::kLate;
    const std::uint64_t bit = std::uint64_t{1} << behind;
    if ((seen_ & bit) != 0) return Arrival::kTwice;
    seen_ |= bit;
    return Arrival::kLate;
  }
  void start_over() noexcept { *this = {}; }

 private:
  std::uint64_t highest_ = 0, seen_ = 0;  // bit i: highest_ - i arrived
  bool any_ = false;
};

}  // namespace wg::bench
