#include "dataplane/io/super_packets.h"

namespace wg::dataplane {

std::size_t take_segments(Splitter& splitter, rte_mempool* pool, rte_mbuf** out, std::size_t n,
                          const QueueCounters& counters) noexcept {
  std::size_t count = 0;
  while (count < n && splitter.pending()) {
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
    if (mbuf == nullptr) {
      counters.queue.read_no_mbuf.add(1);
      break;
    }
    if (splitter.next_size() > rte_pktmbuf_tailroom(mbuf)) {
      rte_pktmbuf_free(mbuf);
      splitter.drop_rest();
      counters.drop_read(DropReason::read_too_long);
      break;
    }
    finish_mbuf(mbuf, splitter.next(rte_pktmbuf_mtod(mbuf, std::uint8_t*)), counters);
    out[count++] = mbuf;
  }
  return count;
}

void finish_mbuf(rte_mbuf* mbuf, std::size_t size, const QueueCounters& counters) noexcept {
  mbuf->data_len = static_cast<std::uint16_t>(size);
  mbuf->pkt_len = static_cast<std::uint32_t>(size);
  counters.queue.read_bytes.add(size);
}

GatheredGroup gather(const Coalescer& coalescer, rte_mbuf** in, const Coalescer::Group& group,
                     iovec* pieces) noexcept {
  GatheredGroup out;
  for (rte_mbuf* m = in [group.first]; m != nullptr; m = m->next) {
    pieces[out.pieces++] = {rte_pktmbuf_mtod(m, void*), m->data_len};
    out.bytes += m->data_len;
  }
  for (std::uint16_t i = coalescer.next(group.first); i != Coalescer::kEnd; i = coalescer.next(i)) {
    pieces[out.pieces++] = {rte_pktmbuf_mtod_offset(in[i], void*, group.header_size),
                            static_cast<std::size_t>(in[i]->data_len - group.header_size)};
    out.bytes += in[i]->data_len;
  }
  return out;
}

}  // namespace wg::dataplane
