// The slots of all peers in one reserved range. Addresses never move; a slot's pages are committed on first
// use.
//
// W: control (add, remove). R: workers, by slot numbers that the longest-prefix match returned.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/base/ids.h"
#include "dataplane/session/peer.h"

namespace wg::dataplane {

class PeerTable {
 public:
  // Reserves address space for `capacity` peers (192 bytes each) without committing memory.
  explicit PeerTable(std::size_t capacity);
  ~PeerTable();
  PeerTable(const PeerTable&) = delete;
  PeerTable& operator=(const PeerTable&) = delete;

  // Returns a slot with a new generation, or nullptr when the table is full.
  Peer* add(InterfaceId interface_id);
  // Frees the slot for immediate reuse. Precondition: every worker was quiescent since the slot was
  // unpublished.
  void remove(Peer& peer);

  [[nodiscard]] Peer& at(std::uint32_t slot) const noexcept { return peers_[slot]; }
  // Returns the peer, or nullptr when it was removed.
  [[nodiscard]] Peer* find(PeerRef ref) const noexcept {
    if (ref.slot >= used_.load(std::memory_order_acquire)) return nullptr;
    Peer& peer = peers_[ref.slot];
    return peer.generation.load(std::memory_order_acquire) == ref.generation ? &peer : nullptr;
  }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  std::size_t capacity_;
  std::atomic<std::size_t> used_{0};  // high-water mark; slots below are constructed
  Peer* peers_;
  std::vector<std::uint32_t> free_;
  std::uint32_t next_generation_ = 1;
};

}  // namespace wg::dataplane
