// When a worker without work stops polling: it spins for a while, then sleeps longer and longer up to a
// bound.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>

#include "dataplane/session/limits.h"

namespace wg::dataplane {

class IdlePolicy {
 public:
  // `spin`: busy polling before the first sleep.
  explicit IdlePolicy(std::chrono::nanoseconds spin) : spin_(spin) {}

  // ---- any thread. `max_sleep`: the latency that an idle worker adds at most.
  void set(bool adaptive, std::chrono::nanoseconds max_sleep) noexcept {
    adaptive_.store(adaptive, std::memory_order_relaxed);
    max_sleep_.store(max_sleep, std::memory_order_relaxed);
  }

  // ---- the worker, after each loop. False: poll on.
  [[nodiscard]] bool wants_sleep(bool worked, BootTime now) noexcept {
    if (worked || !adaptive_.load(std::memory_order_relaxed)) {
      since_ = kNever;
      return false;
    }
    if (since_ == kNever) {
      since_ = now;
      sleep_ = kFirstSleep;
    }
    return now - since_ >= spin_;
  }
  // How long this time; twice as long the next time.
  [[nodiscard]] std::chrono::nanoseconds next_sleep() noexcept {
    const std::chrono::nanoseconds sleep = sleep_;
    sleep_ = std::min(sleep_ * 2, max_sleep_.load(std::memory_order_relaxed));
    return sleep;
  }

 private:
  static constexpr std::chrono::nanoseconds kFirstSleep{20'000};

  const std::chrono::nanoseconds spin_;
  BootTime since_ = kNever;  // kNever: not idle
  std::chrono::nanoseconds sleep_{0};
  std::atomic<bool> adaptive_{true};                   // W: control
  std::atomic<std::chrono::nanoseconds> max_sleep_{};  // W: control
};

}  // namespace wg::dataplane
