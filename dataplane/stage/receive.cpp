#include "dataplane/stage/receive.h"

#include <rte_mbuf.h>

#include <array>
#include <cstring>

#include "dataplane/packet/address_class.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/endpoints.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/peer.h"
#include "dataplane/stage/outer_checksum.h"

namespace wg::dataplane {

namespace {

constexpr std::uint8_t kEcnInvalid = 0xff;
constexpr BootTime kStrayInterval = 1'000'000;  // nanoseconds: 1000 events a second and worker

// RFC 6040 section 4.2, figure 4: [inner][outer], with not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3.
constexpr std::uint8_t kEcnMerged[4][4] = {{0, 0, 0, kEcnInvalid}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

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

// From nobody in a tunnel, whatever its peer's allowed IPs say. Linux refuses our own addresses as source
// too, but accepts them from a TUN, through which ICMP errors of ours come (accept_local).
bool is_martian(const LocalAddresses& own, const std::uint8_t* source, bool v6) {
  return v6 ? is_martian_source_v6(source) || own.contains_v6(source)
            : is_martian_source_v4(source) || own.contains_v4(source);
}

const UdpHeader& udp_of(const std::uint8_t* message) {
  return *header_at<UdpHeader>(message - kUdpHeaderSize);
}

}  // namespace

// receiver index -> keypair, in passes so that each finds what the one before (classify, for the first)
// prefetched.
void Receive::find_sessions(const BurstContext& at, DataBurst& data) {
  const KeypairTable& keypairs = *at.view->keypairs;
  std::size_t n = 0;
  std::uint32_t index = 0;  // neighbours mostly share it
  Keypair* keypair = nullptr;
  for (std::size_t i = 0; i < data.n; ++i) {
    if (i + kPrefetchDistance < data.n)
      keypairs.prefetch(data.header(i + kPrefetchDistance).receiver.value());
    const std::uint32_t receiver = data.header(i).receiver.value();
    if (receiver != index) keypair = keypairs.find(index = receiver);
    if (keypair == nullptr) {
      refuse_unknown(at, data, i);
      continue;
    }
    __builtin_prefetch(keypair);
    data.move(i, n);
    data.keypair[n++] = keypair;
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kPrefetchDistance < n) __builtin_prefetch(data.keypair[i + kPrefetchDistance]);
    __builtin_prefetch(data.keypair[i]->peer);
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kPrefetchDistance < n) __builtin_prefetch(data.keypair[i + kPrefetchDistance]->peer);
    if (!(kept != 0 && data.same_session(i, kept - 1)) && !session_usable(at, data, i)) continue;
    if (data.header(i).counter.value() >= REJECT_AFTER_MESSAGES) [[unlikely]] {
      core_.drop(data.packet[i], DropReason::counter_limit);
      continue;
    }
    data.move(i, kept);
    __builtin_prefetch(data.keypair[kept]->peer->path.load(std::memory_order_acquire));
    ++kept;
  }
  data.n = kept;
}

bool Receive::refuse_unknown(const BurstContext& at, const DataBurst& data, std::size_t i) {
  if (at.view->interfaces[data.interface_id[i]].report_strays) report_stray(at, data, i);
  core_.drop(data.packet[i], DropReason::unknown_index);
  return false;
}

// Anybody can send these, so their rate has a bound. Control compares the address.
void Receive::report_stray(const BurstContext& at, const DataBurst& data, std::size_t i) {
  if (at.now - stray_reported_ < kStrayInterval) return core_.counters.strays_withheld.add(1);
  Event event{};
  event.type = EventType::kStray;
  event.interface_id = data.interface_id[i];
  const Endpoints ends = endpoints_of(data.l3[i], udp_of(data.message[i]));
  event.remote = ends.remote;
  event.local = ends.local;
  if (core_.post(event)) stray_reported_ = at.now;
}

bool Receive::session_usable(const BurstContext& at, DataBurst& data, std::size_t i) {
  const Keypair* keypair = data.keypair[i];
  const auto refuse = [&](DropReason reason) {
    core_.drop(data.packet[i], reason);
    return false;
  };
  // The table's entry may have been reused between its two loads: the keypair's own index decides.
  if (keypair->local_index != data.header(i).receiver.value()) return refuse_unknown(at, data, i);
  if (keypair->peer->interface_id != data.interface_id[i]) return refuse(DropReason::wrong_port);
  if (keypair->expired(at.now)) return refuse(DropReason::expired_key);
  return true;
}

void Receive::prepare_open(DataBurst& data) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < data.n; ++i) {
    if (i + kPrefetchDistance < data.n)
      __builtin_prefetch(data.keypair[i + kPrefetchDistance]->peer->path.load(std::memory_order_relaxed));
    const Path* path = data.keypair[i]->peer->path.load(std::memory_order_acquire);
    const UdpHeader& udp = udp_of(data.message[i]);
    const bool moved = path == nullptr || !same_addresses(*path, data.l3[i], udp);
    if (moved && !outer_checksum_good(data.packet[i], data.l3[i], udp)) {
      core_.drop(data.packet[i], DropReason::bad_outer_checksum);
      continue;
    }
    data.move(i, kept);
    data.moved[kept] = moved;
    data.op[kept] = {data.message[kept] + kTransportDataHeaderSize, data.keypair[kept]->receiving_key.data(),
                     data.header(kept).counter.value(),
                     data.message_length[kept] - static_cast<std::uint32_t>(kKeepaliveSize), 0};
    prefetch_accepting(data, kept);
    ++kept;
  }
  data.n = kept;
}

// What check_replay() and accept_one() will write.
void Receive::prefetch_accepting(const DataBurst& data, std::size_t i) {
  const Keypair& keypair = *data.keypair[i];
  keypair.replay.prefetch(data.op[i].counter);
  __builtin_prefetch(&keypair.peer->last_received, 1);
}

void Receive::finish(const BurstContext& at, DataBurst& data, InnerBurst& inner) {
  const std::size_t messages = data.n;
  accept_burst(at, data);
  core_.count_stage(Stage::replay, messages);
  check_sources(at, inner);
  core_.count_stage(Stage::inner, messages);
}

void Receive::accept_burst(const BurstContext& at, DataBurst& data) {
  plain_.n = 0;
  std::array<bool, kBurst> fresh;
  check_replay(data, fresh.data());
  std::uint64_t opened = 0, bytes = 0;
  LastAuthenticated last;
  for (std::size_t i = 0; i < data.n; ++i) {
    if (!accept_one(at, data, i, fresh[i], last)) continue;
    ++opened;
    bytes += data.op[i].length;
    if (data.op[i].length != 0) check_inner(data, i);
  }
  core_.counters.opened_packets.add(opened);
  core_.counters.opened_bytes.add(bytes);
  data.n = 0;
}

// The replay window of every authentic packet, one lock per run of packets of a keypair.
void Receive::check_replay(const DataBurst& data, bool* fresh) {
  std::array<std::uint64_t, kBurst> counters;
  for (std::size_t i = 0; i < data.n;) {
    Keypair* keypair = data.keypair[i];
    const std::size_t begin = i;
    std::size_t n = 0;
    for (; i < data.n && data.keypair[i] == keypair; ++i) {
      if (i + kPrefetchDistance < data.n) prefetch_accepting(data, i + kPrefetchDistance);
      if (data.op[i].authentic == 0) break;
      counters[n++] = data.op[i].counter;
    }
    if (n != 0) keypair->replay.check_and_set(counters.data(), fresh + begin, n);
    if (i < data.n && data.op[i].authentic == 0) fresh[i++] = false;
  }
}

// Tag, replay window, then all that an authenticated packet means.
bool Receive::accept_one(const BurstContext& at, const DataBurst& data, std::size_t i, bool fresh,
                         LastAuthenticated& last) {
  Peer& peer = *data.keypair[i]->peer;
  rte_mbuf* packet = data.packet[i];
  if (data.op[i].authentic == 0) {
    peer.drop_bad_tag.fetch_add(1, std::memory_order_relaxed);
    core_.drop(packet, DropReason::bad_tag);
    return false;
  }
  if (!fresh) {
    peer.drop_replayed.fetch_add(1, std::memory_order_relaxed);
    core_.drop(packet, DropReason::replayed);
    return false;
  }
  const bool has_data = data.op[i].length != 0;
  // The next packet of a run says nothing new, unless it moves or is the first with data.
  if (data.keypair[i] != last.keypair || data.moved[i] || has_data > last.data) {
    note_authenticated(at, data, i);
    last = {data.keypair[i], has_data};
  }
  if (has_data) return true;
  // A packet with length 0 is a keepalive packet.
  core_.counters.keepalives_received.add(1);
  core_.count(peer.rx_bytes, data.message_length[i]);
  core_.count(peer.rx_packets, 1);
  rte_pktmbuf_free(packet);
  return true;
}

// Endpoint, confirmation of a responder's session, key freshness, timers: in the protocol's order.
void Receive::note_authenticated(const BurstContext& at, const DataBurst& data, std::size_t i) {
  Keypair& keypair = *data.keypair[i];
  Peer& peer = *keypair.peer;
  if (data.moved[i]) post_roamed(data, i);
  if (!keypair.confirmed.load(std::memory_order_relaxed)) {
    Event event{};
    event.type = EventType::kConfirmed;
    event.peer = {peer.slot, keypair.peer_generation};
    event.interface_id = peer.interface_id;
    event.keypair_index = keypair.local_index;
    if (core_.post(event)) keypair.confirmed.store(true, std::memory_order_relaxed);
  }
  if (keypair.age(at.now) >= kKeyFreshAfter && keypair.i_am_initiator &&
      peer.current.load(std::memory_order_relaxed) == &keypair) {
    core_.request_handshake(peer, kRequestKeyFresh, EventType::kKeyFresh);
  }
  peer.note_received(at.now, data.op[i].length != 0);
}

void Receive::post_roamed(const DataBurst& data, std::size_t i) {
  Peer& peer = *data.keypair[i]->peer;
  Event event{};
  event.type = EventType::kRoamed;
  event.peer = {peer.slot, data.keypair[i]->peer_generation};
  event.interface_id = peer.interface_id;
  const Endpoints ends = endpoints_of(data.l3[i], udp_of(data.message[i]));
  // A run of packets from the same new place posts one event; when the mailbox is full the next packet does.
  if (event.peer == roamed_peer_ && ends.remote == roamed_to_ && ends.local == roamed_at_) return;
  event.remote = ends.remote;
  event.local = ends.local;
  // Raised first: when control takes the news it lowers the flag.
  peer.requested.fetch_or(kRequestRoaming, std::memory_order_relaxed);
  if (!core_.post(event)) {
    peer.requested.fetch_and(~std::uint32_t{kRequestRoaming}, std::memory_order_relaxed);
    return;
  }
  roamed_peer_ = event.peer;
  roamed_to_ = ends.remote;
  roamed_at_ = ends.local;
}

// Inner version, header and length; trims the padding; merges the congestion marks.
void Receive::check_inner(const DataBurst& data, std::size_t i) {
  rte_mbuf* packet = data.packet[i];
  Peer& peer = *data.keypair[i]->peer;
  packet->data_off =
      static_cast<std::uint16_t>(data.op[i].data - static_cast<std::uint8_t*>(packet->buf_addr));
  IpView ip;
  if (parse_ip({data.op[i].data, data.op[i].length}, &ip) != Parse::kOk) {
    peer.drop_inner_malformed.fetch_add(1, std::memory_order_relaxed);
    return core_.drop(packet, DropReason::inner_malformed);
  }
  packet->data_len = static_cast<std::uint16_t>(ip.total_length);
  packet->pkt_len = static_cast<std::uint32_t>(ip.total_length);
  packet->ol_flags = 0;
  if (((ip.tos | data.outer_tos[i]) & kEcnMask) != 0 && !merge_ecn(ip, data.outer_tos[i], data.op[i].data))
    return core_.drop(packet, DropReason::ecn_invalid);
  const std::size_t k = plain_.n++;
  plain_.packet[k] = packet;
  plain_.peer[k] = &peer;
  plain_.interface_id[k] = data.interface_id[i];
  plain_.l3[k] = data.op[i].data;
  plain_.length[k] = static_cast<std::uint16_t>(ip.total_length);
  plain_.source[k] = ip.source;
  plain_.v6[k] = ip.v6;
  plain_.message_length[k] = data.message_length[i];
}

// Cryptokey routing, inbound: the longest prefix that holds the inner source must be this very peer's.
void Receive::check_sources(const BurstContext& at, InnerBurst& inner) {
  for (std::size_t i = 0; i < plain_.n;) {
    // A burst nearly always comes from one interface; each further one is a pass of its own.
    const InterfaceId interface_id = plain_.interface_id[i];
    std::size_t end = i + 1;
    while (end < plain_.n && plain_.interface_id[end] == interface_id) ++end;
    check_sources_of(*at.view, i, end, inner);
    i = end;
  }
  plain_.n = 0;
}

void Receive::check_sources_of(const Snapshot& view, std::size_t begin, std::size_t end, InnerBurst& inner) {
  const InterfaceId interface_id = plain_.interface_id[begin];
  const InterfaceView& interface = view.interfaces[interface_id];
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
    if (is_martian(view.local_addresses, plain_.source[i], plain_.v6[i])) [[unlikely]] {
      core_.drop(plain_.packet[i], DropReason::martian_inner);
      continue;
    }
    if (tally.peer != &peer) {
      count_received(tally);
      tally = {&peer, 0, 0};
    }
    tally.bytes += plain_.message_length[i];
    ++tally.packets;
    inner.push(plain_.packet[i], plain_.l3[i], plain_.length[i],
               PacketOrigin::at_interface(From::kTunnel, interface_id), plain_.v6[i]);
  }
  count_received(tally);
}

void Receive::count_received(const Tally& tally) {
  if (tally.packets == 0) return;
  core_.count(tally.peer->rx_bytes, tally.bytes);
  core_.count(tally.peer->rx_packets, tally.packets);
}

void Receive::drop_disallowed(std::size_t i, lpm::Value owner) {
  Peer& peer = *plain_.peer[i];
  peer.drop_disallowed_source.fetch_add(1, std::memory_order_relaxed);
  if (!mismatch_posted_) {
    Event event{};
    event.type = EventType::kSourceMismatch;
    event.peer = peer.ref();
    event.interface_id = plain_.interface_id[i];
    event.owner = owner;
    event.remote.address =
        plain_.v6[i] ? IpAddress::from_v6(plain_.source[i]) : IpAddress::from_v4(plain_.source[i]);
    mismatch_posted_ = core_.post(event);
  }
  core_.drop(plain_.packet[i], DropReason::disallowed_source);
}

}  // namespace wg::dataplane
