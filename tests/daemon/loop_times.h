// How long a packet may have to wait because of a worker: the times between two polls of a port, and for the
// long ones what can be known of where they went.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace wg::test {

inline constexpr std::uint64_t kLongLoop = 100;  // microseconds

// One loop above kLongLoop. Times in microseconds.
struct LongLoop {
  std::uint32_t wall = 0;
  std::uint32_t ran = 0;           // of `wall`, on its core by the kernel's account
  std::uint32_t receive = 0;       // of `wall`: the burst from the wan port,
  std::uint32_t send = 0;          // the burst from the lan port,
  std::uint32_t rest = 0;          // control's commands, TUN and TAP queues, the loop's top
  std::uint32_t minor_faults = 0;  // the worker's own, in this loop
  std::uint32_t switches = 0;      // to another thread, forced
};

// `wall` as the clock on the wall says; `ran` without what the worker was off its core; `own`: `ran` of those
// loops alone in which it was not, as after another's turn the caches are the other's too. What interrupts
// and a hypervisor take unseen by the kernel's account is in all three.
struct LoopTimes {
  static constexpr std::size_t kBuckets = 100'000;  // microseconds
  std::vector<std::uint32_t> wall = std::vector<std::uint32_t>(kBuckets);
  std::vector<std::uint32_t> ran = std::vector<std::uint32_t>(kBuckets);
  std::vector<std::uint32_t> own = std::vector<std::uint32_t>(kBuckets);
  std::vector<LongLoop> longs;  // the first of them
  std::uint64_t loops = 0;
  std::uint64_t minor_faults = 0;  // in all loops

  static std::size_t quantile(const std::vector<std::uint32_t>& counts, double share);
  static std::size_t largest(const std::vector<std::uint32_t>& counts);
  static std::uint64_t above(const std::vector<std::uint32_t>& counts, std::size_t us);
};

// Runs on the worker's thread and measures from one poll of the wan port to the next.
class LoopClock {
 public:
  LoopClock() { times_.longs.reserve(kLongsKept); }

  void forget() { wall_ = 0; }  // the next loop begins without one before it
  // At the beginning and at the end of the callback on the wan port's poll: what is between is not the
  // worker's.
  void wan_polled(bool count);
  void wan_filled();
  // The same for the lan port.
  void lan_polled();
  void lan_filled();
  // The lan port's burst is through.
  void wan_transmitted();

  LoopTimes take();

 private:
  static constexpr std::size_t kLongsKept = 4096;
  void note(std::uint64_t now, std::uint64_t ran);

  LoopTimes times_;
  std::uint64_t wall_ = 0, ran_ = 0;          // at the loop's begin, ns
  std::uint64_t lan_wall_ = 0, lan_ran_ = 0;  // spent in the lan port's callback
  std::uint64_t lan_begin_ = 0, lan_end_ = 0, through_ = 0;
  std::uint64_t faults_ = 0, switches_ = 0;
};

// The time that the machine takes away from an undisturbed thread: reads the clock for `time` on any core but
// `avoided`, which keeps that core busy. With `memory` it writes to a line of it, here and there, after each
// reading, so that the caches and what lies behind them are shared as well.
struct Jitter {
  std::uint64_t worst_us = 0, gaps = 0;  // above kLongLoop
};
Jitter spin(std::chrono::microseconds time, unsigned avoided, std::span<std::uint8_t> memory = {});

}  // namespace wg::test
