// The peers of an interface: by number, by slot, by public key, and by the index of our handshake in flight.
//
// W and R: the engine. Control thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <unordered_map>
#include <vector>

#include "control/noise/peer_state.h"
#include "control/noise/types.h"

namespace wg::noise {

class PeerIndex {
 public:
  // `key` is not here yet. The number (PeerState::id) is one that was freed, or one more than there are.
  PeerState& add(Peer& peer, const PublicKey& key);
  // Frees `p`, which has no handshake in flight.
  void remove(PeerState& p);

  [[nodiscard]] PeerState* find(const Peer& peer) const;
  [[nodiscard]] PeerState* find(PeerRef ref) const;
  [[nodiscard]] PeerState* find(const PublicKey& key) const;
  [[nodiscard]] std::size_t size() const { return by_key_.size(); }

  // ---- by number: of what walks over all of them. Numbers are below end(); null: free.
  [[nodiscard]] std::size_t end() const { return by_id_.size(); }
  [[nodiscard]] PeerState* at(std::size_t id) const { return by_id_[id].get(); }
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& p : by_id_) {
      if (p) visit(*p);
    }
  }

  // ---- our initiations in flight, by our sender_index
  void add_handshake(std::uint32_t local_index, const PeerState& p) {
    by_handshake_.emplace(local_index, p.id);
  }
  void remove_handshake(std::uint32_t local_index) { by_handshake_.erase(local_index); }
  [[nodiscard]] PeerState* find_handshake(std::uint32_t local_index) const;

  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  [[nodiscard]] PeerState* at_slot(std::uint32_t slot) const;

  std::vector<std::unique_ptr<PeerState>> by_id_;
  std::vector<std::uint32_t> free_ids_;
  std::vector<std::uint32_t> id_of_slot_;
  // A tree: to add one key to many moves none of them, as a table of hashes does when it grows, and chosen
  // keys cost no more than others.
  std::map<PublicKey, std::uint32_t> by_key_;
  std::unordered_map<std::uint32_t, std::uint32_t> by_handshake_;
};

}  // namespace wg::noise
