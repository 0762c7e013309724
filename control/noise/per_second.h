// A bound on how often something is done within a second.
#pragma once

#include <chrono>
#include <cstddef>

#include "control/noise/types.h"

namespace wg::noise {

class PerSecond {
 public:
  // Counts one more. False: `limit` of this second have been taken, nothing is counted.
  [[nodiscard]] bool take(BootTime now, std::size_t limit) noexcept {
    roll(now);
    if (taken_ >= limit) return false;
    ++taken_;
    return true;
  }
  // Have `limit` of this second been taken?
  [[nodiscard]] bool spent(BootTime now, std::size_t limit) noexcept {
    roll(now);
    return taken_ >= limit;
  }
  // Counts one more whatever has been taken; returns how many it are in this second.
  std::size_t add(BootTime now) noexcept {
    roll(now);
    return ++taken_;
  }

 private:
  static constexpr std::chrono::seconds kSecond{1};
  void roll(BootTime now) noexcept {
    if (now >= since_ && now - since_ < kSecond) return;
    since_ = now;
    taken_ = 0;
  }

  BootTime since_ = kNever;
  std::size_t taken_ = 0;
};

}  // namespace wg::noise
