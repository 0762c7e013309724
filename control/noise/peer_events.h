// A peer's most recent events, which `linegate explain` reads. The ring grows to its capacity on demand,
// because most peers of a large gateway stay idle. A repeated event increments a count instead of evicting
// older events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "control/noise/peer_event_kinds.h"
#include "control/noise/types.h"

namespace wg::noise {

struct PeerEvent {
  BootTime at = kNever;     // of the last repetition
  std::int64_t detail = 0;  // see EventDetail
  Endpoint remote;          // the event's source or destination; unknown when it does not apply
  PeerEventKind kind{};
  std::uint16_t count = 0;  // repetitions, saturating
};

class PeerEventRing {
 public:
  static constexpr std::size_t kCapacity = 12;

  void push(const PeerEvent& event);
  // Oldest first.
  [[nodiscard]] std::vector<PeerEvent> list() const;

 private:
  std::vector<PeerEvent> events_;
  std::uint8_t oldest_ = 0;  // index of the oldest event in a full ring
};

}  // namespace wg::noise
