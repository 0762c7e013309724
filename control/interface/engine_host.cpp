#include "control/interface/engine_host.h"

#include <cstring>
#include <utility>

#include "control/interface/datagram_frame.h"

namespace wg::control {

using dataplane::DropReason;

namespace {

constexpr std::int64_t kTriesThere = 2;  // initiations to a restored endpoint before the configured one

std::string local_of(const Endpoint& from) {
  return from.address.is_zero() ? std::string() : dataplane::to_string(from.address);
}

}  // namespace

void EngineHost::send_handshake(const Endpoint& to, const Endpoint& from,
                                std::span<const std::uint8_t> message, std::uint8_t tos) {
  const bool cookie_reply = message[0] == dataplane::kMessageCookieReply;
  if (cookie_reply && answer_by_port(to, from, message, tos)) return;
  const SendResult result = core_.socket.send({to, {from.address, from.scope}, tos, message});
  if (!result.sent()) core_.services.drops.add(DropReason::socket_send_failed);
  if (result.outcome == SendOutcome::kFailed) {
    const std::string remote = dataplane::to_string(to);
    core_.log->write(log_event::handshake_unsent, {.remote = remote, .local = local_of(from)},
                     "handshake to {}: {}", remote, strerror(result.error));
  }
}

// Cookie replies answer a flood one by one: each through the kernel's socket and a TAP would cost the workers
// more time than refusing the flood does. False: no port leads there, or routing policy applies: the kernel
// decides.
bool EngineHost::answer_by_port(const Endpoint& to, const Endpoint& from,
                                std::span<const std::uint8_t> message, std::uint8_t tos) {
  if (core_.socket.fwmark() != 0 || from.address.is_zero() || from.address.v6 != to.address.v6 ||
      to.scope != 0)
    return false;
  const dataplane::NextHop* hop = core_.services.publisher.next_hop_for(to.address);
  if (hop == nullptr || hop->kind != dataplane::HopKind::kPort) return false;
  PacketPtr packet;
  if (core_.services.commands.has_room_for_unknown_hosts(number_of(to.port))) {
    packet = frame_of(core_.services.dataplane.pool(), std::span(hop->header).first(hop->header_length), from,
                      to, tos, message);
  }
  if (!packet) {
    core_.services.drops.add(DropReason::cookie_reply_unsent);
    return true;
  }
  fill_udp_checksum(*packet, hop->header_length, to.address.v6);
  dataplane::Command command{};
  command.type = dataplane::CommandType::kSendFrame;
  command.port = hop->port;
  core_.services.commands.post(number_of(to.port), command, std::move(packet),
                               DropReason::cookie_reply_unsent);
  return true;
}

bool EngineHost::post(const dataplane::Peer& peer, dataplane::CommandType type, PacketPtr packet) {
  dataplane::Command command{};
  command.type = type;
  command.interface_id = core_.id;
  command.peer = peer.ref();
  return core_.services.commands.post(peer.slot, command, std::move(packet),
                                      DropReason::command_mailbox_full);
}

void EngineHost::send_keepalive(dataplane::Peer& peer) {
  post(peer, dataplane::CommandType::kKeepalive, nullptr);
}

bool EngineHost::release_staged(dataplane::Peer& peer) {
  const auto packets = core_.services.staging.take(peer.slot);
  for (const Staging::Packet& packet : packets) {
    PacketPtr copy = allocate_packet(core_.services.dataplane.pool());
    if (!copy) {
      core_.services.drops.add(DropReason::no_mbuf);
      continue;
    }
    char* data = rte_pktmbuf_append(copy.get(), static_cast<std::uint16_t>(packet.size()));
    if (data == nullptr) {
      core_.services.drops.add(DropReason::no_headroom);
      continue;
    }
    std::memcpy(data, packet.data(), packet.size());
    post(peer, dataplane::CommandType::kSendInner, std::move(copy));
  }
  return !packets.empty();
}

void EngineHost::drop_staged(dataplane::Peer& peer) {
  core_.services.staging.drop(peer.slot);
}

bool EngineHost::has_staged(const dataplane::Peer& peer) {
  return core_.services.staging.count(peer.slot) != 0;
}

void EngineHost::endpoint_changed(dataplane::Peer& peer, const Endpoint& remote, const Endpoint& local) {
  if (PeerRecord* record = core_.book.find_slot(peer.slot)) paths_.lead_to(*record, remote, local);
}

void EngineHost::retire(std::function<void()> free) {
  core_.services.dataplane.quiescence().retire(std::move(free));
}

void EngineHost::event(const dataplane::Peer* peer, const noise::PeerEvent& event) {
  using Kind = noise::PeerEventKind;
  PeerRecord* record = peer == nullptr ? nullptr : core_.book.find_slot(peer->slot);
  notes_.log(record, event);
  if (event.kind == Kind::kClockBehind) clock_behind_ = std::chrono::seconds(event.detail / 1'000'000'000);
  if (record == nullptr) return;
  if (event.kind == Kind::kSessionUp) {
    notes_.announce(GatewayEventKind::kPeerUp, *record);
    endpoints_.forget_restored(*record);
  }
  const bool may_be_elsewhere =
      record->endpoint_restored ? event.detail == kTriesThere : record->candidates.size() > 1;
  if (event.kind == Kind::kInitiationSent && may_be_elsewhere) endpoints_.note_no_answer(*record);
  if (event.kind == Kind::kRekeyed) notes_.announce(GatewayEventKind::kPeerRekeyed, *record);
  if (event.kind == Kind::kRoamed) notes_.announce(GatewayEventKind::kPeerRoamed, *record);
  if (event.kind == Kind::kExpired) notes_.announce(GatewayEventKind::kPeerIdle, *record);
  const bool silent = event.kind == Kind::kUnresponsive || event.kind == Kind::kGaveUp;
  if (silent && record->endpoint && record->endpoint->name() != nullptr) {
    core_.services.resolver.resolve_again(record->slot->slot);
  }
}

}  // namespace wg::control
