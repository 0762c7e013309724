// When a worker without work stops polling: it spins for a while, then sleeps longer and longer up to a
// bound.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "dataplane/session/limits.h"

namespace wg::dataplane {

class IdlePolicy {
 public:
  // `spin_ns`: busy polling before the first sleep.
  explicit IdlePolicy(std::uint32_t spin_ns) : spin_ns_(spin_ns) {}

  // ---- any thread. `max_sleep_ns`: the latency that an idle worker adds at most.
  void set(bool adaptive, std::uint32_t max_sleep_ns) noexcept {
    adaptive_.store(adaptive, std::memory_order_relaxed);
    max_sleep_ns_.store(max_sleep_ns, std::memory_order_relaxed);
  }

  // ---- the worker, after each loop. False: poll on.
  [[nodiscard]] bool wants_sleep(bool worked, BootTime now) noexcept {
    if (worked || !adaptive_.load(std::memory_order_relaxed)) {
      since_ = kNever;
      return false;
    }
    if (since_ == kNever) {
      since_ = now;
      sleep_ns_ = kFirstSleepNs;
    }
    return now - since_ >= std::chrono::nanoseconds(spin_ns_);
  }
  // How long this time; twice as long the next time.
  [[nodiscard]] std::uint32_t next_sleep_ns() noexcept {
    const std::uint32_t ns = sleep_ns_;
    sleep_ns_ = std::min(sleep_ns_ * 2, max_sleep_ns_.load(std::memory_order_relaxed));
    return ns;
  }

 private:
  static constexpr std::uint32_t kFirstSleepNs = 20'000;

  const std::uint32_t spin_ns_;
  BootTime since_ = kNever;  // kNever: not idle
  std::uint32_t sleep_ns_ = 0;
  std::atomic<bool> adaptive_{true};            // W: control
  std::atomic<std::uint32_t> max_sleep_ns_{0};  // W: control
};

}  // namespace wg::dataplane
