// Selects and orders peers for `show.peers`. Pure functions over any number of peers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/api/status_source.h"

namespace wg::control {

enum class PeerOrder : std::uint8_t {
  kName,       // then key
  kHandshake,  // newest first
  kRx,         // most first
  kTx,
  kTransfer,  // rx + tx
  kDrops,
};
std::optional<PeerOrder> parse_peer_order(std::string_view text);

struct PeerQuery {
  PeerFilter filter;
  PeerOrder order = PeerOrder::kName;
  std::size_t limit = 0;  // 0: all
};

struct PeerList {
  std::vector<PeerStatus> peers;
  std::size_t total = 0;  // that passed the filter, before the limit
};

PeerList list_peers(const StatusSource& status, const PeerQuery& query);

// PeerFilter::text, parsed once. It matches a part of the name or of the base64 key, or an address inside an
// allowed IP, before the peer's status is built.
class PeerText {
 public:
  explicit PeerText(std::string_view text) : text_(text), address_(config::parse_address(text)) {}

  template <typename Prefixes>
  bool matches(std::string_view name, const config::Key& key, const Prefixes& allowed_ips) const {
    if (text_.empty() || name.find(text_) != std::string_view::npos) return true;
    if (config::to_string(key).find(text_) != std::string::npos) return true;
    return address_ && std::any_of(allowed_ips.begin(), allowed_ips.end(), [this](const auto& prefix) {
             return config::contains(prefix, *address_);
           });
  }

 private:
  std::string_view text_;  // the filter's
  std::optional<config::Address> address_;
};

}  // namespace wg::control
