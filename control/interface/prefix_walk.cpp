#include "control/interface/prefix_walk.h"

namespace wg::control {

namespace {

constexpr std::uint32_t kSlotsPassed = 16'384;  // quickly, when they are of other interfaces

// Those that come after `last`, or the first ones, until there are `count`. False: no more of them.
bool take_after(const std::set<config::Prefix>& all, std::optional<config::Prefix>& last, std::size_t count,
                std::vector<config::Prefix>& into) {
  auto at = last ? all.upper_bound(*last) : all.begin();
  for (; at != all.end() && into.size() < count; ++at) {
    into.push_back(*at);
    last = *at;
  }
  return at != all.end();
}

}  // namespace

std::vector<config::Prefix> PrefixWalk::next_of_peers(const PeerBook& book, std::size_t count) {
  std::vector<config::Prefix> prefixes;
  for (std::uint32_t passed = 0; passed < kSlotsPassed && prefixes.size() < count; ++passed) {
    peers_done_ = slot_ >= book.slots();
    if (peers_done_) break;
    const PeerRecord* record = book.find_slot(slot_);
    if (record != nullptr && take_after(record->allowed_ips, last_, count, prefixes)) continue;
    last_.reset();
    ++slot_;
  }
  return prefixes;
}

std::vector<config::Prefix> PrefixWalk::next_of(const std::set<config::Prefix>& kept, std::size_t count) {
  std::vector<config::Prefix> prefixes;
  take_after(kept, last_, count, prefixes);
  return prefixes;
}

}  // namespace wg::control
