// The packet path of a queue: frames out of the ring, messages into the socket.
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dataplane/io/packet_socket.h"

namespace wg::dataplane {
namespace {

constexpr std::size_t kPrefetchSlots = 4;
constexpr std::size_t kMacAddresses = 2 * sizeof(MacAddress);

std::uint32_t load_status(const tpacket2_hdr& slot) {
  return __atomic_load_n(&slot.tp_status, __ATOMIC_ACQUIRE);
}

void give_back(tpacket2_hdr& slot) {
  __atomic_store_n(&slot.tp_status, std::uint32_t{TP_STATUS_KERNEL}, __ATOMIC_RELEASE);
}

// The checksum of a datagram of ours whose field holds the pseudo header's sum.
bool checksum_is_left(const rte_mbuf* mbuf) {
  return (mbuf->ol_flags & RTE_MBUF_F_TX_UDP_CKSUM) != 0;
}

VnetHeader partial_udp_checksum(const rte_mbuf* mbuf) {
  VnetHeader vnet;
  vnet.flags = VnetHeader::kNeedsChecksum;
  vnet.checksum_start = static_cast<std::uint16_t>(mbuf->l2_len + mbuf->l3_len);
  vnet.checksum_offset = offsetof(UdpHeader, checksum);
  return vnet;
}

// The queue of a device or the socket's memory is full; anything else is an error of this message.
bool is_full(int error) {
  return error == EAGAIN || error == ENOBUFS || error == EINTR;
}

}  // namespace

PacketRing PacketRing::for_mtu(std::uint16_t mtu) {
  // Where the kernel puts an Ethernet header: behind its own header, so that the IP header is aligned, and
  // behind the virtio-net header.
  constexpr std::size_t kFront = TPACKET_ALIGN(TPACKET2_HDRLEN) + 16 + sizeof(VnetHeader);
  constexpr std::size_t kLine = 64, kBlock = 1u << 18, kRing = 6u << 20, kLargestRing = 20u << 20;
  PacketRing ring;
  // An odd number of cache lines: the slots' first lines are spread over all sets of a cache.
  ring.slot_size = ((kFront + mtu + kVlanTagSize + kLine - 1) / kLine | 1) * kLine;
  ring.block_size = kBlock;
  ring.slots_per_block = kBlock / ring.slot_size;
  // About 4096 frames of 1500 bytes, 2048 of 9000.
  ring.blocks = std::clamp(2048 * ring.slot_size, kRing, kLargestRing) / kBlock;
  return ring;
}

PacketQueue::PacketQueue(FileDescriptor fd, std::uint8_t* ring, const PacketRing& layout, SendMessages send)
    : fd_(std::move(fd)),
      ring_(ring),
      layout_(layout),
      send_(send),
      coalescer_(Framing::kEthernet, true, true),
      super_packet_(std::make_unique<std::uint8_t[]>(kVlanTagSize + kSuperBufferSize)),
      batch_(std::make_unique<Batch>()) {}

// --- from the wire

std::size_t PacketQueue::receive(rte_mempool* pool, rte_mbuf** out, std::size_t n,
                                 const QueueCounters& counters) noexcept {
  std::size_t count = take_segments(splitter_, pool, out, n, counters);
  for (std::size_t looked = 0; looked < n && count < n && !splitter_.pending(); ++looked) {
    tpacket2_hdr* slot = slot_at(next_slot_);
    const std::uint32_t status = load_status(*slot);
    if ((status & TP_STATUS_USER) == 0) break;
    rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
    if (mbuf == nullptr) {
      counters.queue.read_no_mbuf.add(1);
      break;
    }
    prefetch_after(next_slot_);
    const Taken taken = take_slot(*slot, status, mbuf, counters);
    give_back(*slot);
    next_slot_ = next_slot_ + 1 == layout_.slots() ? 0 : next_slot_ + 1;
    if (taken == Taken::kPacket) {
      out[count++] = mbuf;
      continue;
    }
    rte_pktmbuf_free(mbuf);
    if (taken == Taken::kSuperPacket)
      count += take_segments(splitter_, pool, out + count, n - count, counters);
  }
  counters.queue.read_packets.add(count);
  return count;
}

void PacketQueue::prefetch_after(std::size_t slot) const noexcept {
  slot += kPrefetchSlots;
  const std::uint8_t* ahead =
      ring_ + layout_.offset_of(slot < layout_.slots() ? slot : slot - layout_.slots());
  __builtin_prefetch(ahead);
  __builtin_prefetch(ahead + 64);
}

PacketQueue::Taken PacketQueue::take_slot(const tpacket2_hdr& slot, std::uint32_t status, rte_mbuf* mbuf,
                                          const QueueCounters& counters) noexcept {
  Frame frame;
  if (!find_frame(slot, status, &frame, counters)) return Taken::kDropped;
  if ((status & TP_STATUS_VLAN_VALID) != 0) {
    // The kernel has taken the tag out of the frame.
    frame.data -= kVlanTagSize;
    frame.size += kVlanTagSize;
    std::memmove(frame.data, frame.data + kVlanTagSize, kMacAddresses);
    const bool known = (status & TP_STATUS_VLAN_TPID_VALID) != 0;
    const Be16 type{known ? slot.tp_vlan_tpid : ether_type::kVlan}, tag{slot.tp_vlan_tci};
    std::memcpy(frame.data + kMacAddresses, &type, sizeof type);
    std::memcpy(frame.data + kMacAddresses + sizeof type, &tag, sizeof tag);
    frame.vnet.checksum_start = static_cast<std::uint16_t>(frame.vnet.checksum_start + kVlanTagSize);
  }
  return frame.vnet.gso_type == VnetHeader::kNone ? accept_packet(frame, mbuf, counters)
                                                  : accept_super_packet(frame, counters);
}

// A frame lies in its slot, or, when the slot is too small, in the socket's queue in the order of the slots.
bool PacketQueue::find_frame(const tpacket2_hdr& slot, std::uint32_t status, Frame* frame,
                             const QueueCounters& counters) noexcept {
  if ((status & TP_STATUS_COPY) != 0) return read_copy(frame, counters);
  if (slot.tp_snaplen < slot.tp_len) {
    truncated_.store(truncated_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    counters.drop_read(DropReason::read_truncated);
    return false;
  }
  // The kernel reads nothing back from a slot that is ours.
  frame->data = const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(&slot)) + slot.tp_mac;
  frame->size = slot.tp_snaplen;
  std::memcpy(&frame->vnet, frame->data - sizeof(VnetHeader), sizeof(VnetHeader));
  return true;
}

// An interface that went down leaves one error in the socket, in front of what is queued.
bool PacketQueue::read_copy(Frame* frame, const QueueCounters& counters) noexcept {
  frame->data = super_packet_.get() + kVlanTagSize;
  std::array<iovec, 2> pieces{iovec{&frame->vnet, sizeof(VnetHeader)}, iovec{frame->data, kSuperBufferSize}};
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces.size();
  ssize_t got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  if (got < 0 && errno != EAGAIN) got = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
  if (got < 0) {
    counters.queue.read_errors.add(1);
    return false;
  }
  counters.queue.read_calls.add(1);
  if (static_cast<std::size_t>(got) <= sizeof(VnetHeader) || (message.msg_flags & MSG_TRUNC) != 0) {
    counters.drop_read(DropReason::read_too_long);
    return false;
  }
  frame->size = static_cast<std::size_t>(got) - sizeof(VnetHeader);
  return true;
}

PacketQueue::Taken PacketQueue::accept_packet(const Frame& frame, rte_mbuf* mbuf,
                                              const QueueCounters& counters) noexcept {
  if (frame.size > rte_pktmbuf_tailroom(mbuf)) {
    counters.drop_read(DropReason::read_too_long);
    return Taken::kDropped;
  }
  const MutableBytes packet{rte_pktmbuf_mtod(mbuf, std::uint8_t*), frame.size};
  std::memcpy(packet.data(), frame.data, frame.size);
  if ((frame.vnet.flags & VnetHeader::kNeedsChecksum) != 0 && !complete_checksum(frame.vnet, packet)) {
    counters.drop_read(DropReason::read_malformed);
    return Taken::kDropped;
  }
  finish_mbuf(mbuf, frame.size, counters);
  return Taken::kPacket;
}

// The slot goes back at once, so what lies in it is copied.
PacketQueue::Taken PacketQueue::accept_super_packet(const Frame& frame,
                                                    const QueueCounters& counters) noexcept {
  std::uint8_t* const end = super_packet_.get() + kVlanTagSize + kSuperBufferSize;
  Bytes packet{frame.data, frame.size};
  if (frame.data < super_packet_.get() || frame.data >= end) {
    std::memcpy(super_packet_.get(), frame.data, frame.size);
    packet = {super_packet_.get(), frame.size};
  }
  if (!splitter_.load(frame.vnet, packet, Framing::kEthernet)) {
    counters.drop_read(DropReason::read_malformed);
    return Taken::kDropped;
  }
  counters.queue.read_super_packets.add(1);
  return Taken::kSuperPacket;
}

std::uint64_t PacketQueue::lost() const noexcept {
  tpacket_stats statistics{};
  socklen_t size = sizeof statistics;
  // Reading resets the kernel's counters.
  if (::getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0)
    kernel_lost_.fetch_add(statistics.tp_drops, std::memory_order_relaxed);
  return kernel_lost_.load(std::memory_order_relaxed) + truncated_.load(std::memory_order_relaxed);
}

// --- to the wire

std::size_t PacketQueue::transmit(rte_mbuf** in, std::size_t n, TunCounters& counters) noexcept {
  std::size_t accepted = 0;
  for (std::size_t done = 0; done < n; done += Coalescer::kMaxPackets)
    accepted += transmit_chunk(in + done, std::min(n - done, Coalescer::kMaxPackets), counters);
  counters.write_packets.add(accepted);
  rte_pktmbuf_free_bulk(in, static_cast<unsigned>(n));
  return accepted;
}

std::size_t PacketQueue::transmit_chunk(rte_mbuf** in, std::size_t n, TunCounters& counters) noexcept {
  std::array<MutableBytes, Coalescer::kMaxPackets> packets;
  std::array<bool, Coalescer::kMaxPackets> unfinished;
  for (std::size_t i = 0; i < n; ++i) {
    packets[i] = own_bytes(in[i]);
    unfinished[i] = checksum_is_left(in[i]);
  }
  std::size_t accepted = 0;
  for (const Coalescer::Group& group : coalescer_.plan({packets.data(), n}, {unfinished.data(), n})) {
    if (in[group.first]->nb_segs > kMaxMbufSegments) {
      counters.write_errors.add(1);
      continue;
    }
    if (batch_->pieces + 1 + kMaxGroupPieces > kMaxPieces) accepted += send_messages(in, counters);
    add_message(in, group);
  }
  return accepted + send_messages(in, counters);
}

void PacketQueue::add_message(rte_mbuf** in, const Coalescer::Group& group) noexcept {
  Batch& batch = *batch_;
  const std::size_t m = batch.messages++;
  rte_mbuf* first = in[group.first];
  if (group.segments > 1 && group.udp && !udp_accepted_)
    std::memcpy(batch.headers[m].data(), rte_pktmbuf_mtod(first, void*), group.header_size);
  batch.group[m] = &group;
  batch.vnet[m] = coalescer_.seal(group);
  if (group.segments == 1 && checksum_is_left(first)) batch.vnet[m] = partial_udp_checksum(first);
  iovec* pieces = &batch.piece[batch.pieces];
  pieces[0] = {&batch.vnet[m], sizeof(VnetHeader)};
  const GatheredGroup gathered = gather(coalescer_, in, group, pieces + 1);
  batch.bytes[m] = static_cast<std::uint32_t>(gathered.bytes);
  batch.message[m] = {};
  batch.message[m].msg_hdr.msg_iov = pieces;
  batch.message[m].msg_hdr.msg_iovlen = 1 + gathered.pieces;
  batch.pieces += 1 + gathered.pieces;
}

// Each call sends at least one message or settles the one that the kernel refused.
std::size_t PacketQueue::send_messages(rte_mbuf** in, TunCounters& counters) noexcept {
  Batch& batch = *batch_;
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < batch.messages;) {
    const int sent =
        send_(fd_.get(), &batch.message[at], static_cast<unsigned>(batch.messages - at), MSG_DONTWAIT);
    counters.write_calls.add(1);
    if (sent > 0) {
      for (const std::size_t end = at + static_cast<std::size_t>(sent); at < end; ++at) {
        accepted += batch.group[at]->segments;
        count_sent(at, counters);
      }
      continue;
    }
    if (errno == EAGAIN) {  // the socket's memory is full, for the others as well
      for (; at < batch.messages; ++at) counters.write_full.add(batch.group[at]->segments);
      break;
    }
    accepted += settle_refused(in, at++, errno, counters);
  }
  batch.messages = batch.pieces = 0;
  return accepted;
}

void PacketQueue::count_sent(std::size_t m, TunCounters& counters) noexcept {
  const Coalescer::Group& group = *batch_->group[m];
  counters.write_bytes.add(batch_->bytes[m]);
  if (group.segments == 1) return;
  counters.write_super_packets.add(1);
  udp_accepted_ |= group.udp;
}

// Before Linux 6.2 a packet socket refuses UDP super-packets. The first one shows that, and goes packet by
// packet.
std::size_t PacketQueue::settle_refused(rte_mbuf** in, std::size_t m, int error,
                                        TunCounters& counters) noexcept {
  const Coalescer::Group& group = *batch_->group[m];
  if (error == EINVAL && group.segments > 1 && group.udp && !udp_accepted_) {
    coalescer_.join_no_udp();
    std::memcpy(rte_pktmbuf_mtod(in[group.first], void*), batch_->headers[m].data(), group.header_size);
    return send_apart(in, group, counters);
  }
  (is_full(error) ? counters.write_full : counters.write_errors).add(group.segments);
  return 0;
}

std::size_t PacketQueue::send_apart(rte_mbuf** in, const Coalescer::Group& group,
                                    TunCounters& counters) noexcept {
  std::size_t accepted = 0;
  for (std::uint16_t i = group.first; i != Coalescer::kEnd; i = coalescer_.next(i)) {
    VnetHeader vnet = checksum_is_left(in[i]) ? partial_udp_checksum(in[i]) : VnetHeader{};
    std::array<iovec, 2> pieces{iovec{&vnet, sizeof vnet},
                                iovec{rte_pktmbuf_mtod(in[i], void*), in[i]->data_len}};
    mmsghdr message{};
    message.msg_hdr.msg_iov = pieces.data();
    message.msg_hdr.msg_iovlen = pieces.size();
    counters.write_calls.add(1);
    if (send_(fd_.get(), &message, 1, MSG_DONTWAIT) == 1) {
      counters.write_bytes.add(in[i]->data_len);
      ++accepted;
    } else {
      (is_full(errno) ? counters.write_full : counters.write_errors).add(1);
    }
  }
  return accepted;
}

}  // namespace wg::dataplane
