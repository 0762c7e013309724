// The only file of the checksum compiled for AVX-512.
#include <immintrin.h>

#include "dataplane/packet/checksum_long.h"

namespace wg::dataplane {

ChecksumSum checksum_detail::add_avx512(ChecksumSum sum, const std::uint8_t* data, std::size_t size) {
  const __m512i low_half = _mm512_set1_epi64(0xffffffff);
  __m512i low = _mm512_setzero_si512(), high = _mm512_setzero_si512();
  const auto add = [&](__m512i v) {
    low = _mm512_add_epi64(low, _mm512_and_si512(v, low_half));
    high = _mm512_add_epi64(high, _mm512_srli_epi64(v, 32));
  };
  for (; size >= 64; size -= 64, data += 64) add(_mm512_loadu_si512(data));
  if (size != 0) add(_mm512_maskz_loadu_epi8((std::uint64_t{1} << size) - 1, data));
  return checksum_fold(sum) +
         static_cast<std::uint64_t>(_mm512_reduce_add_epi64(_mm512_add_epi64(low, high)));
}

}  // namespace wg::dataplane
