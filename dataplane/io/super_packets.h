// Between super-packets (io/segmentation.h) and mbufs: what queues of a TUN, a TAP and a packet socket share.
// Nothing throws, allocates memory or waits.
#pragma once

#include <rte_mbuf.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>

#include "dataplane/counters.h"
#include "dataplane/io/segmentation.h"

namespace wg::dataplane {

// A super-packet with Ethernet and VLAN headers, rounded up generously.
inline constexpr std::size_t kSuperBufferSize = 65536 + 512;
// A packet of more mbuf segments is not written.
inline constexpr std::size_t kMaxMbufSegments = 64;
// Pieces of one group of packets: the segments of its first packet and one for each further packet.
inline constexpr std::size_t kMaxGroupPieces = kMaxMbufSegments + Coalescer::kMaxSegments;

// Moves segments of the super-packet into mbufs of `pool`, at most n; what is left stays pending. Segments
// larger than an mbuf are dropped and counted.
std::size_t take_segments(Splitter& splitter, rte_mempool* pool, rte_mbuf** out, std::size_t n,
                          const QueueCounters& counters) noexcept;

// One packet that lies in `mbuf` from its start: sets its length and counts its bytes.
void finish_mbuf(rte_mbuf* mbuf, std::size_t size, const QueueCounters& counters) noexcept;

// The bytes of a packet whose headers may be rewritten; an empty span for one that must be written as it is
// (scattered, or with another reference to it).
inline MutableBytes own_bytes(rte_mbuf* mbuf) noexcept {
  const bool own = mbuf->nb_segs == 1 && rte_mbuf_refcnt_read(mbuf) == 1 && RTE_MBUF_DIRECT(mbuf);
  return own ? MutableBytes{rte_pktmbuf_mtod(mbuf, std::uint8_t*), mbuf->data_len} : MutableBytes{};
}

struct GatheredGroup {
  std::size_t pieces = 0;
  std::size_t bytes = 0;  // of its packets, before they were joined
};

// Fills `pieces` with what the group's super-packet, or its only packet, consists of. Requires at most
// kMaxMbufSegments mbufs in the first packet.
GatheredGroup gather(const Coalescer& coalescer, rte_mbuf** in, const Coalescer::Group& group,
                     iovec* pieces) noexcept;

}  // namespace wg::dataplane
