// Inner packets that wait for a session, copied out of the packet pool so that waiting peers cannot drain it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "dataplane/counters.h"

namespace wg::control {

class Staging {
 public:
  static constexpr std::size_t kPerPeer = 128;           // protocol C5-8: the oldest goes first
  static constexpr std::size_t kTotalBytes = 64u << 20;  // over all peers, what holds the packets included
  // A packet's vector with the allocator's share; a peer's queue, which begins with a block of 512 bytes. A
  // sweep with small packets over a million idle peers would else cost ten times the total.
  static constexpr std::size_t kPacketOverhead = 40;
  static constexpr std::size_t kPeerOverhead = 704;

  using Packet = std::vector<std::uint8_t>;

  explicit Staging(dataplane::DropCounters& drops) : drops_(drops) {}

  // False: the total is reached and the peer has none of its own to give up.
  bool push(std::uint32_t peer_slot, Packet packet);
  [[nodiscard]] std::deque<Packet> take(std::uint32_t peer_slot);
  void drop(std::uint32_t peer_slot);
  [[nodiscard]] std::size_t count(std::uint32_t peer_slot) const;
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  [[nodiscard]] static std::size_t cost(const Packet& packet) { return packet.size() + kPacketOverhead; }
  void pop_oldest(std::deque<Packet>& queue);

  std::unordered_map<std::uint32_t, std::deque<Packet>> queues_;
  std::size_t bytes_ = 0;
  dataplane::DropCounters& drops_;  // staged_dropped
};

}  // namespace wg::control
