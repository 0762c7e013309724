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

Peer* PeerTable::add(std::uint16_t interface_id) {
  std::uint32_t slot;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else if (used_ < capacity_) {
    slot = static_cast<std::uint32_t>(used_++);
  } else {
    return nullptr;
  }
  Peer* peer = new (&peers_[slot]) Peer;
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
