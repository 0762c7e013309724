// Outer to inner: sessions, the burst open, and the protocol's order of checks behind it. A packet that fails
// the inner checks has still roamed the endpoint, confirmed the session and fed the timers; a replayed one
// has done none of it; a bad tag has touched nothing.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/packet/checksum.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {

constexpr std::uint8_t kEcnInvalid = 0xff;

// RFC 6040 section 4.2, figure 4: [inner][outer], with not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3.
constexpr std::uint8_t kEcnMerged[4][4] = {{0, 0, 0, kEcnInvalid}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

const TransportDataHeader& header_of(const std::uint8_t* message) {
  return *header_at<TransportDataHeader>(message);
}

// Do the outer addresses equal those the peer is known by? Reads the first line of the path only.
bool same_addresses(const Path& path, const std::uint8_t* l3, const UdpHeader& udp) {
  if (udp.source_port.value() != path.remote.port) return false;
  if (path.remote.address.v6) {
    const auto* ip = header_at<Ipv6Header>(l3);
    return ip->version() == 6 && std::memcmp(ip->source.data(), path.remote.address.bytes.data(), 16) == 0 &&
           std::memcmp(ip->destination.data(), path.local.address.bytes.data(), 16) == 0;
  }
  const auto* ip = header_at<Ipv4Header>(l3);
  return ip->version() == 4 && std::memcmp(ip->source.data(), path.remote.address.bytes.data(), 4) == 0 &&
         std::memcmp(ip->destination.data(), path.local.address.bytes.data(), 4) == 0;
}

// The tag says nothing of the addresses, so before an endpoint moves the datagram's own checksum must hold.
bool outer_checksum_good(const rte_mbuf* packet, const std::uint8_t* l3, const UdpHeader& udp) {
  const std::uint64_t flags = packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  if (flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD) return true;
  const bool v6 = l3[0] >> 4 == 6;
  if (udp.checksum.value() == 0) return !v6;
  const std::uint16_t length = udp.length.value();
  const ChecksumSum pseudo = v6 ? pseudo_header(*header_at<Ipv6Header>(l3), ip_protocol::kUdp, length)
                                : pseudo_header(*header_at<Ipv4Header>(l3), ip_protocol::kUdp, length);
  return checksum_valid(checksum_add(pseudo, reinterpret_cast<const std::uint8_t*>(&udp), length));
}

// RFC 6040 section 4.2. False: a combination that nobody may make, the packet is dropped.
bool merge_ecn(const IpView& ip, std::uint8_t outer_tos, std::uint8_t* l3) {
  const std::uint8_t inner = ip.tos & kEcnMask, merged = kEcnMerged[inner][outer_tos & kEcnMask];
  if (merged == inner) return true;
  if (merged == kEcnInvalid) return false;
  const auto marked = static_cast<std::uint8_t>((ip.tos & ~kEcnMask) | merged);
  if (ip.v6) {
    header_at<Ipv6Header>(l3)->set_traffic_class(marked);
  } else {
    ipv4_set_tos(header_at<Ipv4Header>(l3), marked);
  }
  return true;
}

const UdpHeader& udp_of(const std::uint8_t* message) {
  return *header_at<UdpHeader>(message - kUdpHeaderSize);
}

}  // namespace

bool DataBurst::same_session(std::size_t a, std::size_t b) const noexcept {
  return keypair[a] == keypair[b] && interface_id[a] == interface_id[b] &&
         header_of(message[a]).receiver.value() == header_of(message[b]).receiver.value();
}

void DataBurst::move(std::size_t from, std::size_t to) noexcept {
  if (from == to) return;
  packet[to] = packet[from];
  l3[to] = l3[from];
  message[to] = message[from];
  message_length[to] = message_length[from];
  interface_id[to] = interface_id[from];
  outer_tos[to] = outer_tos[from];
  keypair[to] = keypair[from];
}

// receiver index -> keypair, in passes so that each finds what the one before (classify, for the first)
// prefetched.
void Worker::find_sessions(const BurstContext& at) {
  const KeypairTable& keypairs = *at.view->keypairs;
  std::size_t n = 0;
  std::uint32_t index = 0;  // neighbours mostly share it
  Keypair* keypair = nullptr;
  for (std::size_t i = 0; i < data_.n; ++i) {
    if (i + kPrefetchDistance < data_.n)
      keypairs.prefetch(header_of(data_.message[i + kPrefetchDistance]).receiver.value());
    const std::uint32_t receiver = header_of(data_.message[i]).receiver.value();
    if (receiver != index) keypair = keypairs.find(index = receiver);
    if (keypair == nullptr) {
      drop(data_.packet[i], DropReason::unknown_index);
      continue;
    }
    __builtin_prefetch(keypair);
    data_.move(i, n);
    data_.keypair[n++] = keypair;
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kPrefetchDistance < n) __builtin_prefetch(data_.keypair[i + kPrefetchDistance]);
    __builtin_prefetch(data_.keypair[i]->peer);
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kPrefetchDistance < n) __builtin_prefetch(data_.keypair[i + kPrefetchDistance]->peer);
    if (!(kept != 0 && data_.same_session(i, kept - 1)) && !session_usable(at, i)) continue;
    if (header_of(data_.message[i]).counter.value() >= REJECT_AFTER_MESSAGES) [[unlikely]] {
      drop(data_.packet[i], DropReason::counter_limit);
      continue;
    }
    data_.move(i, kept);
    __builtin_prefetch(data_.keypair[kept]->peer->path.load(std::memory_order_acquire));
    ++kept;
  }
  data_.n = kept;
}

bool Worker::session_usable(const BurstContext& at, std::size_t i) {
  const Keypair* keypair = data_.keypair[i];
  const TransportDataHeader& header = header_of(data_.message[i]);
  // The table's entry may have been reused between its two loads: the keypair's own index decides.
  if (keypair->local_index != header.receiver.value())
    return drop(data_.packet[i], DropReason::unknown_index), false;
  if (keypair->peer->interface_id != data_.interface_id[i])
    return drop(data_.packet[i], DropReason::wrong_port), false;
  if (keypair->expired(at.now)) return drop(data_.packet[i], DropReason::expired_key), false;
  return true;
}

void DataBurst::take(const DataBurst& other) noexcept {
  n = other.n;
  std::copy_n(other.packet.begin(), n, packet.begin());
  std::copy_n(other.l3.begin(), n, l3.begin());
  std::copy_n(other.message.begin(), n, message.begin());
  std::copy_n(other.message_length.begin(), n, message_length.begin());
  std::copy_n(other.interface_id.begin(), n, interface_id.begin());
  std::copy_n(other.outer_tos.begin(), n, outer_tos.begin());
  std::copy_n(other.keypair.begin(), n, keypair.begin());
  std::copy_n(other.moved.begin(), n, moved.begin());
  std::copy_n(other.op.begin(), n, op.begin());
}

void Worker::prepare_open() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < data_.n; ++i) {
    if (i + kPrefetchDistance < data_.n)
      __builtin_prefetch(data_.keypair[i + kPrefetchDistance]->peer->path.load(std::memory_order_relaxed));
    const Path* path = data_.keypair[i]->peer->path.load(std::memory_order_acquire);
    const UdpHeader& udp = udp_of(data_.message[i]);
    const bool moved = path == nullptr || !same_addresses(*path, data_.l3[i], udp);
    if (moved && !outer_checksum_good(data_.packet[i], data_.l3[i], udp)) {
      drop(data_.packet[i], DropReason::bad_outer_checksum);
      continue;
    }
    data_.move(i, kept);
    data_.moved[kept] = moved;
    data_.op[kept] = {data_.message[kept] + kTransportDataHeaderSize,
                      data_.keypair[kept]->receiving_key.data(),
                      header_of(data_.message[kept]).counter.value(),
                      data_.message_length[kept] - static_cast<std::uint32_t>(kKeepaliveSize), 0};
    prefetch_accepting(kept);
    ++kept;
  }
  data_.n = kept;
}

// What check_replay() and accept_one() will write.
void Worker::prefetch_accepting(std::size_t i) const {
  const Keypair& keypair = *data_.keypair[i];
  keypair.replay.prefetch(data_.op[i].counter);
  __builtin_prefetch(&keypair.peer->last_received, 1);
}

// By the owner or by a worker that helps: touches nothing but the packets and this worker's scratch.
void Worker::open(DataBurst& burst) {
  static_cast<void>(engine_.open(*scratch_, std::span(burst.op.data(), burst.n)));
  count_stage(Stage::open, burst.n);
}

void Worker::accept_burst(const BurstContext& at) {
  plain_.n = 0;
  std::array<bool, kBurst> fresh;
  check_replay(fresh.data());
  std::uint64_t opened = 0, bytes = 0;
  Noted noted;
  for (std::size_t i = 0; i < data_.n; ++i) {
    if (!accept_one(at, i, fresh[i], noted)) continue;
    ++opened;
    bytes += data_.op[i].length;
    if (data_.op[i].length != 0) check_inner(i);
  }
  counters_.opened_packets.add(opened);
  counters_.opened_bytes.add(bytes);
  data_.n = 0;
}

// The replay window of every authentic packet, one lock per run of packets of a keypair.
void Worker::check_replay(bool* fresh) {
  std::array<std::uint64_t, kBurst> counters;
  for (std::size_t i = 0; i < data_.n;) {
    Keypair* keypair = data_.keypair[i];
    const std::size_t begin = i;
    std::size_t n = 0;
    for (; i < data_.n && data_.keypair[i] == keypair; ++i) {
      if (i + kPrefetchDistance < data_.n) prefetch_accepting(i + kPrefetchDistance);
      if (data_.op[i].authentic == 0) break;
      counters[n++] = data_.op[i].counter;
    }
    if (n != 0) keypair->replay.check_and_set(counters.data(), fresh + begin, n);
    if (i < data_.n && data_.op[i].authentic == 0) fresh[i++] = false;
  }
}

// Tag, replay window, then all that an authenticated packet means.
bool Worker::accept_one(const BurstContext& at, std::size_t i, bool fresh, Noted& noted) {
  Peer& peer = *data_.keypair[i]->peer;
  rte_mbuf* packet = data_.packet[i];
  if (data_.op[i].authentic == 0) {
    peer.drop_bad_tag.fetch_add(1, std::memory_order_relaxed);
    return drop(packet, DropReason::bad_tag), false;
  }
  if (!fresh) {
    peer.drop_replayed.fetch_add(1, std::memory_order_relaxed);
    return drop(packet, DropReason::replayed), false;
  }
  const bool data = data_.op[i].length != 0;
  // The next packet of a run says nothing new, unless it moves or is the first with data.
  if (data_.keypair[i] != noted.keypair || data_.moved[i] || data > noted.data) {
    note_authenticated(at, i, peer, data);
    noted = {data_.keypair[i], data};
  }
  if (data) return true;
  // A packet with length 0 is a keepalive packet.
  counters_.keepalives_received.add(1);
  count(peer.rx_bytes, data_.message_length[i]);
  count(peer.rx_packets, 1);
  rte_pktmbuf_free(packet);
  return true;
}

// Endpoint, confirmation of a responder's session, key freshness, timers: in the protocol's order.
void Worker::note_authenticated(const BurstContext& at, std::size_t i, Peer& peer, bool data) {
  Keypair& keypair = *data_.keypair[i];
  if (data_.moved[i]) post_roamed(i, peer);
  if (!keypair.confirmed.load(std::memory_order_relaxed)) {
    Event event{};
    event.type = EventType::confirmed;
    event.peer = {peer.slot, keypair.peer_generation};
    event.interface_id = peer.interface_id;
    event.keypair_index = keypair.local_index;
    if (post(event)) keypair.confirmed.store(true, std::memory_order_relaxed);
  }
  if (keypair.age(at.now) >= kKeyFreshAfter && keypair.i_am_initiator &&
      peer.current.load(std::memory_order_relaxed) == &keypair) {
    request_handshake(peer, kRequestKeyFresh, EventType::key_fresh);
  }
  peer.note_received(at.now, data);
}

void Worker::post_roamed(std::size_t i, Peer& peer) {
  Event event{};
  event.type = EventType::roamed;
  event.peer = {peer.slot, data_.keypair[i]->peer_generation};
  event.interface_id = peer.interface_id;
  const UdpHeader& udp = udp_of(data_.message[i]);
  if (data_.l3[i][0] >> 4 == 6) {
    event.remote.address = IpAddress::from_v6(header_at<Ipv6Header>(data_.l3[i])->source.data());
    event.local.address = IpAddress::from_v6(header_at<Ipv6Header>(data_.l3[i])->destination.data());
  } else {
    event.remote.address = IpAddress::from_v4(header_at<Ipv4Header>(data_.l3[i])->source.data());
    event.local.address = IpAddress::from_v4(header_at<Ipv4Header>(data_.l3[i])->destination.data());
  }
  event.remote.port = udp.source_port.value();
  event.local.port = udp.destination_port.value();
  // A run of packets from the same new place tells it once; when the mailbox is full the next packet does.
  if (event.peer != roamed_peer_ || event.remote != roamed_to_ || event.local != roamed_at_) {
    // Raised first: when control takes the news it lowers the flag.
    peer.requested.fetch_or(kRequestRoaming, std::memory_order_relaxed);
    if (post(event)) {
      roamed_peer_ = event.peer;
      roamed_to_ = event.remote;
      roamed_at_ = event.local;
    } else {
      peer.requested.fetch_and(~std::uint32_t{kRequestRoaming}, std::memory_order_relaxed);
    }
  }
}

// Inner version, header and length; trims the padding; merges the congestion marks.
void Worker::check_inner(std::size_t i) {
  rte_mbuf* packet = data_.packet[i];
  Peer& peer = *data_.keypair[i]->peer;
  packet->data_off =
      static_cast<std::uint16_t>(data_.op[i].data - static_cast<std::uint8_t*>(packet->buf_addr));
  IpView ip;
  if (parse_ip({data_.op[i].data, data_.op[i].length}, &ip) != Parse::kOk) {
    peer.drop_inner_malformed.fetch_add(1, std::memory_order_relaxed);
    return drop(packet, DropReason::inner_malformed);
  }
  packet->data_len = static_cast<std::uint16_t>(ip.total_length);
  packet->pkt_len = static_cast<std::uint32_t>(ip.total_length);
  packet->ol_flags = 0;
  if (((ip.tos | data_.outer_tos[i]) & kEcnMask) != 0 && !merge_ecn(ip, data_.outer_tos[i], data_.op[i].data))
    return drop(packet, DropReason::ecn_invalid);
  const std::size_t k = plain_.n++;
  plain_.packet[k] = packet;
  plain_.peer[k] = &peer;
  plain_.interface_id[k] = data_.interface_id[i];
  plain_.l3[k] = data_.op[i].data;
  plain_.length[k] = static_cast<std::uint16_t>(ip.total_length);
  plain_.source[k] = ip.source;
  plain_.v6[k] = ip.v6;
  plain_.message_length[k] = data_.message_length[i];
}

// Cryptokey routing, inbound: the longest prefix that holds the inner source must be this very peer's.
void Worker::check_sources(const BurstContext& at) {
  for (std::size_t i = 0; i < plain_.n;) {
    // A burst nearly always comes from one interface; each further one is a pass of its own.
    const std::uint16_t interface_id = plain_.interface_id[i];
    std::size_t end = i + 1;
    while (end < plain_.n && plain_.interface_id[end] == interface_id) ++end;
    check_sources_of(at, interface_id, i, end);
    i = end;
  }
  plain_.n = 0;
}

void Worker::check_sources_of(const BurstContext& at, std::uint16_t interface_id, std::size_t begin,
                              std::size_t end) {
  const InterfaceView& interface = at.view->interfaces[interface_id];
  std::array<std::uint32_t, kBurst> keys4;
  std::array<const std::uint8_t*, kBurst> keys6;
  std::array<lpm::Value, kBurst> owner4, owner6;
  std::size_t n4 = 0, n6 = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (plain_.v6[i]) {
      keys6[n6++] = plain_.source[i];
    } else {
      keys4[n4++] = header_at<Be32>(plain_.source[i])->value();
    }
  }
  if (n4 != 0) interface.allowed4->lookup_burst(keys4.data(), owner4.data(), n4);
  if (n6 != 0) interface.allowed6->lookup_burst(keys6.data(), owner6.data(), n6);
  n4 = n6 = 0;
  Tally tally;
  for (std::size_t i = begin; i < end; ++i) {
    const lpm::Value owner = plain_.v6[i] ? owner6[n6++] : owner4[n4++];
    Peer& peer = *plain_.peer[i];
    if (owner != peer.slot) {
      drop_disallowed(i, owner);
      continue;
    }
    if (tally.peer != &peer) {
      count_received(tally);
      tally = {&peer, 0, 0};
    }
    tally.bytes += plain_.message_length[i];
    ++tally.packets;
    queue_inner(plain_.packet[i], plain_.l3[i], plain_.length[i],
                {From::tunnel, interface_id, interface_id, 0}, plain_.v6[i]);
  }
  count_received(tally);
}

void Worker::count_received(const Tally& tally) {
  if (tally.packets == 0) return;
  count(tally.peer->rx_bytes, tally.bytes);
  count(tally.peer->rx_packets, tally.packets);
}

void Worker::drop_disallowed(std::size_t i, lpm::Value owner) {
  Peer& peer = *plain_.peer[i];
  peer.drop_disallowed_source.fetch_add(1, std::memory_order_relaxed);
  if (!mismatch_posted_) {
    Event event{};
    event.type = EventType::source_mismatch;
    event.peer = peer.ref();
    event.interface_id = plain_.interface_id[i];
    event.owner = owner;
    event.remote.address =
        plain_.v6[i] ? IpAddress::from_v6(plain_.source[i]) : IpAddress::from_v4(plain_.source[i]);
    mismatch_posted_ = post(event);
  }
  drop(plain_.packet[i], DropReason::disallowed_source);
}

}  // namespace wg::dataplane
