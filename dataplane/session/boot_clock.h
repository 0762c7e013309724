// The clock of sessions and timers.
#pragma once

#include <time.h>

#include "dataplane/session/limits.h"

namespace wg::dataplane {

// CLOCK_BOOTTIME in nanoseconds; one vDSO call.
inline BootTime boot_now() noexcept {
  timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return static_cast<BootTime>(t.tv_sec) * 1'000'000'000u + static_cast<BootTime>(t.tv_nsec);
}

}  // namespace wg::dataplane
