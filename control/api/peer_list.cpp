#include "control/api/peer_list.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <tuple>
#include <utility>

namespace wg::control {
namespace {

std::uint64_t all_drops(const PeerStatus& peer) {
  return std::accumulate(peer.drops.begin(), peer.drops.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const NamedCount& drop) { return sum + drop.count; });
}

bool by_name(const PeerStatus& a, const PeerStatus& b) {
  // Nameless peers go last, because a list is read from the top.
  return std::forward_as_tuple(a.interface, a.name.empty(), a.name, a.public_key) <
         std::forward_as_tuple(b.interface, b.name.empty(), b.name, b.public_key);
}

using Less = std::function<bool(const PeerStatus& a, const PeerStatus& b)>;

template <typename Value>
Less most_first(Value value) {
  return [value](const PeerStatus& a, const PeerStatus& b) {
    const auto left = value(a);
    const auto right = value(b);
    return left != right ? left > right : by_name(a, b);
  };
}

Less order_of(PeerOrder order) {
  switch (order) {
    case PeerOrder::kName:
      break;
    case PeerOrder::kHandshake:
      return most_first([](const PeerStatus& peer) { return peer.last_handshake; });
    case PeerOrder::kRx:
      return most_first([](const PeerStatus& peer) { return peer.rx_bytes; });
    case PeerOrder::kTx:
      return most_first([](const PeerStatus& peer) { return peer.tx_bytes; });
    case PeerOrder::kTransfer:
      return most_first([](const PeerStatus& peer) { return peer.rx_bytes + peer.tx_bytes; });
    case PeerOrder::kDrops:
      return most_first(all_drops);
  }
  return by_name;
}

void sort_first(std::vector<PeerStatus>& peers, std::size_t limit, const Less& less) {
  if (limit == 0 || limit >= peers.size()) return std::sort(peers.begin(), peers.end(), less);
  std::partial_sort(peers.begin(), peers.begin() + static_cast<std::ptrdiff_t>(limit), peers.end(), less);
  peers.resize(limit);
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

PeerList list_peers(const StatusSource& status, const PeerQuery& query) {
  const auto less = order_of(query.order);
  PeerList list;
  status.visit_peers(query.filter, [&](PeerStatus&& peer) {
    ++list.total;
    list.peers.push_back(std::move(peer));
    // The caller wants one page of perhaps 100 000 peers, so the others are dropped on the way.
    if (query.limit != 0 && list.peers.size() / 2 == query.limit) sort_first(list.peers, query.limit, less);
  });
  sort_first(list.peers, query.limit, less);
  return list;
}

}  // namespace wg::control
