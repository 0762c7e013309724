// Finds that the wall clock was stepped: its offset from boottime changes only then.
#pragma once

#include <chrono>
#include <optional>

#include "control/noise/types.h"

namespace wg::noise {

class ClockWatch {
 public:
  static constexpr std::chrono::seconds kReported{10};  // smaller steps are not

  // The jump of the wall clock since the last one that was reported; nullopt: there was none.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> jump(const Now& now) {
    const std::chrono::nanoseconds offset = now.wall.time_since_epoch() - now.boot.time_since_epoch();
    const std::chrono::nanoseconds jumped = offset - offset_;
    if (seen_ && jumped < kReported && jumped > -kReported) return std::nullopt;
    offset_ = offset;
    if (!seen_) {
      seen_ = true;
      return std::nullopt;
    }
    return jumped;
  }

 private:
  std::chrono::nanoseconds offset_{0};  // wall - boot at the last jump
  bool seen_ = false;
};

}  // namespace wg::noise
