#include "dataplane/stage/program.h"

#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/core/extent.h"
#include "dataplane/core/martian.h"
#include "dataplane/packet/checksum.h"

namespace wg::dataplane {

namespace {

const std::uint8_t* source_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->source.data() : header_at<Ipv4Header>(l3)->source.data();
}
const std::uint8_t* destination_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->destination.data() : header_at<Ipv4Header>(l3)->destination.data();
}

}  // namespace

std::size_t Program::take(const BurstContext& at, InterfaceId id, SendBurst& send) noexcept {
  Taken taken;
  read(id, *at.view->interfaces[id].ring, taken);
  for (std::size_t i = 0; i < taken.good; ++i)
    send.push(taken.packet[i], PacketOrigin::at_interface(From::kKernel, id));
  return taken.looked_at;
}

std::size_t Program::take(const BurstContext& at, InterfaceId id, InnerBurst& inner) noexcept {
  Taken taken;
  read(id, *at.view->interfaces[id].ring, taken);
  const PacketOrigin origin = PacketOrigin::at_interface(From::kTunnel, id);
  for (std::size_t i = 0; i < taken.good; ++i) {
    rte_mbuf* const packet = taken.packet[i];
    auto* const l3 = rte_pktmbuf_mtod(packet, std::uint8_t*);
    const bool v6 = l3[0] >> 4 == 6;
    if (is_martian(at.view->local_addresses, source_of(l3, v6), v6)) {
      core_.drop(packet, DropReason::martian_inner);
    } else {
      inner.push(packet, l3, packet->data_len, origin, v6);
    }
  }
  return taken.looked_at;
}

void Program::read(InterfaceId id, ProgramRing& ring, Taken& taken) noexcept {
  ProgramQueue& queue = ring.queue(core_.options.id);
  const std::size_t there = queue.reader.available();
  ring.note_fault(queue);
  if (queue.offloads == nullptr) {
    read_each(id, ring, queue, std::min<std::size_t>(there, kPollBurst), taken);
  } else {
    read_split(id, ring, queue, there, taken);
  }
  if (taken.looked_at == 0) return;
  if (queue.reader.finish()) queue.wake();
  core_.counters.from_program.add(taken.good);
}

void Program::read_each(InterfaceId id, const ProgramRing& ring, ProgramQueue& queue, std::size_t n,
                        Taken& taken) noexcept {
  if (n == 0) return;
  rte_mbuf* packets[kPollBurst];
  if (rte_pktmbuf_alloc_bulk(core_.pool, packets, static_cast<unsigned>(n)) != 0)
    return core_.counters.exception.read_no_mbuf.add(1);
  for (std::size_t i = 0; i < n; ++i)
    accept(id, ring, packets[i], queue.reader.take(room_of(packets[i])), taken);
}

// A slot may hold many packets, so a super-packet goes on in the next loop.
void Program::read_split(InterfaceId id, const ProgramRing& ring, ProgramQueue& queue, std::size_t there,
                         Taken& taken) noexcept {
  ProgramOffloads& offloads = *queue.offloads;
  while (taken.looked_at < kPollBurst && (offloads.pending() || there != 0)) {
    rte_mbuf* const packet = rte_pktmbuf_alloc(core_.pool);
    if (packet == nullptr) {
      core_.counters.exception.read_no_mbuf.add(1);
      break;
    }
    const bool begun = offloads.pending();
    if (!begun) --there;
    const std::size_t length = offloads.take(queue.reader, room_of(packet));
    if (length != 0 && (begun || offloads.pending())) count_split(!begun);
    accept(id, ring, packet, length, taken);
  }
}

// A packet of a super-packet. One that is of a single packet is none.
void Program::count_split(bool is_first) noexcept {
  core_.counters.from_program_super_packets.add(is_first ? 1 : 0);
  core_.counters.from_program_split.add(1);
}

std::span<std::uint8_t> Program::room_of(rte_mbuf* packet) noexcept {
  return {rte_pktmbuf_mtod(packet, std::uint8_t*), rte_pktmbuf_tailroom(packet)};
}

// `length` 0: there is nothing in it.
void Program::accept(InterfaceId id, const ProgramRing& ring, rte_mbuf* packet, std::size_t length,
                     Taken& taken) noexcept {
  ++taken.looked_at;
  packet->data_len = static_cast<std::uint16_t>(length);
  packet->pkt_len = static_cast<std::uint32_t>(length);
  // Before anything is dropped: the buffer has the mark of whatever it held before.
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.from_program(id, {&packet, 1});
  if (length == 0) {
    core_.drop(packet, DropReason::ring_bad_packet);
  } else if (judge(ring, packet)) {
    taken.packet[taken.good++] = packet;
  }
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

// ---------------------------------------------------------------- routed programs

void Program::deliver_to_routed(const BurstContext& at, SendBurst& send, Egress& egress) noexcept {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < send.n; ++i) {
    const InterfaceId id = send.origin[i].interface_id;
    const ProgramRing* const program = routed_program(at.view->interfaces[id].ring);
    // Those whose peer is given are staged, or keepalives.
    if (program == nullptr || send.peer[i] != nullptr ||
        !program->sources().allow(destination_of(send.l3[i], send.v6[i]), send.v6[i])) {
      send.destination4[kept] = send.destination4[i];  // not moved with the rest: the peer is not chosen yet
      send.move(i, kept++);
      continue;
    }
    set_extent(*send.packet[i], send.l3[i], send.length[i]);
    egress.give_to_routed(at, id, send.packet[i]);
  }
  send.n = kept;
}

void Program::refuse_sources_of_routed(const BurstContext& at, InnerBurst& inner,
                                       std::size_t first) noexcept {
  bool refused = false;
  for (std::size_t i = first; i < inner.n; ++i) {
    const ProgramRing* const program = routed_program(at.view->interfaces[inner.origin[i].interface()].ring);
    if (program == nullptr || !program->sources().allow(source_of(inner.l3[i], inner.v6[i]), inner.v6[i]))
      continue;
    settle(inner, i);
    core_.drop(inner.packet[i], DropReason::disallowed_source);
    inner.packet[i] = nullptr;
    refused = true;
  }
  if (refused) inner.close_gaps(first);
}

}  // namespace wg::dataplane
