// A bounded single-producer single-consumer ring of plain messages between workers and control. When it is
// full the producer drops and counts the message and never waits.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace wg::dataplane {

template <typename Message>
class Mailbox {
  static_assert(std::is_trivially_copyable_v<Message>);

 public:
  explicit Mailbox(std::size_t capacity)
      : mask_(std::bit_ceil(capacity) - 1), ring_(std::make_unique<Message[]>(mask_ + 1)) {}

  // Producer. Returns false, and posts nothing, when the mailbox is full.
  [[nodiscard]] bool post(const Message& message) noexcept {
    const std::size_t head = head_.load(std::memory_order_relaxed);
    if (head - cached_tail_ > mask_) {
      cached_tail_ = tail_.load(std::memory_order_acquire);
      if (head - cached_tail_ > mask_) return false;
    }
    ring_[head & mask_] = message;
    head_.store(head + 1, std::memory_order_release);
    return true;
  }

  // Consumer. Calls consume(message) for at most `budget` messages in order and returns their number.
  template <typename Consume>
  std::size_t drain(std::size_t budget, Consume&& consume) {
    const std::size_t tail = tail_.load(std::memory_order_relaxed);
    const std::size_t available = head_.load(std::memory_order_acquire) - tail;
    const std::size_t n = available < budget ? available : budget;
    for (std::size_t i = 0; i < n; ++i) {
      consume(ring_[(tail + i) & mask_]);
      tail_.store(tail + i + 1, std::memory_order_release);
    }
    return n;
  }

  [[nodiscard]] bool empty() const noexcept {
    return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return head_.load(std::memory_order_acquire) - tail_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }

 private:
  std::size_t mask_;
  std::unique_ptr<Message[]> ring_;
  alignas(64) std::atomic<std::size_t> head_{0};
  std::size_t cached_tail_ = 0;  // owned by the producer
  alignas(64) std::atomic<std::size_t> tail_{0};
};

}  // namespace wg::dataplane
