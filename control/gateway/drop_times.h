// When packets were dropped, reason by reason: the counters of workers and control thread, compared once a
// second. Workers do nothing for it.
//
// Control thread only.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/clocks.h"
#include "dataplane/drop_reason.h"

namespace wg::control {

using DropCounts = std::array<std::uint64_t, dataplane::kDropReasons>;

class DropTimes {
 public:
  // Drops with less than this between them are one spell.
  static constexpr std::chrono::seconds kQuiet{60};

  struct Times {
    BootTime first = kNever;  // of all drops for this reason, as seen
    BootTime began = kNever;  // the spell of the last drop
    BootTime last = kNever;
  };

  // Once a second, with what the counters are now.
  void note(const DropCounts& counts, BootTime now);
  [[nodiscard]] const Times& of(std::size_t reason) const { return times_[reason]; }

 private:
  DropCounts counts_{};
  std::array<Times, dataplane::kDropReasons> times_{};
};

}  // namespace wg::control
