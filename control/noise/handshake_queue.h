// Handshake messages waiting for the control thread: a bounded ring that grows on demand up to its capacity.
//
// A full queue refuses the newest message. The older messages have already paid for their mac1 check, and
// under a flood both policies lose the same share of honest messages, so the queue uses the cheaper one.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "control/noise/messages.h"

namespace wg::noise {

struct QueuedMessage {
  Endpoint remote;
  Endpoint local;
  std::uint8_t size = 0;
  bool cookie_valid = false;  // mac2 was valid when the message was queued under load
  std::array<std::uint8_t, kMaxHandshakeMessage> bytes;

  [[nodiscard]] Bytes message() const { return Bytes(bytes).first(size); }
};

class HandshakeQueue {
 public:
  explicit HandshakeQueue(std::size_t capacity) : capacity_(std::bit_ceil(capacity)) {}

  // Returns null when full. Otherwise the caller fills the slot before the next call.
  [[nodiscard]] QueuedMessage* push() {
    if (size_ == ring_.size() && !grow()) return nullptr;
    return &ring_[(first_ + size_++) & (ring_.size() - 1)];
  }
  [[nodiscard]] QueuedMessage pop() {
    const QueuedMessage message = ring_[first_];
    first_ = (first_ + 1) & (ring_.size() - 1);
    --size_;
    return message;
  }
  // The message that will be popped as the i-th.
  [[nodiscard]] const QueuedMessage& peek(std::size_t i) const {
    return ring_[(first_ + i) & (ring_.size() - 1)];
  }
  void clear() {
    ring_ = {};
    first_ = size_ = 0;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const { return ring_.size() * sizeof(QueuedMessage); }

 private:
  bool grow() {
    if (ring_.size() >= capacity_) return false;
    std::vector<QueuedMessage> grown(ring_.empty() ? 16 : ring_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) grown[i] = ring_[(first_ + i) & (ring_.size() - 1)];
    ring_ = std::move(grown);
    first_ = 0;
    return true;
  }

  std::size_t capacity_;
  std::vector<QueuedMessage> ring_;
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace wg::noise
