// The AVX-512 variant of the checksum, the only file of it that is compiled for AVX-512.
//
// A word in memory order is its first byte plus 256 times its second. VNNI adds four products of bytes to
// each of 16 sums, so two instructions with weights of 0 and 1 sum the even and the odd bytes of a line.
#include <immintrin.h>

#include <algorithm>
#include <array>

#include "dataplane/packet/checksum_burst.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kBatch = 16;

// Returns four sums whose total is that of the words: at most 32 800 * 65 535, which is below 2^32.
__m128i add_words(const std::uint8_t* data, std::size_t size) {
  const __m512i first = _mm512_set1_epi16(0x0001), second = _mm512_set1_epi16(0x0100);
  __m512i even = _mm512_setzero_si512(), odd = _mm512_setzero_si512();
  for (; size >= 64; size -= 64, data += 64) {
    const __m512i line = _mm512_loadu_si512(data);
    even = _mm512_dpbusd_epi32(even, line, first);
    odd = _mm512_dpbusd_epi32(odd, line, second);
  }
  // Masked bytes are not accessed, so the page after them may be unmapped.
  const __m512i line =
      _mm512_maskz_loadu_epi8(_bzhi_u64(~std::uint64_t{0}, static_cast<unsigned>(size)), data);
  even = _mm512_dpbusd_epi32(even, line, first);
  odd = _mm512_dpbusd_epi32(odd, line, second);
  const __m512i sums = _mm512_add_epi32(even, _mm512_slli_epi32(odd, 8));
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1));
  return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

// Totals and folds the four sums of 4 pieces at once, after adding `starts`.
__m512i fold(__m512i sums, __m512i starts) {
  const __m512i low = _mm512_set1_epi32(0xffff);
  sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, _MM_PERM_CDAB));
  sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, _MM_PERM_BADC));
  const auto halve = [&](__m512i v) {
    return _mm512_add_epi32(_mm512_and_si512(v, low), _mm512_srli_epi32(v, 16));
  };
  return halve(halve(_mm512_add_epi32(halve(sums), starts)));
}

}  // namespace

void checksum_detail::burst_avx512(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n) {
  alignas(64) std::array<std::array<std::uint32_t, 4>, kBatch> sums{}, starts{};
  for (std::size_t at = 0; at < n; at += kBatch) {
    const std::size_t batch = std::min(kBatch, n - at);
    for (std::size_t i = 0; i < batch; ++i) {
      _mm_store_si128(reinterpret_cast<__m128i*>(sums[i].data()),
                      add_words(pieces[at + i].data, pieces[at + i].size));
      starts[i][0] = pieces[at + i].start;
    }
    for (std::size_t i = 0; i < batch; i += 4) {
      const __m512i folded4 = fold(_mm512_load_si512(sums[i].data()), _mm512_load_si512(starts[i].data()));
      _mm512_store_si512(sums[i].data(), folded4);
    }
    for (std::size_t i = 0; i < batch; ++i) folded[at + i] = static_cast<std::uint16_t>(sums[i][0]);
  }
}

}  // namespace wg::dataplane
