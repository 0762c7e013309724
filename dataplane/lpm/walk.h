// The walk that all instruction sets share. A burst goes down the trie together, one step per round: each
// round asks for the cache lines of the next, so the misses of a burst overlap. Almost every key ends in the
// root or one line behind it; that way is free of branches that depend on the data, because a wrong guess
// costs more than a line. For inclusion by the lookup_*.cpp only, each of which gets its own copy.
#pragma once

#include <immintrin.h>

#include "dataplane/lpm/lookup.h"

namespace wg::lpm {
namespace {

// How many of the 7 lasts are below the point: the range it lies in. The eighth lane is the fallback.
LPM_INLINE unsigned range_of(const Point* lasts, Point point) noexcept {
#ifdef __SANITIZE_THREAD__  // would object to reading the fallback along
  unsigned range = 0;
  for (unsigned i = 0; i + 1 < kRanges; ++i) range += lasts[i] < point ? 1 : 0;
  return range;
#elif defined(__AVX512VL__)
  const __m256i ends = _mm256_load_si256(reinterpret_cast<const __m256i*>(lasts));
  const __m256i points = _mm256_set1_epi32(static_cast<int>(point));
  return static_cast<unsigned>(__builtin_popcount(_mm256_mask_cmplt_epu32_mask(0x7f, ends, points)));
#else
  const __m128i points = _mm_set1_epi32(static_cast<int>(point));
  const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(lasts));
  const __m128i high = _mm_load_si128(reinterpret_cast<const __m128i*>(lasts + 4));
  const __m128i low_not_below = _mm_cmpeq_epi32(_mm_max_epu32(low, points), low);
  const __m128i high_not_below = _mm_cmpeq_epi32(_mm_max_epu32(high, points), high);
  const int not_below = _mm_movemask_epi8(_mm_packs_epi32(low_not_below, high_not_below));
  return static_cast<unsigned>(__builtin_popcount(~static_cast<unsigned>(not_below) & 0x3fff)) / 2;
#endif
}

LPM_INLINE Value known_or(Value value, Value otherwise) noexcept {
  return value == kInherit ? otherwise : value;
}

// A leaf's value, or kNoMatch; arithmetic, because compilers make a branch of the choice.
LPM_INLINE Value leaf_or_no_match(Word word) noexcept {
  return leaf_value(word) | (static_cast<Value>(word & kLeafTag) - 1);
}

// Where keys look that have no line.
alignas(kLine) constexpr Ranges kNoRanges{
    {}, kInherit, {kInherit, kInherit, kInherit, kInherit, kInherit, kInherit, kInherit, kInherit}};

// 1 for an array below without a path and so near that a view of the key, of which a branch took 8 bits,
// still has the points there; otherwise 0.
LPM_INLINE Value is_near_below(Value entry) noexcept {
  const Value near = (entry >> Below::kDistanceAt & Below::kMaxDistance) <= 64 - 8 - kWindow ? 1 : 0;
  return entry >> 31 & ~(entry >> Below::kPathAt) & near;
}

LPM_INLINE const Line* lines_at(Word word) noexcept {
  return reinterpret_cast<const Line*>(word & ~Word{kLine - 1});
}

template <typename Bits>
class Walk {
 public:
  Walk(const Bits* keys, Value* out) noexcept : keys_(keys), out_(out) {}

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
    while (nodes_ != 0) visit_nodes();
    while (steps_ + rests_ != 0) {
      read_lines();
      go_below();
      compare_paths();
    }
  }

 private:
  // A key at a line of the block.
  struct Step {
    const Ranges* line;
    const Line* block;
    Point point;
    std::uint16_t key;
    std::uint8_t position;  // of the line's array
  };
  // A key at a branch, or at a block with a path.
  struct Node {
    Word word;
    std::uint16_t key;
    std::uint8_t floor;
  };
  // A key whose line leads to an array below.
  struct Rest {
    const Line* block;
    Value entry;
    std::uint16_t key;
    std::uint8_t position;
  };

  // IPv4 tables have next to no arrays below.
  static constexpr bool kGoesBelow = sizeof(Bits) == 16;
  static constexpr Word kSlotsAt = offsetof(Branch<Bits>, slots);

  // ---- From a grown root, through a branch if there is one, to the first line: loops over all keys without
  // a branch. A core has the loads of a whole burst under way at once, so nothing is prefetched.
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

  // While the keys at branches wait for these.
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
      entries_[i] = line->entries[range_of(line->lasts, static_cast<Point>(views_[i] >> kWindow))];
      fallbacks_[i] = fallback_at(line);
    }
  }

  // How many keys are led to arrays below: some tables send every other key there.
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

  // Writes the answers that are known and goes on with the other keys. Only the root's leaves say kNoMatch;
  // it is no entry of a line.
#ifdef __AVX512VL__
  LPM_INLINE void sort_out(std::size_t n) noexcept {
    const __m256i no_match = _mm256_set1_epi32(-1);
    for (std::size_t i = 0; i < n; i += 8) {
      const auto lanes = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1U << (n - i)) - 1);
      const __m512i words = _mm512_load_si512(words_ + i);
      const __m256i entries = _mm256_load_si256(reinterpret_cast<const __m256i*>(entries_ + i));
      const __mmask8 leaf = _mm512_test_epi64_mask(words, _mm512_set1_epi64(kLeafTag));
      const __m256i leaves = _mm512_cvtepi64_epi32(_mm512_srli_epi64(words, 32));
      const __m256i fallbacks = _mm256_load_si256(reinterpret_cast<const __m256i*>(fallbacks_ + i));
      const __mmask8 inherits = _mm256_cmpeq_epi32_mask(entries, _mm256_set1_epi32(kInherit));
      const __m256i values =
          _mm256_mask_mov_epi32(_mm256_mask_mov_epi32(entries, inherits, fallbacks), leaf, leaves);
      const __mmask8 known = _mm256_cmplt_epu32_mask(values, _mm256_set1_epi32(kInherit)) |
                             _mm256_cmpeq_epi32_mask(values, no_match);
      _mm256_mask_storeu_epi32(out_ + i, lanes, _mm256_mask_mov_epi32(no_match, known, values));
      unsigned rest = lanes & ~unsigned{known};
      for (; rest != 0; rest &= rest - 1) go_on(i + static_cast<unsigned>(__builtin_ctz(rest)));
    }
  }
#else
  LPM_INLINE void sort_out(std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) {
      const Value leaf = 0U - static_cast<Value>(words_[i] & kLeafTag);
      const Value value = (leaf_value(words_[i]) & leaf) | (known_or(entries_[i], fallbacks_[i]) & ~leaf);
      const bool known = value < kInherit || value == kNoMatch;
      out_[i] = known ? value : kNoMatch;
      if (!known) go_on(i);
    }
  }
#endif

  LPM_INLINE void go_on(std::size_t i) noexcept {
    const auto key = static_cast<std::uint16_t>(i);
    const Word word = words_[i];
    const bool branched = branched_ && branches_[i] != nullptr;
    if (branched) offer(key, fallback_at(branches_[i]));
    const unsigned position = kGoesBelow ? static_cast<unsigned>(positions_[i])
                                         : RootShape<Bits>::depth(keys_[i]) + (branched ? 8 : 0);
    if (is_leaf(word)) return;
    if ((word & kTags) != 0) return go_to(key, word, position);
    if (entries_[i] == kInherit) return;
    rest_[rests_++] = {lines_at(word), entries_[i], key, static_cast<std::uint8_t>(position)};
  }

  LPM_INLINE void enter_single(Word word, std::size_t n) noexcept {
    for (std::size_t i = 0; i < n; ++i) out_[i] = leaf_or_no_match(word);
    if (is_leaf(word)) return;
    for (std::size_t i = 0; i < n; ++i) go_to(static_cast<std::uint16_t>(i), word, 0);
  }

  LPM_INLINE void prefetch_node(const Node& node) noexcept {
    const Line* first = lines_at(node.word);
    __builtin_prefetch(first);
    const auto* slot = branch_of<Bits>(node.word)->slots + byte_at(keys_[node.key], node.floor);
    __builtin_prefetch(is_branch(node.word) ? static_cast<const void*>(slot) : first + 1);
  }

  // `word` is no leaf.
  LPM_INLINE void go_to(std::uint16_t key, Word word, unsigned floor) noexcept {
    if ((word & kTags) == 0) return step(key, lines_at(word), 1, line_bits(word), floor);
    node_[nodes_] = {word, key, static_cast<std::uint8_t>(floor)};
    prefetch_node(node_[nodes_++]);
  }

  LPM_INLINE void step(std::uint16_t key, const Line* block, std::size_t first, unsigned bits,
                       unsigned position) noexcept {
    const Point point = window(keys_[key], position);
    const Line* line = block + first + line_of(point, bits);
    __builtin_prefetch(line);
    step_[steps_++] = {reinterpret_cast<const Ranges*>(line), block, point, key,
                       static_cast<std::uint8_t>(position)};
  }

  LPM_INLINE void offer(std::uint16_t key, Value value) noexcept {
    out_[key] = known_or(value, out_[key]);
  }

  LPM_INLINE void visit_nodes() noexcept {
    const std::size_t count = nodes_;
    nodes_ = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Node node = node_[i];
      if (is_branch(node.word)) {
        visit_branch(node.key, *branch_of<Bits>(node.word));
      } else {
        visit_block(node.key, node.word);
      }
    }
  }

  LPM_INLINE void visit_branch(std::uint16_t key, const Branch<Bits>& branch) noexcept {
    offer(key, fallback_at(&branch));
    if (!same_start(keys_[key], branch.path, branch.position)) return;
    const Word word = branch.slots[byte_at(keys_[key], branch.position)];
    if (is_leaf(word)) {
      offer(key, leaf_value(word));
    } else {
      go_to(key, word, branch.position + 8U);
    }
  }

  LPM_INLINE void visit_block(std::uint16_t key, Word word) noexcept {
    const auto& header = *block_of<Bits>(word);
    if (same_start(keys_[key], header.path, header.position)) {
      step(key, lines_at(word), 1, line_bits(word), header.position);
    } else {
      offer(key, fallback_at(&header));
    }
  }

  LPM_INLINE void read_lines() noexcept {
    for (std::size_t i = 0; i < steps_; ++i) {
      const Step& at = step_[i];
      const Value entry = at.line->entries[range_of(at.line->lasts, at.point)];
      const Value value = known_or(entry, fallback_at(at.line));
      const bool below = value >= kChildEntry && value != kNoMatch;
      const Value best = out_[at.key];
      out_[at.key] = below ? best : known_or(value, best);
      rest_[rests_] = {at.block, entry, at.key, at.position};
      rests_ += below ? 1 : 0;
    }
    steps_ = 0;
  }

  LPM_INLINE void go_below() noexcept {
    for (std::size_t i = 0; i < rests_; ++i) {
      const Rest rest = rest_[i];
      const Below below{rest.entry};
      if (below.has_path()) {
        __builtin_prefetch(rest.block + below.line());
        __builtin_prefetch(rest.block + below.line() + 1);
        path_[paths_++] = rest;
      } else {
        step(rest.key, rest.block, below.line(), below.line_bits(), rest.position + below.distance());
      }
    }
    rests_ = 0;
  }

  LPM_INLINE void compare_paths() noexcept {
    for (std::size_t i = 0; i < paths_; ++i) {
      const Rest rest = path_[i];
      const Below below{rest.entry};
      const auto& in = *reinterpret_cast<const Path<Bits>*>(rest.block + below.line());
      const unsigned position = rest.position + below.distance();
      if (same_start(keys_[rest.key], in.path, position)) {
        step(rest.key, rest.block, below.line() + 1, below.line_bits(), position);
      } else {
        offer(rest.key, known_or(in.cover, fallback_at(&in)));
      }
    }
    paths_ = 0;
  }

  const Bits* keys_;
  Value* out_;
  bool branched_ = false;
  const Branch<Bits>* branches_[kMaxBurst];  // behind the root, if branched_
  alignas(kLine) Word words_[kMaxBurst];     // what the root says, or the branch there
  alignas(kLine) Word positions_[kMaxBurst];
  alignas(kLine) Word lines_[kMaxBurst];
  alignas(kLine) std::uint64_t views_[kMaxBurst];  // the bits of the key from where the word is
  alignas(kLine) Value entries_[kMaxBurst];
  alignas(kLine) Value fallbacks_[kMaxBurst];
  std::size_t steps_ = 0;
  std::size_t nodes_ = 0;
  std::size_t rests_ = 0;
  std::size_t paths_ = 0;
  Step step_[kMaxBurst + 1];  // one more: written before it is known whether it counts
  Node node_[kMaxBurst + 1];
  Rest rest_[kMaxBurst + 1];
  Rest path_[kMaxBurst];
};

template <typename Bits>
LPM_INLINE void walk_all(const Root& root, const Bits* keys, Value* out, std::size_t n) noexcept {
  Walk<Bits> walk(keys, out);
  walk.run(root, n);
}

}  // namespace
}  // namespace wg::lpm
