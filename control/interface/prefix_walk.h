// A walk in steps over the prefixes of an interface: those of its peers, slot by slot, then the kept ones.
// Prefixes may come and go meanwhile; those that stay in their place are visited once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "config/types.h"
#include "control/interface/peer_book.h"

namespace wg::control {

class PrefixWalk {
 public:
  // About the next `count`; sometimes none, when many slots belong to other interfaces.
  [[nodiscard]] std::vector<config::Prefix> next_of_peers(const PeerBook& book, std::size_t count);
  // Once those of the peers are done. None: that was all.
  [[nodiscard]] std::vector<config::Prefix> next_of(const std::set<config::Prefix>& kept, std::size_t count);

  [[nodiscard]] bool has_begun() const { return slot_ != 0 || last_ || peers_done_; }
  [[nodiscard]] bool is_past_peers() const { return peers_done_; }

 private:
  std::uint32_t slot_ = 0;
  std::optional<config::Prefix> last_;  // visited, of this slot or of the kept ones
  bool peers_done_ = false;
};

}  // namespace wg::control
