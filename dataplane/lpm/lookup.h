// The readers' side: a burst goes down the trie together, one level per round. Each round visits one node per
// key that still has one and asks for the cache line of the next, so the misses of a burst overlap.
#pragma once

#include <emmintrin.h>
#include <smmintrin.h>

#include "dataplane/lpm/table.h"

namespace wg::lpm {

// How many of the node's starts are not above `point`: the index of the range it lies in.
inline unsigned range_of(const Unit* starts, unsigned ranges, std::uint16_t point) noexcept {
  const __m128i points = _mm_set1_epi16(static_cast<short>(point));
  unsigned below = 0;
  for (unsigned i = 0; i + 1 < ranges; i += 8) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(starts + i / 2));
    const __m128i not_above = _mm_cmpeq_epi16(_mm_max_epu16(block, points), points);
    below += static_cast<unsigned>(__builtin_popcount(static_cast<unsigned>(_mm_movemask_epi8(not_above))));
  }
  below /= 2;
  // The padding is not above 0xffff either.
  return below < ranges ? below : ranges - 1;
}

inline void prefetch(const void* at) noexcept {
  __builtin_prefetch(at);
}

// Visits a range node: takes its answer or returns the deeper node.
template <typename Bits>
inline const Unit* visit_range_node(const Unit* node, Bits key, Value& best) noexcept {
  const Value fallback = fallback_of(node).load(std::memory_order_acquire);
  best = fallback == kInherit ? best : fallback;
  const unsigned ranges = node[2] & 0xffff;
  const unsigned position = node[2] >> 16;
  if (!same_start(key, load_bits<Bits>(node + 3), position)) return nullptr;
  const Unit* starts = node + kNodeUnits<Bits>;
  const unsigned range = range_of(starts, ranges, window16(key, position));
  const Unit entry = starts[padded_starts(ranges) / 2 + range];
  if ((entry & kChildEntry) != 0) return node + (entry & ~kChildEntry);
  best = entry == kInherit ? best : entry;
  return nullptr;
}

// Visits a branch: the word of the slot, or an empty leaf.
template <typename Bits>
inline Word visit_branch(const Branch<Bits>* branch, Bits key, Value& best) noexcept {
  const Value fallback = branch->fallback.load(std::memory_order_acquire);
  best = fallback == kInherit ? best : fallback;
  if (!same_start(key, branch->path, branch->position)) return leaf_word(kInherit);
  return branch->slots[window16(key, branch->position) >> 8];
}

// Everything but the /0; a miss is kNoMatch.
template <typename Bits>
void lookup_longer(const Root& root, const Bits* keys, Value* out, std::size_t n) noexcept {
  Word at[kMaxBurst];
  std::uint16_t who[kMaxBurst];
  std::size_t walking = 0;
  const auto go_to = [&](std::size_t key, Word word) {
    if (is_leaf(word)) {
      out[key] = leaf_value(word) == kInherit ? out[key] : leaf_value(word);
      return;
    }
    prefetch(reinterpret_cast<const void*>(word));
    at[walking] = word;
    who[walking++] = static_cast<std::uint16_t>(key);
  };
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t slot = root.bits == 0 ? 0 : window16(keys[i], 0);
    out[i] = kNoMatch;
    go_to(i, root.slots[slot].load(std::memory_order_acquire));
  }
  while (walking != 0) {
    const std::size_t visits = walking;
    walking = 0;
    for (std::size_t j = 0; j < visits; ++j) {
      const std::size_t i = who[j];
      if (is_branch(at[j])) {
        go_to(i, visit_branch(branch_of<Bits>(at[j]), keys[i], out[i]));
      } else if (const Unit* deeper = visit_range_node(block_of(at[j]), keys[i], out[i])) {
        go_to(i, reinterpret_cast<Word>(deeper));
      }
    }
  }
}

// The /0 is not in the trie: it would be the fallback of every slot. A key that misses there takes the /0
// seen before the walk, provided the /0 is still the same after it: then table and /0 held together while the
// key's slot was read.
template <typename Bits>
void lookup_all(const Table<Bits>& table, const Bits* keys, Value* out, std::size_t n) noexcept {
  for (;;) {
    const std::uint64_t before = table.default_word();
    lookup_longer(*table.root(), keys, out, n);
    if (table.default_word() != before) continue;
    for (std::size_t i = 0; i < n; ++i) out[i] = out[i] == kNoMatch ? static_cast<Value>(before) : out[i];
    return;
  }
}

}  // namespace wg::lpm
