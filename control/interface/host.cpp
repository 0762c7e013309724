// The engine's Host, and the events of workers: datagrams, staged packets, what is shown to people.
#include <cstring>
#include <utility>

#include "control/api/explain.h"
#include "control/clock.h"
#include "control/convert.h"
#include "control/interface/interface.h"
#include "control/packet_ptr.h"
#include "dataplane/packet/address_class.h"
#include "dataplane/packet/checksum.h"

namespace wg::control {

using dataplane::DropReason;

namespace {

constexpr std::size_t kOwnEvents = 12;
constexpr std::int64_t kTriesThere = 2;  // initiations to a restored endpoint before the configured one

std::size_t headers_of(std::size_t l2, bool v6) {
  using namespace dataplane;
  return l2 + (v6 ? kIpv6HeaderSize : kIpv4HeaderSize) + kUdpHeaderSize;
}

// The room of an empty packet buffer.
std::size_t room_in(rte_mempool* pool) {
  return rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
}

// A datagram as a frame: `l2` (its EtherType is set here), IP and UDP headers, payload. Null: no buffer, or
// none that large.
PacketPtr frame_of(rte_mempool* pool, std::span<const std::uint8_t> l2, const Endpoint& from,
                   const Endpoint& to, std::uint8_t tos, std::span<const std::uint8_t> payload) {
  using namespace dataplane;
  const bool v6 = to.address.v6;
  const std::size_t headers = headers_of(l2.size(), v6);
  PacketPtr packet = allocate_packet(pool);
  if (!packet) return nullptr;
  // Before any narrowing: the largest datagram of all has a length that its headers carry over 16 bits.
  if (headers + payload.size() > rte_pktmbuf_tailroom(packet.get())) return nullptr;
  auto* out = reinterpret_cast<std::uint8_t*>(
      rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(headers + payload.size())));
  std::memset(out, 0, headers);
  std::copy(l2.begin(), l2.end(), out);
  *header_at<Be16>(out + l2.size() - 2) = Be16{v6 ? ether_type::kIpv6 : ether_type::kIpv4};
  const auto udp_length = static_cast<std::uint16_t>(kUdpHeaderSize + payload.size());
  auto* udp = header_at<UdpHeader>(out + headers - kUdpHeaderSize);
  udp->source_port = Be16{from.port};
  udp->destination_port = Be16{to.port};
  udp->length = Be16{udp_length};
  if (v6) {
    auto* ip = header_at<Ipv6Header>(out + l2.size());
    ip->version_class_flow = Be32{6u << 28};
    ip->set_traffic_class(tos);
    ip->payload_length = Be16{udp_length};
    ip->next_header = ip_protocol::kUdp;
    ip->hop_limit = 64;
    std::memcpy(ip->source.data(), from.address.bytes.data(), 16);
    std::memcpy(ip->destination.data(), to.address.bytes.data(), 16);
  } else {
    auto* ip = header_at<Ipv4Header>(out + l2.size());
    ip->version_ihl = 0x45;
    ip->tos = tos;
    ip->total_length = Be16{static_cast<std::uint16_t>(kIpv4HeaderSize + udp_length)};
    ip->ttl = 64;
    ip->protocol = ip_protocol::kUdp;
    std::memcpy(ip->source.data(), from.address.bytes.data(), 4);
    std::memcpy(ip->destination.data(), to.address.bytes.data(), 4);
    ipv4_checksum_fill(ip);
  }
  std::memcpy(out + headers, payload.data(), payload.size());
  return packet;
}

// Of a frame of frame_of(): RFC 768, RFC 8200 8.1. The addresses lie just in front of the UDP header.
void fill_udp_checksum(rte_mbuf& packet, std::size_t l2, bool v6) {
  using namespace dataplane;
  auto* l3 = rte_pktmbuf_mtod_offset(&packet, std::uint8_t*, l2);
  auto* udp = header_at<UdpHeader>(l3 + (v6 ? kIpv6HeaderSize : kIpv4HeaderSize));
  const std::uint16_t length = udp->length.value();
  const ChecksumSum pseudo = v6 ? pseudo_header(*header_at<Ipv6Header>(l3), ip_protocol::kUdp, length)
                                : pseudo_header(*header_at<Ipv4Header>(l3), ip_protocol::kUdp, length);
  udp->checksum =
      checksum_finish_udp(checksum_add(pseudo, {reinterpret_cast<const std::uint8_t*>(udp), length}));
}

}  // namespace

// ---------------------------------------------------------------- engine -> world

void Interface::send_handshake(const Endpoint& to, const Endpoint& from,
                               std::span<const std::uint8_t> message, std::uint8_t tos) {
  const bool cookie_reply = message[0] == dataplane::kMessageCookieReply;
  if (cookie_reply && answer_by_port(to, from, message, tos)) return;
  const SendResult result = socket_.send({to, {from.address, from.scope}, tos, message});
  if (!result.sent()) services_.drops.add(DropReason::socket_send_failed);
  if (result.outcome == SendOutcome::kFailed) {
    log_->debug("handshake to {}: {}", dataplane::to_string(to), strerror(result.error));
  }
}

// Cookie replies answer a flood one by one: each through the kernel's socket and a TAP would cost the workers
// more time than refusing the flood does. False: no port leads there, or routing policy applies: the kernel
// decides.
bool Interface::answer_by_port(const Endpoint& to, const Endpoint& from,
                               std::span<const std::uint8_t> message, std::uint8_t tos) {
  if (fwmark_ != 0 || from.address.is_zero() || from.address.v6 != to.address.v6 || to.scope != 0)
    return false;
  const dataplane::NextHop* hop = services_.publisher.next_hop_for(to.address);
  if (hop == nullptr || hop->kind != dataplane::HopKind::kPort) return false;
  PacketPtr packet;
  if (services_.commands.has_room_for_strangers(to.port)) {
    packet = frame_of(services_.dataplane.pool(), std::span(hop->header).first(hop->header_length), from, to,
                      tos, message);
  }
  if (!packet) {
    services_.drops.add(DropReason::cookie_reply_unsent);
    return true;
  }
  fill_udp_checksum(*packet, hop->header_length, to.address.v6);
  dataplane::Command command{};
  command.type = dataplane::CommandType::kSendFrame;
  command.port = hop->port;
  services_.commands.post(to.port, command, std::move(packet), DropReason::cookie_reply_unsent);
  return true;
}

bool Interface::post(const dataplane::Peer& peer, dataplane::CommandType type, PacketPtr packet) {
  dataplane::Command command{};
  command.type = type;
  command.interface_id = id_;
  command.peer = peer.ref();
  return services_.commands.post(peer.slot, command, std::move(packet), DropReason::command_mailbox_full);
}

void Interface::send_keepalive(dataplane::Peer& peer) {
  post(peer, dataplane::CommandType::kKeepalive, nullptr);
}

bool Interface::release_staged(dataplane::Peer& peer) {
  const auto packets = services_.staging.take(peer.slot);
  for (const Staging::Packet& packet : packets) {
    PacketPtr copy = allocate_packet(services_.dataplane.pool());
    if (!copy) {
      services_.drops.add(DropReason::no_mbuf);
      continue;
    }
    char* data = rte_pktmbuf_append(copy.get(), static_cast<std::uint16_t>(packet.size()));
    if (data == nullptr) {
      services_.drops.add(DropReason::no_headroom);
      continue;
    }
    std::memcpy(data, packet.data(), packet.size());
    post(peer, dataplane::CommandType::kSendInner, std::move(copy));
  }
  return !packets.empty();
}

void Interface::drop_staged(dataplane::Peer& peer) {
  services_.staging.drop(peer.slot);
}

bool Interface::has_staged(const dataplane::Peer& peer) {
  return services_.staging.count(peer.slot) != 0;
}

// ---------------------------------------------------------------- workers -> engine

void Interface::on_event(const dataplane::Event& event, PacketPtr packet) {
  using dataplane::EventType;
  if (event.type == EventType::kStray) return on_stray(event);
  const noise::Now at = now();
  PeerRecord* record = find_slot(event.peer.slot);
  const bool stale = record == nullptr || !(record->slot->ref() == event.peer);
  if (stale) {
    if (packet) services_.drops.add(DropReason::peer_gone);
    return;
  }
  switch (event.type) {
    case EventType::kNeedHandshake:
      return engine_->on_need_handshake(event.peer, at);
    case EventType::kKeyFresh:
      return engine_->on_key_fresh(event.peer, at);
    case EventType::kConfirmed:
      return engine_->on_confirmed(event.keypair_index, at);
    case EventType::kRoamed:
      if (may_roam_to(*record, event.remote) &&
          !engine_->on_roamed(event.peer, on_its_link(*record, event.remote, event.local), event.local, at))
        services_.counters.roams_withheld.add(1);
      record->slot->requested.fetch_and(~std::uint32_t{dataplane::kRequestRoaming},
                                        std::memory_order_relaxed);
      return;
    case EventType::kStage:
      return stage(event, std::move(packet));
    case EventType::kStray:
      return;
    case EventType::kKernelSend:
      return send_sealed(event, *packet);
    case EventType::kSourceMismatch: {
      PeerEvent own;
      own.kind = PeerEventKind::kDisallowedSource;
      own.source = dataplane::to_string(event.remote.address);
      if (const PeerRecord* owner = find_slot(event.owner)) {
        own.owner = owner->name.empty() ? config::to_string(owner->public_key) : owner->name;
      }
      return note(*record, std::move(own));
    }
  }
}

// A peer does not roam to a martian address, nor to one of the box (a peer that runs on the box keeps its
// own).
bool Interface::may_roam_to(const PeerRecord& record, const Endpoint& remote) const {
  const std::uint8_t* bytes = remote.address.bytes.data();
  const bool v6 = remote.address.v6, loopback = dataplane::is_loopback(bytes, v6);
  const bool special = v6 ? dataplane::is_special_v6(bytes) : dataplane::is_special_v4(bytes);
  if (remote.port == 0 || (special && !loopback)) return false;
  const bool ours = loopback || services_.mirror.is_local(remote.address);
  const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed);
  return !ours || (path != nullptr && path->remote.address == remote.address);
}

// Workers know addresses, not links. A link-local peer that moves is taken to stay on its link; one that
// comes from elsewhere, to be on the link of our address it writes to. Its next handshake comes through the
// kernel, which knows the link.
Endpoint Interface::on_its_link(const PeerRecord& record, Endpoint remote, const Endpoint& local) const {
  if (!remote.address.v6 || !is_link_local(remote.address)) return remote;
  const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed);
  if (path != nullptr && path->remote.scope != 0)
    remote.scope = path->remote.scope;
  else
    remote.scope = services_.mirror.link_of(local.address);
  return remote;
}

void Interface::stage(const dataplane::Event& event, PacketPtr packet) {
  dataplane::Peer& peer = *find_slot(event.peer.slot)->slot;
  const auto bytes = bytes_of(*packet);
  services_.staging.push(peer.slot, {bytes.begin(), bytes.end()});
  packet.reset();  // the pool may need it for what release_staged() copies
  // The session may have come while the packet was on its way here.
  const dataplane::Keypair* current = peer.current.load(std::memory_order_relaxed);
  const noise::Now at = now();
  if (current != nullptr && !current->expired(at.boot) &&
      current->sending_valid.load(std::memory_order_relaxed)) {
    release_staged(peer);
  } else {
    engine_->on_need_handshake(event.peer, at);
  }
}

// A sealed message that no port can carry: no DPDK port that way, or its neighbour is not resolved yet.
void Interface::send_sealed(const dataplane::Event& event, const rte_mbuf& packet) {
  const PeerRecord& record = *find_slot(event.peer.slot);
  const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed);
  if (path == nullptr) return services_.drops.add(DropReason::no_endpoint);
  const SendResult result =
      socket_.send({path->remote, {path->local.address, path->remote.scope}, event.tos, bytes_of(packet)});
  if (!result.sent()) services_.drops.add(DropReason::socket_send_failed);
  if (result.outcome == SendOutcome::kSentFromElsewhere) stale_sources_.push_back(event.peer);
}

void Interface::receive_data(const ReceivedDatagram& datagram) {
  dataplane::DropCounters& drops = services_.drops;
  if (datagram.bytes.size() < dataplane::kKeepaliveSize) return drops.add(DropReason::socket_malformed);
  const std::array<std::uint8_t, dataplane::kEthernetHeaderSize> l2{};
  rte_mempool* const pool = services_.dataplane.pool();
  if (headers_of(l2.size(), datagram.remote.address.v6) + datagram.bytes.size() > room_in(pool))
    return drops.add(DropReason::socket_oversized);
  PacketPtr packet = frame_of(pool, l2, datagram.remote, datagram.local, datagram.tos, datagram.bytes);
  if (!packet) return drops.add(DropReason::socket_full);
  packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;  // the kernel has checked it
  std::uint32_t index;
  std::memcpy(&index, datagram.bytes.data() + 4, sizeof index);
  dataplane::Command command{};
  command.type = dataplane::CommandType::kReceiveOuter;
  command.interface_id = id_;
  services_.commands.post(index, command, std::move(packet), DropReason::socket_full);
}

// ---------------------------------------------------------------- what people want to know

void Interface::note(PeerRecord& record, PeerEvent&& event) {
  event.at = std::chrono::system_clock::now();
  if (!record.events) record.events = std::make_unique<std::deque<PeerEvent>>();
  if (!record.events->empty()) {
    PeerEvent& last = record.events->back();
    if (last.kind == event.kind && last.source == event.source && last.detail == event.detail) {
      last.at = event.at;
      ++last.count;
      return;
    }
  }
  if (record.events->size() == kOwnEvents) record.events->pop_front();
  record.events->push_back(std::move(event));
}

void Interface::announce(const char* kind, const PeerRecord& record, const std::string& detail) {
  if (!services_.has_subscribers()) return;
  GatewayEvent event;
  event.at = std::chrono::system_clock::now();
  event.kind = kind;
  event.interface = name_;
  event.public_key = config::to_string(record.public_key);
  event.peer = record.name.empty() ? event.public_key : record.name;
  event.detail = detail;
  event.rx_bytes = record.slot->received().bytes;
  event.tx_bytes = record.slot->sent().bytes;
  if (const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed)) {
    event.endpoint = dataplane::to_string(path->remote);
  }
  services_.emit(std::move(event));
}

LogLimits& Interface::log_limits_of(PeerRecord* record) {
  if (record == nullptr) return stranger_log_limits_;
  if (!record->log_limits) record->log_limits = std::make_unique<LogLimits>();
  return *record->log_limits;
}

void Interface::log_event(PeerRecord* record, const noise::PeerEvent& event) {
  using Kind = noise::PeerEventKind;
  spdlog::level::level_enum level = spdlog::level::debug;
  bool with_endpoint = false;
  switch (event.kind) {
    case Kind::kSessionUp:
    case Kind::kRoamed:
    case Kind::kGaveUp:
    case Kind::kExpired:
      level = spdlog::level::info;
      with_endpoint = true;
      break;
    case Kind::kTimestampNotNewer:
    case Kind::kLowOrderKey:
    case Kind::kNoPrivateKey:
    case Kind::kClockJumped:
    case Kind::kClockBehind:
      level = spdlog::level::warn;
      break;
    default:
      break;
  }
  if (!log_->should_log(level)) return;  // most events of most peers: no word is made of them
  // Whoever replays or relays packets causes a line for each. Lines of level debug are not limited.
  std::uint64_t withheld = 0;
  if (level >= spdlog::level::info) {
    const auto allowed =
        log_limits_of(record)[static_cast<std::uint8_t>(event.kind)].take(LogLimit::Clock::now());
    if (!allowed) return;
    withheld = *allowed;
  }
  const std::string who = record == nullptr       ? std::string()
                          : !record->name.empty() ? "peer " + record->name + ": "
                                                  : "peer " + config::to_string(record->public_key) + ": ";
  const std::string detail =
      with_endpoint ? dataplane::to_string(event.remote) : std::to_string(event.detail);
  const std::string more =
      withheld == 0 ? std::string() : ", and " + std::to_string(withheld) + " more before";
  log_->log(level, "{}{} ({}){}", who, noise::to_string(event.kind), detail, more);
}

void Interface::event(const dataplane::Peer* peer, const noise::PeerEvent& event) {
  using Kind = noise::PeerEventKind;
  PeerRecord* record = peer == nullptr ? nullptr : find_slot(peer->slot);
  log_event(record, event);
  if (event.kind == Kind::kClockBehind) clock_behind_ = std::chrono::seconds(event.detail / 1'000'000'000);
  if (record == nullptr) return;
  if (event.kind == Kind::kSessionUp) {
    announce("peer_up", *record);
    forget_remembered(*record);
  }
  if (event.kind == Kind::kInitiationSent && event.detail == kTriesThere && record->endpoint_restored)
    no_answer_.push_back(record->slot->ref());
  if (event.kind == Kind::kRekeyed) announce("peer_rekeyed", *record);
  if (event.kind == Kind::kRoamed) announce("peer_roamed", *record);
  if (event.kind == Kind::kExpired) announce("peer_idle", *record);
  const bool silent = event.kind == Kind::kUnresponsive || event.kind == Kind::kGaveUp;
  if (silent && record->endpoint && record->endpoint->name() != nullptr) {
    services_.resolver.resolve_again(record->slot->slot);
  }
}

}  // namespace wg::control
