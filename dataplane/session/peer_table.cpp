#include "dataplane/session/peer_table.h"

#include <new>

#include "dataplane/session/large_pages.h"

namespace wg::dataplane {

PeerTable::PeerTable(std::size_t capacity) : capacity_(capacity) {
  void* range = map_large(capacity * sizeof(Peer));
  if (range == nullptr) throw std::bad_alloc();
  peers_ = static_cast<Peer*>(range);
}

PeerTable::~PeerTable() {
  munmap(peers_, capacity_ * sizeof(Peer));
}

namespace {

// To the values of a new Peer, but for `generation`, which a worker with an old command may be reading.
void clear(Peer& peer) {
  const auto zero = [](auto&... field) { (field.store({}, std::memory_order_relaxed), ...); };
  zero(peer.current, peer.path, peer.mtu, peer.next, peer.requested, peer.rx_bytes, peer.rx_packets);
  zero(peer.last_received, peer.last_sent, peer.last_data_received, peer.last_data_sent);
  zero(peer.unanswered_received, peer.unanswered_sent, peer.tx_bytes, peer.tx_packets);
#define LINEGATE_ZERO(reason) zero(peer.drop_##reason);
  LINEGATE_PEER_DROPS(LINEGATE_ZERO)
#undef LINEGATE_ZERO
  zero(peer.handshake_rx_bytes, peer.handshake_rx_packets, peer.handshake_tx_packets,
       peer.handshake_tx_bytes);
}

}  // namespace

Peer* PeerTable::add(InterfaceId interface_id) {
  std::uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
    clear(peers_[slot]);
  } else if (used_ < capacity_) {
    slot = static_cast<std::uint32_t>(used_.load(std::memory_order_relaxed));
    new (&peers_[slot]) Peer;
    used_.store(slot + 1, std::memory_order_release);
  } else {
    return nullptr;
  }
  Peer* peer = &peers_[slot];
  peer->slot = slot;
  peer->interface_id = interface_id;
  peer->generation.store(next_generation_++, std::memory_order_release);
  return peer;
}

void PeerTable::remove(Peer& peer) {
  peer.generation.store(0, std::memory_order_release);
  free_.push_back(peer.slot);
}

}  // namespace wg::dataplane
