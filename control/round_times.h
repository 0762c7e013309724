// How long the control thread's rounds take, from the end of one wait to the begin of the next. While a round
// lasts, nothing else is served: no handshake, no timer, no operator. The bound is kSlow; what would take
// longer is done in steps over several rounds.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "dataplane/counters.h"

namespace wg::control {

// W: the control thread. R: any.
class RoundTimes {
 public:
  static constexpr std::chrono::milliseconds kSlow{20};
  // The time that each part of a round may use before it leaves the rest to the next round. The loop itself
  // has a share for descriptors that take turns (EventLoop::kTurns).
  static constexpr std::chrono::microseconds kKernel{500}, kRoutes{500}, kPaths{500}, kEvents{1000},
      kHandshakes{2000}, kPlan{1000}, kPackets{500};

  // `on_core`: of `took`, how long the thread had a core. The rest it was blocked, or others had the core.
  void note(std::chrono::nanoseconds took, std::chrono::nanoseconds on_core) noexcept {
    const auto ns = static_cast<std::uint64_t>(took.count());
    histogram_.add(ns, 1);
    rounds_.add(1);
    if (took > kSlow) slow_.add(1);
    raise(longest_, ns);
    raise(recent_, ns);
    raise(recent_on_core_, static_cast<std::uint64_t>(on_core.count()));
  }

  // Since the start.
  [[nodiscard]] std::chrono::nanoseconds longest() const noexcept {
    return std::chrono::nanoseconds(longest_.load(std::memory_order_relaxed));
  }
  // The longest since the last call, and the most time on a core.
  struct Longest {
    std::chrono::nanoseconds took, on_core;
  };
  [[nodiscard]] Longest take_longest() noexcept {
    return {std::chrono::nanoseconds(recent_.exchange(0, std::memory_order_relaxed)),
            std::chrono::nanoseconds(recent_on_core_.exchange(0, std::memory_order_relaxed))};
  }
  [[nodiscard]] std::uint64_t rounds() const noexcept { return rounds_.get(); }
  [[nodiscard]] std::uint64_t slow() const noexcept { return slow_.get(); }
  [[nodiscard]] const dataplane::LatencyHistogram& histogram() const noexcept { return histogram_; }

 private:
  static void raise(std::atomic<std::uint64_t>& most, std::uint64_t value) noexcept {
    if (value > most.load(std::memory_order_relaxed)) most.store(value, std::memory_order_relaxed);
  }

  dataplane::LatencyHistogram histogram_;
  dataplane::Counter rounds_, slow_;
  std::atomic<std::uint64_t> longest_{0}, recent_{0}, recent_on_core_{0};  // nanoseconds
};

}  // namespace wg::control
