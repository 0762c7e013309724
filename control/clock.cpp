#include "control/clock.h"

#include <time.h>

#include <cstdint>

namespace wg::control {

namespace {

std::uint64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

}  // namespace

noise::Now now() {
  return {clock_ns(CLOCK_BOOTTIME), clock_ns(CLOCK_REALTIME)};
}

}  // namespace wg::control
