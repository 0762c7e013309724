// Selecting and ordering peers for `show.peers`: pure, over any number of peers.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/api/operations.h"

namespace wg::control {

enum class PeerOrder : std::uint8_t {
  kName,       ///< then key
  kHandshake,  ///< newest first
  kRx,         ///< most first
  kTx,
  kTransfer,  ///< rx + tx
  kDrops,
};
std::optional<PeerOrder> parse_peer_order(std::string_view text);

struct PeerQuery {
  PeerFilter filter;
  PeerOrder order = PeerOrder::kName;
  std::size_t limit = 0;  ///< 0: all
};

struct PeerList {
  std::vector<PeerStatus> peers;
  std::size_t total = 0;  ///< that passed the filter, before the limit
};

PeerList list_peers(Operations& operations, const PeerQuery& query);
/// Whether `text` is part of the name or of the base64 key, or an address inside an allowed IP.
bool matches(const PeerStatus& peer, std::string_view text);

}  // namespace wg::control
