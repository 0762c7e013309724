// Eight keys per vector. Everything except the loads is computed for all eight together, and only unfinished
// keys, packed together, continue on the next level. Words and entries are loaded one by one, because a
// gather costs more clocks than the single loads on the measured cores.
#include "dataplane/lpm/tail.h"

#include <atomic>

namespace wg::lpm {
namespace {

constexpr std::size_t kLanes = 8;

// Words in vectors have extra fields for blocks and branches: their position in the top byte, and whether the
// key came through a branch.
constexpr unsigned kPositionAt = 56;
constexpr Word kBranched = Word{1} << 55;
constexpr Word kPointer = (Word{1} << 48) - kLine;

LPM_INLINE __m512i all(Word word) noexcept {
  return _mm512_set1_epi64(static_cast<long long>(word));
}

LPM_INLINE __mmask8 first_lanes(std::size_t n) noexcept {
  return static_cast<__mmask8>(n >= kLanes ? 0xff : (1U << n) - 1);
}

// Loads the words at eight addresses, two loads per register. The words are used as addresses, so no later
// load can precede them; ThreadSanitizer needs the explicit acquire.
template <typename At>
LPM_INLINE __m512i eight_words(const At& at) noexcept {
#ifdef __SANITIZE_THREAD__
  const auto load = [&at](unsigned j) {
    return static_cast<long long>(
        std::atomic_ref<Word>(*const_cast<Word*>(at(j))).load(std::memory_order_acquire));
  };
  return _mm512_set_epi64(load(7), load(6), load(5), load(4), load(3), load(2), load(1), load(0));
#else
  const auto two = [&at](unsigned j) {
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at(j)));
    return _mm_castpd_si128(_mm_loadh_pd(_mm_castsi128_pd(low), reinterpret_cast<const double*>(at(j + 1))));
  };
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(two(0)), two(2), 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(two(4)), two(6), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
#endif
}

template <typename Load>
LPM_INLINE __m256i eight_values(const Load& load) noexcept {
  return _mm256_setr_epi32(load(0), load(1), load(2), load(3), load(4), load(5), load(6), load(7));
}

struct alignas(kLine) Words {
  Word at[kLanes];
};
LPM_INLINE Words stored(__m512i words) noexcept {
  Words out;
  _mm512_store_si512(&out, words);
  asm("" : "+m"(out));  // keeps compilers from splitting vectors, which costs more than the loads
  return out;
}

struct alignas(kLine / 2) Halves {
  Value at[kLanes];
};
LPM_INLINE Halves stored(__m256i values) noexcept {
  Halves out;
  _mm256_store_si256(reinterpret_cast<__m256i*>(&out), values);
  asm("" : "+m"(out));
  return out;
}

// Eight keys and their state: the words at which they continue, and the two halves of the keys.
struct Lanes {
  __m512i words;
  __m512i high;
  __m512i low;
};

// The keys of a burst. IPv4 uses only the upper half.
class Keys4 {
 public:
  Keys4(const std::uint32_t* keys, std::size_t n) noexcept : keys_(keys), n_(n) {}

  LPM_INLINE std::uint32_t operator[](std::size_t i) const noexcept { return keys_[i]; }
  LPM_INLINE Lanes lanes(std::size_t i, __m512i words) const noexcept {
    return {words, _mm512_slli_epi64(_mm512_cvtepu32_epi64(eight(i)), 32), _mm512_setzero_si512()};
  }
  // Keys i to i + 7, zero after the last.
  LPM_INLINE __m256i eight(std::size_t i) const noexcept {
    return _mm256_maskz_loadu_epi32(first_lanes(n_ - i), keys_ + i);
  }
  LPM_INLINE __m512i sixteen(std::size_t i, __mmask16 valid) const noexcept {
    return _mm512_maskz_loadu_epi32(valid, keys_ + i);
  }
  LPM_INLINE const std::uint32_t* eight_at(std::size_t i, Halves& copy) const noexcept {
    if (n_ - i >= kLanes) return keys_ + i;
    copy = stored(eight(i));
    return copy.at;
  }

 private:
  const std::uint32_t* keys_;
  std::size_t n_;
};

class Keys6 {
 public:
  Keys6(const std::uint8_t* const* addresses, std::size_t n) noexcept : addresses_(addresses), n_(n) {}

  LPM_INLINE Uint128 operator[](std::size_t i) const noexcept { return bits_of(addresses_[i]); }
  LPM_INLINE Lanes lanes(std::size_t i, __m512i words) const noexcept {
    return {words, _mm512_load_si512(high_ + i), _mm512_load_si512(low_ + i)};
  }
  // Call it before lanes(i). Keys i to i + 7; after the last key the first of them is repeated.
  LPM_INLINE __m512i load(std::size_t i) noexcept {
    const std::uint8_t* const* at = addresses_ + i;
    const std::uint8_t* some[kLanes];
    if (n_ - i < kLanes) {
      for (std::size_t j = 0; j < kLanes; ++j) some[j] = at[j < n_ - i ? j : 0];
      at = some;
    }
    const __m512i even = four(at[0], at[2], at[4], at[6]);
    const __m512i odd = four(at[1], at[3], at[5], at[7]);
    const __m512i high = _mm512_unpackhi_epi64(even, odd);
    _mm512_store_si512(high_ + i, high);
    _mm512_store_si512(low_ + i, _mm512_unpacklo_epi64(even, odd));
    return high;
  }

 private:
  LPM_INLINE static __m512i four(const std::uint8_t* a, const std::uint8_t* b, const std::uint8_t* c,
                                 const std::uint8_t* d) noexcept {
    const auto load = [](const std::uint8_t* from) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    };
    __m512i bytes = _mm512_castsi128_si512(load(a));
    bytes = _mm512_inserti64x2(bytes, load(b), 1);
    bytes = _mm512_inserti64x2(bytes, load(c), 2);
    bytes = _mm512_inserti64x2(bytes, load(d), 3);
    const __m128i reverse = _mm_setr_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(reverse));
  }

  const std::uint8_t* const* addresses_;
  std::size_t n_;
  alignas(kLine) std::uint64_t high_[kMaxBurst];
  alignas(kLine) std::uint64_t low_[kMaxBurst];
};

// The keys that continue, packed, with their state.
template <typename Bits>
struct Packed {
  alignas(kLine) Word words[kMaxBurst + kLanes];
  alignas(kLine) std::uint64_t high[kMaxBurst + kLanes];
  alignas(kLine) std::uint64_t low[sizeof(Bits) == 16 ? kMaxBurst + kLanes : kLanes];
  alignas(kLine) Value entries[kMaxBurst + kLanes];
  alignas(kLine) Value keys[kMaxBurst + kLanes];
  std::size_t count = 0;
};

template <typename Bits>
class VectorWalk {
 public:
  static constexpr bool kTwo = sizeof(Bits) == 16;
  using Keys = std::conditional_t<kTwo, Keys6, Keys4>;

  template <typename Key>
  VectorWalk(const Root& root, const Key* keys, Value* out, std::size_t n) noexcept
      : root_(root), out_(out), n_(n), keys_(keys, n), tail_(keys_, out) {}

  LPM_INLINE void run() noexcept {
    if (root_.grown == 0) {
      const Word word = root_.slots[0].load(std::memory_order_acquire);
      if (!is_leaf(word) && (word & kTags) != 0) return all_to_tail(word);
      if constexpr (!kTwo) {
        if (is_one_line(word) && answer_by(*first_line(word))) return;
      }
      read_single(word);
    } else if (read_root()) {
      read_branches();
    }
    if (!placed_) {
      for (std::size_t i = 0; i < n_; i += kLanes) read_lines<false>(i);
    } else {
      for (std::size_t i = 0; i < n_; i += kLanes) read_lines<true>(i);
    }
    for (std::size_t i = 0; i < n_; i += kLanes) sort_out(i);
    while (packed_.count != 0) read_lines_below();
    tail_.finish();
  }

 private:
  // The 64 bits of each key from its position on, zero beyond its end. Shifts by more than 63 yield zero.
  // Without `kDeep` positions are below 64.
  template <bool kDeep>
  LPM_INLINE static __m512i views(const Lanes& lanes, __m512i positions) noexcept {
    const __m512i high = _mm512_sllv_epi64(lanes.high, positions);
    if (!kTwo) return high;
    const __m512i crossing = _mm512_srlv_epi64(lanes.low, _mm512_sub_epi64(all(64), positions));
    if (!kDeep) return _mm512_or_si512(high, crossing);
    const __m512i low = _mm512_sllv_epi64(lanes.low, _mm512_sub_epi64(positions, all(64)));
    return _mm512_ternarylogic_epi64(high, crossing, low, 0xfe);
  }

  LPM_INLINE static __m512i positions_of(__m512i words) noexcept {
    return _mm512_srli_epi64(words, kPositionAt);
  }

  LPM_INLINE static __mmask8 tagged(__m512i words, Word tags) noexcept {
    return _mm512_test_epi64_mask(words, all(tags));
  }

  // Adds the position to the words that are not leaves.
  LPM_INLINE static __m512i standing_at(__m512i words, __m512i positions, Word marks) noexcept {
    const __m512i place = _mm512_or_si512(_mm512_slli_epi64(positions, kPositionAt), all(marks));
    return _mm512_mask_or_epi64(words, static_cast<__mmask8>(~tagged(words, kLeafTag)), words, place);
  }

  // A table of a few prefixes: sixteen keys at a time against the ends of all its ranges. False: a key goes
  // on below, nothing is decided.
  LPM_INLINE bool answer_by(const Ranges& line) noexcept {
    const __m256i entry =
        eight_values([&](unsigned j) { return static_cast<int>(entry_at(line.entries[j])); });
    const __m512i entries = _mm512_castsi256_si512(entry);
    for (std::size_t i = 0; i < n_; i += 2 * kLanes) {
      const std::size_t n = n_ - i;
      const auto valid = static_cast<__mmask16>(n >= 2 * kLanes ? 0xffff : (1U << n) - 1);
      const __m512i points = keys_.sixteen(i, valid);
      __m512i range = _mm512_setzero_si512();
      for (const Point last : line.lasts) {
        const __m512i ends = _mm512_set1_epi32(static_cast<int>(last));
        range =
            _mm512_mask_add_epi32(range, _mm512_cmplt_epu32_mask(ends, points), range, _mm512_set1_epi32(1));
      }
      const __m512i values = _mm512_permutexvar_epi32(range, entries);
      const __mmask16 unknown = _mm512_mask_test_epi32_mask(
          valid, _mm512_add_epi32(values, _mm512_set1_epi32(1)), _mm512_set1_epi32(INT32_MIN));
      if (unknown != 0) return false;
      _mm512_mask_storeu_epi32(out_ + i, valid, values);
    }
    return true;
  }

  LPM_INLINE void all_to_tail(Word word) noexcept {
    for (std::size_t i = 0; i < n_; ++i) {
      out_[i] = kNoMatch;
      tail_.go_to(static_cast<std::uint16_t>(i), word, 0);
    }
    tail_.finish();
  }

  LPM_INLINE void read_single(Word word) noexcept {
    for (std::size_t i = 0; i < n_; i += kLanes) {
      if constexpr (kTwo) keys_.load(i);
      _mm512_store_si512(words_ + i, all(word));
    }
    placed_ = true;
  }

  // Reads the root. Returns true when any word is a branch.
  LPM_INLINE bool read_root() noexcept {
    const auto* root = reinterpret_cast<const Word*>(root_.slots);
    const std::size_t n = n_;
    __m512i seen = _mm512_setzero_si512();
    for (std::size_t i = 0; i < n; i += kLanes) {
      __m512i words;
      if constexpr (kTwo) {
        const __m512i high = keys_.load(i);
        const __mmask8 global = _mm512_cmpeq_epi64_mask(_mm512_srli_epi64(high, 61), all(1));
        const __m512i inside = _mm512_and_si512(_mm512_srli_epi64(high, 48), all(RootShape<Bits>::kPart - 1));
        const Words slot = stored(_mm512_mask_add_epi64(_mm512_srli_epi64(high, 64 - RootShape<Bits>::kDepth),
                                                        global, inside, all(RootShape<Bits>::kPart)));
        words = eight_words([&](unsigned j) { return root + slot.at[j]; });
        seen = _mm512_or_si512(seen, words);
        const __m512i places =
            _mm512_mask_mov_epi64(all(Word{RootShape<Bits>::kDepth} << kPositionAt), global,
                                  all(Word{RootShape<Bits>::kDepth + 3} << kPositionAt));
        words = _mm512_mask_or_epi64(words, _mm512_testn_epi64_mask(words, all(kLeafTag)), words, places);
      } else {
        Halves copy;
        const std::uint32_t* key = keys_.eight_at(i, copy);
        words = eight_words([&](unsigned j) { return root + RootShape<Bits>::slot(key[j]); });
        seen = _mm512_or_si512(seen, words);
      }
      _mm512_store_si512(words_ + i, words);
    }
    return _mm512_test_epi64_mask(seen, all(kBranchTag)) != 0;
  }

  LPM_INLINE static __mmask8 at_plain_branch(__m512i words) noexcept {
    return _mm512_cmpeq_epi64_mask(_mm512_and_si512(words, all(kTags)), all(kBranchTag));
  }

  LPM_INLINE void pack(__mmask8 chosen, const Lanes& lanes, __m256i entries, __m256i keys) noexcept {
    const std::size_t at = packed_.count;
    _mm512_storeu_si512(packed_.words + at, _mm512_maskz_compress_epi64(chosen, lanes.words));
    _mm512_storeu_si512(packed_.high + at, _mm512_maskz_compress_epi64(chosen, lanes.high));
    if (kTwo) _mm512_storeu_si512(packed_.low + at, _mm512_maskz_compress_epi64(chosen, lanes.low));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed_.entries + at),
                        _mm256_maskz_compress_epi32(chosen, entries));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(packed_.keys + at),
                        _mm256_maskz_compress_epi32(chosen, keys));
    packed_.count += static_cast<unsigned>(__builtin_popcount(chosen));
  }

  LPM_INLINE static __m256i numbers_from(std::size_t i) noexcept {
    return _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(i)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }

  LPM_INLINE Lanes burst_lanes(std::size_t i) const noexcept {
    return keys_.lanes(i, _mm512_load_si512(words_ + i));
  }

  // Lanes beyond `count` repeat the first.
  LPM_INLINE Lanes packed_lanes(std::size_t i, __m512i order) const noexcept {
    const auto load = [order](const Word* from) {
      return _mm512_permutexvar_epi64(order, _mm512_loadu_si512(from));
    };
    return {load(packed_.words + i), load(packed_.high + i),
            kTwo ? load(packed_.low + i) : _mm512_setzero_si512()};
  }
  LPM_INLINE static __m256i packed_values(const Value* from, __m512i order) noexcept {
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm256_permutevar8x32_epi32(values, _mm512_cvtepi64_epi32(order));
  }
  LPM_INLINE static __m512i order_of(__mmask8 lanes) noexcept {
    return _mm512_maskz_mov_epi64(lanes, _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
  }

  // ---- Branches, until no key is at one
  LPM_INLINE void read_branches() noexcept {
    placed_ = true;
    for (std::size_t i = 0; i < n_; i += kLanes) {
      Lanes lanes = burst_lanes(i);
      if (!kTwo) {
        lanes.words = standing_at(lanes.words, all(RootShape<std::uint32_t>::kDepth), 0);
        _mm512_store_si512(words_ + i, lanes.words);
      }
      const auto at = static_cast<__mmask8>(at_plain_branch(lanes.words) & first_lanes(n_ - i));
      pack(at, lanes, _mm256_setzero_si256(), numbers_from(i));
    }
    while (packed_.count != 0) {
      const std::size_t count = packed_.count;
      packed_.count = 0;
      for (std::size_t i = 0; i < count; i += kLanes) read_eight_branches(i, first_lanes(count - i));
    }
  }

  LPM_INLINE void read_eight_branches(std::size_t i, __mmask8 valid) noexcept {
    const __m512i order = order_of(valid);
    Lanes lanes = packed_lanes(i, order);
    const __m256i keys = packed_values(packed_.keys + i, order);
    const __m512i positions = positions_of(lanes.words);
    const __m512i offsets = _mm512_slli_epi64(_mm512_srli_epi64(views<true>(lanes, positions), 56), 3);
    const __m512i branches = _mm512_and_si512(lanes.words, all(kPointer));
    const Words at =
        stored(_mm512_add_epi64(_mm512_add_epi64(branches, offsets), all(offsetof(Branch<Bits>, slots))));
    const __m512i words = eight_words([&](unsigned j) { return reinterpret_cast<const Word*>(at.at[j]); });
    lanes.words = standing_at(words, _mm512_add_epi64(positions, all(8)), kBranched);
    const Words word = stored(lanes.words);
    const Halves key = stored(keys);
    for (unsigned j = 0; j < kLanes; ++j) words_[key.at[j]] = word.at[j];
    pack(static_cast<__mmask8>(at_plain_branch(lanes.words) & valid), lanes, _mm256_setzero_si256(), keys);
  }

  // ---- The first line of a block
  struct Found {
    Words lines;
    __m256i points;
  };
  LPM_INLINE static Found find(__m512i first_lines, __m512i line_bits, __m512i views) noexcept {
    const __m512i line = _mm512_srlv_epi64(views, _mm512_sub_epi64(all(64), line_bits));
    return {stored(_mm512_add_epi64(first_lines, _mm512_slli_epi64(line, 6))),
            _mm512_cvtepi64_epi32(_mm512_srli_epi64(views, 64 - kWindow))};
  }

  // `kSkipped` lines lie between the addresses and the arrays.
  template <std::size_t kSkipped>
  LPM_INLINE static Value answer_at(const Found& at, unsigned j) noexcept {
    const auto* line = reinterpret_cast<const Ranges*>(at.lines.at[j]) + kSkipped;
    const __m256i point = _mm256_permutevar8x32_epi32(at.points, _mm256_set1_epi32(static_cast<int>(j)));
    const __m256i lasts = _mm256_load_si256(reinterpret_cast<const __m256i*>(line->lasts));
    const auto below = _mm256_mask_cmplt_epu32_mask(0x7f, lasts, point);
    return entry_at(line->entries[static_cast<std::size_t>(_mm_popcnt_u64(below))]);
  }

  // Without `kPlaced` all blocks are in the root.
  template <bool kPlaced>
  LPM_INLINE void read_lines(std::size_t i) noexcept {
    const __m512i words = _mm512_load_si512(words_ + i);
    const __m512i bits = _mm512_and_si512(_mm512_srli_epi64(words, kLineBitsShift), all(kMaxLineBits));
    const auto no_block = tagged(words, kTags);
    __m512i first = _mm512_and_si512(words, all(kPointer));
    first = _mm512_mask_mov_epi64(first, no_block, all(reinterpret_cast<Word>(&kNoRanges) - kLine));
    Found at;
    if constexpr (kTwo || kPlaced) {
      const __m512i view = views<kPlaced>(burst_lanes(i), positions_of(words));
      at = find(first, _mm512_maskz_mov_epi64(static_cast<__mmask8>(~no_block), bits), view);
    } else {
      const __m256i points = _mm256_slli_epi32(keys_.eight(i), RootShape<Bits>::kDepth);
      const __m256i shifts = _mm256_sub_epi32(_mm256_set1_epi32(32), _mm512_cvtepi64_epi32(bits));
      const __m512i line =
          _mm512_maskz_cvtepu32_epi64(static_cast<__mmask8>(~no_block), _mm256_srlv_epi32(points, shifts));
      at = {stored(_mm512_add_epi64(first, _mm512_slli_epi64(line, 6))), points};
    }
#pragma GCC unroll 8
    for (unsigned j = 0; j < kLanes; ++j) entries_[i + j] = answer_at<1>(at, j);
  }

  // True for values below kInherit and for kNoMatch, by the sign of value + 1.
  LPM_INLINE static __mmask8 is_answer(__m256i values) noexcept {
    return _mm256_testn_epi32_mask(_mm256_add_epi32(values, _mm256_set1_epi32(1)),
                                   _mm256_set1_epi32(INT32_MIN));
  }
  // Among entries that are not answers: those of arrays below without a path.
  LPM_INLINE static __mmask8 is_plain_below(__m256i entries) noexcept {
    const __m256i marks = _mm256_set1_epi32(static_cast<int>(kChildEntry | 1U << Below::kPathAt));
    return _mm256_cmpeq_epi32_mask(_mm256_and_si256(entries, marks),
                                   _mm256_set1_epi32(static_cast<int>(kChildEntry)));
  }

  // Writes the known answers and continues with the other keys. Only leaves of the root and fallbacks have
  // kNoMatch.
  LPM_INLINE void sort_out(std::size_t i) noexcept {
    const __mmask8 valid = first_lanes(n_ - i);
    const Lanes lanes = burst_lanes(i);
    const __m256i entries = _mm256_load_si256(reinterpret_cast<const __m256i*>(entries_ + i));
    const __m256i leaves = _mm512_cvtepi64_epi32(_mm512_srli_epi64(lanes.words, 32));
    const __mmask8 leaf = tagged(lanes.words, kLeafTag);
    const __m256i values = _mm256_mask_mov_epi32(entries, leaf, leaves);
    const __mmask8 known = is_answer(values);
    _mm256_mask_storeu_epi32(out_ + i, valid, _mm256_mask_mov_epi32(_mm256_set1_epi32(-1), known, values));
    unsigned rest = valid & ~unsigned{known};
    if (kTwo) {
      const auto below = static_cast<__mmask8>(rest & is_plain_below(values));
      pack(below, lanes, entries, numbers_from(i));
      rest &= ~unsigned{below};
    }
    for (; rest != 0; rest &= rest - 1) {
      const auto j = static_cast<unsigned>(__builtin_ctz(rest));
      leave(static_cast<std::uint16_t>(i + j), words_[i + j], entries_[i + j]);
    }
  }

  // ---- Arrays below
  LPM_INLINE void read_lines_below() noexcept {
    const std::size_t count = packed_.count;
    packed_.count = 0;
    for (std::size_t i = 0; i < count; i += kLanes) read_eight_below(i, first_lanes(count - i));
  }

  LPM_INLINE static __m512i field(__m512i entries, unsigned at, Value mask) noexcept {
    return _mm512_and_si512(_mm512_srli_epi64(entries, at), all(mask));
  }

  LPM_INLINE void read_eight_below(std::size_t i, __mmask8 valid) noexcept {
    const __m512i order = order_of(valid);
    Lanes lanes = packed_lanes(i, order);
    const __m256i keys = packed_values(packed_.keys + i, order);
    const __m512i from = _mm512_cvtepu32_epi64(packed_values(packed_.entries + i, order));
    const __m512i distance = field(from, Below::kDistanceAt, Below::kMaxDistance);
    lanes.words = _mm512_add_epi64(lanes.words, _mm512_slli_epi64(distance, kPositionAt));
    const __m512i block = _mm512_and_si512(lanes.words, all(kPointer));
    const __m512i first = _mm512_add_epi64(block, _mm512_slli_epi64(field(from, 0, Below::kMaxLine), 6));
    const Found at = find(first, field(from, Below::kLineBitsAt, kMaxLineBits),
                          views<true>(lanes, positions_of(lanes.words)));
    Halves entry;
#pragma GCC unroll 8
    for (unsigned j = 0; j < kLanes; ++j) {
      entry.at[j] = answer_at<0>(at, j);
    }
    const __m256i values = eight_values([&](unsigned j) { return static_cast<int>(entry.at[j]); });
    const __mmask8 known = is_answer(values);
    const Halves value = stored(_mm256_mask_mov_epi32(_mm256_set1_epi32(-1), known, values));
    const Halves key = stored(keys);
    for (unsigned j = 0; j < kLanes; ++j) out_[key.at[j]] = value.at[j];
    unsigned rest = valid & ~unsigned{known};
    const auto below = static_cast<__mmask8>(rest & is_plain_below(values));
    pack(below, lanes, values, keys);
    rest &= ~unsigned{below};
    if (rest == 0) return;
    const Words word = stored(lanes.words);
    for (; rest != 0; rest &= rest - 1) {
      const auto j = static_cast<unsigned>(__builtin_ctz(rest));
      leave(static_cast<std::uint16_t>(key.at[j]), word.at[j], entry.at[j]);
    }
  }

  // Passes the key to the tail at its current node. A key that came through a branch lacks the fallback of
  // that branch and starts again.
  void leave(std::uint16_t key, Word word, Value entry) noexcept {
    const auto position =
        kTwo || placed_ ? static_cast<unsigned>(word >> kPositionAt) : RootShape<Bits>::kDepth;
    if (is_leaf(word) || (word & kBranched) != 0) return leave_from_root(key);
    if ((word & kTags) != 0) return tail_.go_to(key, word & 0xffffffffffff, position);
    if (entry == kInherit) return leave_from_root(key);
    tail_.go_below_from(key, reinterpret_cast<const Line*>(word & kPointer), entry, position);
  }

  void leave_from_root(std::uint16_t key) noexcept {
    const Bits bits = keys_[key];
    const bool grown = root_.grown != 0;
    const Word word = root_.slots[grown ? RootShape<Bits>::slot(bits) : 0].load(std::memory_order_acquire);
    if (is_leaf(word)) {
      out_[key] = leaf_value(word);
    } else {
      tail_.go_to(key, word, grown ? RootShape<Bits>::depth(bits) : 0);
    }
  }

  const Root& root_;
  Value* out_;
  std::size_t n_;
  bool placed_ = false;  // blocks may be outside a grown root, and words of IPv4 hold their position
  Keys keys_;
  Tail<Bits, const Keys&> tail_;
  alignas(kLine) Word words_[kMaxBurst];  // the word in the root, or in the branch below it
  alignas(kLine) Value entries_[kMaxBurst];
  Packed<Bits> packed_;
};

void lookup4(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept {
  VectorWalk<std::uint32_t> walk(root, keys, out, n);
  walk.run();
}

void lookup6(const Root& root, const std::uint8_t* const* keys, Value* out, std::size_t n) noexcept {
  VectorWalk<Uint128> walk(root, keys, out, n);
  walk.run();
}

}  // namespace

extern constinit const Lookup kLookupAvx512{"avx512", lookup4, lookup6};

}  // namespace wg::lpm
