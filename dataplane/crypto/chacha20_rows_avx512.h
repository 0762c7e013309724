// ChaCha20 in AVX-512 for small bursts: four blocks in four registers.
//
// Sixteen lanes that hold one state word per register cost the time of sixteen blocks even for two. Here a
// register is one row of the 4 x 4 state of four blocks, and a set of four registers is four blocks:
//
//               block 0         block 1         block 2         block 3
//     row a     "expand 32-byte k" in each
//     row b     key words 0..3  key words 0..3  ...             of the packet the block is for
//     row c     key words 4..7  key words 4..7  ...
//     row d     block counter, 0, message counter low, high
//
// The diagonal round is the column round on rows b, c and d rotated by 1, 2 and 3 words. One set is bound by
// latency alone, so up to four sets take hardly longer than one.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/chacha20_avx512.h"

namespace wg::crypto::avx512 {

constexpr int kBlocksPerSet = 4;

struct RowSet {
  Vec a, b, c, d;
};

WG_INLINE Vec add32(Vec x, Vec y) {
  return _mm512_add_epi32(x, y);
}

template <int Sets>
WG_INLINE void quarter_rounds(RowSet* s) {
  for (int i = 0; i < Sets; ++i) s[i].a = add32(s[i].a, s[i].b);
  for (int i = 0; i < Sets; ++i) s[i].d = _mm512_rol_epi32(_mm512_xor_si512(s[i].d, s[i].a), 16);
  for (int i = 0; i < Sets; ++i) s[i].c = add32(s[i].c, s[i].d);
  for (int i = 0; i < Sets; ++i) s[i].b = _mm512_rol_epi32(_mm512_xor_si512(s[i].b, s[i].c), 12);
  for (int i = 0; i < Sets; ++i) s[i].a = add32(s[i].a, s[i].b);
  for (int i = 0; i < Sets; ++i) s[i].d = _mm512_rol_epi32(_mm512_xor_si512(s[i].d, s[i].a), 8);
  for (int i = 0; i < Sets; ++i) s[i].c = add32(s[i].c, s[i].d);
  for (int i = 0; i < Sets; ++i) s[i].b = _mm512_rol_epi32(_mm512_xor_si512(s[i].b, s[i].c), 7);
}

// Words of every row of four turned left by `left_b`, 2 and `left_d`.
template <int Sets, int TurnB, int TurnD>
WG_INLINE void turn_rows(RowSet* s) {
  for (int i = 0; i < Sets; ++i) {
    s[i].b = _mm512_shuffle_epi32(s[i].b, static_cast<_MM_PERM_ENUM>(TurnB));
    s[i].c = _mm512_shuffle_epi32(s[i].c, static_cast<_MM_PERM_ENUM>(0x4e));
    s[i].d = _mm512_shuffle_epi32(s[i].d, static_cast<_MM_PERM_ENUM>(TurnD));
  }
}

// Keystream of 4 * Sets blocks, in place of the state.
template <int Sets>
WG_INLINE void run_rounds(RowSet* sets) {
  RowSet s[Sets];
  for (int i = 0; i < Sets; ++i) s[i] = sets[i];
  for (int i = 0; i < 10; ++i) {
    quarter_rounds<Sets>(s);
    turn_rows<Sets, 0x39, 0x93>(s);
    quarter_rounds<Sets>(s);
    turn_rows<Sets, 0x93, 0x39>(s);
  }
  for (int i = 0; i < Sets; ++i) {
    sets[i] = {add32(s[i].a, sets[i].a), add32(s[i].b, sets[i].b), add32(s[i].c, sets[i].c),
               add32(s[i].d, sets[i].d)};
  }
}

// Rows of four blocks to four blocks of 64 bytes.
WG_INLINE void store_blocks(const RowSet& s, std::uint8_t* blocks) {
  const Vec ab_low = _mm512_shuffle_i64x2(s.a, s.b, 0x44);
  const Vec ab_high = _mm512_shuffle_i64x2(s.a, s.b, 0xee);
  const Vec cd_low = _mm512_shuffle_i64x2(s.c, s.d, 0x44);
  const Vec cd_high = _mm512_shuffle_i64x2(s.c, s.d, 0xee);
  store(blocks, _mm512_shuffle_i64x2(ab_low, cd_low, 0x88));
  store(blocks + 64, _mm512_shuffle_i64x2(ab_low, cd_low, 0xdd));
  store(blocks + 128, _mm512_shuffle_i64x2(ab_high, cd_high, 0x88));
  store(blocks + 192, _mm512_shuffle_i64x2(ab_high, cd_high, 0xdd));
}

WG_INLINE __m128i load_quarter(const void* address) {
  return _mm_loadu_si128(static_cast<const __m128i*>(address));
}

WG_INLINE Vec join(__m128i q0, __m128i q1, __m128i q2, __m128i q3) {
  const __m256i low = _mm256_inserti128_si256(_mm256_castsi128_si256(q0), q1, 1);
  const __m256i high = _mm256_inserti128_si256(_mm256_castsi128_si256(q2), q3, 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

WG_INLINE Vec constant_row() {
  return _mm512_broadcast_i32x4(
      _mm_setr_epi32(static_cast<int>(kConstants[0]), static_cast<int>(kConstants[1]),
                     static_cast<int>(kConstants[2]), static_cast<int>(kConstants[3])));
}

WG_INLINE __m128i counter_row(const Batch& batch, int packet, std::uint32_t block) {
  return _mm_setr_epi32(static_cast<int>(block), 0, static_cast<int>(batch.counter_low[packet]),
                        static_cast<int>(batch.counter_high[packet]));
}

// Entries first .. first + 3 of the lane list.
WG_INLINE RowSet listed_set(const Batch& batch, const LaneList& lanes, int first) {
  const std::uint8_t* p = lanes.packet + first;
  const std::uint16_t* b = lanes.block + first;
  return {constant_row(),
          join(load_quarter(batch.key[p[0]]), load_quarter(batch.key[p[1]]), load_quarter(batch.key[p[2]]),
               load_quarter(batch.key[p[3]])),
          join(load_quarter(batch.key[p[0]] + 16), load_quarter(batch.key[p[1]] + 16),
               load_quarter(batch.key[p[2]] + 16), load_quarter(batch.key[p[3]] + 16)),
          join(counter_row(batch, p[0], b[0]), counter_row(batch, p[1], b[1]), counter_row(batch, p[2], b[2]),
               counter_row(batch, p[3], b[3]))};
}

// Four consecutive blocks of packet 0.
WG_INLINE RowSet consecutive_set(const Batch& batch, std::uint32_t first_block) {
  const Vec step = _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0);
  return {constant_row(), _mm512_broadcast_i32x4(load_quarter(batch.key[0])),
          _mm512_broadcast_i32x4(load_quarter(batch.key[0] + 16)),
          add32(_mm512_broadcast_i32x4(counter_row(batch, 0, first_block)), step)};
}

// Keystream of 4 * Sets lanes of the list, as blocks.
template <int Sets>
[[gnu::noinline]] void listed_keystream(const Batch& batch, const LaneList& lanes, std::uint8_t* blocks) {
  RowSet sets[Sets];
  for (int i = 0; i < Sets; ++i) sets[i] = listed_set(batch, lanes, kBlocksPerSet * i);
  run_rounds<Sets>(sets);
  for (int i = 0; i < Sets; ++i) store_blocks(sets[i], blocks + 64 * kBlocksPerSet * i);
}

// Keystream of blocks 0 .. 4 * Sets - 1 of packet 0.
template <int Sets>
[[gnu::noinline]] void consecutive_keystream(const Batch& batch, std::uint8_t* blocks) {
  RowSet sets[Sets];
  for (int i = 0; i < Sets; ++i)
    sets[i] = consecutive_set(batch, static_cast<std::uint32_t>(kBlocksPerSet * i));
  run_rounds<Sets>(sets);
  for (int i = 0; i < Sets; ++i) store_blocks(sets[i], blocks + 64 * kBlocksPerSet * i);
}

}  // namespace wg::crypto::avx512
