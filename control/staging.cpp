#include "control/staging.h"

#include <utility>

namespace wg::control {

using dataplane::DropReason;

void Staging::pop_oldest(std::deque<Packet>& queue) {
  bytes_ -= cost(queue.front());
  queue.pop_front();
  drops_.add(DropReason::staged_dropped);
}

bool Staging::push(std::uint32_t peer_slot, Packet packet) {
  const auto [at, fresh] = queues_.try_emplace(peer_slot);
  std::deque<Packet>& queue = at->second;
  if (fresh) bytes_ += kPeerOverhead;
  if (queue.size() >= kPerPeer) pop_oldest(queue);
  while (bytes_ + cost(packet) > kTotalBytes && !queue.empty()) pop_oldest(queue);
  if (bytes_ + cost(packet) > kTotalBytes) {
    drops_.add(DropReason::staged_dropped);
    queues_.erase(at);
    bytes_ -= kPeerOverhead;
    return false;
  }
  bytes_ += cost(packet);
  queue.push_back(std::move(packet));
  return true;
}

std::deque<Staging::Packet> Staging::take(std::uint32_t peer_slot) {
  const auto at = queues_.find(peer_slot);
  if (at == queues_.end()) return {};
  std::deque<Packet> queue = std::move(at->second);
  queues_.erase(at);
  bytes_ -= kPeerOverhead;
  for (const Packet& packet : queue) bytes_ -= cost(packet);
  return queue;
}

void Staging::drop(std::uint32_t peer_slot) {
  if (count(peer_slot) == 0) return;  // most peers: not even an empty queue is made
  drops_.add(DropReason::staged_dropped, take(peer_slot).size());
}

std::size_t Staging::count(std::uint32_t peer_slot) const {
  const auto at = queues_.find(peer_slot);
  return at == queues_.end() ? 0 : at->second.size();
}

}  // namespace wg::control
