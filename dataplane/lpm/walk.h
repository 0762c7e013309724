// The walk that all instruction sets share. A burst goes down the trie together, one level per round: each
// round visits one node per key that still has one and asks for the cache lines of the next, so the misses of
// a burst overlap. What depends on the data is written without branches where both outcomes are common: a
// wrong guess costs more than a round. For inclusion by the lookup_*.cpp only, each of which gets its own
// copy.
#pragma once

#include <immintrin.h>

#include "dataplane/lpm/lookup.h"

namespace wg::lpm {
namespace {

// How many of the 8 lasts are below the point: the range it lies in.
LPM_INLINE unsigned range_of(const std::uint16_t* lasts, std::uint16_t point) noexcept {
  const __m128i points = _mm_set1_epi16(static_cast<short>(point));
  const __m128i ends = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lasts));
  const int not_below = _mm_movemask_epi8(_mm_cmpeq_epi16(_mm_max_epu16(ends, points), ends));
  return static_cast<unsigned>(__builtin_popcount(static_cast<unsigned>(not_below) ^ 0xffff)) / 2;
}

// The same for 7 lasts; the eighth lane is whatever follows them in the line.
LPM_INLINE unsigned range_of(const std::uint32_t* lasts, std::uint32_t point) noexcept {
#ifdef __AVX512VL__
  const __m256i ends = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lasts));
  const auto below = _mm256_cmplt_epu32_mask(ends, _mm256_set1_epi32(static_cast<int>(point)));
  return static_cast<unsigned>(__builtin_popcount(below & 0x7fU));
#else
  const __m128i points = _mm_set1_epi32(static_cast<int>(point));
  const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lasts));
  const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lasts + 4));
  const __m128i low_not_below = _mm_cmpeq_epi32(_mm_max_epu32(low, points), low);
  const __m128i high_not_below = _mm_cmpeq_epi32(_mm_max_epu32(high, points), high);
  const int not_below = _mm_movemask_epi8(_mm_packs_epi32(low_not_below, high_not_below));
  return static_cast<unsigned>(__builtin_popcount(~static_cast<unsigned>(not_below) & 0x3fff)) / 2;
#endif
}

LPM_INLINE Value known_or(Value value, Value otherwise) noexcept {
  return value == kInherit ? otherwise : value;
}

// A leaf's value, or else `otherwise`; arithmetic, because compilers make a branch of the choice.
LPM_INLINE Value leaf_value_or(Word word, Value otherwise) noexcept {
  const Value leaf = 0U - static_cast<Value>(word & kLeafTag);
  return (leaf_value(word) & leaf) | (otherwise & ~leaf);
}

// Where to find the node of a word: at `empty` for a leaf.
LPM_INLINE const unsigned char* node_or(Word word, const void* empty) noexcept {
  const Word node = (word & kLeafTag) - 1;
  return reinterpret_cast<const unsigned char*>((word & node & ~Word{kLine - 1}) |
                                                (reinterpret_cast<Word>(empty) & ~node));
}

// The entry for the point in a node or in the group it leads to.
template <typename Bits>
LPM_INLINE Value entry_of(const Node<Bits>& node, bool grouped, Point<Bits> point) noexcept {
  const std::size_t group = grouped ? 1 + range_of(node.lasts, point) : 0;
  const auto& in = *reinterpret_cast<const Group<Bits>*>(reinterpret_cast<const Line*>(&node) + group);
  return in.entries[range_of(in.lasts, point)];
}

// The keys of a burst that still walk, and where to. The best answer so far is in `out`.
template <typename Bits>
class Walk {
 public:
  Walk(const Bits* keys, Value* out) noexcept : keys_(keys), out_(out) {}

  LPM_INLINE void start(const Root& root, std::size_t n) noexcept {
    const bool grown = root.grown != 0;
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t slot = grown ? RootShape<Bits>::slot(keys_[i]) : 0;
      out_[i] = kNoMatch;
      go_to(static_cast<std::uint16_t>(i), root.slots[slot].load(std::memory_order_acquire));
    }
  }

  LPM_INLINE void finish() noexcept {
    while (walking_ != 0) {
      const std::size_t steps = walking_;
      walking_ = 0;
      for (std::size_t i = 0; i < steps; ++i) visit(steps_[i].key, steps_[i].word);
    }
  }

 private:
  struct Step {
    Word word;
    std::uint16_t key;
  };

  LPM_INLINE void go_to(std::uint16_t key, Word word) noexcept {
    out_[key] = known_or(leaf_value_or(word, kInherit), out_[key]);
    append(key, word, (word & kLeafTag) ^ 1);
  }

  LPM_INLINE void append(std::uint16_t key, Word word, std::size_t walks) noexcept {
    steps_[walking_] = {word, key};
    walking_ += walks;
    const unsigned char* line = node_or(word, out_);
    __builtin_prefetch(line);
    if constexpr (sizeof(Bits) == 16) __builtin_prefetch(line + kLine);
  }

  LPM_INLINE void visit(std::uint16_t key, Word word) noexcept {
    if (is_branch(word)) {
      visit_branch(key, *branch_of<Bits>(word));
    } else {
      visit_node(key, *block_of<Bits>(word));
    }
  }

  LPM_INLINE void visit_branch(std::uint16_t key, const Branch<Bits>& branch) noexcept {
    out_[key] = known_or(branch.fallback.load(std::memory_order_acquire), out_[key]);
    if (!same_start(keys_[key], branch.path, branch.position)) return;
    go_to(key, branch.slots[byte_at(keys_[key], branch.position)]);
  }

  LPM_INLINE void visit_node(std::uint16_t key, const Node<Bits>& node) noexcept {
    const Value best = known_or(fallback_of(&node).load(std::memory_order_acquire), out_[key]);
    out_[key] = best;
    const unsigned position = node.meta.position();
    if (!same_start(keys_[key], node.path, position)) return;
    const Value entry = entry_of<Bits>(node, node.meta.groups() != 0, window(keys_[key], position));
    if ((entry & kChildEntry) == 0) {
      out_[key] = known_or(entry, best);
    } else {
      append(key, reinterpret_cast<Word>(&node) + (entry & ~kChildEntry), 1);
    }
  }

  const Bits* keys_;
  Value* out_;
  std::size_t walking_ = 0;
  Step steps_[kMaxBurst + 1];  // append() writes before it knows
};

template <typename Bits>
LPM_INLINE void walk_all(const Root& root, const Bits* keys, Value* out, std::size_t n) noexcept {
  Walk<Bits> walk(keys, out);
  walk.start(root, n);
  walk.finish();
}

// ---- IPv4 below a grown root. There a branch stands where its slot does, a block is one node that also
// stands there, so neither paths nor positions matter, and nothing lies below a node. A leaf takes the same
// steps through an empty node.

constexpr Node<std::uint32_t> kEmptyNode{};

LPM_INLINE void prefetch_node(Word word) noexcept {
  __builtin_prefetch(node_or(word, &kEmptyNode));
}

// What a word says, branches aside.
LPM_INLINE Value resolve(Word word, std::uint16_t point, Value best) noexcept {
  const auto* line = node_or(word, &kEmptyNode);
  const auto& node = *reinterpret_cast<const Node<std::uint32_t>*>(line);
  const Word grouped = Word{0} - (word / kGroupedTag & 1);
  const std::size_t group = (1 + range_of(node.lasts, point)) * kLine & grouped;
  const auto& in = *reinterpret_cast<const Node<std::uint32_t>*>(line + group);
  const Value entry = in.entries[range_of(in.lasts, point)];
  const Value inherited = known_or(fallback_of(line).load(std::memory_order_acquire), best);
  return known_or(leaf_value_or(word, known_or(entry, inherited)), best);
}

struct Burst4 {
  const std::uint32_t* keys;
  Value* out;                       // the best answer so far
  Word words[kMaxBurst];            // where each key is
  std::uint16_t points[kMaxBurst];  // the 16 bits from there
  std::uint16_t rest[kMaxBurst + 1];
};

// Takes the keys in `rest` that stand at branches through these, until none does.
LPM_INLINE void pass_branches(Burst4& burst, std::uint16_t* rest, std::size_t count) noexcept {
  while (count != 0) {
    std::size_t next = 0;
    for (std::size_t r = 0; r < count; ++r) {
      const std::uint16_t i = rest[r];
      const auto& branch = *branch_of<std::uint32_t>(burst.words[i]);
      burst.out[i] = known_or(branch.fallback.load(std::memory_order_acquire), burst.out[i]);
      const Word word = branch.slots[byte_at(burst.keys[i], branch.position)];
      prefetch_node(word);
      burst.words[i] = word;
      burst.points[i] = static_cast<std::uint16_t>(burst.keys[i] << 8);  // behind a branch at /24 are leaves
      rest[next] = i;
      next += word / kBranchTag & 1;
    }
    count = next;
  }
}

}  // namespace
}  // namespace wg::lpm
