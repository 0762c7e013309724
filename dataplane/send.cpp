// Inner to outer: cryptokey routing, the session's next counters, padding, headers, the burst seal.
#include <rte_mbuf.h>

#include <algorithm>
#include <cassert>

#include "dataplane/io/port.h"
#include "dataplane/packet/checksum_long.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kPaddingMultiple = 16;
constexpr std::uint8_t kEcnMask = 3;

std::uint8_t tos_of(const std::uint8_t* l3) {
  return l3[0] >> 4 == 6 ? header_at<Ipv6Header>(l3)->traffic_class() : header_at<Ipv4Header>(l3)->tos;
}

const std::uint8_t* destination_of(const std::uint8_t* l3) {
  return l3[0] >> 4 == 6 ? header_at<Ipv6Header>(l3)->destination.data()
                         : header_at<Ipv4Header>(l3)->destination.data();
}

// Paper section 5.4.6 pads to 16 bytes; never beyond the MTU, so that padding cannot cause fragments.
std::size_t padding_of(std::size_t length, std::size_t mtu) {
  const std::size_t padded = (length + kPaddingMultiple - 1) / kPaddingMultiple * kPaddingMultiple;
  return (mtu != 0 && padded > mtu ? std::max(mtu, length) : padded) - length;
}

// `size` 42 to 66. Blocks that overlap, because a copy of a length unknown to the compiler is a call.
void copy_headers(std::uint8_t* to, const std::uint8_t* from, std::size_t size) {
  std::memcpy(to, from, 32);
  if (size > 48) std::memcpy(to + 16, from + 16, 32);
  std::memcpy(to + size - 32, from + size - 32, 32);
}
static_assert(sizeof(Path::header) <= 32 + 32 + 32 - 16);

bool can_send(const Keypair* keypair, BootTime now) {
  return keypair != nullptr && keypair->sending_valid.load(std::memory_order_relaxed) &&
         keypair->sending_age(now) < nanoseconds(REJECT_AFTER_TIME) &&
         keypair->sending_counter.load(std::memory_order_relaxed) < REJECT_AFTER_MESSAGES;
}

const Path kThroughControl{};

const Path* path_of(const Peer& peer) {
  const Path* path = peer.path.load(std::memory_order_acquire);
  const bool roaming = (peer.requested.load(std::memory_order_relaxed) & kRequestRoaming) != 0;
  return roaming && path != nullptr ? &kThroughControl : path;
}

Keypair* session_of(const Peer& peer) {
  Keypair* next = peer.next.load(std::memory_order_acquire);
  if (next != nullptr && next->confirmed.load(std::memory_order_relaxed)) return next;
  return peer.current.load(std::memory_order_acquire);
}

}  // namespace

void Worker::queue_send(rte_mbuf* packet, const SendOrigin& origin, Peer* peer) {
  assert(send_.n < kBurst);  // a poll's packets and the answers they cause always fit
  const std::size_t i = send_.n++;
  send_.packet[i] = packet;
  send_.origin[i] = origin;
  send_.peer[i] = peer;
}

void Worker::SendBurst::move(std::size_t from, std::size_t to) noexcept {
  if (from == to) return;
  packet[to] = packet[from];
  origin[to] = origin[from];
  peer[to] = peer[from];
  keypair[to] = keypair[from];
  path[to] = path[from];
}

void Worker::send_burst() {
  const std::size_t wanted = send_.n;
  choose_peers();
  std::size_t kept = 0;
  for (std::size_t i = 0; i < send_.n; ++i) {
    if (send_.packet[i] == nullptr || !ready_to_send(i)) continue;
    send_.move(i, kept++);
  }
  send_.n = kept;
  reserve_counters();
  kept = 0;
  Tally tally;
  for (std::size_t i = 0; i < send_.n; ++i) {
    if (encapsulate(i, kept, tally)) ++kept;
  }
  count_sent(tally);
  send_.n = kept;
  count_stage(Stage::send, wanted);
  if (kept != 0) {
    if (CryptoJob* job = reserve_job(CryptoJob::Kind::seal, {send_.op.data(), kept}); job != nullptr) {
      job->send.take(send_);
      send_.n = 0;
      publish_job();
    } else {
      seal(send_, *view_);
      transmit_sealed();
    }
  }
  if (cut_.n != 0) send_pieces();
  send_icmp_answers();
}

// Cryptokey routing, outbound (paper section 2): the longest prefix that holds the destination names the
// peer.
void Worker::choose_peers() {
  for (std::size_t i = 0; i < send_.n;) {
    if (send_.peer[i] != nullptr) {
      ++i;
      continue;
    }
    const std::uint16_t interface_id = send_.origin[i].interface_id;
    std::size_t end = i + 1;
    while (end < send_.n && send_.peer[end] == nullptr && send_.origin[end].interface_id == interface_id)
      ++end;
    choose_peers_of(interface_id, i, end);
    i = end;
  }
  for (std::size_t i = 0; i < send_.n; ++i) {
    if (send_.packet[i] == nullptr) continue;
    send_.path[i] = path_of(*send_.peer[i]);
    send_.keypair[i] = session_of(*send_.peer[i]);
    __builtin_prefetch(&send_.peer[i]->last_received);
    __builtin_prefetch(&send_.peer[i]->rx_bytes);
    if (send_.keypair[i] != nullptr) {
      __builtin_prefetch(&send_.keypair[i]->sending_key, 1);
    }
    if (send_.path[i] != nullptr) {
      __builtin_prefetch(&send_.path[i]->port);
      __builtin_prefetch(send_.path[i]->header.end() - 1);
    }
  }
}

void Worker::choose_peers_of(std::uint16_t interface_id, std::size_t begin, std::size_t end) {
  const InterfaceView& interface = view_->interfaces[interface_id];
  std::array<std::uint32_t, kBurst> keys4;
  std::array<const std::uint8_t*, kBurst> keys6;
  std::array<lpm::Value, kBurst> slot4, slot6;
  std::size_t n4 = 0, n6 = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint8_t* l3 = rte_pktmbuf_mtod(send_.packet[i], const std::uint8_t*);
    if (l3[0] >> 4 == 6) {
      keys6[n6++] = destination_of(l3);
    } else {
      keys4[n4++] = header_at<Be32>(destination_of(l3))->value();
    }
  }
  if (n4 != 0) interface.allowed4->lookup_burst(keys4.data(), slot4.data(), n4);
  if (n6 != 0) interface.allowed6->lookup_burst(keys6.data(), slot6.data(), n6);
  n4 = n6 = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const bool v6 = *rte_pktmbuf_mtod(send_.packet[i], const std::uint8_t*) >> 4 == 6;
    const lpm::Value slot = v6 ? slot6[n6++] : slot4[n4++];
    if (slot == lpm::kNoMatch) {
      refuse(i, DropReason::no_peer);
      continue;
    }
    send_.peer[i] = &view_->peers->at(slot);
    __builtin_prefetch(send_.peer[i]);
  }
}

// Nobody to send to: the inside sender is told (protocol C5-7), the packet goes.
void Worker::refuse(std::size_t i, DropReason reason) {
  send_icmp(IcmpError::no_route, send_.packet[i], 0, send_.origin[i], 0);
  drop(send_.packet[i], reason);
  send_.packet[i] = nullptr;
}

bool Worker::ready_to_send(std::size_t i) {
  Peer& peer = *send_.peer[i];
  const std::size_t length = send_.packet[i]->data_len;
  if (send_.path[i] == nullptr) {
    peer.drop_no_endpoint.fetch_add(1, std::memory_order_relaxed);
    if (length == 0) return drop(send_.packet[i], DropReason::no_endpoint), false;
    return refuse(i, DropReason::no_endpoint), false;
  }
  const std::uint16_t port = send_.path[i]->port;
  if (port >= view_->ports.size() || view_->ports[port].port == nullptr) {
    if (port == kLoopPath) return drop(send_.packet[i], DropReason::routing_loop), false;
    // A path may be published before, and outlive, the snapshot that knows its port.
    if (port != kKernelPath) return drop(send_.packet[i], DropReason::port_down), false;
  }
  const std::uint16_t peer_mtu = peer.mtu.load(std::memory_order_relaxed);
  if (peer_mtu != 0 && length > peer_mtu) {
    if (cut(i, peer_mtu)) return false;
    peer.drop_oversized.fetch_add(1, std::memory_order_relaxed);
    send_icmp(IcmpError::too_big, send_.packet[i], 0, send_.origin[i], peer_mtu);
    return drop(send_.packet[i], DropReason::too_big), false;
  }
  if (can_send(send_.keypair[i], now_)) return true;
  return stage(i), false;
}

// No usable session: the packet waits with control, which asks for a handshake.
void Worker::stage(std::size_t i) {
  Peer& peer = *send_.peer[i];
  request_handshake(peer, kRequestHandshake, EventType::need_handshake);
  if (send_.packet[i]->data_len == 0)
    return rte_pktmbuf_free(send_.packet[i]);  // a keepalive has no news to wait for
  Event event{};
  event.type = EventType::stage;
  event.peer = peer.ref();
  event.interface_id = peer.interface_id;
  event.packet = send_.packet[i];
  if (!post(event)) return drop(send_.packet[i], DropReason::staging_full);
  counters_.staged.add(1);
}

// One fetch_add per run of packets to the same keypair: whoever sends, no counter is used twice.
void Worker::reserve_counters() {
  for (std::size_t i = 0; i < send_.n;) {
    Keypair* keypair = send_.keypair[i];
    std::size_t end = i + 1;
    while (end < send_.n && send_.keypair[end] == keypair) ++end;
    std::uint64_t counter = keypair->sending_counter.fetch_add(end - i, std::memory_order_relaxed);
    const bool rekey =
        counter + (end - i) > REKEY_AFTER_MESSAGES ||
        (keypair->i_am_initiator && keypair->sending_age(now_) >= nanoseconds(REKEY_AFTER_TIME));
    if (rekey) request_handshake(*send_.peer[i], kRequestHandshake, EventType::need_handshake);
    for (; i < end; ++i) send_.counter[i] = counter++;
  }
}

// Writes packet i's padding and headers in place, as operation k of the burst. False: dropped.
bool Worker::encapsulate(std::size_t i, std::size_t k, Tally& tally) {
  rte_mbuf* packet = send_.packet[i];
  Peer& peer = *send_.peer[i];
  const Path& path = *send_.path[i];
  const Keypair& keypair = *send_.keypair[i];
  if (send_.counter[i] >= REJECT_AFTER_MESSAGES) return drop(packet, DropReason::counter_limit), false;
  const std::size_t length = packet->data_len;
  const InterfaceView& interface = view_->interfaces[peer.interface_id];
  const std::uint16_t peer_mtu = peer.mtu.load(std::memory_order_relaxed);
  const std::size_t padding = padding_of(length, peer_mtu != 0 ? peer_mtu : interface.mtu);
  const std::size_t headers = kTransportDataHeaderSize + path.header_length;
  if (rte_pktmbuf_headroom(packet) < headers || rte_pktmbuf_tailroom(packet) < padding + kAuthTagSize) {
    return drop(packet, DropReason::no_headroom), false;
  }
  auto* payload = rte_pktmbuf_mtod(packet, std::uint8_t*);
  const std::uint8_t inner_tos = length != 0 ? tos_of(payload) : std::uint8_t{0};
  std::memset(payload + length, 0, kPaddingMultiple);  // beyond the padding the tag overwrites it
  auto* header = header_at<TransportDataHeader>(payload - kTransportDataHeaderSize);
  header->type = Le32{kMessageTransportData};
  header->receiver = Le32{keypair.remote_index};
  header->counter = Le64{send_.counter[i]};
  const auto sealed = static_cast<std::uint16_t>(length + padding);
  packet->data_off = static_cast<std::uint16_t>(packet->data_off - headers);
  packet->data_len = static_cast<std::uint16_t>(headers + sealed + kAuthTagSize);
  packet->pkt_len = packet->data_len;
  packet->ol_flags = 0;

  // RFC 6040 section 4.1, normal mode: the outer header carries the inner congestion bits.
  const std::uint8_t tos = interface.copy_dscp ? inner_tos : static_cast<std::uint8_t>(inner_tos & kEcnMask);
  if (path.header_length != 0)
    write_outer(payload - headers, path, static_cast<std::uint16_t>(kUdpHeaderSize + kKeepaliveSize + sealed),
                tos);
  send_.packet[k] = packet;
  send_.peer[k] = &peer;
  send_.path[k] = &path;
  send_.tos[k] = tos;
  send_.op[k] = {payload, keypair.sending_key.data(), send_.counter[i], sealed, 0};

  peer.note_sent(now_, length != 0);
  if (tally.peer != &peer) {
    count_sent(tally);
    tally = {&peer, 0, 0};
  }
  tally.bytes += kKeepaliveSize + sealed;
  ++tally.packets;
  return true;
}

void Worker::count_sent(const Tally& tally) {
  if (tally.packets == 0) return;
  tally.peer->tx_bytes.fetch_add(tally.bytes, std::memory_order_relaxed);
  tally.peer->tx_packets.fetch_add(tally.packets, std::memory_order_relaxed);
}

// Copies the path's prebuilt headers and fills in what differs per packet; the UDP checksum follows the seal.
void Worker::write_outer(std::uint8_t* frame, const Path& path, std::uint16_t udp_length, std::uint8_t tos) {
  copy_headers(frame, path.header.data(), path.header_length);
  auto* udp = header_at<UdpHeader>(frame + path.header_length - kUdpHeaderSize);
  udp->length = Be16{udp_length};
  udp->checksum = Be16{0};
  std::uint8_t* l3 = frame + path.l3_offset;
  if (path.v6()) {
    auto* ip = header_at<Ipv6Header>(l3);
    ip->payload_length = Be16{udp_length};
    ip->set_traffic_class(tos);
    return;
  }
  auto* ip = header_at<Ipv4Header>(l3);
  ip->tos = tos;
  ip->total_length = Be16{static_cast<std::uint16_t>(udp_length + kIpv4HeaderSize)};
  ip->id = Be16{++ipv4_id_};
  const ChecksumSum sum = ChecksumSum{static_cast<std::uint16_t>(~ip->checksum.native())} +
                          Be16{ip->tos}.native() + ip->total_length.native() + ip->id.native();
  ip->checksum = checksum_finish(sum);
}

void Worker::SendBurst::take(const SendBurst& other) noexcept {
  n = other.n;
  std::copy_n(other.packet.begin(), n, packet.begin());
  std::copy_n(other.peer.begin(), n, peer.begin());
  std::copy_n(other.path.begin(), n, path.begin());
  std::copy_n(other.tos.begin(), n, tos.begin());
  std::copy_n(other.op.begin(), n, op.begin());
}

// By the owner or by a worker that helps: touches nothing but the packets and this worker's scratch.
void Worker::seal(SendBurst& burst, const Snapshot& view) {
  engine_.seal(*scratch_, std::span(burst.op.data(), burst.n));
  for (std::size_t i = 0; i < burst.n; ++i) {
    const Path& path = *burst.path[i];
    if (path.port != kKernelPath)
      finish_udp_checksum(burst.packet[i], path, view.ports[path.port].udp_checksum_offload);
  }
  count_stage(Stage::seal, burst.n);
}

void Worker::transmit_sealed() {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < send_.n; ++i) {
    bytes += send_.op[i].length;
    if (send_.path[i]->port == kKernelPath) {
      send_through_kernel(i);
    } else {
      transmit(send_.path[i]->port, send_.packet[i]);
    }
  }
  counters_.sealed_packets.add(send_.n);
  counters_.sealed_bytes.add(bytes);
  send_.n = 0;
}

void Worker::send_through_kernel(std::size_t i) {
  Event event{};
  event.type = EventType::kernel_send;
  event.tos = send_.tos[i];
  event.peer = send_.peer[i]->ref();
  event.interface_id = send_.peer[i]->interface_id;
  event.packet = send_.packet[i];
  if (!post(event)) return drop(send_.packet[i], DropReason::kernel_path_full);
  counters_.to_kernel_socket.add(1);
}

void Worker::finish_udp_checksum(rte_mbuf* packet, const Path& path, bool offload) {
  const bool v6 = path.v6();
  auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
  auto* udp = header_at<UdpHeader>(frame + path.header_length - kUdpHeaderSize);
  const std::size_t udp_length = packet->data_len - path.header_length + kUdpHeaderSize;
  // Of the pseudo header (RFC 768, RFC 8200 8.1) the addresses lie just in front of the UDP header.
  const std::size_t addresses = v6 ? 2 * sizeof(Ipv6Bytes) : 2 * sizeof(Ipv4Bytes);
  const auto* from = reinterpret_cast<const std::uint8_t*>(udp) - addresses;
  // The field itself is still zero: storing it here would stall the wide loads that follow.
  const ChecksumSum rest = Be16{ip_protocol::kUdp}.native() + udp->length.native();
  if (offload) {
    packet->tx_offload =
        rte_mbuf_tx_offload(path.l3_offset, v6 ? kIpv6HeaderSize : kIpv4HeaderSize, 0, 0, 0, 0, 0);
    packet->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
    // The NIC adds the datagram.
    udp->checksum = Be16::from_native(checksum_fold(checksum_add(rest, from, addresses)));
    return;
  }
  udp->checksum = checksum_finish_udp(checksum_add_long(rest, from, addresses + udp_length));
}

void Worker::request_handshake(Peer& peer, PeerRequest request, EventType type) {
  if ((peer.requested.load(std::memory_order_relaxed) & request) != 0) return;
  Event event{};
  event.type = type;
  event.peer = peer.ref();
  event.interface_id = peer.interface_id;
  if ((peer.requested.fetch_or(request, std::memory_order_relaxed) & request) != 0) return;
  if (!post(event)) peer.requested.fetch_and(~std::uint32_t{request}, std::memory_order_relaxed);
}

void Worker::transmit(std::uint16_t port, rte_mbuf* packet) {
  if (port >= view_->ports.size() || view_->ports[port].port == nullptr)
    return drop(packet, DropReason::port_down);
  OutQueue& out = port_out_[port];
  if (out.n == kBurst) {
    view_->ports[port].port->transmit(options_.id, out.packet.data(), static_cast<std::uint16_t>(out.n),
                                      counters_);
    out.n = 0;
  }
  out.packet[out.n++] = packet;
}

}  // namespace wg::dataplane
