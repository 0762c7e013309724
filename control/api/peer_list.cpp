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

bool by_name(const PeerStatus& a, const PeerStatus& b) {
  // Nameless peers go last: a list is read from the top.
  return std::forward_as_tuple(a.interface, a.name.empty(), a.name, a.public_key) <
         std::forward_as_tuple(b.interface, b.name.empty(), b.name, b.public_key);
}

template <typename Value>
auto most_first(Value value) {
  return [value](const PeerStatus& a, const PeerStatus& b) {
    const auto left = value(a);
    const auto right = value(b);
    return left != right ? left > right : by_name(a, b);
  };
}

template <typename Less>
void sort_first(std::vector<PeerStatus>& peers, std::size_t limit, Less less) {
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

bool matches(const PeerStatus& peer, std::string_view text) {
  if (text.empty() || peer.name.find(text) != std::string::npos) return true;
  if (config::to_string(peer.public_key).find(text) != std::string::npos) return true;
  const auto address = config::parse_address(text);
  return address && std::any_of(peer.allowed_ips.begin(), peer.allowed_ips.end(),
                                [&](const auto& prefix) { return config::contains(prefix, *address); });
}

PeerList list_peers(Operations& operations, const PeerQuery& query) {
  PeerList list;
  operations.visit_peers(query.filter, [&](PeerStatus&& peer) {
    if (matches(peer, query.filter.text)) list.peers.push_back(std::move(peer));
  });
  list.total = list.peers.size();
  switch (query.order) {
    case PeerOrder::kName:
      sort_first(list.peers, query.limit, by_name);
      break;
    case PeerOrder::kHandshake:
      sort_first(list.peers, query.limit, most_first([](const auto& peer) { return peer.last_handshake; }));
      break;
    case PeerOrder::kRx:
      sort_first(list.peers, query.limit, most_first([](const auto& peer) { return peer.rx_bytes; }));
      break;
    case PeerOrder::kTx:
      sort_first(list.peers, query.limit, most_first([](const auto& peer) { return peer.tx_bytes; }));
      break;
    case PeerOrder::kTransfer:
      sort_first(list.peers, query.limit, most_first([](const auto& p) { return p.rx_bytes + p.tx_bytes; }));
      break;
    case PeerOrder::kDrops:
      sort_first(list.peers, query.limit, most_first(all_drops));
      break;
  }
  return list;
}

}  // namespace wg::control
