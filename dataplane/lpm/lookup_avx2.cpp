// The lookup for AVX2 and BMI2. IPv6 and the rare cases of IPv4 take the generic walk, of whose loops
// the compiler makes vectors: AVX2 shifts each lane by its own
// count. IPv4 below a grown root has a walk of
// its own.
#include "dataplane/lpm/walk.h"

namespace wg::lpm {
namespace {

constexpr std::size_t kLanes = 8;

LPM_INLINE __m256i load(const void* from) noexcept {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
LPM_INLINE void store(void* to, __m256i value) noexcept {
  _mm256_storeu_si256(static_cast<__m256i*>(to), value);
}
LPM_INLINE __m256i all(Word word) noexcept {
  return _mm256_set1_epi64x(static_cast<long long>(word));
}
LPM_INLINE __m256i all(Value value) noexcept {
  return _mm256_set1_epi32(static_cast<int>(value));
}

// The even and the odd 32-bit halves of eight words in order, as one vector: `kHalf` 0 for the lower halves.
template <int kHalf>
LPM_INLINE __m256i halves(__m256i first, __m256i second) noexcept {
  constexpr int kEvery = kHalf == 0 ? 0x88 : 0xdd;
  const __m256 mixed = _mm256_shuffle_ps(_mm256_castsi256_ps(first), _mm256_castsi256_ps(second), kEvery);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(mixed), 0xd8);
}

// The passes of a burst over a grown root whose slots are leaves and blocks.
class Walk4 {
 public:
  Walk4(const std::uint32_t* keys, Value* out, std::size_t n) noexcept
      : keys_(padded(keys, n)), out_(out), n_(n), tail_(keys_, out) {}

  // False: a slot is a branch, and nothing is done.
  LPM_INLINE bool run(const Root& root) noexcept {
    for (std::size_t i = 0; i < n_; i += kLanes) read_root(root, i);
    for (std::size_t i = 0; i < n_; i += kLanes) find_lines(i);
    if (_mm256_testz_si256(seen_, all(kBranchTag)) == 0) return false;
    for (std::size_t i = 0; i < n_; i += kLanes) prefetch_lines(i);
    for (std::size_t i = 0; i < n_; i += kLanes) read_lines(i);
    for (std::size_t i = 0; i < n_; i += kLanes) sort_out(i);
    tail_.finish();
    return true;
  }

 private:
  static constexpr unsigned kDepth = RootShape<std::uint32_t>::kDepth;

  // The passes take eight keys at a time: zero after the last.
  LPM_INLINE const std::uint32_t* padded(const std::uint32_t* keys, std::size_t n) noexcept {
    if (n % kLanes == 0) return keys;
    std::memset(copy_ + n / kLanes * kLanes, 0, kLanes * sizeof *copy_);
    std::memcpy(copy_, keys, n * sizeof *copy_);
    return copy_;
  }

  LPM_INLINE void read_root(const Root& root, std::size_t i) noexcept {
#pragma GCC unroll 8
    for (std::size_t j = i; j < i + kLanes; ++j)
      words_[j] = root.slots[keys_[j] >> (32 - kDepth)].load(std::memory_order_acquire);
  }

  LPM_INLINE void find_lines(std::size_t i) noexcept {
    const __m256i keys = load(keys_ + i);
    store(points_ + i, _mm256_slli_epi32(keys, kDepth));
    find_four_lines(i, _mm256_castsi256_si128(keys));
    find_four_lines(i + kLanes / 2, _mm256_extracti128_si256(keys, 1));
  }

  LPM_INLINE void find_four_lines(std::size_t i, __m128i keys) noexcept {
    const __m256i word = load(words_ + i);
    seen_ = _mm256_or_si256(seen_, word);
    const __m256i rest = _mm256_cvtepu32_epi64(_mm_slli_epi32(keys, kDepth));
    const __m256i bits = _mm256_and_si256(_mm256_srli_epi64(word, kLineBitsShift), all(Word{kMaxLineBits}));
    const __m256i line = _mm256_srli_epi64(_mm256_sllv_epi64(rest, bits), kWindow);
    const __m256i first = _mm256_add_epi64(_mm256_andnot_si256(all(kLine - 1), word), all(kLine));
    const __m256i at = _mm256_add_epi64(first, _mm256_slli_epi64(line, 6));
    const __m256i is_block = _mm256_cmpeq_epi64(_mm256_and_si256(word, all(kTags)), _mm256_setzero_si256());
    store(lines_ + i, _mm256_blendv_epi8(all(reinterpret_cast<Word>(&kNoRanges)), at, is_block));
  }

  LPM_INLINE void prefetch_lines(std::size_t i) noexcept {
#pragma GCC unroll 8
    for (std::size_t j = i; j < i + kLanes; ++j) __builtin_prefetch(reinterpret_cast<const void*>(lines_[j]));
  }

  LPM_INLINE void read_lines(std::size_t i) noexcept {
#pragma GCC unroll 8
    for (std::size_t j = i; j < i + kLanes; ++j)
      entries_[j] = answer_of(reinterpret_cast<const Ranges*>(lines_[j]), points_[j]);
  }

  // Writes the known answers and continues with the other keys: those below kInherit, and kNoMatch, are
  // known.
  LPM_INLINE void sort_out(std::size_t i) noexcept {
    const __m256i first = load(words_ + i);
    const __m256i second = load(words_ + i + kLanes / 2);
    const __m256i leaf = _mm256_slli_epi32(halves<0>(first, second), 31);  // its sign
    const __m256i value = _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(load(entries_ + i)),
                                                               _mm256_castsi256_ps(halves<1>(first, second)),
                                                               _mm256_castsi256_ps(leaf)));
    const __m256i unknown = _mm256_srai_epi32(_mm256_add_epi32(value, all(Value{1})), 31);
    write(i, _mm256_or_si256(value, unknown));
    auto rest = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(unknown)));
    if (n_ - i < kLanes) rest &= (1U << (n_ - i)) - 1;
    for (; rest != 0; rest &= rest - 1) go_on(i + static_cast<unsigned>(__builtin_ctz(rest)));
  }

  LPM_INLINE void write(std::size_t i, __m256i values) noexcept {
    if (n_ - i >= kLanes) return store(out_ + i, values);
    Value some[kLanes];
    store(some, values);
    for (std::size_t j = 0; j < n_ - i; ++j) out_[i + j] = some[j];
  }

  void go_on(std::size_t i) noexcept {
    const auto key = static_cast<std::uint16_t>(i);
    const Word word = words_[i];
    if ((word & kTags) != 0) return tail_.go_to(key, word, kDepth);
    if (entries_[i] == kInherit) return;
    tail_.go_below_from(key, lines_at(word), entries_[i], kDepth);
  }

  std::uint32_t copy_[kMaxBurst + kLanes];
  const std::uint32_t* keys_;
  Value* out_;
  std::size_t n_;
  __m256i seen_ = _mm256_setzero_si256();  // the bits of all words
  alignas(kLine) Word words_[kMaxBurst];
  alignas(kLine) Word lines_[kMaxBurst];
  alignas(kLine) Point points_[kMaxBurst];
  alignas(kLine) Value entries_[kMaxBurst];
  Tail<std::uint32_t, const std::uint32_t*> tail_;
};

void lookup4(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept {
  if (root.grown != 0) {
    Walk4 walk(keys, out, n);
    if (walk.run(root)) return;
  }
  walk_all(root, keys, out, n);
}

void lookup6(const Root& root, const std::uint8_t* const* keys, Value* out, std::size_t n) noexcept {
  walk_all(root, keys, out, n);
}

}  // namespace

extern constinit const Lookup kLookupAvx2{"avx2", lookup4, lookup6};

}  // namespace wg::lpm
