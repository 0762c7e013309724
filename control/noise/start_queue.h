// Peers that have to send their first packet, one by one: at the start of the program, or when persistent
// keepalives are enabled for many peers together. kAtOnce of them start immediately and the others in their
// turn, which takes about half of a core. A request for a handshake does not wait.
//
// Control thread only.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <deque>
#include <vector>

#include "control/noise/types.h"

namespace wg::noise {

class StartQueue {
 public:
  static constexpr std::size_t kAtOnce = 32;
  static constexpr std::chrono::microseconds kInterval{400};

  // Peers that were heard of before the start go first, those with the latest `heard` before the others.
  void push_heard(PeerRef peer, WallTime heard) {
    heard_.push_back({heard, peer});
    std::push_heap(heard_.begin(), heard_.end());
  }
  void push(PeerRef peer) { others_.push_back(peer); }
  [[nodiscard]] bool empty() const { return heard_.empty() && others_.empty(); }
  [[nodiscard]] PeerRef front() const { return heard_.empty() ? others_.front() : heard_.front().peer; }
  void pop() {
    if (heard_.empty()) return others_.pop_front();
    std::pop_heap(heard_.begin(), heard_.end());
    heard_.pop_back();
  }
  void clear() {
    heard_.clear();
    others_.clear();
  }

  // Takes a turn, unless it is not due yet.
  [[nodiscard]] bool take_turn(BootTime now) {
    const BootTime paid = std::max(paid_, now) + kInterval;
    if (paid > now + kAtOnce * kInterval) return false;
    paid_ = paid;
    return true;
  }
  // When the next turn is due; kNever: the queue is empty.
  [[nodiscard]] BootTime next_turn() const {
    if (empty()) return kNever;
    // No peer has started yet: at once, which is later than kNever.
    constexpr std::chrono::nanoseconds kAhead = (kAtOnce - 1) * kInterval;
    return std::max(paid_ - kAhead, kNever + std::chrono::nanoseconds(1));
  }

 private:
  struct Heard {
    WallTime at{};
    PeerRef peer;
    // The order of a heap: the latest is on top.
    bool operator<(const Heard& other) const { return at < other.at; }
  };

  std::vector<Heard> heard_;    // heap
  std::deque<PeerRef> others_;  // in order
  BootTime paid_ = kNever;      // each turn adds kInterval; at most kAtOnce turns ahead of now
};

}  // namespace wg::noise
