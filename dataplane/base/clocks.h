// Instants: on the clock of sessions and timers, and on the wall. An instant, a duration and a number do not
// mix.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace wg {

// CLOCK_BOOTTIME, which includes suspend and never steps.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;

  // One vDSO call.
  static time_point now() noexcept {
    timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return time_point(std::chrono::seconds(t.tv_sec) + duration(t.tv_nsec));
  }
};

using BootTime = BootClock::time_point;
// An event that has not happened yet; of a timer: not armed.
inline constexpr BootTime kNever{};

// Half the size: for 136 years.
using WholeSeconds = std::chrono::duration<std::uint32_t>;
using BootSeconds = std::chrono::time_point<BootClock, WholeSeconds>;

[[nodiscard]] constexpr BootSeconds in_seconds(BootTime time) noexcept {
  return std::chrono::time_point_cast<WholeSeconds>(time);
}

// CLOCK_REALTIME in nanoseconds since 1970. It may step.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>;

// How long ago. Never negative: no clock here steps, but the readings of two threads may cross.
[[nodiscard]] constexpr std::chrono::nanoseconds elapsed(BootTime now, BootTime then) noexcept {
  return now > then ? now - then : std::chrono::nanoseconds::zero();
}

}  // namespace wg
