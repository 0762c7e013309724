#include "control/api/peer_list.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace wg::control {
namespace {

std::uint64_t all_drops(const PeerStatus& peer) {
  return std::accumulate(peer.drops.begin(), peer.drops.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const NamedCount& drop) { return sum + drop.count; });
}

std::uint64_t value_of(const PeerStatus& peer, PeerOrder order) {
  switch (order) {
    case PeerOrder::kName:
      break;
    case PeerOrder::kHandshake:
      return peer.last_handshake ? static_cast<std::uint64_t>(peer.last_handshake->time_since_epoch().count())
                                 : 0;
    case PeerOrder::kRx:
      return peer.rx_bytes;
    case PeerOrder::kTx:
      return peer.tx_bytes;
    case PeerOrder::kTransfer:
      return peer.rx_bytes + peer.tx_bytes;
    case PeerOrder::kDrops:
      return all_drops(peer);
  }
  return 0;
}

}  // namespace

std::optional<PeerOrder> parse_peer_order(std::string_view text) {
  if (text == "name") return PeerOrder::kName;
  if (text == "handshake") return PeerOrder::kHandshake;
  if (text == "rx") return PeerOrder::kRx;
  if (text == "tx") return PeerOrder::kTx;
  if (text == "transfer") return PeerOrder::kTransfer;
  if (text == "drops") return PeerOrder::kDrops;
  return std::nullopt;
}

// Nameless peers go last, because a list is read from the top.
bool PeerList::before(const Row& a, const Row& b) {
  return std::forward_as_tuple(b.value, a.interface, a.name.empty(), a.name, a.key) <
         std::forward_as_tuple(a.value, b.interface, b.name.empty(), b.name, b.key);
}

bool PeerList::read(SliceEnd until) {
  Run run;
  const bool more = status_.visit_peers(at_, query_.filter, until, [&](PeerStatus&& peer) {
    const std::uint64_t value = value_of(peer, query_.order);
    run.rows.push_back({value, std::move(peer.interface), std::move(peer.name), peer.public_key});
  });
  total_ += run.rows.size();
  std::sort(run.rows.begin(), run.rows.end(), before);
  if (!run.rows.empty()) heap_.push_back(&runs_.emplace_back(std::move(run)));
  if (!more) std::make_heap(heap_.begin(), heap_.end(), later);
  return more;
}

const PeerList::Row* PeerList::take_first() {
  if (heap_.empty()) return nullptr;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  Run& run = *heap_.back();
  const Row* row = &run.rows[run.next++];
  if (run.next == run.rows.size()) {
    heap_.pop_back();
  } else {
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  return row;
}

std::optional<PeerStatus> PeerList::next() {
  while (query_.limit == 0 || listed_ < query_.limit) {
    const Row* row = take_first();
    if (row == nullptr) break;
    auto peer = status_.find_peer(row->interface, config::to_string(row->key));
    if (!peer) continue;
    ++listed_;
    return peer;
  }
  return std::nullopt;
}

}  // namespace wg::control
