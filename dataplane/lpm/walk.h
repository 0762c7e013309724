// The generic walk. The keys of a burst descend the trie together, one step per round. Each round prefetches
// the cache lines of the next, so the misses of a burst overlap. Almost every key ends in the root or one
// line below it. That path has no data-dependent branches, because a misprediction costs more than a line.
// Only lookup_*.cpp include this header, and each has its own copy.
#pragma once

#include "dataplane/lpm/tail.h"

namespace wg::lpm {
namespace {

// A leaf's value, or kNoMatch. It is arithmetic, because compilers turn a conditional into a branch.
LPM_INLINE Value leaf_or_no_match(Word word) noexcept {
  return leaf_value(word) | (static_cast<Value>(word & kLeafTag) - 1);
}

// 1 for an array below that has no path and is so near that the view of the key, after a branch consumed 8
// bits, still contains its points; otherwise 0.
LPM_INLINE Value is_near_below(Value entry) noexcept {
  const Value near = (entry >> Below::kDistanceAt & Below::kMaxDistance) <= 64 - 8 - kWindow ? 1 : 0;
  return entry >> 31 & ~(entry >> Below::kPathAt) & near;
}

template <typename Bits>
class Walk {
 public:
  Walk(const Bits* keys, Value* out) noexcept : keys_(keys), out_(out), tail_(keys, out) {}

  LPM_INLINE void run(const Root& root, std::size_t n) noexcept {
    if (root.grown != 0) {
      read_root(root, n);
      find_first_lines(n);
      read_first_lines(n);
      if (kGoesBelow && count_below(n) > n / 8) {
        find_lines_below(n);
        read_first_lines(n);
      }
      sort_out(n);
    } else {
      enter_single(root.slots[0].load(std::memory_order_acquire), n);
    }
    tail_.finish();
  }

 private:
  // IPv4 tables have hardly any arrays below.
  static constexpr bool kGoesBelow = sizeof(Bits) == 16;
  static constexpr Word kSlotsAt = offsetof(Branch<Bits>, slots);

  // ---- From a grown root, through a branch of the trie if any, to the first line. The loops over all keys
  // have no conditional branch. A core overlaps the loads of a whole burst, so nothing is prefetched.
  LPM_INLINE void read_root(const Root& root, std::size_t n) noexcept {
    const Bits* keys = keys_;
    Word seen = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const Word word = root.slots[RootShape<Bits>::slot(keys[i])].load(std::memory_order_acquire);
      seen |= word & kTags;
      words_[i] = word;
      views_[i] = RootShape<Bits>::view(keys[i]);
      if (kGoesBelow) positions_[i] = RootShape<Bits>::depth(keys[i]);
    }
    if ((seen & kBranchTag) == 0) return;
    prefetch_first_lines(n);
    read_branches(n);
  }

  // Prefetches the first lines while the keys at branches wait for their slots.
  LPM_INLINE void prefetch_first_lines(std::size_t n) noexcept {
    find_first_lines(n);
    for (std::size_t i = 0; i < n; ++i) __builtin_prefetch(reinterpret_cast<const void*>(lines_[i]));
  }

  LPM_INLINE void read_branches(std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
      const Word word = words_[i];
      const std::uint64_t view = views_[i];
      const Word at_branch = Word{0} - static_cast<Word>((word & kTags) == kBranchTag);
      const Word branch = word & ~Word{kLine - 1} & at_branch;
      const Word slot = branch + ((kSlotsAt + (view >> 56) * sizeof(Word)) & at_branch);
      branches_[i] = reinterpret_cast<const Branch<Bits>*>(branch);
      words_[i] = *reinterpret_cast<const Word*>(slot | (reinterpret_cast<Word>(&words_[i]) & ~at_branch));
      views_[i] = view << (8 & at_branch);
      if (kGoesBelow) positions_[i] += 8 & at_branch;
    }
    branched_ = true;
  }

  LPM_INLINE void find_first_lines(std::size_t n) noexcept {
    const auto nowhere = reinterpret_cast<Word>(&kNoRanges);
    for (std::size_t i = 0; i < n; ++i) {
      const Word word = words_[i];
      const Word line = (views_[i] >> kWindow >> (kWindow - line_bits(word))) * kLine;
      lines_[i] = (word & kTags) == 0 ? (word & ~Word{kLine - 1}) + kLine + line : nowhere;
    }
  }

  LPM_INLINE void read_first_lines(std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
      const auto* line = reinterpret_cast<const Ranges*>(lines_[i]);
      entries_[i] = answer_of(line, static_cast<Point>(views_[i] >> kWindow));
    }
  }

  // The number of keys that continue in arrays below: half of all keys in some tables.
  LPM_INLINE std::size_t count_below(std::size_t n) noexcept {
    Value count = 0;
    for (std::size_t i = 0; i < n; ++i) count += is_near_below(entries_[i]);
    return count;
  }

  LPM_INLINE void find_lines_below(std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
      const Word entry = entries_[i];
      const Word chosen = Word{0} - is_near_below(entries_[i]);
      const Word distance = entry >> Below::kDistanceAt & Below::kMaxDistance & chosen;
      const Word view = views_[i] << distance;
      const Word line = view >> kWindow >> (kWindow - (entry >> Below::kLineBitsAt & kMaxLineBits));
      const Word at = (words_[i] & ~Word{kLine - 1}) + ((entry & Below::kMaxLine) + line) * kLine;
      lines_[i] = (at & chosen) | (lines_[i] & ~chosen);
      views_[i] = view;
      positions_[i] += distance;
    }
  }

  // Writes the known answers and continues with the other keys. Only leaves of the root have kNoMatch; it is
  // never an entry of a line.
  LPM_INLINE void sort_out(std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
      const Value leaf = 0U - static_cast<Value>(words_[i] & kLeafTag);
      const Value value = (leaf_value(words_[i]) & leaf) | (entries_[i] & ~leaf);
      const bool known = value < kInherit || value == kNoMatch;
      out_[i] = known ? value : kNoMatch;
      if (!known) go_on(i);
    }
  }

  LPM_INLINE void go_on(std::size_t i) noexcept {
    const auto key = static_cast<std::uint16_t>(i);
    const Word word = words_[i];
    const bool branched = branched_ && branches_[i] != nullptr;
    if (branched) tail_.offer(key, fallback_at(branches_[i]));
    const unsigned position = kGoesBelow ? static_cast<unsigned>(positions_[i])
                                         : RootShape<Bits>::depth(keys_[i]) + (branched ? 8 : 0);
    if (is_leaf(word)) return;
    if ((word & kTags) != 0) return tail_.go_to(key, word, position);
    if (entries_[i] == kInherit) return;
    tail_.go_below_from(key, lines_at(word), entries_[i], position);
  }

  LPM_INLINE void enter_single(Word word, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) out_[i] = leaf_or_no_match(word);
    if (is_leaf(word)) return;
    if constexpr (!kGoesBelow) {
      if (is_one_line(word) && answer_by(*first_line(word), n)) return;
    }
    for (std::size_t i = 0; i < n; ++i) tail_.go_to(static_cast<std::uint16_t>(i), word, 0);
  }

  // A table of a few prefixes. False: a key goes on below, nothing is decided.
  LPM_INLINE bool answer_by(const Ranges& line, std::size_t n) noexcept {
    Value unknown = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const Value value = answer_of(&line, keys_[i]);
      out_[i] = value;
      unknown |= value + 1;  // its sign
    }
    if (unknown >> 31 == 0) return true;
    for (std::size_t i = 0; i < n; ++i) out_[i] = kNoMatch;
    return false;
  }

  const Bits* keys_;
  Value* out_;
  bool branched_ = false;
  const Branch<Bits>* branches_[kMaxBurst];  // the branch below the root, if branched_
  alignas(kLine) Word words_[kMaxBurst];     // the word in the root, or in the branch below it
  alignas(kLine) Word positions_[kMaxBurst];
  alignas(kLine) Word lines_[kMaxBurst];
  alignas(kLine) std::uint64_t views_[kMaxBurst];  // the bits of the key from the word's position on
  alignas(kLine) Value entries_[kMaxBurst];
  Tail<Bits, const Bits*> tail_;
};

template <typename Bits>
LPM_INLINE void walk_all(const Root& root, const Bits* keys, Value* out, std::size_t n) noexcept {
  Walk<Bits> walk(keys, out);
  walk.run(root, n);
}

// 16 bytes each, in network order.
LPM_INLINE void walk_all(const Root& root, const std::uint8_t* const* keys, Value* out,
                         std::size_t n) noexcept {
  Uint128 bits[kMaxBurst];
  for (std::size_t i = 0; i < n; ++i) bits[i] = bits_of(keys[i]);
  walk_all(root, bits, out, n);
}

}  // namespace
}  // namespace wg::lpm
