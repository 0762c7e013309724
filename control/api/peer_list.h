// Selects and orders peers for `show.peers`, any number of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
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

// The answer to a query, made in slices. Peers are sorted by what is read of them first; the rest of each row
// is read when it is its turn. Peers that are gone by then are left out.
//
// Only what they are sorted by is kept: the list of a slow reader is small.
class PeerList {
 public:
  // `status` outlives it.
  PeerList(const StatusSource& status, PeerQuery query) : status_(status), query_(std::move(query)) {}

  // One slice of reading and sorting. False: it was the last, and next() may be called.
  bool read(SliceEnd until);
  // That passed the filter, before the limit.
  [[nodiscard]] std::size_t total() const { return total_; }
  // nullopt: there are no more.
  std::optional<PeerStatus> next();

 private:
  struct Row {
    std::uint64_t value = 0;  // the greater, the earlier
    std::string interface, name;
    config::Key key;
  };
  // Sorted rows of one slice; `next` is the first that is not rendered yet.
  struct Run {
    std::vector<Row> rows;
    std::size_t next = 0;
    [[nodiscard]] const Row& first() const { return rows[next]; }
  };
  static bool before(const Row& a, const Row& b);
  static bool later(const Run* a, const Run* b) { return before(b->first(), a->first()); }
  const Row* take_first();

  const StatusSource& status_;
  const PeerQuery query_;
  PeerCursor at_;
  std::deque<Run> runs_;
  std::vector<Run*> heap_;  // of the runs that have rows left
  std::size_t total_ = 0, listed_ = 0;
};

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
