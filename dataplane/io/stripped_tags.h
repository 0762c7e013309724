// VLAN tags that a device takes off. Virtual functions cannot choose: once such a device is told of a VLAN,
// the physical function has the tags taken off its frames, and the frame's buffer has the number.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <set>

#include "dataplane/counters.h"

struct rte_mbuf;

namespace wg::dataplane {

class StrippedTags {
 public:
  // ---- control
  // Before the device is told of them. A VLAN stays known when it is gone: its last frames must not become
  // untagged ones.
  void know(const std::set<std::uint16_t>& ids);

  // ---- any worker
  // Puts back the tags of known VLANs. A tag of another one is the physical function's own, for a device that
  // shall not know of it: such frames stay without. A frame without room is dropped. Returns how many are
  // left.
  std::uint16_t put_back(rte_mbuf** packets, std::uint16_t n, WorkerCounters& counters) const noexcept;

 private:
  [[nodiscard]] bool knows(std::uint16_t id) const noexcept {
    return (known_[id / 64].load(std::memory_order_relaxed) >> (id % 64) & 1) != 0;
  }

  static constexpr std::size_t kIds = 4096;
  std::array<std::atomic<std::uint64_t>, kIds / 64> known_{};  // control writes, workers read
};

}  // namespace wg::dataplane
