// Finds that the wall clock was stepped: its offset from boottime changes only then.
#pragma once

#include <cstdint>
#include <optional>

#include "control/noise/types.h"

namespace wg::noise {

class ClockWatch {
 public:
  static constexpr std::int64_t kReported = 10'000'000'000;  // nanoseconds; smaller steps are not

  // By how many nanoseconds the wall clock has jumped since the last one that was reported; nullopt: it has
  // not.
  [[nodiscard]] std::optional<std::int64_t> jump(const Now& now) {
    const auto offset = static_cast<std::int64_t>(now.wall - now.boot);
    const std::int64_t jumped = offset - offset_;
    if (seen_ && jumped < kReported && jumped > -kReported) return std::nullopt;
    offset_ = offset;
    if (!seen_) {
      seen_ = true;
      return std::nullopt;
    }
    return jumped;
  }

 private:
  std::int64_t offset_ = 0;  // wall - boot at the last jump
  bool seen_ = false;
};

}  // namespace wg::noise
