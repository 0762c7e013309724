#include "dataplane/stage/send.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstring>

#include "dataplane/core/look_up_destinations.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/peer.h"

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

// What one datagram of the path's MTU holds. Without headers of its own the path is the kernel's.
std::size_t largest_inner(const Path& path) {
  if (path.header_length == 0) return SIZE_MAX;
  const std::size_t around = path.header_length - path.l3_offset + kTransportDataHeaderSize + kAuthTagSize;
  return path.mtu > around ? path.mtu - around : 0;
}

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

void Send::prepare(const BurstContext& at, SendBurst& send, Icmp& icmp, Fragment& fragment) {
  const std::size_t wanted = send.n;
  choose_peers(at, send, icmp);
  find_paths(send);
  drop_unsendable(at, send, icmp, fragment);
  Tally tally;
  for (std::size_t i = 0; i < send.n; ++i) {
    if (i + kPrefetchDistance < send.n)
      __builtin_prefetch(&send.peer[i + kPrefetchDistance]->last_received, 1);
    encapsulate(at, send, i, tally);
  }
  count_sent(at.now, tally);
  core_.count_stage(Stage::send, wanted);
}

// Cryptokey routing, outbound (paper section 2): the longest prefix that holds the destination names the
// peer.
void Send::choose_peers(const BurstContext& at, SendBurst& send, Icmp& icmp) {
  if (send.n == 0) return;  // commands for peers that have gone
  if (!send.mixed) return choose_peers_of(at, send, 0, send.n, icmp);
  for (std::size_t i = 0; i < send.n;) {
    if (send.peer[i] != nullptr) {
      ++i;
      continue;
    }
    const InterfaceId interface_id = send.origin[i].interface_id;
    std::size_t end = i + 1;
    while (end < send.n && send.peer[end] == nullptr && send.origin[end].interface_id == interface_id) ++end;
    choose_peers_of(at, send, i, end, icmp);
    i = end;
  }
}

void Send::choose_peers_of(const BurstContext& at, SendBurst& send, std::size_t begin, std::size_t end,
                           Icmp& icmp) {
  const InterfaceId interface_id = send.origin[begin].interface_id;
  assert(begin < end && at.view->interfaces.has(interface_id));
  const InterfaceView& interface = at.view->interfaces[interface_id];
  std::array<lpm::Value, kBurst> slot;
  look_up_destinations<kBurst>(*interface.allowed4, *interface.allowed6, send.l3.data() + begin,
                               send.v6.data() + begin, send.destination4.data() + begin, end - begin, send.n6,
                               slot.data());
  const PeerTable& peers = *at.view->peers;
  for (std::size_t i = begin; i < end; ++i) {
    const lpm::Value value = slot[i - begin];
    if (value == lpm::kNoMatch) [[unlikely]] {
      refuse(at, send, i, DropReason::no_peer, icmp);
      continue;
    }
    send.peer[i] = &peers.at(value);
    __builtin_prefetch(send.peer[i]);
  }
}

// Where to and with which keys, in a pass of its own: the next one finds what this one prefetches.
void Send::find_paths(SendBurst& send) {
  for (std::size_t i = 0; i < send.n; ++i) {
    if (i + kPrefetchDistance < send.n) __builtin_prefetch(send.peer[i + kPrefetchDistance]);
    if (send.packet[i] == nullptr) continue;
    const Peer& peer = *send.peer[i];
    const Path* path = path_of(peer);
    Keypair* keypair = session_of(peer);
    send.path[i] = path;
    send.keypair[i] = keypair;
    __builtin_prefetch(&peer.last_received);
    prefetch_at(keypair, offsetof(Keypair, sending_key));
    prefetch_at(path, offsetof(Path, port));
  }
}

// Nobody to send to: the inside sender is told (protocol C5-7), the packet goes.
void Send::refuse(const BurstContext& at, SendBurst& send, std::size_t i, DropReason reason, Icmp& icmp) {
  icmp.answer(at, IcmpError::kNoRoute, send.packet[i], 0, send.origin[i]);
  core_.drop(send.packet[i], reason);
  send.packet[i] = nullptr;
}

// Leaves in `send` what can leave now, with its padding and its session's next counters. What is asked of the
// path and the session is asked once per run of packets that share them.
void Send::drop_unsendable(const BurstContext& at, SendBurst& send, Icmp& icmp, Fragment& fragment) {
  std::size_t kept = 0, run = 0;  // run: the first one kept with the state at hand
  EgressState state;
  for (std::size_t i = 0; i < send.n; ++i) {
    if (i + kPrefetchDistance < send.n) {
      prefetch_at(send.keypair[i + kPrefetchDistance], offsetof(Keypair, sending_key));
      prefetch_at(send.path[i + kPrefetchDistance], offsetof(Path, port));
    }
    if (send.packet[i] == nullptr) continue;
    if (!state.serves(send, i)) {
      kept = run = reserve_counters(at, send, run, kept);
      state = {};
      if (!has_usable_path(at, send, i, icmp)) continue;
      const EgressState next = egress_state(*at.view, send, i);
      if (!check_size(at, send, i, next, icmp, fragment)) continue;
      if (!can_send(send.keypair[i], at.now)) {
        stage(send, i);
        continue;
      }
      state = next;
    } else if (!check_size(at, send, i, state, icmp, fragment)) {
      continue;
    }
    send.move(i, kept++);
  }
  send.n = reserve_counters(at, send, run, kept);
}

Send::EgressState Send::egress_state(const Snapshot& view, const SendBurst& send, std::size_t i) {
  const Peer& peer = *send.peer[i];
  const std::size_t peer_mtu = peer.mtu.load(std::memory_order_relaxed);
  const std::size_t mtu = peer_mtu != 0 ? peer_mtu : view.interfaces[peer.interface_id].mtu;
  const std::size_t path_limit = largest_inner(*send.path[i]);
  return {send.keypair[i], send.path[i],
          peer_mtu,        std::min(mtu != 0 ? mtu : SIZE_MAX, path_limit),
          path_limit,      kTransportDataHeaderSize + send.path[i]->header_length};
}

bool Send::has_usable_path(const BurstContext& at, SendBurst& send, std::size_t i, Icmp& icmp) {
  const Path* path = send.path[i];
  if (path == nullptr) {
    send.peer[i]->drop_no_endpoint.fetch_add(1, std::memory_order_relaxed);
    if (send.length[i] == 0) {
      core_.drop(send.packet[i], DropReason::no_endpoint);
    } else {
      refuse(at, send, i, DropReason::no_endpoint, icmp);
    }
    return false;
  }
  if (at.port_is_live(path->port) || path->port == kKernelPath) return true;
  // A path may be published before, and outlive, the snapshot that knows its port.
  core_.drop(send.packet[i], path->port == kLoopPath ? DropReason::routing_loop : DropReason::port_down);
  return false;
}

// MTU, padding, and room for headers and tag. False: packet i is gone.
bool Send::check_size(const BurstContext& at, SendBurst& send, std::size_t i, const EgressState& state,
                      Icmp& icmp, Fragment& fragment) {
  rte_mbuf* packet = send.packet[i];
  const std::size_t length = send.length[i];
  if (state.peer_mtu != 0 && length > state.peer_mtu) [[unlikely]] {
    cut_or_refuse(at, send, i, state.peer_mtu, icmp, fragment);
    return false;
  }
  const std::size_t padded = padded_length(length, state.pad_limit);
  if (packet->data_off < state.headers || packet->data_off + padded + kAuthTagSize > packet->buf_len)
      [[unlikely]] {
    core_.drop(packet, DropReason::no_headroom);
    return false;
  }
  // Larger than the path: the kernel's socket cuts it into fragments (DF is clear).
  if (padded > state.path_limit) [[unlikely]]
    send.path[i] = &kThroughControl;
  send.padded[i] = static_cast<std::uint16_t>(padded);
  return true;
}

// Larger than the peer's MTU.
void Send::cut_or_refuse(const BurstContext& at, SendBurst& send, std::size_t i, std::size_t mtu, Icmp& icmp,
                         Fragment& fragment) {
  rte_mbuf* packet = send.packet[i];
  if (fragment.cut(packet, mtu, send.origin[i], send.peer[i])) return;
  send.peer[i]->drop_too_big.fetch_add(1, std::memory_order_relaxed);
  icmp.answer(at, IcmpError::kTooBig, packet, 0, send.origin[i], static_cast<std::uint16_t>(mtu));
  core_.drop(packet, DropReason::too_big);
}

// No usable session: the packet waits with control, which asks for a handshake.
void Send::stage(SendBurst& send, std::size_t i) {
  Peer& peer = *send.peer[i];
  core_.request_handshake(peer, kRequestHandshake, EventType::kNeedHandshake);
  if (send.packet[i]->data_len == 0)
    return rte_pktmbuf_free(send.packet[i]);  // a keepalive has no news to wait for
  Event event{};
  event.type = EventType::kStage;
  event.peer = peer.ref();
  event.interface_id = peer.interface_id;
  event.packet = send.packet[i];
  if (!core_.post(event)) return core_.drop(send.packet[i], DropReason::staging_full);
  core_.counters.staged.add(1);
}

// The run [begin, end) of one session: one fetch_add, so whoever sends, no counter is used twice. Returns the
// end of what got one that may be used.
std::size_t Send::reserve_counters(const BurstContext& at, SendBurst& send, std::size_t begin,
                                   std::size_t end) {
  if (begin == end) return end;
  Keypair* keypair = send.keypair[begin];
  std::uint64_t counter = keypair->sending_counter.fetch_add(end - begin, std::memory_order_relaxed);
  const bool rekey =
      counter + (end - begin) > REKEY_AFTER_MESSAGES ||
      (keypair->i_am_initiator && keypair->sending_age(at.now) >= nanoseconds(REKEY_AFTER_TIME));
  if (rekey) core_.request_handshake(*send.peer[begin], kRequestHandshake, EventType::kNeedHandshake);
  while (counter + (end - begin) > REJECT_AFTER_MESSAGES && end != begin)
    core_.drop(send.packet[--end], DropReason::counter_limit);
  for (std::size_t i = begin; i < end; ++i) send.counter[i] = counter++;
  return end;
}

// Writes packet i's padding and headers in place.
void Send::encapsulate(const BurstContext& at, SendBurst& send, std::size_t i, Tally& tally) {
  rte_mbuf* packet = send.packet[i];
  Peer& peer = *send.peer[i];
  const Path& path = *send.path[i];
  const Keypair& keypair = *send.keypair[i];
  const std::uint64_t counter = send.counter[i];
  std::uint8_t* payload = send.l3[i];
  const std::size_t length = send.length[i], padded = send.padded[i];
  const std::size_t headers = kTransportDataHeaderSize + path.header_length;
  if (tally.peer != &peer) {
    count_sent(at.now, tally);
    // RFC 6040 section 4.1, normal mode: the outer header carries the inner congestion bits.
    tally = {&peer, 0, 0, false,
             at.view->interfaces[peer.interface_id].copy_dscp ? std::uint8_t{0xff} : kEcnMask};
  }
  const std::uint8_t tos = length != 0 ? tos_of(payload, send.v6[i]) & tally.tos_mask : std::uint8_t{0};
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
  send.tos[i] = tos;
  send.op[i] = {payload, keypair.sending_key.data(), counter, static_cast<std::uint32_t>(padded), 0};

  tally.bytes += kKeepaliveSize + padded;
  ++tally.packets;
  tally.data |= length != 0;
}

void Send::count_sent(BootTime now, const Tally& tally) {
  if (tally.packets == 0) return;
  tally.peer->note_sent(now, tally.data);
  core_.count(tally.peer->tx_bytes, tally.bytes);
  core_.count(tally.peer->tx_packets, tally.packets);
}

// Copies the path's prebuilt headers and fills in what differs per packet; the UDP checksum follows the seal.
void Send::write_outer(std::uint8_t* frame, const Path& path, std::uint16_t udp_length, std::uint8_t tos) {
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

void Send::transmit(const BurstContext& at, SendBurst& send) {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < send.n; ++i) {
    bytes += send.op[i].length;
    const PortIndex port = send.path[i]->port;
    if (port == kKernelPath) [[unlikely]] {
      send_through_kernel(send, i);
    } else {
      egress_.transmit(at, port, send.packet[i]);
    }
  }
  core_.counters.sealed_packets.add(send.n);
  core_.counters.sealed_bytes.add(bytes);
  send.clear();
}

void Send::send_through_kernel(SendBurst& send, std::size_t i) {
  Event event{};
  event.type = EventType::kKernelSend;
  event.tos = send.tos[i];
  event.peer = send.peer[i]->ref();
  event.interface_id = send.peer[i]->interface_id;
  event.packet = send.packet[i];
  if (!core_.post(event)) return core_.drop(send.packet[i], DropReason::kernel_path_full);
  core_.counters.to_kernel_socket.add(1);
}

}  // namespace wg::dataplane
