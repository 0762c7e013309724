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

#include "dataplane/session/limits.h"

namespace wg::dataplane {

class ReplayWindow {
 public:
  static constexpr std::uint64_t kBits = 8192;
  static constexpr std::uint64_t kWindow = kBits - 64;

  // Returns true exactly once for each counter that is new and not too old. Any number of workers may call
  // it.
  [[nodiscard]] bool check_and_set(std::uint64_t counter) noexcept {
    const Guard guard(lock_);
    return check_and_set_locked(counter);
  }

  // Takes the lock once for a run of packets of one keypair. accepted[i] is the verdict for counters[i].
  void check_and_set(const std::uint64_t* counters, bool* accepted, std::size_t n) noexcept {
    const Guard guard(lock_);
    for (std::size_t i = 0; i < n; ++i) accepted[i] = check_and_set_locked(counters[i]);
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
    explicit Guard(std::atomic_flag& flag) noexcept : flag_(flag) {
      while (flag_.test_and_set(std::memory_order_acquire)) {
        while (flag_.test(std::memory_order_relaxed)) __builtin_ia32_pause();
      }
    }
    ~Guard() { flag_.clear(std::memory_order_release); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    std::atomic_flag& flag_;
  };

  static constexpr std::uint64_t kBlockBits = 64;
  static constexpr std::uint64_t kBlocks = kBits / kBlockBits;

  // Message counters start at 0. The window counts from 1, so that 0 means "none accepted" (protocol C4-6).
  bool check_and_set_locked(std::uint64_t message_counter) noexcept {
    const std::uint64_t top = top_.load(std::memory_order_relaxed);
    if (message_counter >= REJECT_AFTER_MESSAGES || top > REJECT_AFTER_MESSAGES) return false;
    const std::uint64_t counter = message_counter + 1;
    if (counter + kWindow < top) return false;
    const std::uint64_t block = counter / kBlockBits;
    if (counter > top) {
      if (counter - top > 1) pass_over(counter - top);
      advance(top / kBlockBits, block, counter);
    }
    std::uint64_t& bits = blocks_[block % kBlocks];
    const std::uint64_t bit = std::uint64_t{1} << (counter % kBlockBits);
    if (bits & bit) return false;
    bits |= bit;
    if (counter < top) late_.store(late_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return true;
  }

  void pass_over(std::uint64_t step) noexcept {
    if (step > kJump) return;
    const std::uint64_t gap = step - 1 < kLargestGap ? step - 1 : kLargestGap;
    passed_over_.store(passed_over_.load(std::memory_order_relaxed) + gap, std::memory_order_relaxed);
  }

  void advance(std::uint64_t top_block, std::uint64_t new_block, std::uint64_t counter) noexcept {
    std::uint64_t steps = new_block - top_block;
    if (steps > kBlocks) steps = kBlocks;
    for (std::uint64_t i = 1; i <= steps; ++i) blocks_[(top_block + i) % kBlocks] = 0;
    top_.store(counter, std::memory_order_relaxed);
  }

  std::atomic_flag lock_ = ATOMIC_FLAG_INIT;
  std::atomic<std::uint64_t> top_{0};
  std::atomic<std::uint64_t> passed_over_{0}, late_{0};
  std::array<std::uint64_t, kBlocks> blocks_{};
};

}  // namespace wg::dataplane
