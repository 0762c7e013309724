// ChaCha20 in AVX2 for small bursts: two blocks in four registers.
//
// Eight lanes that hold one state word per register cost the time of eight blocks even for two. Here a
// register is one row of the 4 x 4 state of two blocks, and four registers are a set:
//
//               block 0                        block 1
//     row a     "expand 32-byte k"             "expand 32-byte k"
//     row b     key words 0..3                 key words 0..3              of the packet the block is for
//     row c     key words 4..7                 key words 4..7
//     row d     block counter, 0, message counter low, high
//
// The diagonals come into columns by turning rows b, c and d within the register. One set is bound by latency
// alone; three, which with the masks of the rotations take all sixteen registers, by throughput.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "dataplane/crypto/chacha20_avx2.h"

namespace wg::crypto::avx2 {

constexpr int kMaxSets = 3;
constexpr int kRowBlocks = 2 * kMaxSets;

struct RowSet {
  Vec a, b, c, d;
};

WG_INLINE Vec join(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}

WG_INLINE __m128i load_quarter(const void* address) {
  return _mm_loadu_si128(static_cast<const __m128i*>(address));
}

// The blocks of two neighbouring lanes.
WG_INLINE RowSet set_of_lanes(const std::uint8_t* const* key, const std::uint64_t* counter,
                              const std::uint8_t* packets, const std::uint16_t* blocks) {
  const auto row_d = [&](int lane) {
    return _mm_set_epi64x(static_cast<long long>(counter[packets[lane]]), blocks[lane]);
  };
  const std::uint8_t *first = key[packets[0]], *second = key[packets[1]];
  return {_mm256_broadcastsi128_si256(load_quarter(kConstants)),
          join(load_quarter(first), load_quarter(second)),
          join(load_quarter(first + 16), load_quarter(second + 16)), join(row_d(0), row_d(1))};
}

WG_INLINE Vec rotate_bytes(Vec x, Vec mask) {
  return _mm256_shuffle_epi8(x, mask);
}
template <int kDistance>
WG_INLINE Vec rotate(Vec x) {
  return _mm256_or_si256(_mm256_slli_epi32(x, kDistance), _mm256_srli_epi32(x, 32 - kDistance));
}

// Step by step side by side, because each step of a set waits for the one before.
template <int kSets>
WG_INLINE void round_of_rows(RowSet* s, Vec rotate16, Vec rotate8) {
  for (int i = 0; i < kSets; ++i) s[i].a = _mm256_add_epi32(s[i].a, s[i].b);
  for (int i = 0; i < kSets; ++i) s[i].d = rotate_bytes(_mm256_xor_si256(s[i].d, s[i].a), rotate16);
  for (int i = 0; i < kSets; ++i) s[i].c = _mm256_add_epi32(s[i].c, s[i].d);
  for (int i = 0; i < kSets; ++i) s[i].b = rotate<12>(_mm256_xor_si256(s[i].b, s[i].c));
  for (int i = 0; i < kSets; ++i) s[i].a = _mm256_add_epi32(s[i].a, s[i].b);
  for (int i = 0; i < kSets; ++i) s[i].d = rotate_bytes(_mm256_xor_si256(s[i].d, s[i].a), rotate8);
  for (int i = 0; i < kSets; ++i) s[i].c = _mm256_add_epi32(s[i].c, s[i].d);
  for (int i = 0; i < kSets; ++i) s[i].b = rotate<7>(_mm256_xor_si256(s[i].b, s[i].c));
}

template <int kSets, int kTurnB, int kTurnD>
WG_INLINE void turn_rows(RowSet* s) {
  for (int i = 0; i < kSets; ++i) {
    s[i].b = _mm256_shuffle_epi32(s[i].b, kTurnB);
    s[i].c = _mm256_shuffle_epi32(s[i].c, 0x4e);
    s[i].d = _mm256_shuffle_epi32(s[i].d, kTurnD);
  }
}

// The keystream of 2 kSets lanes, as blocks.
template <int kSets>
inline void keystream_of_rows(std::uint8_t* out, const std::uint8_t* const* key, const std::uint64_t* counter,
                              const std::uint8_t* packets, const std::uint16_t* blocks) {
  const Vec rotate16 = _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1, 6,
                                        7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  const Vec rotate8 = _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2, 7, 4,
                                       5, 6, 11, 8, 9, 10, 15, 12, 13, 14);
  RowSet s[kSets];
  for (int i = 0; i < kSets; ++i) s[i] = set_of_lanes(key, counter, packets + 2 * i, blocks + 2 * i);
  for (int i = 0; i < 10; ++i) {
    round_of_rows<kSets>(s, rotate16, rotate8);
    turn_rows<kSets, 0x39, 0x93>(s);
    round_of_rows<kSets>(s, rotate16, rotate8);
    turn_rows<kSets, 0x93, 0x39>(s);
  }
  for (int i = 0; i < kSets; ++i, out += 2 * kBlock) {
    const RowSet start = set_of_lanes(key, counter, packets + 2 * i, blocks + 2 * i);
    const Vec a = _mm256_add_epi32(s[i].a, start.a), b = _mm256_add_epi32(s[i].b, start.b);
    const Vec c = _mm256_add_epi32(s[i].c, start.c), d = _mm256_add_epi32(s[i].d, start.d);
    store(out, _mm256_permute2x128_si256(a, b, 0x20));
    store(out + 32, _mm256_permute2x128_si256(c, d, 0x20));
    store(out + kBlock, _mm256_permute2x128_si256(a, b, 0x31));
    store(out + kBlock + 32, _mm256_permute2x128_si256(c, d, 0x31));
  }
}

}  // namespace wg::crypto::avx2
