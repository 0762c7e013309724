#include "control/log_limit.h"

#include <algorithm>
#include <atomic>
#include <utility>

namespace wg::control {
namespace {

std::atomic<std::size_t>& limited() {
  static std::atomic<std::size_t> lines{0};
  return lines;
}

// The lines of this second, of all limits. Control thread.
bool take_of_all(LogLimit::Clock::time_point now) {
  static LogLimit::Clock::time_point since;
  static unsigned taken = 0;
  if (now < since || now - since >= std::chrono::seconds(1)) {
    since = now;
    taken = 0;
  }
  if (taken == LogLimit::kLinesPerSecond) return false;
  ++taken;
  return true;
}

}  // namespace

std::optional<std::uint64_t> LogLimit::take(Clock::time_point now) {
  if (tokens_ == kBurst) refilled_ = now;  // a full bucket earns nothing
  const auto earned = (now - refilled_) / kPerLine;
  refilled_ += earned * kPerLine;
  tokens_ = static_cast<unsigned>(std::min<std::int64_t>(kBurst, tokens_ + earned));
  if (tokens_ == 0 || !take_of_all(now)) {
    ++withheld_;
    limited().fetch_add(1, std::memory_order_relaxed);
    return std::nullopt;
  }
  --tokens_;
  return std::exchange(withheld_, 0);
}

std::size_t log_lines_limited() {
  return limited().load(std::memory_order_relaxed);
}

}  // namespace wg::control
