// Handshake messages on their way in: what waits to be processed, whether the interface is under load, and
// what unknown hosts may still make it compute in this second (docs/security.md).
//
// Control thread only.
#pragma once

#include <chrono>
#include <cstddef>

#include "control/noise/engine_options.h"
#include "control/noise/handshake_queue.h"
#include "control/noise/per_second.h"
#include "control/noise/types.h"

namespace wg::noise {

class HandshakeIntake {
 public:
  explicit HandshakeIntake(const EngineOptions& options)
      : options_(options), plain_(options.queue_capacity), cookied_(options.queue_capacity / 4) {}

  // ---- the queue. Messages with a valid cookie are processed first.
  // Returns null when full. Otherwise the caller fills the slot before the next call.
  [[nodiscard]] QueuedMessage* push(bool cookied) { return (cookied ? cookied_ : plain_).push(); }
  [[nodiscard]] QueuedMessage pop() { return cookied_.size() > 0 ? cookied_.pop() : plain_.pop(); }
  // The i-th of the queue, in the order in which they are popped.
  [[nodiscard]] const QueuedMessage& peek(std::size_t i) const {
    return i < cookied_.size() ? cookied_.peek(i) : plain_.peek(i - cookied_.size());
  }
  void clear() {
    plain_.clear();
    cookied_.clear();
  }
  [[nodiscard]] std::size_t queued() const { return plain_.size() + cookied_.size(); }

  // ---- load (protocol C2-2). It is judged per interface, so one busy interface does not make another one
  // require cookies.
  [[nodiscard]] bool under_load(BootTime now) const {
    return is_full() || (last_under_load_ != kNever && now < last_under_load_ + kHold);
  }
  // Looks at the queue again; returns under_load().
  bool update_load(BootTime now) {
    if (is_full()) last_under_load_ = now;
    return under_load(now);
  }
  // Counts a message that led to nothing, because a flood just below the control thread's capacity would keep
  // it busy without ever filling the queue.
  void note_wasted(BootTime now) {
    if (wasted_.add(now) >= options_.wasted_at) last_under_load_ = now;
  }

  // ---- the budgets of a second
  // False: no mac1 is checked any more.
  [[nodiscard]] bool take_hash(BootTime now) { return hashes_.take(now, options_.hashes_per_second); }
  // True: no message costs a Diffie-Hellman any more.
  [[nodiscard]] bool secrets_spent(BootTime now) { return wasted_.spent(now, options_.wasted_per_second); }

  [[nodiscard]] std::size_t memory_bytes() const { return plain_.memory_bytes() + cookied_.memory_bytes(); }

 private:
  static constexpr std::chrono::seconds kHold{1};
  [[nodiscard]] bool is_full() const { return queued() >= options_.under_load_at; }

  EngineOptions options_;
  HandshakeQueue plain_;
  HandshakeQueue cookied_;
  BootTime last_under_load_ = kNever;
  // Messages of this second that were refused after their mac1: those that cost a Diffie-Hellman, and
  // responses to a handshake that too many had answered (kRefusedResponses).
  PerSecond wasted_;
  PerSecond hashes_;  // mac1 checks
};

}  // namespace wg::noise
