// The comparison within a line, by the instructions that the including file is compiled for. Only
// lookup_*.cpp include this header, and each has its own copy.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(LINEGATE_LPM_NEON)
#include <arm_neon.h>
#endif

#include "dataplane/lpm/lookup.h"

namespace wg::lpm {
namespace {

// The range of the point: the number of the 7 lasts below it. The eighth lane is `inherits`, which is not a
// last.
LPM_INLINE std::size_t range_of(const Point* lasts, Point point) noexcept {
#ifdef __AVX512VL__
  const __m256i ends = _mm256_load_si256(reinterpret_cast<const __m256i*>(lasts));
  const __m256i points = _mm256_set1_epi32(static_cast<int>(point));
  return static_cast<std::size_t>(_mm_popcnt_u64(_mm256_mask_cmplt_epu32_mask(0x7f, ends, points)));
#elif defined(__AVX2__)
  const __m256i ends = _mm256_load_si256(reinterpret_cast<const __m256i*>(lasts));
  const __m256i points = _mm256_set1_epi32(static_cast<int>(point));
  const __m256i not_below = _mm256_cmpeq_epi32(_mm256_max_epu32(ends, points), ends);
  const auto mask = static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(not_below)));
  return static_cast<std::size_t>(_mm_popcnt_u64(~mask & 0x7f));
#elif defined(__x86_64__)
  const __m128i points = _mm_set1_epi32(static_cast<int>(point));
  const __m128i low = _mm_load_si128(reinterpret_cast<const __m128i*>(lasts));
  const __m128i high = _mm_load_si128(reinterpret_cast<const __m128i*>(lasts + 4));
  const __m128i low_not_below = _mm_cmpeq_epi32(_mm_max_epu32(low, points), low);
  const __m128i high_not_below = _mm_cmpeq_epi32(_mm_max_epu32(high, points), high);
  const int not_below = _mm_movemask_epi8(_mm_packs_epi32(low_not_below, high_not_below));
  return static_cast<std::size_t>(_mm_popcnt_u64(~static_cast<unsigned>(not_below) & 0x3fff)) / 2;
#elif defined(LINEGATE_LPM_NEON)
  const uint32x4_t points = vdupq_n_u32(point);
  const uint32x4_t low = vcltq_u32(vld1q_u32(lasts), points);  // -1 for each that is below
  const uint32x4_t high = vcltq_u32(vld1q_u32(lasts + 4), points);
  const uint32x4_t first_seven = {~0U, ~0U, ~0U, 0};
  return 0U - vaddvq_u32(vaddq_u32(low, vandq_u32(high, first_seven)));
#else
  std::size_t below = 0;
  for (unsigned i = 0; i < kRanges - 1; ++i) below += lasts[i] < point ? 1 : 0;
  return below;
#endif
}

}  // namespace
}  // namespace wg::lpm
