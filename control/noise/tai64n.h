// TAI64N timestamps of initiations (WireGuard paper section 5.1): 8 bytes of seconds from 2^62 + 10 and 4 of
// nanoseconds, big endian, so that memcmp orders them.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>

#include "dataplane/base/clocks.h"

namespace wg::noise {

using Tai64n = std::array<std::uint8_t, 12>;  // all zero: none, older than any real one

inline constexpr std::uint64_t kTaiBase = (std::uint64_t{1} << 62) + 10;
inline constexpr std::uint64_t kSecond = 1'000'000'000;
// Nanoseconds are rounded down to this step, so that a timestamp does not reveal how fast we compute. It is
// the largest power of two below 20 ms, the interval at which a responder accepts initiations.
inline constexpr std::uint64_t kTimestampStep = std::uint64_t{1} << 24;

inline Tai64n tai64n(std::uint64_t seconds, std::uint32_t nanoseconds) {
  Tai64n stamp;
  const std::uint64_t tai = kTaiBase + seconds;
  for (int i = 0; i < 8; ++i) stamp[i] = static_cast<std::uint8_t>(tai >> (56 - 8 * i));
  for (int i = 0; i < 4; ++i) stamp[8 + i] = static_cast<std::uint8_t>(nanoseconds >> (24 - 8 * i));
  return stamp;
}

inline Tai64n tai64n_whitened(WallTime wall) {
  const auto second = std::chrono::floor<std::chrono::seconds>(wall);
  const auto within = static_cast<std::uint64_t>((wall - second).count());
  return tai64n(static_cast<std::uint64_t>(second.time_since_epoch().count()),
                static_cast<std::uint32_t>(within - within % kTimestampStep));
}

inline std::uint64_t tai_seconds(const Tai64n& stamp) {
  std::uint64_t tai = 0;
  for (int i = 0; i < 8; ++i) tai = tai << 8 | stamp[i];
  return tai;
}
inline std::uint32_t tai_nanoseconds(const Tai64n& stamp) {
  std::uint32_t n = 0;
  for (int i = 8; i < 12; ++i) n = n << 8 | stamp[i];
  return n;
}

// a - b. Saturating, because a peer may send any 12 bytes.
inline std::chrono::nanoseconds tai_difference(const Tai64n& a, const Tai64n& b) {
  const __int128 seconds = static_cast<__int128>(tai_seconds(a)) - tai_seconds(b);
  const __int128 nanos = static_cast<__int128>(tai_nanoseconds(a)) - tai_nanoseconds(b);
  const __int128 difference = seconds * static_cast<__int128>(kSecond) + nanos;
  constexpr __int128 kMax = INT64_MAX;
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::clamp(difference, -kMax, kMax)));
}

// The next step after `stamp`, for a clock that has not advanced or was set back.
inline Tai64n tai_next(const Tai64n& stamp) {
  const std::uint64_t nanos = std::uint64_t{tai_nanoseconds(stamp)} + kTimestampStep;
  const std::uint64_t seconds = tai_seconds(stamp) - kTaiBase;
  return nanos < kSecond ? tai64n(seconds, static_cast<std::uint32_t>(nanos)) : tai64n(seconds + 1, 0);
}

// A timestamp from the clock that is later than both floors.
inline Tai64n tai_after(WallTime wall, const Tai64n& floor, const Tai64n& last_sent) {
  const Tai64n base = std::max(floor, last_sent);
  const Tai64n clock = tai64n_whitened(wall);
  return clock > base ? clock : tai_next(base);
}

}  // namespace wg::noise
