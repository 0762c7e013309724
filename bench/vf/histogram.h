// Latencies in buckets of a hundredth of their size: what is asked of it is at most 1.6 % too high, and never
// too low.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace wg::bench {

class Histogram {
 public:
  void add(std::uint64_t value) noexcept {
    ++buckets_[bucket_of(value)];
    ++count_;
    largest_ = std::max(largest_, value);
    smallest_ = std::min(smallest_, value);
  }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  // 0 when nothing was added.
  [[nodiscard]] std::uint64_t largest() const noexcept { return largest_; }
  [[nodiscard]] std::uint64_t smallest() const noexcept { return count_ == 0 ? 0 : smallest_; }

  // The value that `share` (0 to 1) of all values do not exceed: that of the nearest rank, rounded up to the
  // edge of its bucket.
  [[nodiscard]] std::uint64_t at(double share) const noexcept {
    const auto wanted = static_cast<double>(count_) * share;
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen != 0 && static_cast<double>(seen) >= wanted) return std::min(upper_edge(i), largest_);
    }
    return largest_;
  }

 private:
  static constexpr unsigned kBits = 6;  // buckets of a power of two: 64
  static constexpr std::size_t kSteps = std::size_t{1} << kBits;

  static std::size_t bucket_of(std::uint64_t value) noexcept {
    if (value < kSteps) return value;
    const auto shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kBits;
    return (shift << kBits) + (value >> shift);
  }
  static std::uint64_t upper_edge(std::size_t bucket) noexcept {
    if (bucket < 2 * kSteps) return bucket;
    const std::size_t shift = (bucket >> kBits) - 1;
    return ((bucket - (shift << kBits) + 1) << shift) - 1;
  }

  std::array<std::uint64_t, (65 - kBits) << kBits> buckets_{};
  std::uint64_t count_ = 0, largest_ = 0, smallest_ = UINT64_MAX;
};

}  // namespace wg::bench
