// Limits the log lines that others can cause by sending packets: five at once, then one a minute that says
// how many were withheld; and of all kinds about all peers together kLinesPerSecond. Belongs to the control
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

namespace wg::control {

// A token bucket for the lines of one kind about one peer.
class LogLimit {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr unsigned kBurst = 5;
  static constexpr std::chrono::seconds kPerLine{60};
  static constexpr unsigned kLinesPerSecond = 100;

  // How many lines were withheld since the last one that was written; nullopt: withhold this one too.
  std::optional<std::uint64_t> take(Clock::time_point now);

 private:
  unsigned tokens_ = kBurst;
  Clock::time_point refilled_{};
  std::uint64_t withheld_ = 0;
};

// Limits by kind of line. No more kinds than the caller's enumeration has.
using LogLimits = std::map<std::uint8_t, LogLimit>;

// Lines withheld since the start, of all limits.
std::size_t log_lines_limited();

}  // namespace wg::control
