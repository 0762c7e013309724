#include "dataplane/stage/send.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstring>

#include "dataplane/core/extent.h"
#include "dataplane/core/look_up_addresses.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/peer.h"
#include "dataplane/stage/outer_headers.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kPaddingMultiple = 16;
constexpr std::size_t kLargestPadded = 0xffff;  // of SendBurst::padded

std::uint8_t tos_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->traffic_class() : header_at<Ipv4Header>(l3)->tos;
}

// Paper section 5.4.6 pads to 16 bytes; never beyond the MTU, so that padding cannot cause fragments.
std::size_t padded_length(std::size_t length, std::size_t mtu) {
  const std::size_t padded = (length + kPaddingMultiple - 1) / kPaddingMultiple * kPaddingMultiple;
  return padded > mtu ? std::max(mtu, length) : padded;
}

bool can_send(const Keypair* keypair, BootTime now) {
  return keypair != nullptr && keypair->sending_valid.load(std::memory_order_relaxed) &&
         keypair->sending_age(now) < REJECT_AFTER_TIME &&
         keypair->sending_counter.load(std::memory_order_relaxed) < REJECT_AFTER_MESSAGES;
}

// Null: no endpoint is known.
bool path_is_usable(const BurstContext& at, const Path* path) {
  return path != nullptr && (at.port_is_live(path->port) || path->port == kKernelPath);
}

enum class UdpChecksum : std::uint8_t { kNone, kByPort, kHere };

// RFC 768, RFC 8200 8.1.
UdpChecksum udp_checksum_of(const Path& path, const Peer& peer, const Snapshot& view) {
  if (path.port == kKernelPath) return UdpChecksum::kNone;
  if (!path.v6() && !view.interfaces[peer.interface_id].udp_checksum4)
    return UdpChecksum::kNone;  // it is zero
  return view.ports[path.port].udp_checksum_offload ? UdpChecksum::kByPort : UdpChecksum::kHere;
}

std::uint32_t addresses_size(const Path& path) {
  return path.v6() ? 2 * sizeof(Ipv6Bytes) : 2 * sizeof(Ipv4Bytes);
}

// The pseudo header and the datagram of a packet: of the former the addresses lie just in front of the
// latter.
ChecksumPiece piece_of(const std::uint8_t* payload, std::uint32_t addresses, std::uint16_t udp_length) {
  return {payload - kTransportDataHeaderSize - kUdpHeaderSize - addresses, addresses + udp_length,
          std::uint32_t{Be16{ip_protocol::kUdp}.native()} + Be16{udp_length}.native()};
}

// The port adds the datagram.
void leave_checksums_to_port(SendBurst& send, const SendBurst::Run& run, std::size_t begin) {
  const bool v6 = run.path->v6();
  for (std::size_t i = begin; i < run.end; ++i) {
    rte_mbuf& packet = *send.packet[i];
    packet.tx_offload =
        rte_mbuf_tx_offload(run.path->l3_offset, v6 ? kIpv6HeaderSize : kIpv4HeaderSize, 0, 0, 0, 0, 0);
    packet.ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | (v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
    const ChecksumPiece& piece = send.checksums.piece[send.checksums.n + i - begin];
    *send.checksums.field[send.checksums.n + i - begin] =
        Be16::from_native(checksum_fold(checksum_add(piece.start, piece.data, addresses_size(*run.path))));
  }
}

// For who looks at the packet instead of the burst.
rte_mbuf* settled(const SendBurst& send, std::size_t i) {
  set_extent(*send.packet[i], send.l3[i], send.length[i]);
  return send.packet[i];
}

// `base` may be null: a prefetch does not mind.
void prefetch_at(const void* base, std::size_t offset) {
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<std::uintptr_t>(base) + offset));
}

const Path kThroughControl{};

// The inner bytes of one datagram of the path's MTU. Without headers of its own the path is the kernel's.
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

// `mtu`: inner bytes, of the peer or else of its interface; 0: no limit.
std::size_t padding_limit(std::size_t mtu, std::size_t path_limit) {
  return std::min(mtu != 0 ? mtu : SIZE_MAX, path_limit);
}

}  // namespace

bool Send::can_send_to(const Peer& peer, BootTime now) {
  return can_send(session_of(peer), now);
}

std::size_t Send::sealed_size(const Path& path, std::size_t length, std::size_t peer_mtu,
                              std::size_t interface_mtu) {
  const std::size_t mtu = peer_mtu != 0 ? peer_mtu : interface_mtu;
  const std::size_t padded = padded_length(length, padding_limit(mtu, largest_inner(path)));
  const std::size_t ip = path.remote.address.v6 ? kIpv6HeaderSize : kIpv4HeaderSize;
  return ip + kUdpHeaderSize + kTransportDataHeaderSize + padded + kAuthTagSize;
}

void Send::prepare(const BurstContext& at, SendBurst& send, Icmp& icmp, Fragment& fragment) {
  const std::size_t wanted = send.n;
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.to_send(send);
  choose_peers(at, send, icmp);
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.peers_chosen(send);
  Runs found;
  find_runs(send, found);
  drop_unsendable(at, send, found, icmp, fragment);
  std::size_t begin = 0;
  for (std::size_t r = 0; r < send.runs; ++r) {
    if (r + kPrefetchDistance < send.runs)
      __builtin_prefetch(&send.run[r + kPrefetchDistance].peer->last_received, 1);
    encapsulate(at, send, send.run[r], begin);
    if (core_.watcher.on()) [[unlikely]]
      core_.watcher.sending(send, send.run[r], begin, at.now);
    begin = send.run[r].end;
  }
  core_.count_stage(Stage::send, wanted);
}

// Cryptokey routing, outbound (paper section 2): the longest prefix that holds the destination names the
// peer.
void Send::choose_peers(const BurstContext& at, SendBurst& send, Icmp& icmp) {
  if (send.n == 0) return;  // commands for peers that have gone
  std::size_t refused = 0;
  if (!send.mixed) {
    refused = choose_peers_of(at, send, 0, send.n, icmp);
  } else {
    for (std::size_t i = 0; i < send.n;) {
      if (send.peer[i] != nullptr) {
        ++i;
        continue;
      }
      const InterfaceId interface_id = send.origin[i].interface_id;
      std::size_t end = i + 1;
      while (end < send.n && send.peer[end] == nullptr && send.origin[end].interface_id == interface_id)
        ++end;
      refused += choose_peers_of(at, send, i, end, icmp);
      i = end;
    }
  }
  if (refused != 0) [[unlikely]]
    send.close_gaps();
}

// Returns how many packets it has refused, whose places are null now.
std::size_t Send::choose_peers_of(const BurstContext& at, SendBurst& send, std::size_t begin, std::size_t end,
                                  Icmp& icmp) {
  const InterfaceId interface_id = send.origin[begin].interface_id;
  assert(begin < end && at.view->interfaces.has(interface_id));
  const InterfaceView& interface = at.view->interfaces[interface_id];
  std::array<lpm::Value, kBurst> slot;
  look_up_addresses<AddressOf::kDestination, kBurst>(
      *interface.allowed4, *interface.allowed6, send.l3.data() + begin, send.v6.data() + begin,
      send.destination4.data() + begin, end - begin, send.n6, slot.data());
  const PeerTable& peers = *at.view->peers;
  std::size_t refused = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const lpm::Value value = slot[i - begin];
    if (value == lpm::kNoMatch) [[unlikely]] {
      refuse(at, send, i, DropReason::no_peer, icmp);
      ++refused;
      continue;
    }
    send.peer[i] = &peers.at(value);
    __builtin_prefetch(send.peer[i]);
  }
  return refused;
}

// Where to and with which keys, in a pass of its own: the next one finds what this one prefetches.
void Send::find_runs(const SendBurst& send, Runs& found) {
  for (std::size_t begin = 0; begin < send.n;) {
    Peer* const peer = send.peer[begin];
    std::size_t end = begin + 1;
    while (end < send.n && send.peer[end] == peer) ++end;
    if (begin + kPrefetchDistance < send.n) __builtin_prefetch(send.peer[begin + kPrefetchDistance]);
    const Path* path = path_of(*peer);
    Keypair* keypair = session_of(*peer);
    __builtin_prefetch(&peer->last_received);
    prefetch_at(keypair, offsetof(Keypair, sending_key));
    prefetch_at(path, offsetof(Path, port));
    found.run[found.n++] = {peer, path, keypair, 0, static_cast<std::uint32_t>(end), 0};
    begin = end;
  }
}

// No peer to send to: the inside sender gets an ICMP error (protocol C5-7), the packet is dropped.
void Send::refuse(const BurstContext& at, SendBurst& send, std::size_t i, DropReason reason, Icmp& icmp) {
  icmp.answer(at, IcmpError::kNoRoute, settled(send, i), 0, send.origin[i]);
  core_.drop(send.packet[i], reason);
  send.packet[i] = nullptr;
}

// Leaves in `send` what can leave now, with its padding and its session's next counters. What is asked of the
// path and the session is asked once per run.
void Send::drop_unsendable(const BurstContext& at, SendBurst& send, const Runs& found, Icmp& icmp,
                           Fragment& fragment) {
  std::size_t begin = 0, kept = 0;
  send.runs = 0;
  for (std::size_t r = 0; r < found.n; ++r) {
    if (r + kPrefetchDistance < found.n) {
      prefetch_at(found.run[r + kPrefetchDistance].keypair, offsetof(Keypair, sending_key));
      prefetch_at(found.run[r + kPrefetchDistance].path, offsetof(Path, port));
    }
    kept = keep_sendable(at, send, found.run[r], begin, kept, icmp, fragment);
    begin = found.run[r].end;
  }
  send.n = kept;
}

// Moves what of packets [begin, found.end) can leave to `kept` and the following places; returns their end.
// Those that are larger than the path are a run of their own: the kernel's socket cuts them into fragments
// (DF is clear).
std::size_t Send::keep_sendable(const BurstContext& at, SendBurst& send, const Run& found, std::size_t begin,
                                std::size_t kept, Icmp& icmp, Fragment& fragment) {
  if (!path_is_usable(at, found.path)) [[unlikely]] {
    for (std::size_t i = begin; i < found.end; ++i) drop_without_path(at, send, i, found, icmp);
    return kept;
  }
  const RunLimits limits = limits_of(at, found);
  if (kept == begin && limits.sendable && pad_all(send, begin, found.end, limits)) [[likely]]
    return end_run(at, send, found, begin, found.end);
  return keep_some(at, send, found, begin, kept, limits, icmp, fragment);
}

// The lengths with padding of packets [begin, end). False: not all of them can leave as they are, by the
// path.
bool Send::pad_all(SendBurst& send, std::size_t begin, std::size_t end, const RunLimits& limits) noexcept {
  // No length up to this one is padded beyond a limit.
  const std::size_t largest =
      std::min({limits.mtu, limits.pad_limit, limits.path_limit, kLargestPadded}) & ~(kPaddingMultiple - 1);
  bool all = true;
  for (std::size_t i = begin; i < end; ++i) {
    const rte_mbuf& packet = *send.packet[i];
    const std::size_t length = send.length[i];
    const std::size_t padded = (length + kPaddingMultiple - 1) & ~(kPaddingMultiple - 1);
    const std::size_t in_front = headroom(packet, send.l3[i]);
    all &=
        length <= largest && in_front >= limits.headers && in_front + padded + kAuthTagSize <= packet.buf_len;
    send.padded[i] = static_cast<std::uint16_t>(padded);
  }
  return all;
}

// The same, packet by packet.
std::size_t Send::keep_some(const BurstContext& at, SendBurst& send, const Run& found, std::size_t begin,
                            std::size_t kept, const RunLimits& limits, Icmp& icmp, Fragment& fragment) {
  Run run = found;
  std::size_t first = kept;
  for (std::size_t i = begin; i < found.end; ++i) {
    if (!check_size(at, send, i, limits, icmp, fragment)) [[unlikely]]
      continue;
    if (!limits.sendable) [[unlikely]] {
      stage(send, i);
      continue;
    }
    const bool too_large = send.padded[i] > limits.path_limit;
    if (too_large != (run.path == &kThroughControl) && found.path != &kThroughControl) [[unlikely]] {
      first = kept = end_run(at, send, run, first, kept);
      run.path = too_large ? &kThroughControl : found.path;
    }
    send.move(i, kept++);
  }
  return end_run(at, send, run, first, kept);
}

// Packets [begin, end) can leave. Returns the end of what got a counter.
std::size_t Send::end_run(const BurstContext& at, SendBurst& send, Run run, std::size_t begin,
                          std::size_t end) {
  end = reserve_counters(at, send, run, begin, end);
  run.end = static_cast<std::uint32_t>(end);
  if (begin != end) send.run[send.runs++] = run;
  return end;
}

Send::RunLimits Send::limits_of(const BurstContext& at, const Run& run) {
  const std::size_t peer_mtu = run.peer->mtu.load(std::memory_order_relaxed);
  const std::size_t mtu = peer_mtu != 0 ? peer_mtu : at.view->interfaces[run.peer->interface_id].mtu;
  const std::size_t path_limit = largest_inner(*run.path);
  return {peer_mtu != 0 ? peer_mtu : SIZE_MAX, padding_limit(mtu, path_limit), path_limit,
          kTransportDataHeaderSize + run.path->header_length, can_send(run.keypair, at.now)};
}

void Send::drop_without_path(const BurstContext& at, SendBurst& send, std::size_t i, const Run& run,
                             Icmp& icmp) {
  if (run.path == nullptr) {
    run.peer->drop_no_endpoint.fetch_add(1, std::memory_order_relaxed);
    if (send.length[i] == 0) return core_.drop(send.packet[i], DropReason::no_endpoint);
    return refuse(at, send, i, DropReason::no_endpoint, icmp);
  }
  // A path may be published before, and outlive, the snapshot that holds its port.
  core_.drop(send.packet[i], run.path->port == kLoopPath ? DropReason::routing_loop : DropReason::port_down);
}

// MTU, padding, and room for headers and tag. False: packet i is gone.
bool Send::check_size(const BurstContext& at, SendBurst& send, std::size_t i, const RunLimits& limits,
                      Icmp& icmp, Fragment& fragment) {
  rte_mbuf* packet = send.packet[i];
  const std::size_t length = send.length[i];
  if (length > limits.mtu) [[unlikely]] {
    cut_or_refuse(at, send, i, limits.mtu, icmp, fragment);
    return false;
  }
  const std::size_t padded = padded_length(length, limits.pad_limit);
  const std::size_t in_front = headroom(*packet, send.l3[i]);
  if (in_front < limits.headers || in_front + padded + kAuthTagSize > packet->buf_len) [[unlikely]] {
    core_.drop(packet, DropReason::no_headroom);
    return false;
  }
  send.padded[i] = static_cast<std::uint16_t>(padded);
  return true;
}

// Larger than the peer's MTU.
void Send::cut_or_refuse(const BurstContext& at, SendBurst& send, std::size_t i, std::size_t mtu, Icmp& icmp,
                         Fragment& fragment) {
  rte_mbuf* packet = settled(send, i);
  if (fragment.cut(packet, mtu, send.origin[i], send.peer[i])) return;
  send.peer[i]->drop_too_big.fetch_add(1, std::memory_order_relaxed);
  icmp.answer(at, IcmpError::kTooBig, packet, 0, send.origin[i], static_cast<std::uint16_t>(mtu));
  core_.drop(packet, DropReason::too_big);
}

// No usable session: the packet waits with control, which asks for a handshake.
void Send::stage(SendBurst& send, std::size_t i) {
  Peer& peer = *send.peer[i];
  core_.request_handshake(peer, kRequestHandshake, EventType::kNeedHandshake);
  if (send.length[i] == 0) return rte_pktmbuf_free(send.packet[i]);  // a keepalive need not wait
  Event event{};
  event.type = EventType::kStage;
  event.peer = peer.ref();
  event.interface_id = peer.interface_id;
  event.packet = settled(send, i);
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.step(send.packet[i], WatchPoint::staged);
  if (!core_.post(event)) return core_.drop(send.packet[i], DropReason::staging_full);
  core_.counters.staged.add(1);
}

// One fetch_add, so whoever sends, no counter is used twice. A sole worker is the only writer.
std::uint64_t Send::take_counters(Keypair& keypair, std::uint64_t n) const noexcept {
  if (!core_.options.sole) return keypair.sending_counter.fetch_add(n, std::memory_order_relaxed);
  const std::uint64_t counter = keypair.sending_counter.load(std::memory_order_relaxed);
  keypair.sending_counter.store(counter + n, std::memory_order_relaxed);
  return counter;
}

// Packets [begin, end) of the run get the session's next counters. Returns the end
// of what got one that may be used.
std::size_t Send::reserve_counters(const BurstContext& at, SendBurst& send, Run& run, std::size_t begin,
                                   std::size_t end) {
  if (begin == end) return end;
  Keypair* keypair = run.keypair;
  const std::uint64_t counter = take_counters(*keypair, end - begin);
  const bool rekey = counter + (end - begin) > REKEY_AFTER_MESSAGES ||
                     (keypair->i_am_initiator && keypair->sending_age(at.now) >= REKEY_AFTER_TIME);
  if (rekey) core_.request_handshake(*run.peer, kRequestHandshake, EventType::kNeedHandshake);
  while (counter + (end - begin) > REJECT_AFTER_MESSAGES && end != begin)
    core_.drop(send.packet[--end], DropReason::counter_limit);
  run.counter = counter;
  return end;
}

// Writes padding and headers of packets [begin, run.end) in place; UDP checksums that are computed here
// follow the seal.
void Send::encapsulate(const BurstContext& at, SendBurst& send, Run& run, std::size_t begin) {
  if (UsualHeaders::fit(*run.path)) [[likely]] {
    encapsulate_with(UsualHeaders(*run.path, *run.keypair), at, send, run, begin);
  } else {
    encapsulate_with(AnyHeaders(*run.path, *run.keypair), at, send, run, begin);
  }
  const UdpChecksum kind = udp_checksum_of(*run.path, *run.peer, *at.view);
  if (kind == UdpChecksum::kByPort) leave_checksums_to_port(send, run, begin);
  if (kind == UdpChecksum::kHere) send.checksums.n += run.end - begin;
}

template <typename Headers>
void Send::encapsulate_with(const Headers headers, const BurstContext& at, SendBurst& send, Run& run,
                            std::size_t begin) {
  Peer& peer = *run.peer;
  const std::uint8_t* const key = run.keypair->sending_key.data();
  // RFC 6040 section 4.1, normal mode: the outer header carries the inner congestion bits.
  const std::uint8_t tos_mask =
      at.view->interfaces[peer.interface_id].copy_dscp ? std::uint8_t{0xff} : kEcnMask;
  const std::size_t end = run.end;
  const std::uint32_t addresses = addresses_size(*run.path);
  ChecksumPiece* piece = send.checksums.piece.data() + send.checksums.n;
  Be16** field = send.checksums.field.data() + send.checksums.n;
  std::uint64_t counter = run.counter;
  std::size_t bytes = 0;
  std::uint16_t id = ipv4_id_;
  bool data = false;  // not keepalives alone
  for (std::size_t i = begin; i < end; ++i, ++counter) {
    rte_mbuf* const packet = send.packet[i];
    std::uint8_t* const payload = send.l3[i];
    const std::size_t length = send.length[i], padded = send.padded[i];
    const std::uint8_t tos = length != 0 ? tos_of(payload, send.v6[i]) & tos_mask : std::uint8_t{0};
    std::memset(payload + length, 0, kPaddingMultiple);  // beyond the padding the tag overwrites it
    const auto udp_length = static_cast<std::uint16_t>(kUdpHeaderSize + kKeepaliveSize + padded);
    headers.write(payload, {counter, udp_length, tos}, id);
    set_extent(*packet, payload - headers.size(), headers.size() + padded + kAuthTagSize);
    packet->ol_flags = 0;
    if constexpr (!Headers::kByPort) send.tos[i] = tos;
    *piece++ = piece_of(payload, addresses, udp_length);
    *field++ = &header_at<UdpHeader>(payload - kTransportDataHeaderSize - kUdpHeaderSize)->checksum;
    send.op[i] = {payload, key, counter, static_cast<std::uint32_t>(padded), 0};
    bytes += padded;
    data |= length != 0;
  }
  ipv4_id_ = id;
  const std::size_t packets = end - begin;
  run.bytes = static_cast<std::uint32_t>(bytes);
  peer.note_sent(at.now, data);
  core_.count(peer.tx_bytes, bytes + packets * kKeepaliveSize);
  core_.count(peer.tx_packets, packets);
}

void Send::transmit(const BurstContext& at, SendBurst& send) {
  std::uint64_t bytes = 0;
  std::size_t begin = 0;
  for (std::size_t r = 0; r < send.runs; ++r) {
    const Run& run = send.run[r];
    bytes += run.bytes;
    if (run.path->port == kKernelPath) [[unlikely]] {
      for (std::size_t i = begin; i < run.end; ++i) send_through_kernel(send, i, *run.peer);
    } else {
      egress_.transmit(at, run.path->port, {send.packet.data() + begin, run.end - begin});
    }
    begin = run.end;
  }
  core_.counters.sealed_packets.add(send.n);
  core_.counters.sealed_bytes.add(bytes);
  send.clear();
}

void Send::send_through_kernel(SendBurst& send, std::size_t i, Peer& peer) {
  Event event{};
  event.type = EventType::kKernelSend;
  event.tos = send.tos[i];
  event.peer = peer.ref();
  event.interface_id = peer.interface_id;
  event.packet = send.packet[i];
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.step(send.packet[i], WatchPoint::to_kernel_socket);
  if (!core_.post(event)) return core_.drop(send.packet[i], DropReason::kernel_path_full);
  core_.counters.to_kernel_socket.add(1);
}

}  // namespace wg::dataplane
