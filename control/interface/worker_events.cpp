#include "control/interface/worker_events.h"

#include <array>
#include <cstring>
#include <utility>

#include "control/clock.h"
#include "control/convert.h"
#include "control/interface/datagram_frame.h"
#include "dataplane/packet/address_class.h"

namespace wg::control {

using dataplane::DropReason;

void WorkerEvents::on_event(const dataplane::Event& event, PacketPtr packet) {
  using dataplane::EventType;
  if (event.type == EventType::kStray) return endpoints_.on_stray(event);
  const noise::Now at = now();
  PeerRecord* record = core_.book.find_slot(event.peer.slot);
  const bool stale = record == nullptr || !(record->slot->ref() == event.peer);
  if (stale) {
    if (packet) core_.services.drops.add(DropReason::peer_gone);
    return;
  }
  switch (event.type) {
    case EventType::kNeedHandshake:
      return core_.engine->on_need_handshake(event.peer, at);
    case EventType::kKeyFresh:
      return core_.engine->on_key_fresh(event.peer, at);
    case EventType::kConfirmed:
      return core_.engine->on_confirmed(event.keypair_index, at);
    case EventType::kRoamed:
      if (may_roam_to(*record, event.remote) &&
          !core_.engine->on_roamed(event.peer, on_its_link(*record, event.remote, event.local), event.local,
                                   at))
        core_.services.counters.roams_withheld.add(1);
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
      if (const PeerRecord* owner = core_.book.find_slot(event.owner)) {
        own.owner = owner->name.empty() ? config::to_string(owner->public_key) : owner->name;
      }
      return notes_.note(*record, std::move(own));
    }
  }
}

// A peer does not roam to a martian address, nor to one of the box (a peer that runs on the box keeps its
// own).
bool WorkerEvents::may_roam_to(const PeerRecord& record, const Endpoint& remote) const {
  const std::uint8_t* bytes = remote.address.bytes.data();
  const bool v6 = remote.address.v6, loopback = dataplane::is_loopback(bytes, v6);
  const bool special = v6 ? dataplane::is_special_v6(bytes) : dataplane::is_special_v4(bytes);
  if (!remote.known() || (special && !loopback)) return false;
  const bool ours = loopback || core_.services.mirror.is_local(remote.address);
  const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed);
  return !ours || (path != nullptr && path->remote.address == remote.address);
}

// Workers know addresses, not links. A link-local peer that moves is taken to stay on its link; one that
// comes from elsewhere, to be on the link of our address it writes to. Its next handshake comes through the
// kernel, which has the link.
Endpoint WorkerEvents::on_its_link(const PeerRecord& record, Endpoint remote, const Endpoint& local) const {
  if (!remote.address.v6 || !is_link_local(remote.address)) return remote;
  const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed);
  if (path != nullptr && path->remote.scope != 0)
    remote.scope = path->remote.scope;
  else
    remote.scope = core_.services.mirror.link_of(local.address);
  return remote;
}

void WorkerEvents::stage(const dataplane::Event& event, PacketPtr packet) {
  dataplane::Peer& peer = *core_.book.find_slot(event.peer.slot)->slot;
  const auto bytes = bytes_of(*packet);
  const noise::Now at = now();
  core_.engine->follow(event.peer, at);
  core_.services.staging.push(peer.slot, {bytes.begin(), bytes.end()});
  packet.reset();  // the pool may need it for what release_staged() copies
  // The session may have come while the packet was on its way here.
  const dataplane::Keypair* current = peer.current.load(std::memory_order_relaxed);
  if (current != nullptr && !current->expired(at.boot) &&
      current->sending_valid.load(std::memory_order_relaxed)) {
    host_.release_staged(peer);
  } else {
    core_.engine->on_need_handshake(event.peer, at);
  }
}

// A sealed message that no port can carry: no DPDK port that way, or its neighbour is not resolved yet.
void WorkerEvents::send_sealed(const dataplane::Event& event, const rte_mbuf& packet) {
  const PeerRecord& record = *core_.book.find_slot(event.peer.slot);
  const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed);
  if (path == nullptr) return core_.services.drops.add(DropReason::no_endpoint);
  const SendResult result = core_.socket.send(
      {path->remote, {path->local.address, path->remote.scope}, event.tos, bytes_of(packet)});
  if (!result.sent()) core_.services.drops.add(DropReason::socket_send_failed);
  if (result.outcome == SendOutcome::kSentFromElsewhere) stale_sources_.push_back(event.peer);
}

void WorkerEvents::receive_data(const ReceivedDatagram& datagram) {
  dataplane::DropCounters& drops = core_.services.drops;
  if (datagram.bytes.size() < dataplane::kKeepaliveSize) return drops.add(DropReason::socket_malformed);
  const std::array<std::uint8_t, dataplane::kEthernetHeaderSize> l2{};
  rte_mempool* const pool = core_.services.dataplane.pool();
  if (!fits_a_buffer(pool, l2.size(), datagram.remote.address.v6, datagram.bytes.size()))
    return drops.add(DropReason::socket_oversized);
  PacketPtr packet = frame_of(pool, l2, datagram.remote, datagram.local, datagram.tos, datagram.bytes);
  if (!packet) return drops.add(DropReason::socket_full);
  packet->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;  // the kernel has checked it
  std::uint32_t index;
  std::memcpy(&index, datagram.bytes.data() + 4, sizeof index);
  dataplane::Command command{};
  command.type = dataplane::CommandType::kReceiveOuter;
  command.interface_id = core_.id;
  core_.services.commands.post(index, command, std::move(packet), DropReason::socket_full);
}

void WorkerEvents::clear_stale_sources() {
  for (const dataplane::PeerRef& ref : std::exchange(stale_sources_, {})) {
    if (dataplane::Peer* peer = core_.services.dataplane.peers().find(ref)) core_.engine->clear_source(*peer);
  }
}

}  // namespace wg::control
