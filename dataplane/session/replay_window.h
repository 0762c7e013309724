// The replay window: RFC 6479's bitmap of 8192 bits in 64-bit blocks, of which 8128 are usable.
//
// The counter of a message is recorded only after the message is authenticated (protocol order of checks):
// otherwise anyone could move the window. check_and_set() takes a short spin lock, which is uncontended
// because a peer's packets normally arrive on one queue.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/base/processor.h"
#include "dataplane/session/limits.h"

namespace wg::dataplane {

class ReplayWindow {
 public:
  static constexpr std::uint64_t kBits = 8192;
  static constexpr std::uint64_t kWindow = kBits - 64;
  static constexpr std::uint64_t kRefused = REJECT_AFTER_MESSAGES;

  // Returns true exactly once for each counter that is new and not too old. Any number of workers may call
  // it.
  [[nodiscard]] bool check_and_set(std::uint64_t counter) noexcept {
    bool accepted;
    check_and_set_run(
        1, [counter](std::size_t) { return counter; }, &accepted);
    return accepted;
  }

  // The same for a run of messages of one keypair under one lock: accepted[i] is the verdict for
  // counter_of(i). A message that is not authentic has the counter kRefused, which is never accepted and
  // moves nothing. `sole`: no other worker exists, so the lock is not needed.
  template <typename CounterOf>
  void check_and_set_run(std::size_t n, CounterOf counter_of, bool* accepted, bool sole = false) noexcept {
    const Guard guard(lock_, sole);
    State state = load_state();
    if (are_next(state, n, counter_of)) {
      record_next(state, counter_of(0), n);
      std::memset(accepted, true, n);
    } else {
      for (std::size_t i = 0; i < n; ++i) accepted[i] = check_and_set(state, counter_of(i));
    }
    store_state(state);
  }

  // Prefetches the cache lines of check_and_set(counter).
  void prefetch(std::uint64_t counter) const noexcept {
    __builtin_prefetch(&top_, 1);
    __builtin_prefetch(&blocks_[(counter + 1) / kBlockBits % kBlocks], 1);
  }

  // Highest accepted counter + 1; 0 when nothing was accepted. For statistics.
  [[nodiscard]] std::uint64_t top() const noexcept { return top_.load(std::memory_order_relaxed); }

  // Counters that the top has passed over and that have not come since: lost, or still in flight. A step of
  // more than kJump is a sender that goes on elsewhere, not a loss; a smaller one counts as at most
  // kLargestGap.
  static constexpr std::uint64_t kJump = std::uint64_t{1} << 32;
  static constexpr std::uint64_t kLargestGap = std::uint64_t{1} << 24;
  [[nodiscard]] std::uint64_t missing() const noexcept {
    const std::uint64_t passed = passed_over_.load(std::memory_order_relaxed), filled = late();
    return passed > filled ? passed - filled : 0;
  }
  // Counters that came out of order, below the top.
  [[nodiscard]] std::uint64_t late() const noexcept { return late_.load(std::memory_order_relaxed); }

 private:
  class Guard {
   public:
    Guard(std::atomic_flag& flag, bool sole) noexcept : flag_(flag), sole_(sole) {
      while (!sole && flag_.test_and_set(std::memory_order_acquire)) {
        while (flag_.test(std::memory_order_relaxed)) processor::pause();
      }
    }
    ~Guard() {
      if (!sole_) flag_.clear(std::memory_order_release);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    std::atomic_flag& flag_;
    const bool sole_;
  };

  static constexpr std::uint64_t kBlockBits = 64;
  static constexpr std::uint64_t kBlocks = kBits / kBlockBits;

  // The state that a run changes, in registers: the compiler may not keep atomics there.
  struct State {
    std::uint64_t top, passed_over, late;
  };
  [[nodiscard]] State load_state() const noexcept {
    return {top(), passed_over_.load(std::memory_order_relaxed), late()};
  }
  void store_state(const State& state) noexcept {
    top_.store(state.top, std::memory_order_relaxed);
    passed_over_.store(state.passed_over, std::memory_order_relaxed);
    late_.store(state.late, std::memory_order_relaxed);
  }

  // Message counters start at 0. The window counts from 1, so that 0 means "none accepted" (protocol C4-6).
  bool check_and_set(State& state, std::uint64_t message_counter) noexcept {
    if (message_counter >= REJECT_AFTER_MESSAGES || state.top > REJECT_AFTER_MESSAGES) return false;
    const std::uint64_t counter = message_counter + 1;
    if (counter + kWindow < state.top) return false;
    const std::uint64_t block = counter / kBlockBits;
    std::uint64_t& bits = blocks_[block % kBlocks];
    const std::uint64_t bit = std::uint64_t{1} << (counter % kBlockBits);
    if (counter > state.top) {
      pass_over(state, counter);
      if (block != state.top / kBlockBits) clear_blocks(state.top / kBlockBits, block);
      state.top = counter;
    } else {
      if ((bits & bit) != 0) return false;
      state.late += counter < state.top ? 1 : 0;
    }
    bits |= bit;
    return true;
  }

  // The top moves on to `counter`, above it.
  static void pass_over(State& state, std::uint64_t counter) noexcept {
    const std::uint64_t gap = counter - state.top - 1;
    if (gap != 0 && gap < kJump) state.passed_over += gap < kLargestGap ? gap : kLargestGap;
  }

  // The usual run: in order, without a gap, just above the top or further on.
  template <typename CounterOf>
  [[nodiscard]] static bool are_next(const State& state, std::size_t n, CounterOf counter_of) noexcept {
    const std::uint64_t first = counter_of(0);
    // n <= kBlockBits: such a run lies in two blocks.
    if (n < 2 || n > kBlockBits || first < state.top || first >= REJECT_AFTER_MESSAGES - n) return false;
    std::uint64_t different = 0;
    for (std::size_t i = 1; i < n; ++i) different |= counter_of(i) ^ (first + i);
    return different == 0;
  }
  // Messages [first, first + n), as are_next() found them.
  void record_next(State& state, std::uint64_t first, std::size_t n) noexcept {
    const std::uint64_t begin = first + 1, last = first + n, block = begin / kBlockBits;
    if (last / kBlockBits != state.top / kBlockBits) clear_blocks(state.top / kBlockBits, last / kBlockBits);
    const std::uint64_t bits = ~std::uint64_t{0} >> (kBlockBits - n), shift = begin % kBlockBits;
    blocks_[block % kBlocks] |= bits << shift;
    if (last / kBlockBits != block) blocks_[(block + 1) % kBlocks] |= bits >> (kBlockBits - shift);
    pass_over(state, begin);
    state.top = last;
  }

  // The blocks behind `top`, up to `block`, which a message is the first of.
  void clear_blocks(std::uint64_t top, std::uint64_t block) noexcept {
    const std::uint64_t steps = block - top < kBlocks ? block - top : kBlocks;
    for (std::uint64_t i = 1; i <= steps; ++i) blocks_[(top + i) % kBlocks] = 0;
  }

  std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
  std::atomic<std::uint64_t> top_{0};
  std::atomic<std::uint64_t> passed_over_{0}, late_{0};
  std::array<std::uint64_t, kBlocks> blocks_{};
};

}  // namespace wg::dataplane
