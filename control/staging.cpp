#include "control/staging.h"

#include <utility>

namespace wg::control {

void Staging::pop_oldest(std::deque<Packet>& queue) {
  bytes_ -= queue.front().size();
  queue.pop_front();
  ++dropped_;
}

bool Staging::push(std::uint32_t peer_slot, Packet packet) {
  std::deque<Packet>& queue = queues_[peer_slot];
  if (queue.size() >= kPerPeer) pop_oldest(queue);
  while (bytes_ + packet.size() > kTotalBytes && !queue.empty()) pop_oldest(queue);
  if (bytes_ + packet.size() > kTotalBytes) {
    ++dropped_;
    queues_.erase(peer_slot);
    return false;
  }
  bytes_ += packet.size();
  queue.push_back(std::move(packet));
  return true;
}

std::deque<Staging::Packet> Staging::take(std::uint32_t peer_slot) {
  const auto at = queues_.find(peer_slot);
  if (at == queues_.end()) return {};
  std::deque<Packet> queue = std::move(at->second);
  queues_.erase(at);
  for (const Packet& packet : queue) bytes_ -= packet.size();
  return queue;
}

void Staging::drop(std::uint32_t peer_slot) {
  if (count(peer_slot) == 0) return;  // most peers: not even an empty queue is made
  dropped_ += take(peer_slot).size();
}

std::size_t Staging::count(std::uint32_t peer_slot) const {
  const auto at = queues_.find(peer_slot);
  return at == queues_.end() ? 0 : at->second.size();
}

}  // namespace wg::control
