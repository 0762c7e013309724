#include "dataplane/stage/program.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/packet/checksum.h"

namespace wg::dataplane {

std::size_t Program::take(const BurstContext& at, InterfaceId id, SendBurst& send) noexcept {
  ProgramRing& ring = *at.view->interfaces[id].ring;
  ProgramQueue& queue = ring.queue(core_.options.id);
  const std::size_t n = std::min<std::size_t>(queue.reader.available(), kPollBurst);
  ring.note_fault(queue);
  if (n == 0) return 0;
  rte_mbuf* packets[kPollBurst];
  if (rte_pktmbuf_alloc_bulk(core_.pool, packets, static_cast<unsigned>(n)) != 0) {
    core_.counters.exception.read_no_mbuf.add(1);
    return 0;
  }
  std::size_t good = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const bool whole = copy(queue, *packets[i]);
    // Before anything is dropped: the buffer has the mark of whatever it held before.
    if (core_.watcher.on()) [[unlikely]]
      core_.watcher.from_program(id, {&packets[i], 1});
    if (!whole) {
      core_.drop(packets[i], DropReason::ring_bad_packet);
    } else if (judge(ring, packets[i])) {
      packets[good++] = packets[i];
    }
  }
  if (queue.reader.finish()) queue.wake();
  core_.counters.from_program.add(good);
  // From here on they are what Linux would have sent in the program's place.
  for (std::size_t i = 0; i < good; ++i) send.push(packets[i], PacketOrigin::at_interface(From::kKernel, id));
  return n;
}

bool Program::copy(ProgramQueue& queue, rte_mbuf& packet) noexcept {
  const std::size_t length =
      queue.reader.take({rte_pktmbuf_mtod(&packet, std::uint8_t*), rte_pktmbuf_tailroom(&packet)});
  packet.data_len = static_cast<std::uint16_t>(length);
  packet.pkt_len = static_cast<std::uint32_t>(length);
  return length != 0;
}

// Checks the copy: the program may rewrite its slot meanwhile. False: it is dropped.
bool Program::judge(const ProgramRing& ring, rte_mbuf* packet) noexcept {
  const std::uint8_t* l3 = rte_pktmbuf_mtod(packet, const std::uint8_t*);
  IpView ip;
  if (parse_ip({l3, packet->data_len}, &ip) != Parse::kOk || ip.total_length != packet->data_len ||
      (!ip.v6 && !ipv4_checksum_valid(*header_at<Ipv4Header>(l3)))) {
    core_.drop(packet, DropReason::ring_bad_packet);
    return false;
  }
  if (ring.sources().allow(ip.source, ip.v6)) return true;
  core_.drop(packet, DropReason::ring_source);
  return false;
}

}  // namespace wg::dataplane
