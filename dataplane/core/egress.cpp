#include "dataplane/core/egress.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <utility>

#include "dataplane/io/port.h"
#include "dataplane/io/program_ring.h"
#include "dataplane/io/super_packets.h"

namespace wg::dataplane {

Egress::Egress(Core& core)
    : core_(core), ports_(kMaxPorts), taps_(kMaxPorts), tuns_(kMaxInterfaces), routed_(kMaxInterfaces) {}

void Egress::punt_to_tap(const BurstContext& at, PortIndex port, rte_mbuf* packet) noexcept {
  punt(at.view->ports[port].tap, taps_[port], packet);
}

void Egress::punt_to_tun(const BurstContext& at, InterfaceId interface_id, rte_mbuf* packet) noexcept {
  const InterfaceView& interface = at.view->interfaces[interface_id];
  if (inner_program(interface.ring) != nullptr) [[unlikely]]
    return give_to_program(*interface.ring, tuns_[interface_id], packet);
  punt(interface.tun, tuns_[interface_id], packet);
}

void Egress::give_to_routed(const BurstContext& at, InterfaceId interface_id, rte_mbuf* packet) noexcept {
  give_to_program(*at.view->interfaces[interface_id].ring, routed_[interface_id], packet);
}

void Egress::punt(const KernelInterface* to, OutQueue& out, rte_mbuf* packet) noexcept {
  if (to == nullptr) return core_.drop(packet, DropReason::punt_off);
  if (punts_left_ == 0 || out.n == kBurst) return core_.drop(packet, DropReason::punt_budget);
  --punts_left_;
  out.packet[out.n++] = packet;
}

void Egress::flush(const BurstContext& at) noexcept {
  if (const std::size_t sent = flush_ports(at); sent != 0) core_.count_stage(Stage::transmit, sent);
  if (const std::size_t punted = flush_punts(at); punted != 0)
    core_.count_stage(Stage::exception_out, punted);
}

std::size_t Egress::flush_ports(const BurstContext& at) noexcept {
  std::size_t sent = 0;
  for (const PortIndex index : at.view->ports.ids()) {
    OutQueue& out = ports_[index];
    if (out.n == 0) continue;
    sent += out.n;
    hand_over(at, index, out);
  }
  return sent;
}

std::size_t Egress::flush_punts(const BurstContext& at) noexcept {
  std::size_t punted = 0;
  for (const PortIndex index : at.view->ports.ids()) {
    if (taps_[index].n != 0) punted += write(*at.view->ports[index].tap, taps_[index], core_.counters.to_tap);
  }
  for (const InterfaceId id : at.view->interfaces.ids()) {
    if (tuns_[id].n == 0) continue;
    const InterfaceView& interface = at.view->interfaces[id];
    punted += inner_program(interface.ring) != nullptr
                  ? write(*interface.ring, tuns_[id])
                  : write(*interface.tun, tuns_[id], core_.counters.to_tun);
  }
  for (const InterfaceId id : at.view->rings) {
    if (routed_[id].n != 0) punted += write(*at.view->interfaces[id].ring, routed_[id]);
  }
  return punted;
}

void Egress::hand_over(const BurstContext& at, PortIndex port, OutQueue& out) noexcept {
  if (core_.watcher.on()) [[unlikely]] {
    hand_over_watched(at, port, out);
  } else {
    at.view->ports[port].port->transmit(core_.options.id, out.packet.data(),
                                        static_cast<std::uint16_t>(out.n), core_.counters);
  }
  out.n = 0;
}

// The port's drop counters say how many it has refused.
void Egress::hand_over_watched(const BurstContext& at, PortIndex port, OutQueue& out) noexcept {
  const std::span<rte_mbuf* const> frames(out.packet.data(), out.n);
  const DropReason reasons[] = {DropReason::tx_full, DropReason::port_down};
  const DropCounters& drops = core_.counters.drops;
  const std::uint64_t before[] = {drops.get(reasons[0]), drops.get(reasons[1])};
  Watcher::Burst burst;
  core_.watcher.transmitting(port, frames);
  core_.watcher.remember(frames, burst);
  at.view->ports[port].port->transmit(core_.options.id, out.packet.data(), static_cast<std::uint16_t>(out.n),
                                      core_.counters);
  for (std::size_t i = 0; i < 2; ++i)
    core_.watcher.refused(burst, static_cast<std::size_t>(drops.get(reasons[i]) - before[i]), reasons[i]);
}

std::size_t Egress::write(KernelInterface& to, OutQueue& out, Counter& written) noexcept {
  const std::size_t n = out.n;
  out.n = 0;
  Watcher::Burst burst;
  if (core_.watcher.on()) [[unlikely]] {
    for (std::size_t i = 0; i < n; ++i) core_.watcher.step(out.packet[i], WatchPoint::to_linux);
    core_.watcher.remember({out.packet.data(), n}, burst);
  }
  const std::size_t accepted =
      to.queue(core_.options.id).write_burst(out.packet.data(), n, core_.counters.exception);
  written.add(accepted);
  core_.counters.drop(DropReason::punt_full, n - accepted);
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.refused(burst, n - accepted, DropReason::punt_full);
  return n;
}

// A packet to a program is no exception: it has no budget but its ring.
void Egress::give_to_program(ProgramRing& ring, OutQueue& out, rte_mbuf* packet) noexcept {
  if (out.n == kBurst) write(ring, out);
  out.packet[out.n++] = packet;
}

std::size_t Egress::write(ProgramRing& to, OutQueue& out) noexcept {
  const std::size_t n = std::exchange(out.n, 0);
  ProgramQueue& queue = to.queue(core_.options.id);
  const std::size_t room = queue.writer.room();
  to.note_fault(queue);
  const std::size_t fit = drop_unfit(queue, out, n);
  const std::size_t put =
      queue.offloads != nullptr ? put_joined(queue, out, fit, room) : put_each(queue, out, fit, room);
  if (put == 0) return n;
  if (queue.writer.finish()) queue.wake();
  rte_pktmbuf_free_bulk(out.packet.data(), static_cast<unsigned>(put));
  core_.counters.to_program.add(put);
  return n;
}

// Returns how many of the n packets are left.
std::size_t Egress::drop_unfit(const ProgramQueue& queue, OutQueue& out, std::size_t n) noexcept {
  const std::size_t largest = queue.offloads != nullptr ? kSuperPacketMax : queue.writer.largest();
  std::size_t fit = 0;
  for (std::size_t i = 0; i < n; ++i) {
    rte_mbuf* const packet = out.packet[i];
    if (packet->nb_segs != 1) {
      core_.drop(packet, DropReason::segmented);
    } else if (packet->data_len > largest) {
      core_.drop(packet, DropReason::too_big);
    } else {
      out.packet[fit++] = packet;
    }
  }
  return fit;
}

// Returns how many of the n packets are in the ring: the first ones of `out`, to be freed.
std::size_t Egress::put_each(ProgramQueue& queue, OutQueue& out, std::size_t n, std::size_t room) noexcept {
  const std::size_t put = std::min(n, room);
  queue.writer.prefetch_burst(put);
  for (std::size_t i = 0; i < put; ++i) {
    rte_mbuf* const packet = out.packet[i];
    queue.writer.prefetch_next(put - i, i + 1 < put ? out.packet[i + 1]->data_len : 0);
    if (core_.watcher.on()) [[unlikely]]
      core_.watcher.step(packet, WatchPoint::to_program);
    queue.writer.put({rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len});
  }
  for (std::size_t i = put; i < n; ++i) core_.drop(out.packet[i], DropReason::ring_full);
  return put;
}

// The same, with packets of a flow as one.
std::size_t Egress::put_joined(ProgramQueue& queue, OutQueue& out, std::size_t n, std::size_t room) noexcept {
  Coalescer& coalescer = queue.offloads->coalescer();
  std::array<MutableBytes, kBurst> bytes;
  for (std::size_t i = 0; i < n; ++i) bytes[i] = own_bytes(out.packet[i]);
  std::array<rte_mbuf*, kBurst> put;
  std::size_t count = 0;
  for (const Coalescer::Group& group : coalescer.plan({bytes.data(), n})) {
    const bool fits = room != 0;
    for (std::uint16_t i = group.first; i != Coalescer::kEnd; i = coalescer.next(i)) {
      if (!fits) {
        core_.drop(out.packet[i], DropReason::ring_full);
        continue;
      }
      if (core_.watcher.on()) [[unlikely]]
        core_.watcher.step(out.packet[i], WatchPoint::to_program);
      put[count++] = out.packet[i];
    }
    if (!fits) continue;
    put_group(queue, out, group);
    --room;
  }
  std::copy_n(put.begin(), count, out.packet.begin());
  return count;
}

void Egress::put_group(ProgramQueue& queue, OutQueue& out, const Coalescer::Group& group) noexcept {
  const Coalescer& coalescer = queue.offloads->coalescer();
  std::array<iovec, kMaxGroupPieces> pieces;
  const VnetHeader header = coalescer.seal(group);
  const GatheredGroup gathered = gather(coalescer, out.packet.data(), group, pieces.data());
  ProgramOffloads::put(queue.writer, header, {pieces.data(), gathered.pieces});
  if (group.segments == 1) return;
  core_.counters.to_program_super_packets.add(1);
  core_.counters.to_program_joined.add(group.segments);
}

}  // namespace wg::dataplane
