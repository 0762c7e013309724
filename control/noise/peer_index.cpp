#include "control/noise/peer_index.h"

namespace wg::noise {

PeerState& PeerIndex::add(Peer& peer, const PublicKey& key) {
  std::uint32_t id = static_cast<std::uint32_t>(by_id_.size());
  if (free_ids_.empty()) {
    by_id_.emplace_back();
  } else {
    id = free_ids_.back();
    free_ids_.pop_back();
  }
  by_id_[id] = std::make_unique<PeerState>(peer, key);
  by_id_[id]->id = id;
  by_key_.emplace(key, id);
  if (peer.slot >= id_of_slot_.size()) id_of_slot_.resize(peer.slot + 1, dataplane::kNoPeer);
  id_of_slot_[peer.slot] = id;
  return *by_id_[id];
}

void PeerIndex::remove(PeerState& p) {
  const std::uint32_t id = p.id;
  by_key_.erase(p.public_key);
  id_of_slot_[p.peer->slot] = dataplane::kNoPeer;
  by_id_[id].reset();
  free_ids_.push_back(id);
}

PeerState* PeerIndex::at_slot(std::uint32_t slot) const {
  if (slot >= id_of_slot_.size() || id_of_slot_[slot] >= by_id_.size()) return nullptr;
  return by_id_[id_of_slot_[slot]].get();
}

PeerState* PeerIndex::find(const Peer& peer) const {
  PeerState* const p = at_slot(peer.slot);
  return p != nullptr && p->peer == &peer ? p : nullptr;
}

PeerState* PeerIndex::find(PeerRef ref) const {
  PeerState* const p = at_slot(ref.slot);
  return p != nullptr && p->peer->ref() == ref ? p : nullptr;
}

PeerState* PeerIndex::find(const PublicKey& key) const {
  const auto found = by_key_.find(key);
  return found == by_key_.end() ? nullptr : by_id_[found->second].get();
}

PeerState* PeerIndex::find_handshake(std::uint32_t local_index) const {
  const auto found = by_handshake_.find(local_index);
  return found == by_handshake_.end() ? nullptr : by_id_[found->second].get();
}

std::size_t PeerIndex::memory_bytes() const {
  // Next pointer, or colour and three pointers, and the allocator's header.
  constexpr std::size_t kHashNode = 2 * sizeof(void*), kTreeNode = 5 * sizeof(void*);
  return by_id_.capacity() * sizeof(void*) + by_key_.size() * (sizeof(PeerState) + 16) +
         by_key_.size() * (sizeof(PublicKey) + 8 + kTreeNode) + by_handshake_.size() * (8 + 8 + kHashNode) +
         by_handshake_.bucket_count() * sizeof(void*) + id_of_slot_.capacity() * 4 + free_ids_.capacity() * 4;
}

}  // namespace wg::noise
