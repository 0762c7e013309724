// ChaCha20 in AVX-512 for small bursts: two or four blocks in four registers.
//
// Sixteen lanes that hold one state word per register cost the time of sixteen blocks even for two. Here a
// register is one row of the 4 x 4 state of two blocks (a narrow set of four registers) or of four (a wide
// set):
//
//               block 0                        block 1                     ...
//     row a     "expand 32-byte k"             "expand 32-byte k"
//     row b     key words 0..3                 key words 0..3              of the packet the block is for
//     row c     key words 4..7                 key words 4..7
//     row d     block counter, 0, message counter low, high
//
// One set is bound by latency, eight sets by throughput. Up to 16 blocks use narrow sets. Above that there
// are eight sets, as many of them wide as necessary. Beyond 24 blocks the lanes of chacha20_avx512.h are
// faster.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/chacha20_avx512.h"

namespace wg::crypto::avx512 {

constexpr int kMaxSets = 8;
constexpr int kMaxRowBlocks = 24;

// The rows of all sets, wide sets first, occupy exactly the space of their blocks: 4 rows of 64 bytes for 4
// blocks, 4 rows of 32 bytes for 2. State, keystream in rows and keystream in blocks use the same memory in
// turn.

struct SetCounts {
  int wide, narrow;
};

WG_INLINE SetCounts sets_for(int blocks) {
  const int pairs = (blocks + 1) / 2;
  return pairs <= kMaxSets ? SetCounts{0, pairs} : SetCounts{pairs - kMaxSets, 2 * kMaxSets - pairs};
}

WG_INLINE __m128i load_quarter(const void* address) {
  return _mm_loadu_si128(static_cast<const __m128i*>(address));
}

WG_INLINE __m128i constant_quarter() {
  return _mm_setr_epi32(static_cast<int>(kConstants[0]), static_cast<int>(kConstants[1]),
                        static_cast<int>(kConstants[2]), static_cast<int>(kConstants[3]));
}

// Rows a .. d of one block.
struct BlockRows {
  __m128i row[4];
};

WG_INLINE BlockRows rows_of_block(const Batch& batch, const LaneList& lanes, int lane) {
  const int packet = packet_of(lanes.lane[lane]);
  const std::uint64_t counter = batch.counter_low[packet] | std::uint64_t{batch.counter_high[packet]} << 32;
  return {{constant_quarter(), load_quarter(batch.key[packet]), load_quarter(batch.key[packet] + 16),
           _mm_set_epi64x(static_cast<long long>(counter), block_of(lanes.lane[lane]))}};
}

WG_INLINE __m256i join(__m128i low, __m128i high) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
}
WG_INLINE Vec join(__m256i low, __m256i high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

WG_INLINE void store_half(std::uint8_t* address, __m256i value) {
  _mm256_store_si256(reinterpret_cast<__m256i*>(address), value);
}
WG_INLINE __m256i load_half(const std::uint8_t* address) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(address));
}

WG_INLINE void build_sets(std::uint8_t* at, SetCounts counts, const Batch& batch, const LaneList& lanes) {
  int lane = 0;
  for (int i = 0; i < counts.wide; ++i, at += 4 * kBlock, lane += 4) {
    const BlockRows b0 = rows_of_block(batch, lanes, lane), b1 = rows_of_block(batch, lanes, lane + 1);
    const BlockRows b2 = rows_of_block(batch, lanes, lane + 2), b3 = rows_of_block(batch, lanes, lane + 3);
    for (int r = 0; r < 4; ++r)
      store(at + 64 * r, join(join(b0.row[r], b1.row[r]), join(b2.row[r], b3.row[r])));
  }
  for (int i = 0; i < counts.narrow; ++i, at += 2 * kBlock, lane += 2) {
    const BlockRows b0 = rows_of_block(batch, lanes, lane), b1 = rows_of_block(batch, lanes, lane + 1);
    for (int r = 0; r < 4; ++r) store_half(at + 32 * r, join(b0.row[r], b1.row[r]));
  }
}

// Builds the sets for blocks 0, 1, 2 ... of packet 0.
WG_INLINE void build_consecutive_sets(std::uint8_t* at, SetCounts counts, const Batch& batch) {
  const std::uint64_t counter = batch.counter_low[0] | std::uint64_t{batch.counter_high[0]} << 32;
  const Vec a = _mm512_broadcast_i32x4(constant_quarter());
  const Vec b = _mm512_broadcast_i32x4(load_quarter(batch.key[0]));
  const Vec c = _mm512_broadcast_i32x4(load_quarter(batch.key[0] + 16));
  Vec d = _mm512_broadcast_i32x4(_mm_set_epi64x(static_cast<long long>(counter), 0));
  d = _mm512_add_epi32(d, _mm512_setr_epi32(0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0));
  for (int i = 0; i < counts.wide; ++i, at += 4 * kBlock) {
    store(at, a);
    store(at + 64, b);
    store(at + 128, c);
    store(at + 192, d);
    d = _mm512_add_epi32(d, _mm512_setr_epi32(4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0));
  }
  for (int i = 0; i < counts.narrow; ++i, at += 2 * kBlock) {
    store_half(at, _mm512_castsi512_si256(a));
    store_half(at + 32, _mm512_castsi512_si256(b));
    store_half(at + 64, _mm512_castsi512_si256(c));
    store_half(at + 96, _mm512_castsi512_si256(d));
    d = _mm512_add_epi32(d, _mm512_setr_epi32(2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0));
  }
}

// Rearranges rows of keystream into blocks of keystream.
WG_INLINE void rows_to_blocks(std::uint8_t* at, SetCounts counts) {
  for (int i = 0; i < counts.wide; ++i, at += 4 * kBlock) {
    const Vec a = load(at), b = load(at + 64), c = load(at + 128), d = load(at + 192);
    const Vec ab_low = _mm512_shuffle_i64x2(a, b, 0x44), ab_high = _mm512_shuffle_i64x2(a, b, 0xee);
    const Vec cd_low = _mm512_shuffle_i64x2(c, d, 0x44), cd_high = _mm512_shuffle_i64x2(c, d, 0xee);
    store(at, _mm512_shuffle_i64x2(ab_low, cd_low, 0x88));
    store(at + kBlock, _mm512_shuffle_i64x2(ab_low, cd_low, 0xdd));
    store(at + 2 * kBlock, _mm512_shuffle_i64x2(ab_high, cd_high, 0x88));
    store(at + 3 * kBlock, _mm512_shuffle_i64x2(ab_high, cd_high, 0xdd));
  }
  for (int i = 0; i < counts.narrow; ++i, at += 2 * kBlock) {
    const __m256i a = load_half(at), b = load_half(at + 32), c = load_half(at + 64), d = load_half(at + 96);
    store(at, join(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(c, d, 0x20)));
    store(at + kBlock, join(_mm256_permute2x128_si256(a, b, 0x31), _mm256_permute2x128_si256(c, d, 0x31)));
  }
}

WG_INLINE void run_rounds(std::uint8_t* sets, SetCounts counts) {
  switch (2 * counts.wide + counts.narrow) {
    case 1:
      return rounds_of_rows_0_1(sets);
    case 2:
      return rounds_of_rows_0_2(sets);
    case 3:
      return rounds_of_rows_0_3(sets);
    case 4:
      return rounds_of_rows_0_4(sets);
    case 5:
      return rounds_of_rows_0_5(sets);
    case 6:
      return rounds_of_rows_0_6(sets);
    case 7:
      return rounds_of_rows_0_7(sets);
    case 8:
      return rounds_of_rows_0_8(sets);
    case 9:
      return rounds_of_rows_1_7(sets);
    case 10:
      return rounds_of_rows_2_6(sets);
    case 11:
      return rounds_of_rows_3_5(sets);
    default:
      return rounds_of_rows_4_4(sets);
  }
}

// Computes the keystream of the listed lanes, up to 24, as blocks. `blocks` has space for a whole last set.
WG_INLINE void keystream_of_rows(std::uint8_t* blocks, const Batch& batch, const LaneList& lanes) {
  const SetCounts counts = sets_for(lanes.size);
  build_sets(blocks, counts, batch, lanes);
  run_rounds(blocks, counts);
  rows_to_blocks(blocks, counts);
}

// Computes the keystream of blocks 0 .. count - 1 of packet 0, up to 24.
WG_INLINE void consecutive_keystream(std::uint8_t* blocks, const Batch& batch, int count) {
  const SetCounts counts = sets_for(count);
  build_consecutive_sets(blocks, counts, batch);
  run_rounds(blocks, counts);
  rows_to_blocks(blocks, counts);
}

}  // namespace wg::crypto::avx512
