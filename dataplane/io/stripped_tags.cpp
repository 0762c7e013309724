#include "dataplane/io/stripped_tags.h"

#include <rte_ether.h>
#include <rte_mbuf.h>

namespace wg::dataplane {

void StrippedTags::know(const std::set<std::uint16_t>& ids) {
  for (const std::uint16_t id : ids)
    known_[id % kIds / 64].fetch_or(std::uint64_t{1} << (id % 64), std::memory_order_relaxed);
}

std::uint16_t StrippedTags::put_back(rte_mbuf** packets, std::uint16_t n,
                                     WorkerCounters& counters) const noexcept {
  std::uint16_t kept = 0;
  for (std::uint16_t i = 0; i < n; ++i) {
    rte_mbuf* packet = packets[i];
    if ((packet->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 && knows(packet->vlan_tci % kIds) &&
        rte_vlan_insert(&packet) != 0) {
      rte_pktmbuf_free(packet);
      counters.drop(DropReason::no_headroom, 1);
      continue;
    }
    packets[kept++] = packet;
  }
  return kept;
}

}  // namespace wg::dataplane
