// Results of an interface's handshake messages: a counter per outcome, a counter of those sent per type,
// and the latest refused ones that belong to no configured peer.
//
// W: the engine. R: status and metrics. Control thread only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "control/noise/outcome.h"
#include "control/noise/types.h"

namespace wg::noise {

// A handshake message that was refused and belongs to no configured peer, for `explain` of an interface.
struct RefusedMessage {
  Outcome outcome{};
  BootTime at = kNever;
  Endpoint remote;
  PublicKey claimed{};  // the sender's static key when it was decrypted (kUnknownPeer), else zero
};

class HandshakeCounters {
 public:
  static constexpr std::size_t kRefusedKept = 32;

  // Returns `outcome`.
  Outcome count(Outcome outcome, std::size_t messages = 1) {
    outcomes_[static_cast<std::size_t>(outcome)] += messages;
    return outcome;
  }
  // The same, and keeps it among refused(). A repetition of the latest one takes its place.
  Outcome refuse(const RefusedMessage& message) {
    if (!refused_.empty() && is_repetition(refused_.back(), message)) {
      refused_.back().at = message.at;
      return count(message.outcome);
    }
    if (refused_.size() == kRefusedKept) refused_.pop_front();
    refused_.push_back(message);
    return count(message.outcome);
  }
  void note_sent(unsigned message_type) { ++sent_[message_type]; }

  [[nodiscard]] std::uint64_t of(Outcome outcome) const {
    return outcomes_[static_cast<std::size_t>(outcome)];
  }
  // Indexed by message type (1..3).
  [[nodiscard]] std::uint64_t sent(unsigned message_type) const {
    return message_type < sent_.size() ? sent_[message_type] : 0;
  }
  // Oldest first.
  [[nodiscard]] std::vector<RefusedMessage> refused() const { return {refused_.begin(), refused_.end()}; }

 private:
  static bool is_repetition(const RefusedMessage& a, const RefusedMessage& b) {
    return a.outcome == b.outcome && a.remote == b.remote && a.claimed == b.claimed;
  }

  std::array<std::uint64_t, kOutcomes> outcomes_{};
  std::array<std::uint64_t, 4> sent_{};
  std::deque<RefusedMessage> refused_;
};

}  // namespace wg::noise
