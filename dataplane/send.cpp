// Inner to outer: cryptokey routing, the session's next counters, padding, headers, the burst seal.
#include <rte_mbuf.h>

#include <algorithm>
#include <cassert>

#include "dataplane/io/port.h"
#include "dataplane/look_up_destinations.h"
#include "dataplane/packet/checksum_burst.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kPaddingMultiple = 16;

std::uint8_t tos_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->traffic_class() : header_at<Ipv4Header>(l3)->tos;
}

// Paper section 5.4.6 pads to 16 bytes; never beyond the MTU, so that padding cannot cause fragments.
std::size_t padded_length(std::size_t length, std::size_t mtu) {
  const std::size_t padded = (length + kPaddingMultiple - 1) / kPaddingMultiple * kPaddingMultiple;
  return padded > mtu ? std::max(mtu, length) : padded;
}

// All but the UDP header's length and checksum, which differ per packet: without them the headers of IPv6 end
// with the path's second line. Blocks that overlap, because a copy of a length unknown to the compiler is a
// call.
constexpr std::size_t kFilledIn = 2 * sizeof(Be16);
void copy_headers(std::uint8_t* to, const Path& path) {
  const std::uint8_t* from = path.header.data();
  const std::size_t size = path.header_length - kFilledIn;
  std::memcpy(to, from, 32);
  if (size > 48) std::memcpy(to + 16, from + 16, 32);
  std::memcpy(to + size - 32, from + size - 32, 32);
}
static_assert(sizeof(Path::header) - kFilledIn <= 32 + 32 + 32 - 16);
static_assert(kEthernetHeaderSize + kIpv4HeaderSize + kUdpHeaderSize - kFilledIn >= 32);
static_assert(offsetof(Path, header) - offsetof(Path, port) + kEthernetHeaderSize + kIpv6HeaderSize +
                  kUdpHeaderSize - kFilledIn <=
              64);

bool can_send(const Keypair* keypair, BootTime now) {
  return keypair != nullptr && keypair->sending_valid.load(std::memory_order_relaxed) &&
         keypair->sending_age(now) < nanoseconds(REJECT_AFTER_TIME) &&
         keypair->sending_counter.load(std::memory_order_relaxed) < REJECT_AFTER_MESSAGES;
}

// `base` may be null: a prefetch does not mind.
void prefetch_at(const void* base, std::size_t offset) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(base) + offset));
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

enum class UdpChecksum : std::uint8_t { none, by_port, here };

UdpChecksum udp_checksum_of(const Path& path, const Peer& peer, const Snapshot& view) {
  if (path.port == kKernelPath) return UdpChecksum::none;
  if (!path.v6() && !view.interfaces[peer.interface_id].udp_checksum4)
    return UdpChecksum::none;  // it is zero
  return view.ports[path.port].udp_checksum_offload ? UdpChecksum::by_port : UdpChecksum::here;
}

void leave_checksum_to_port(rte_mbuf& packet, const Path& path) {
  const bool v6 = path.v6();
  packet.tx_offload =
      rte_mbuf_tx_offload(path.l3_offset, v6 ? kIpv6HeaderSize : kIpv4HeaderSize, 0, 0, 0, 0, 0);
  packet.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
}

}  // namespace

void Worker::queue_send(rte_mbuf* packet, const SendOrigin& origin, Peer* peer) {
  auto* l3 = rte_pktmbuf_mtod(packet, std::uint8_t*);
  const bool v6 = packet->data_len != 0 && l3[0] >> 4 == 6;
  // Junk that a TUN's user wrote may be shorter than a header; the buffer is not.
  const std::uint32_t destination4 = header_at<Be32>(header_at<Ipv4Header>(l3)->destination.data())->value();
  queue_send(packet, l3, packet->data_len, v6, destination4, origin, peer);
}

void SendBurst::move(std::size_t from, std::size_t to) noexcept {
  if (from == to) return;
  packet[to] = packet[from];
  l3[to] = l3[from];
  length[to] = length[from];
  v6[to] = v6[from];
  padded[to] = padded[from];
  peer[to] = peer[from];
  keypair[to] = keypair[from];
  path[to] = path[from];
}

void SendBurst::clear() noexcept {
  n = n6 = 0;
  mixed = false;
}

void Worker::send_burst(const BurstContext& at) {
  const std::size_t wanted = send_.n;
  choose_peers(at);
  find_paths();
  keep_ready(at);
  Tally tally;
  for (std::size_t i = 0; i < send_.n; ++i) {
    if (i + kPrefetchDistance < send_.n)
      __builtin_prefetch(&send_.peer[i + kPrefetchDistance]->last_received, 1);
    encapsulate(at, i, tally);
  }
  count_sent(at, tally);
  count_stage(Stage::send, wanted);
  if (send_.n == 0) {
    send_.clear();
  } else if (CryptoJob* job = reserve_job(at, CryptoJob::Kind::seal, {send_.op.data(), send_.n});
             job != nullptr) {
    job->send.take(send_);
    send_.clear();
    publish_job();
  } else {
    seal(send_, *at.view);
    transmit_sealed(at);
  }
  if (cut_.n != 0) send_pieces(at);
  send_icmp_answers(at);
}

// Cryptokey routing, outbound (paper section 2): the longest prefix that holds the destination names the
// peer.
void Worker::choose_peers(const BurstContext& at) {
  if (send_.n == 0) return;  // commands for peers that have gone
  if (!send_.mixed) return choose_peers_of(at, send_.origin[0].interface_id, 0, send_.n);
  for (std::size_t i = 0; i < send_.n;) {
    if (send_.peer[i] != nullptr) {
      ++i;
      continue;
    }
    const std::uint16_t interface_id = send_.origin[i].interface_id;
    std::size_t end = i + 1;
    while (end < send_.n && send_.peer[end] == nullptr && send_.origin[end].interface_id == interface_id)
      ++end;
    choose_peers_of(at, interface_id, i, end);
    i = end;
  }
}

void Worker::choose_peers_of(const BurstContext& at, std::uint16_t interface_id, std::size_t begin,
                             std::size_t end) {
  assert(begin < end && interface_id < at.view->interfaces.size());
  const InterfaceView& interface = at.view->interfaces[interface_id];
  std::array<lpm::Value, kBurst> slot;
  look_up_destinations<kBurst>(*interface.allowed4, *interface.allowed6, send_.l3.data() + begin,
                               send_.v6.data() + begin, send_.destination4.data() + begin, end - begin,
                               send_.n6, slot.data());
  const PeerTable& peers = *at.view->peers;
  for (std::size_t i = begin; i < end; ++i) {
    const lpm::Value value = slot[i - begin];
    if (value == lpm::kNoMatch) [[unlikely]] {
      refuse(at, i, DropReason::no_peer);
      continue;
    }
    send_.peer[i] = &peers.at(value);
    __builtin_prefetch(send_.peer[i]);
  }
}

// Where to and with which keys, in a pass of its own: the next one finds what this one prefetches.
void Worker::find_paths() {
  for (std::size_t i = 0; i < send_.n; ++i) {
    if (i + kPrefetchDistance < send_.n) __builtin_prefetch(send_.peer[i + kPrefetchDistance]);
    if (send_.packet[i] == nullptr) continue;
    const Peer& peer = *send_.peer[i];
    const Path* path = path_of(peer);
    Keypair* keypair = session_of(peer);
    send_.path[i] = path;
    send_.keypair[i] = keypair;
    __builtin_prefetch(&peer.last_received);
    prefetch_at(keypair, offsetof(Keypair, sending_key));
    prefetch_at(path, offsetof(Path, port));
  }
}

// Nobody to send to: the inside sender is told (protocol C5-7), the packet goes.
void Worker::refuse(const BurstContext& at, std::size_t i, DropReason reason) {
  send_icmp(at, IcmpError::no_route, send_.packet[i], 0, send_.origin[i], 0);
  drop(send_.packet[i], reason);
  send_.packet[i] = nullptr;
}

// Leaves in send_ what can leave now, with its padding and its session's next counters. What is asked of the
// path and the session is asked once per run of packets that share them.
void Worker::keep_ready(const BurstContext& at) {
  std::size_t kept = 0, run = 0;  // run: the first one kept with the outlet at hand
  Outlet outlet;
  for (std::size_t i = 0; i < send_.n; ++i) {
    if (i + kPrefetchDistance < send_.n) {
      prefetch_at(send_.keypair[i + kPrefetchDistance], offsetof(Keypair, sending_key));
      prefetch_at(send_.path[i + kPrefetchDistance], offsetof(Path, port));
    }
    if (send_.packet[i] == nullptr) continue;
    if (!outlet.serves(send_, i)) {
      kept = run = reserve_counters(at, run, kept);
      outlet = {};
      if (!way_open(at, i)) continue;
      const Outlet next = outlet_of(at, i);
      if (!fits(at, i, next)) continue;
      if (!can_send(send_.keypair[i], at.now)) {
        stage(i);
        continue;
      }
      outlet = next;
    } else if (!fits(at, i, outlet)) {
      continue;
    }
    send_.move(i, kept++);
  }
  send_.n = reserve_counters(at, run, kept);
}

Worker::Outlet Worker::outlet_of(const BurstContext& at, std::size_t i) const noexcept {
  const Peer& peer = *send_.peer[i];
  const std::size_t peer_mtu = peer.mtu.load(std::memory_order_relaxed);
  const std::size_t mtu = peer_mtu != 0 ? peer_mtu : at.view->interfaces[peer.interface_id].mtu;
  return {send_.keypair[i], send_.path[i], peer_mtu, mtu != 0 ? mtu : SIZE_MAX,
          kTransportDataHeaderSize + send_.path[i]->header_length};
}

bool Worker::way_open(const BurstContext& at, std::size_t i) {
  const Path* path = send_.path[i];
  if (path == nullptr) {
    send_.peer[i]->drop_no_endpoint.fetch_add(1, std::memory_order_relaxed);
    if (send_.length[i] == 0) return drop(send_.packet[i], DropReason::no_endpoint), false;
    return refuse(at, i, DropReason::no_endpoint), false;
  }
  if (at.port_is_live(path->port) || path->port == kKernelPath) return true;
  // A path may be published before, and outlive, the snapshot that knows its port.
  drop(send_.packet[i], path->port == kLoopPath ? DropReason::routing_loop : DropReason::port_down);
  return false;
}

// MTU, padding, and room for headers and tag.
bool Worker::fits(const BurstContext& at, std::size_t i, const Outlet& outlet) {
  rte_mbuf* packet = send_.packet[i];
  const std::size_t length = send_.length[i];
  if (outlet.peer_mtu != 0 && length > outlet.peer_mtu) [[unlikely]] {
    if (cut(i, outlet.peer_mtu)) return false;
    send_.peer[i]->drop_too_big.fetch_add(1, std::memory_order_relaxed);
    send_icmp(at, IcmpError::too_big, packet, 0, send_.origin[i],
              static_cast<std::uint16_t>(outlet.peer_mtu));
    return drop(packet, DropReason::too_big), false;
  }
  const std::size_t padded = padded_length(length, outlet.pad_limit);
  if (packet->data_off < outlet.headers || packet->data_off + padded + kAuthTagSize > packet->buf_len)
      [[unlikely]] {
    return drop(packet, DropReason::no_headroom), false;
  }
  send_.padded[i] = static_cast<std::uint16_t>(padded);
  return true;
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

// The run [begin, end) of one session: one fetch_add, so whoever sends, no counter is used twice. Returns the
// end of what got one that may be used.
std::size_t Worker::reserve_counters(const BurstContext& at, std::size_t begin, std::size_t end) {
  if (begin == end) return end;
  Keypair* keypair = send_.keypair[begin];
  std::uint64_t counter = keypair->sending_counter.fetch_add(end - begin, std::memory_order_relaxed);
  const bool rekey =
      counter + (end - begin) > REKEY_AFTER_MESSAGES ||
      (keypair->i_am_initiator && keypair->sending_age(at.now) >= nanoseconds(REKEY_AFTER_TIME));
  if (rekey) request_handshake(*send_.peer[begin], kRequestHandshake, EventType::need_handshake);
  while (counter + (end - begin) > REJECT_AFTER_MESSAGES && end != begin)
    drop(send_.packet[--end], DropReason::counter_limit);
  for (std::size_t i = begin; i < end; ++i) send_.counter[i] = counter++;
  return end;
}

// Writes packet i's padding and headers in place.
void Worker::encapsulate(const BurstContext& at, std::size_t i, Tally& tally) {
  rte_mbuf* packet = send_.packet[i];
  Peer& peer = *send_.peer[i];
  const Path& path = *send_.path[i];
  const Keypair& keypair = *send_.keypair[i];
  const std::uint64_t counter = send_.counter[i];
  std::uint8_t* payload = send_.l3[i];
  const std::size_t length = send_.length[i], padded = send_.padded[i];
  const std::size_t headers = kTransportDataHeaderSize + path.header_length;
  if (tally.peer != &peer) {
    count_sent(at, tally);
    // RFC 6040 section 4.1, normal mode: the outer header carries the inner congestion bits.
    tally = {&peer, 0, 0, false,
             at.view->interfaces[peer.interface_id].copy_dscp ? std::uint8_t{0xff} : kEcnMask};
  }
  const std::uint8_t tos = length != 0 ? tos_of(payload, send_.v6[i]) & tally.tos_mask : std::uint8_t{0};
  std::memset(payload + length, 0, kPaddingMultiple);  // beyond the padding the tag overwrites it
  auto* header = header_at<TransportDataHeader>(payload - kTransportDataHeaderSize);
  header->type = Le32{kMessageTransportData};
  header->receiver = Le32{keypair.remote_index};
  header->counter = Le64{counter};
  packet->data_off = static_cast<std::uint16_t>(packet->data_off - headers);
  packet->data_len = static_cast<std::uint16_t>(headers + padded + kAuthTagSize);
  packet->pkt_len = static_cast<std::uint32_t>(headers + padded + kAuthTagSize);
  packet->ol_flags = 0;
  if (path.header_length != 0)
    write_outer(payload - headers, path, static_cast<std::uint16_t>(kUdpHeaderSize + kKeepaliveSize + padded),
                tos);
  send_.tos[i] = tos;
  send_.op[i] = {payload, keypair.sending_key.data(), counter, static_cast<std::uint32_t>(padded), 0};

  tally.bytes += kKeepaliveSize + padded;
  ++tally.packets;
  tally.data |= length != 0;
}

void Worker::count_sent(const BurstContext& at, const Tally& tally) {
  if (tally.packets == 0) return;
  tally.peer->note_sent(at.now, tally.data);
  count(tally.peer->tx_bytes, tally.bytes);
  count(tally.peer->tx_packets, tally.packets);
}

// Copies the path's prebuilt headers and fills in what differs per packet; the UDP checksum follows the seal.
void Worker::write_outer(std::uint8_t* frame, const Path& path, std::uint16_t udp_length, std::uint8_t tos) {
  copy_headers(frame, path);
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

void SendBurst::take(const SendBurst& other) noexcept {
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
  finish_udp_checksums(burst, view);
  count_stage(Stage::seal, burst.n);
}

void Worker::transmit_sealed(const BurstContext& at) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < send_.n; ++i) {
    bytes += send_.op[i].length;
    const std::uint16_t port = send_.path[i]->port;
    if (port == kKernelPath) [[unlikely]] {
      send_through_kernel(i);
    } else {
      transmit(at, port, send_.packet[i]);
    }
  }
  counters_.sealed_packets.add(send_.n);
  counters_.sealed_bytes.add(bytes);
  send_.clear();
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

// The burst's UDP checksums (RFC 768, RFC 8200 8.1), after the seal: by the port where it can, else here.
void Worker::finish_udp_checksums(SendBurst& burst, const Snapshot& view) {
  std::array<ChecksumPiece, kBurst> pieces;
  std::array<UdpHeader*, kBurst> headers;
  std::array<std::uint16_t, kBurst> folded;
  std::size_t n = 0;
  const Path* path = nullptr;  // neighbours mostly share it; a path is of one peer
  UdpChecksum kind = UdpChecksum::none;
  std::uint32_t addresses = 0;
  for (std::size_t i = 0; i < burst.n; ++i) {
    if (burst.path[i] != path) {
      path = burst.path[i];
      kind = udp_checksum_of(*path, *burst.peer[i], view);
      addresses = path->v6() ? 2 * sizeof(Ipv6Bytes) : 2 * sizeof(Ipv4Bytes);
    }
    if (kind == UdpChecksum::none) continue;
    // Of the pseudo header the addresses lie just in front of the UDP header.
    auto* udp = header_at<UdpHeader>(burst.op[i].data - kTransportDataHeaderSize - kUdpHeaderSize);
    const auto size = static_cast<std::uint32_t>(kUdpHeaderSize + kKeepaliveSize + burst.op[i].length);
    const auto* from = reinterpret_cast<const std::uint8_t*>(udp) - addresses;
    const std::uint32_t rest =
        Be16{ip_protocol::kUdp}.native() + Be16{static_cast<std::uint16_t>(size)}.native();
    if (kind == UdpChecksum::by_port) {
      leave_checksum_to_port(*burst.packet[i], *path);
      // The NIC adds the datagram.
      udp->checksum = Be16::from_native(checksum_fold(checksum_add(rest, from, addresses)));
      continue;
    }
    headers[n] = udp;
    pieces[n++] = {from, addresses + size, rest};
  }
  if (n == 0) return;
  checksum_burst(pieces.data(), folded.data(), n);
  for (std::size_t i = 0; i < n; ++i) headers[i]->checksum = checksum_finish_udp(folded[i]);
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

void Worker::hand_over(const BurstContext& at, std::uint16_t port, OutQueue& out) noexcept {
  at.view->ports[port].port->transmit(options_.id, out.packet.data(), static_cast<std::uint16_t>(out.n),
                                      counters_);
  out.n = 0;
}

}  // namespace wg::dataplane
