#include "control/noise/peer_events.h"

#include <algorithm>
#include <limits>

namespace wg::noise {

void PeerEventRing::push(const PeerEvent& event) {
  if (!events_.empty()) {
    PeerEvent& last = events_[(oldest_ + events_.size() - 1) % events_.size()];
    if (last.kind == event.kind && last.remote == event.remote) {
      last.at = event.at;
      last.detail = event.detail;
      if (last.count < std::numeric_limits<std::uint16_t>::max()) ++last.count;
      return;
    }
  }
  PeerEvent* place = nullptr;
  if (events_.size() < kCapacity) {
    if (events_.size() == events_.capacity()) events_.reserve(std::min(kCapacity, events_.size() * 2 + 2));
    place = &events_.emplace_back();
  } else {
    place = &events_[oldest_];
    oldest_ = static_cast<std::uint8_t>((oldest_ + 1) % kCapacity);
  }
  *place = event;
  place->count = 1;
}

std::vector<PeerEvent> PeerEventRing::list() const {
  std::vector<PeerEvent> out(events_.begin() + oldest_, events_.end());
  out.insert(out.end(), events_.begin(), events_.begin() + oldest_);
  return out;
}

}  // namespace wg::noise
