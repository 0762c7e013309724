// Eight IPv4 keys per vector: root slot, branch slot and a node of one line are fetched by gathers. Every
// element is an aligned word, which x86 reads in one piece, and a gather is ordered before the loads that
// depend on it, so this equals the acquire loads of the portable file.
#include "dataplane/lpm/walk.h"

namespace wg::lpm {
namespace {

using Lanes = __mmask8;

LPM_INLINE __m512i add64(__m512i a, std::int64_t b) noexcept {
  return _mm512_add_epi64(a, _mm512_set1_epi64(b));
}
LPM_INLINE __m512i and64(__m512i a, std::int64_t b) noexcept {
  return _mm512_and_si512(a, _mm512_set1_epi64(b));
}
LPM_INLINE Lanes has(__m512i words, Word tag) noexcept {
  return _mm512_test_epi64_mask(words, _mm512_set1_epi64(static_cast<std::int64_t>(tag)));
}
LPM_INLINE __m512i gather(Lanes lanes, __m512i addresses) noexcept {
  return _mm512_mask_i64gather_epi64(_mm512_setzero_si512(), lanes, addresses, nullptr, 1);
}
LPM_INLINE __m512i known_or(__m512i values, __m512i otherwise) noexcept {
  return _mm512_mask_mov_epi64(values, _mm512_cmpeq_epi64_mask(values, _mm512_set1_epi64(kInherit)),
                               otherwise);
}

LPM_INLINE __m512i load_keys(const std::uint32_t* keys, Lanes lanes) noexcept {
  return _mm512_cvtepu32_epi64(_mm256_maskz_loadu_epi32(lanes, keys));
}

constexpr std::int64_t kSlotsOffset = offsetof(Branch<std::uint32_t>, slots);
constexpr std::int64_t kLastsOffset = offsetof(Node<std::uint32_t>, lasts);
constexpr std::int64_t kEntriesOffset = offsetof(Node<std::uint32_t>, entries);
constexpr std::int64_t kValueBits = 0xffffffff;
constexpr std::int64_t kNodeBits = -static_cast<std::int64_t>(kLine);

LPM_INLINE __m512i branch_slot(__m512i words, __m512i keys) noexcept {
  const __m512i byte = and64(_mm512_srli_epi64(keys, 8), 0xff);
  return add64(_mm512_add_epi64(and64(words, kNodeBits), _mm512_slli_epi64(byte, 3)), kSlotsOffset);
}

// Root words of eight keys, and the lines behind them on their way.
LPM_INLINE void enter(const Root& root, const std::uint32_t* keys, Lanes lanes, Word* words) noexcept {
  const __m512i address = load_keys(keys, lanes);
  const __m512i slot = _mm512_slli_epi64(_mm512_srli_epi64(address, 16), 3);
  const __m512i found = gather(lanes, add64(slot, reinterpret_cast<std::int64_t>(root.slots)));
  _mm512_storeu_si512(words, found);
  __m512i line = _mm512_mask_mov_epi64(found, has(found, kBranchTag), branch_slot(found, address));
  line = _mm512_mask_mov_epi64(line, has(found, kLeafTag) | static_cast<Lanes>(~lanes),
                               _mm512_set1_epi64(reinterpret_cast<std::int64_t>(words)));
  alignas(kLine) Word lines[8];
  _mm512_store_si512(lines, line);
  for (const Word at : lines) __builtin_prefetch(reinterpret_cast<const void*>(at));
}

// What nodes of one line say about points.
LPM_INLINE __m512i visit_lines(Lanes lanes, __m512i nodes, __m512i points, __m512i best) noexcept {
  const __m512i first_word =
      _mm512_set_epi64(0x0908090809080908, 0x0100010001000100, 0x0908090809080908, 0x0100010001000100,
                       0x0908090809080908, 0x0100010001000100, 0x0908090809080908, 0x0100010001000100);
  const __m512i four_points = _mm512_shuffle_epi8(points, first_word);
  const __mmask32 low = _mm512_cmplt_epu16_mask(gather(lanes, add64(nodes, kLastsOffset)), four_points);
  const __mmask32 high = _mm512_cmplt_epu16_mask(gather(lanes, add64(nodes, kLastsOffset + 8)), four_points);
  const __m512i ones = _mm512_add_epi16(_mm512_maskz_set1_epi16(low, 1), _mm512_maskz_set1_epi16(high, 1));
  const __m512i range = _mm512_sad_epu8(ones, _mm512_setzero_si512());
  const __m512i entry_at = add64(_mm512_add_epi64(nodes, _mm512_slli_epi64(range, 2)), kEntriesOffset);
  const __m512i entry =
      _mm512_cvtepu32_epi64(_mm512_mask_i64gather_epi32(_mm256_setzero_si256(), lanes, entry_at, nullptr, 1));
  const __m512i fallback = and64(gather(lanes, nodes), kValueBits);
  return known_or(entry, known_or(fallback, best));
}

// Answers the lanes it can and returns those it cannot: deeper branches and nodes with groups.
LPM_INLINE Lanes answer(Burst4& burst, std::size_t first, Lanes lanes) noexcept {
  const __m512i address = load_keys(burst.keys + first, lanes);
  __m512i word = _mm512_loadu_si512(burst.words + first);
  __m512i best = _mm512_set1_epi64(kValueBits);
  __m512i points = address;
  const auto branches = static_cast<Lanes>(has(word, kBranchTag) & lanes);
  if (branches != 0) {
    const __m512i fallback = and64(gather(branches, and64(word, kNodeBits)), kValueBits);
    best = _mm512_mask_mov_epi64(best, branches, fallback);
    word = _mm512_mask_mov_epi64(word, branches, gather(branches, branch_slot(word, address)));
    points = _mm512_mask_slli_epi64(points, branches, points, 8);
    _mm512_storeu_si512(burst.words + first, word);
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(burst.points + first), _mm512_cvtepi64_epi16(points));
  const Lanes leaves = has(word, kLeafTag);
  const auto nodes = static_cast<Lanes>(lanes & ~leaves);
  const auto left = static_cast<Lanes>(nodes & has(word, kBranchTag | kGroupedTag));
  const auto lines = static_cast<Lanes>(nodes & ~left);
  __m512i value = known_or(_mm512_srli_epi64(word, 32), best);
  if (lines != 0) value = _mm512_mask_mov_epi64(value, lines, visit_lines(lines, word, points, best));
  value = _mm512_mask_mov_epi64(value, left, best);
  _mm256_mask_storeu_epi32(burst.out + first, lanes, _mm512_cvtepi64_epi32(value));
  return left;
}

void finish(Burst4& burst, std::size_t count) noexcept {
  std::uint16_t branched[kMaxBurst + 1];
  std::size_t branches = 0;
  for (std::size_t r = 0; r < count; ++r) {
    branched[branches] = burst.rest[r];
    branches += burst.words[burst.rest[r]] / kBranchTag & 1;
  }
  pass_branches(burst, branched, branches);
  for (std::size_t r = 0; r < count; ++r) {
    const std::uint16_t i = burst.rest[r];
    burst.out[i] = resolve(burst.words[i], burst.points[i], burst.out[i]);
  }
}

void lookup4(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept {
  if (root.grown == 0) return walk_all(root, keys, out, n);
  Burst4 burst;
  burst.keys = keys;
  burst.out = out;
  const auto lanes_at = [n](std::size_t i) {
    return static_cast<Lanes>(n - i >= 8 ? 0xff : (1U << (n - i)) - 1);
  };
  for (std::size_t i = 0; i < n; i += 8) enter(root, keys + i, lanes_at(i), burst.words + i);
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; i += 8) {
    Lanes left = answer(burst, i, lanes_at(i));
    for (; left != 0; left &= static_cast<Lanes>(left - 1)) {
      burst.rest[count++] = static_cast<std::uint16_t>(i + static_cast<unsigned>(__builtin_ctz(left)));
    }
  }
  if (count != 0) finish(burst, count);
}

void lookup6(const Root& root, const Uint128* keys, Value* out, std::size_t n) noexcept {
  walk_all(root, keys, out, n);
}

}  // namespace

extern constinit const Lookup kLookupAvx512{"avx512", lookup4, lookup6};

}  // namespace wg::lpm
