#include "dataplane/stage/receive.h"

#include <rte_mbuf.h>

#include <array>
#include <cstring>

#include "dataplane/core/look_up_addresses.h"
#include "dataplane/core/martian.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/endpoints.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/peer.h"
#include "dataplane/stage/outer_checksum.h"

namespace wg::dataplane {

namespace {

using checksum_detail::load;

constexpr std::uint8_t kEcnInvalid = 0xff;
constexpr std::chrono::milliseconds kStrayInterval{1};  // 1000 events a second and worker

// RFC 6040 section 4.2, figure 4: [inner][outer], with not-ECT 0, ECT(1) 1, ECT(0) 2, CE 3.
constexpr std::uint8_t kEcnMerged[4][4] = {{0, 0, 0, kEcnInvalid}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};

// The outer addresses that a peer is known by, made once per run of its messages.
class KnownAddresses {
 public:
  // `path`: null: none are known. Reads its first line only.
  explicit KnownAddresses(const Path* path) noexcept : path_(path) {
    if (path == nullptr || path->remote.address.v6) return;
    v4_ = true;
    port_ = Be16{number_of(path->remote.port)}.native();
    std::memcpy(&addresses_, path->remote.address.bytes.data(), sizeof(Ipv4Bytes));
    std::memcpy(reinterpret_cast<std::uint8_t*>(&addresses_) + sizeof(Ipv4Bytes),
                path->local.address.bytes.data(), sizeof(Ipv4Bytes));
  }
  [[nodiscard]] bool equal(const std::uint8_t* l3, const UdpHeader& udp) const noexcept {
    if (!v4_) return path_ != nullptr && equal_v6(l3, udp);
    const auto& ip = *header_at<Ipv4Header>(l3);
    return ip.version() == 4 && load<std::uint64_t>(ip.source.data()) == addresses_ &&
           udp.source_port.native() == port_;
  }

 private:
  [[nodiscard]] bool equal_v6(const std::uint8_t* l3, const UdpHeader& udp) const noexcept {
    const auto* ip = header_at<Ipv6Header>(l3);
    return UdpPort{udp.source_port.value()} == path_->remote.port && ip->version() == 6 &&
           std::memcmp(ip->source.data(), path_->remote.address.bytes.data(), sizeof(Ipv6Bytes)) == 0 &&
           std::memcmp(ip->destination.data(), path_->local.address.bytes.data(), sizeof(Ipv6Bytes)) == 0;
  }

  const Path* path_;
  bool v4_ = false;
  std::uint16_t port_ = 0;       // as they lie in the packet
  std::uint64_t addresses_ = 0;  // source, destination
};

// RFC 6040 section 4.2. False: a forbidden combination, the packet is dropped.
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

// Checks the sum of an IPv4 header without options. Words of any size have the same sum modulo 65535, which
// must be 0; a number is a multiple of an odd one if it times the inverse is small.
bool header_checksum_valid(const std::uint8_t* header) {
  using checksum_detail::load;
  __extension__ using Sum = unsigned __int128;
  constexpr std::uint64_t kOnes = 65535, kInverse = ~std::uint64_t{0x0001000100010000};
  static_assert(kOnes * kInverse == 1);
  const Sum sum =
      Sum{load<std::uint64_t>(header)} + load<std::uint64_t>(header + 8) + load<std::uint32_t>(header + 16);
  const std::uint64_t folded = static_cast<std::uint64_t>(sum) + static_cast<std::uint64_t>(sum >> 64);
  return folded * kInverse <= ~std::uint64_t{0} / kOnes;
}

const std::uint8_t* source_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->source.data() : header_at<Ipv4Header>(l3)->source.data();
}

// Right about nearly every source: false is certain. `source4`: in host order.
bool may_be_martian(const LocalAddresses& own, std::uint32_t source4, bool v6) {
  return v6 || kSpecialFirstByte[source4 >> 24] || own.may_contain_v4(Be32{source4}.native());
}

const UdpHeader& udp_of(const std::uint8_t* message) {
  return *header_at<UdpHeader>(message - kUdpHeaderSize);
}

// Prefetches what accept_run() will write.
void prefetch_accepting(const Keypair& keypair, std::uint64_t counter) {
  keypair.replay.prefetch(counter);
  __builtin_prefetch(&keypair.peer->last_received, 1);
}

}  // namespace

void Receive::prepare(const BurstContext& at, DataBurst& data) {
  const std::size_t messages = data.n;
  MessageRuns runs;
  find_sessions(at, data, runs);
  prefetch_sessions(data, runs);
  std::size_t kept = 0;
  for (std::size_t r = 0; r < runs.n; ++r) {
    const std::size_t begin = runs.begin[r], end = runs.begin[r + 1];
    if (r + kPrefetchDistance < runs.n) {
      const Keypair& ahead = *data.keypair[runs.begin[r + kPrefetchDistance]];
      __builtin_prefetch(ahead.peer->path.load(std::memory_order_relaxed));
    }
    DropReason refused;
    if (session_usable(at, data, begin, &refused)) {
      kept = prepare_run(data, begin, end, kept);
    } else {
      for (std::size_t i = begin; i < end; ++i)
        refused == DropReason::unknown_index ? refuse_unknown(at, data, i)
                                             : core_.drop(data.packet[i], refused);
    }
  }
  data.n = kept;
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.sessions_found(data, at.now);
  core_.count_stage(Stage::sessions, messages);
}

// Receiver index -> keypair, once per run.
void Receive::find_sessions(const BurstContext& at, DataBurst& data, MessageRuns& runs) {
  const KeypairTable& keypairs = *at.view->keypairs;
  std::size_t n = 0;
  std::uint32_t index = 0;  // no session's
  InterfaceId interface_id = kNoInterface;
  Keypair* keypair = nullptr;
  for (std::size_t i = 0; i < data.n; ++i) {
    const std::uint32_t receiver = data.header(i).receiver.value();
    if (receiver != index || data.interface_id[i] != interface_id) {
      if (i + kPrefetchDistance < data.n)
        keypairs.prefetch(data.header(i + kPrefetchDistance).receiver.value());
      index = receiver;
      interface_id = data.interface_id[i];
      keypair = keypairs.find(index);
      __builtin_prefetch(keypair);
      runs.begin[runs.n] = n;
      runs.n += keypair != nullptr ? 1 : 0;
    }
    if (keypair == nullptr) {
      refuse_unknown(at, data, i);
      continue;
    }
    data.move(i, n);
    data.keypair[n++] = keypair;
  }
  runs.begin[runs.n] = n;
}

// In passes, so that each finds what the one before (find_sessions, for the first) prefetched.
void Receive::prefetch_sessions(const DataBurst& data, const MessageRuns& runs) {
  const auto keypair = [&](std::size_t r) -> const Keypair& { return *data.keypair[runs.begin[r]]; };
  for (std::size_t r = 0; r < runs.n; ++r) {
    if (r + kPrefetchDistance < runs.n) __builtin_prefetch(&keypair(r + kPrefetchDistance));
    __builtin_prefetch(keypair(r).peer);
  }
  for (std::size_t r = 0; r < runs.n; ++r) {
    if (r + kPrefetchDistance < runs.n) __builtin_prefetch(keypair(r + kPrefetchDistance).peer);
    __builtin_prefetch(keypair(r).peer->path.load(std::memory_order_relaxed));
  }
}

void Receive::refuse_unknown(const BurstContext& at, const DataBurst& data, std::size_t i) {
  if (at.view->interfaces[data.interface_id[i]].report_strays) report_stray(at, data, i);
  core_.drop(data.packet[i], DropReason::unknown_index);
}

// Any host can send these, so their rate has a bound. Control compares the address.
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

bool Receive::session_usable(const BurstContext& at, const DataBurst& data, std::size_t i,
                             DropReason* refused) const {
  const Keypair* keypair = data.keypair[i];
  const auto refuse = [&](DropReason reason) {
    *refused = reason;
    return false;
  };
  // The table's entry may have been reused between its two loads: the keypair's own index decides.
  if (keypair->local_index != data.header(i).receiver.value()) return refuse(DropReason::unknown_index);
  if (keypair->peer->interface_id != data.interface_id[i]) return refuse(DropReason::wrong_port);
  if (keypair->expired(at.now)) return refuse(DropReason::expired_key);
  return true;
}

// Messages [begin, end) of one session: into places from `kept` on. Returns the end of those.
std::size_t Receive::prepare_run(DataBurst& data, std::size_t begin, std::size_t end, std::size_t kept) {
  const Keypair& keypair = *data.keypair[begin];
  const KnownAddresses known(keypair.peer->path.load(std::memory_order_acquire));
  const std::size_t first = kept;
  for (std::size_t i = begin; i < end; ++i) {
    std::uint8_t* const message = data.message[i];
    const std::uint64_t counter = data.header(i).counter.value();
    if (counter >= REJECT_AFTER_MESSAGES) [[unlikely]] {
      core_.drop(data.packet[i], DropReason::counter_limit);
      continue;
    }
    const UdpHeader& udp = udp_of(message);
    const bool moved = !known.equal(data.l3[i], udp);
    if (moved && !outer_checksum_good(data.packet[i], data.l3[i], udp)) [[unlikely]] {
      core_.drop(data.packet[i], DropReason::bad_outer_checksum);
      continue;
    }
    data.move(i, kept);
    data.moved[kept] = moved;
    data.op[kept++] = {message + kTransportDataHeaderSize, keypair.receiving_key.data(), counter,
                       data.message_length[i] - static_cast<std::uint32_t>(kKeepaliveSize), 0};
  }
  if (kept != first) {
    prefetch_accepting(keypair, data.op[first].counter);
    prefetch_accepting(keypair, data.op[kept - 1].counter);
  }
  return kept;
}

void Receive::finish(const BurstContext& at, DataBurst& data, InnerBurst& inner) {
  const std::size_t messages = data.n, first = inner.n;
  accept_burst(at, data, inner);
  core_.count_stage(Stage::replay, messages);
  check_sources(at, inner);
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.opened(inner, first);
  core_.count_stage(Stage::inner, messages);
}

void Receive::accept_burst(const BurstContext& at, DataBurst& data, InnerBurst& inner) {
  plain_.runs = 0;
  for (std::size_t begin = 0; begin < data.n;) {
    if (const std::size_t ahead = begin + kPrefetchDistance; ahead < data.n)
      prefetch_accepting(*data.keypair[ahead], data.op[ahead].counter);
    const std::size_t end = data.end_of_run(begin);
    accept_run(at, data, begin, end, inner);
    begin = end;
  }
  data.n = 0;
}

// Packets [begin, end) of one keypair: tag and replay window, then all that an authenticated packet means.
void Receive::accept_run(const BurstContext& at, const DataBurst& data, std::size_t begin, std::size_t end,
                         InnerBurst& inner) {
  Keypair& keypair = *data.keypair[begin];
  std::array<bool, kBurst> fresh;
  const auto counter_of = [&](std::size_t i) {
    const crypto::AeadOp& op = data.op[begin + i];
    return op.authentic != 0 ? op.counter : ReplayWindow::kRefused;
  };
  keypair.replay.check_and_set_run(end - begin, counter_of, fresh.data(), core_.options.sole);
  const InterfaceId interface_id = data.interface_id[begin];
  const PacketOrigin origin = PacketOrigin::at_interface(From::kTunnel, interface_id);
  const std::size_t first = inner.n;
  Noted noted;
  std::uint64_t opened = 0, bytes = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (!fresh[i - begin]) [[unlikely]] {
      refuse(data, i);
      continue;
    }
    // The next packet of a run says nothing new, unless it moves or is the first with data.
    if (!noted.data || data.moved[i]) [[unlikely]]
      note_authenticated(at, data, i, noted);
    ++opened;
    bytes += data.op[i].length;
    if (!take_usual_inner(data, i, origin, inner)) [[unlikely]]
      take_unusual_inner(data, i, origin, inner);
  }
  core_.counters.opened_packets.add(opened);
  core_.counters.opened_bytes.add(bytes);
  if (inner.n != first) plain_.run[plain_.runs++] = {keypair.peer, first, inner.n};
}

void Receive::refuse(const DataBurst& data, std::size_t i) {
  Peer& peer = *data.keypair[i]->peer;
  if (data.op[i].authentic == 0) {
    peer.drop_bad_tag.fetch_add(1, std::memory_order_relaxed);
    return core_.drop(data.packet[i], DropReason::bad_tag);
  }
  peer.drop_replayed.fetch_add(1, std::memory_order_relaxed);
  core_.drop(data.packet[i], DropReason::replayed);
}

// Endpoint, confirmation of a responder's session, key freshness, timers: in the protocol's order.
void Receive::note_authenticated(const BurstContext& at, const DataBurst& data, std::size_t i, Noted& noted) {
  const bool has_data = data.op[i].length != 0;
  if (noted.any && !data.moved[i] && !has_data) return;
  noted = {true, has_data};
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
  peer.note_received(at.now, has_data);
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
  // Raised first: when control takes the event it lowers the flag.
  peer.requested.fetch_or(kRequestRoaming, std::memory_order_relaxed);
  if (!core_.post(event)) {
    peer.requested.fetch_and(~std::uint32_t{kRequestRoaming}, std::memory_order_relaxed);
    return;
  }
  roamed_peer_ = event.peer;
  roamed_to_ = ends.remote;
  roamed_at_ = ends.local;
}

// Whole IPv4 without options and congestion marks, as nearly always; the padding is trimmed. False: not so.
bool Receive::take_usual_inner(const DataBurst& data, std::size_t i, const PacketOrigin& origin,
                               InnerBurst& inner) {
  const crypto::AeadOp& op = data.op[i];
  const auto& ip = *header_at<Ipv4Header>(op.data);
  const std::size_t length = ip.total_length.value();
  if (op.length < kIpv4HeaderSize || ip.version_ihl != kIpv4WithoutOptions || length < kIpv4HeaderSize ||
      length > op.length || ((ip.tos | data.outer_tos[i]) & kEcnMask) != 0 || !header_checksum_valid(op.data))
      [[unlikely]]
    return false;
  take_inner(data, i, length, false, origin, inner);
  return true;
}

// Everything else: keepalives, IPv6, options, congestion marks to merge, malformed packets.
void Receive::take_unusual_inner(const DataBurst& data, std::size_t i, const PacketOrigin& origin,
                                 InnerBurst& inner) {
  rte_mbuf* packet = data.packet[i];
  Peer& peer = *data.keypair[i]->peer;
  // A packet with length 0 is a keepalive packet.
  if (data.op[i].length == 0) {
    core_.counters.keepalives_received.add(1);
    if (core_.watcher.on()) [[unlikely]]
      core_.watcher.step(packet, WatchPoint::keepalive);
    core_.count(peer.rx_bytes, data.message_length[i]);
    core_.count(peer.rx_packets, 1);
    return rte_pktmbuf_free(packet);
  }
  IpView ip;
  if (parse_ip({data.op[i].data, data.op[i].length}, &ip) != Parse::kOk ||
      (!ip.v6 && !ipv4_checksum_valid(*header_at<Ipv4Header>(data.op[i].data)))) {
    peer.drop_inner_malformed.fetch_add(1, std::memory_order_relaxed);
    return core_.drop(packet, DropReason::inner_malformed);
  }
  if (!merge_ecn(ip, data.outer_tos[i], data.op[i].data)) return core_.drop(packet, DropReason::ecn_invalid);
  take_inner(data, i, ip.total_length, ip.v6, origin, inner);
}

// `length`: IP bytes, without the padding.
void Receive::take_inner(const DataBurst& data, std::size_t i, std::size_t length, bool v6,
                         const PacketOrigin& origin, InnerBurst& inner) {
  std::uint8_t* l3 = data.op[i].data;
  const std::size_t k = inner.n;
  plain_.source4[k] = header_at<Be32>(header_at<Ipv4Header>(l3)->source.data())->value();
  plain_.message_length[k] = data.message_length[i];
  inner.push(data.packet[i], l3, static_cast<std::uint16_t>(length), origin, v6);
}

// Cryptokey routing, inbound: the longest prefix that holds the inner source must be this very peer's.
void Receive::check_sources(const BurstContext& at, InnerBurst& inner) {
  std::size_t refused = 0;
  for (std::size_t run = 0; run < plain_.runs;) {
    // A burst nearly always comes from one interface; each further one is a pass of its own.
    const InterfaceId interface_id = plain_.run[run].peer->interface_id;
    std::size_t end = run + 1;
    while (end < plain_.runs && plain_.run[end].peer->interface_id == interface_id) ++end;
    refused += check_sources_of(*at.view, run, end, inner);
    run = end;
  }
  if (refused != 0) [[unlikely]]
    inner.close_gaps(plain_.run[0].begin);
}

// Runs [begin, end) of one interface. Returns how many packets it has refused, whose places are null now.
std::size_t Receive::check_sources_of(const Snapshot& view, std::size_t begin, std::size_t end,
                                      InnerBurst& inner) {
  const InterfaceView& interface = view.interfaces[plain_.run[begin].peer->interface_id];
  const std::size_t first = plain_.run[begin].begin, n = plain_.run[end - 1].end - first;
  std::array<lpm::Value, kBurst> owner;
  look_up_addresses<AddressOf::kSource, kBurst>(*interface.allowed4, *interface.allowed6,
                                                inner.l3.data() + first, inner.v6.data() + first,
                                                plain_.source4.data() + first, n, inner.n6, owner.data());
  std::size_t refused = 0;
  for (std::size_t run = begin; run < end; ++run) {
    Peer& peer = *plain_.run[run].peer;
    const std::uint32_t slot = peer.slot;
    std::uint64_t bytes = 0, packets = 0;
    for (std::size_t i = plain_.run[run].begin; i < plain_.run[run].end; ++i) {
      if (owner[i - first] != slot || may_be_martian(view.local_addresses, plain_.source4[i], inner.v6[i]))
          [[unlikely]] {
        if (refuse_source(view, inner, i, peer, owner[i - first])) {
          ++refused;
          continue;
        }
      }
      bytes += plain_.message_length[i];
      ++packets;
    }
    if (packets == 0) continue;
    core_.count(peer.rx_bytes, bytes);
    core_.count(peer.rx_packets, packets);
  }
  return refused;
}

// False: all is well with packet i.
bool Receive::refuse_source(const Snapshot& view, InnerBurst& inner, std::size_t i, Peer& peer,
                            lpm::Value owner) {
  if (owner != peer.slot) {
    drop_disallowed(inner, i, peer, owner);
  } else if (is_martian(view.local_addresses, source_of(inner.l3[i], inner.v6[i]), inner.v6[i])) {
    core_.drop(inner.packet[i], DropReason::martian_inner);
  } else {
    return false;
  }
  inner.packet[i] = nullptr;
  return true;
}

void Receive::drop_disallowed(const InnerBurst& inner, std::size_t i, Peer& peer, lpm::Value owner) {
  peer.drop_disallowed_source.fetch_add(1, std::memory_order_relaxed);
  if (!mismatch_posted_) {
    const std::uint8_t* source = source_of(inner.l3[i], inner.v6[i]);
    Event event{};
    event.type = EventType::kSourceMismatch;
    event.peer = peer.ref();
    event.interface_id = peer.interface_id;
    event.owner = owner;
    event.remote.address = inner.v6[i] ? IpAddress::from_v6(source) : IpAddress::from_v4(source);
    mismatch_posted_ = core_.post(event);
  }
  core_.drop(inner.packet[i], DropReason::disallowed_source);
}

}  // namespace wg::dataplane
