// The AVX2 variant of the checksum, the only file of it that is compiled for AVX2.
#include <immintrin.h>

#include "dataplane/packet/checksum_burst.h"

namespace wg::dataplane {

namespace {

ChecksumSum add(ChecksumSum sum, const std::uint8_t* data, std::size_t size) {
  const __m256i low_half = _mm256_set1_epi64x(0xffffffff);
  __m256i low = _mm256_setzero_si256(), high = _mm256_setzero_si256();
  for (; size >= 32; size -= 32, data += 32) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(data));
    low = _mm256_add_epi64(low, _mm256_and_si256(v, low_half));
    high = _mm256_add_epi64(high, _mm256_srli_epi64(v, 32));
  }
  const __m256i both = _mm256_add_epi64(low, high);
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
  const auto lanes = static_cast<std::uint64_t>(_mm_cvtsi128_si64(two)) +
                     static_cast<std::uint64_t>(_mm_extract_epi64(two, 1));
  return checksum_detail::add_tail(checksum_fold(sum) + lanes, data, size);
}

}  // namespace

void checksum_detail::burst_avx2(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    folded[i] = checksum_fold(add(pieces[i].start, pieces[i].data, pieces[i].size));
}

}  // namespace wg::dataplane
