#include "control/noise/peer_events.h"

#include <limits>

namespace wg::noise {

void PeerEventRing::push(const PeerEvent& event) noexcept {
  if (size_ > 0) {
    PeerEvent& last = events_[(next_ + kCapacity - 1) % kCapacity];
    if (last.kind == event.kind && last.remote == event.remote) {
      last.at = event.at;
      last.detail = event.detail;
      if (last.count < std::numeric_limits<std::uint16_t>::max()) ++last.count;
      return;
    }
  }
  events_[next_] = event;
  events_[next_].count = 1;
  next_ = static_cast<std::uint8_t>((next_ + 1) % kCapacity);
  if (size_ < kCapacity) ++size_;
}

std::vector<PeerEvent> PeerEventRing::list() const {
  std::vector<PeerEvent> out;
  out.reserve(size_);
  for (std::size_t i = 0; i < size_; ++i) {
    out.push_back(events_[(next_ + kCapacity - size_ + i) % kCapacity]);
  }
  return out;
}

}  // namespace wg::noise
