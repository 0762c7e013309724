// ChaCha20 (RFC 8439 section 2.4) in AVX2: groups of 8 lanes of 32 bits. The layout is that of
// chacha20_avx512.h at half the width: row = state word, column = lane, lane = any block of any packet under
// any key.
//
//     block zero   lane = packet; rows 0..7 of the result are the one-time keys of 8 packets
//     full         8 consecutive blocks of one packet
//     mixed        a lane list (packet, block): the remainders of all packets, densely packed
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "chacha20_rounds_avx2.h"  // generated in the build directory
#include "dataplane/crypto/aead_batch.h"

namespace wg::crypto::avx2 {

using Vec = __m256i;

constexpr int kLanes = 8;
constexpr int kBlock = 64;

WG_INLINE Vec load(const void* address) {
  return _mm256_loadu_si256(static_cast<const Vec*>(address));
}
WG_INLINE void store(void* address, Vec value) {
  _mm256_storeu_si256(static_cast<Vec*>(address), value);
}
WG_INLINE Vec all32(std::uint32_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}

struct alignas(32) Rows {
  std::uint32_t row[16][kLanes];
};

struct Lane {
  std::uint8_t packet;
  std::uint16_t block;  // block counter: 0 for the one-time key, 1 .. for the payload
};

constexpr int kMaxLanes = kBatchSize + (kLanes - 1) * kBatchSize + kLanes;

struct LaneList {
  Lane lane[kMaxLanes];
  int size;
};

constexpr std::uint32_t kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

WG_INLINE void set_constant_rows(Rows& rows) {
  for (int word = 0; word < 4; ++word) store(rows.row[word], all32(kConstants[word]));
  store(rows.row[13], _mm256_setzero_si256());
}

// Transposes 8 rows of 8 words.
WG_INLINE void transpose(Vec* x) {
  Vec t[8];
  for (int i = 0; i < 8; i += 4) {
    const Vec a = _mm256_unpacklo_epi32(x[i], x[i + 1]);
    const Vec b = _mm256_unpackhi_epi32(x[i], x[i + 1]);
    const Vec c = _mm256_unpacklo_epi32(x[i + 2], x[i + 3]);
    const Vec d = _mm256_unpackhi_epi32(x[i + 2], x[i + 3]);
    t[i] = _mm256_unpacklo_epi64(a, c);
    t[i + 1] = _mm256_unpackhi_epi64(a, c);
    t[i + 2] = _mm256_unpacklo_epi64(b, d);
    t[i + 3] = _mm256_unpackhi_epi64(b, d);
  }
  for (int i = 0; i < 4; ++i) {
    x[i] = _mm256_permute2x128_si256(t[i], t[4 + i], 0x20);
    x[4 + i] = _mm256_permute2x128_si256(t[i], t[4 + i], 0x31);
  }
}

// Loads half a block of each lane: words first .. first + 7 of lanes 0 .. 7.
WG_INLINE void load_halves(const Rows& keystream, int first, Vec* halves) {
  for (int i = 0; i < 8; ++i) halves[i] = load(keystream.row[first + i]);
  transpose(halves);
}

// ---- Setting up the state

WG_INLINE void build_full(Rows& rows, const Batch& batch, int packet, std::uint32_t first_block) {
  for (int word = 0; word < 8; ++word) {
    std::uint32_t key_word;
    __builtin_memcpy(&key_word, batch.key[packet] + 4 * word, sizeof key_word);
    store(rows.row[4 + word], all32(key_word));
  }
  store(rows.row[12], _mm256_add_epi32(all32(first_block), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
  store(rows.row[14], all32(batch.counter_low[packet]));
  store(rows.row[15], all32(batch.counter_high[packet]));
}

WG_INLINE void build_listed(Rows& rows, const Batch& batch, const Lane* lanes) {
  Vec keys[kLanes];
  for (int i = 0; i < kLanes; ++i) {
    const Lane lane = lanes[i];
    keys[i] = load(batch.key[lane.packet]);
    rows.row[12][i] = lane.block;
    rows.row[14][i] = batch.counter_low[lane.packet];
    rows.row[15][i] = batch.counter_high[lane.packet];
  }
  transpose(keys);
  for (int word = 0; word < 8; ++word) store(rows.row[4 + word], keys[word]);
}

// ---- Using the keystream

WG_INLINE void xor_half(std::uint8_t* data, Vec keystream) {
  store(data, _mm256_xor_si256(load(data), keystream));
}

// XORs the first `size` < 64 bytes of a block, in pieces of 32, 16, 8 and 1 bytes, because AVX2 cannot store
// part of a vector.
WG_INLINE void xor_bytes(std::uint8_t* data, const std::uint8_t* keystream, std::uint64_t size) {
  const auto xor_words = [&](auto word) {
    std::uint64_t a = 0, b = 0;
    __builtin_memcpy(&a, data, sizeof word);
    __builtin_memcpy(&b, keystream, sizeof word);
    a ^= b;
    __builtin_memcpy(data, &a, sizeof word);
    data += sizeof word;
    keystream += sizeof word;
  };
  if (size & 32) {
    xor_half(data, load(keystream));
    data += 32;
    keystream += 32;
  }
  if (size & 16) xor_words(std::uint64_t{}), xor_words(std::uint64_t{});
  if (size & 8) xor_words(std::uint64_t{});
  if (size & 4) xor_words(std::uint32_t{});
  if (size & 2) xor_words(std::uint16_t{});
  if (size & 1) xor_words(std::uint8_t{});
}

WG_INLINE void xor_part(std::uint8_t* data, Vec low, Vec high, std::uint64_t size) {
  alignas(32) std::uint8_t block[kBlock];
  store(block, low);
  store(block + 32, high);
  xor_bytes(data, block, size);
}

// XORs `left` payload bytes from `data` on. Only the last of the 8 blocks may be partial.
WG_INLINE void xor_full(const Rows& keystream, std::uint8_t* data, std::uint64_t left) {
  Vec low[kLanes], high[kLanes];
  load_halves(keystream, 0, low);
  for (int i = 0; i < kLanes - 1; ++i) xor_half(data + kBlock * i, low[i]);
  const Vec last_low = low[kLanes - 1];
  load_halves(keystream, 8, high);
  for (int i = 0; i < kLanes - 1; ++i) xor_half(data + kBlock * i + 32, high[i]);
  std::uint8_t* last = data + kBlock * (kLanes - 1);
  if (left >= kBlock * kLanes) {
    xor_half(last, last_low);
    xor_half(last + 32, high[kLanes - 1]);
  } else {
    xor_part(last, last_low, high[kLanes - 1], left - kBlock * (kLanes - 1));
  }
}

WG_INLINE void xor_mixed(const Rows& keystream, const Batch& batch, const Lane* lanes, int used) {
  alignas(32) Vec low[kLanes], high[kLanes];
  load_halves(keystream, 0, low);
  load_halves(keystream, 8, high);
  for (int i = 0; i < used; ++i) {
    const std::uint64_t offset = std::uint64_t{kBlock} * (lanes[i].block - 1u);
    const std::uint64_t left = batch.length[lanes[i].packet] - offset;
    std::uint8_t* data = batch.data[lanes[i].packet] + offset;
    if (left >= kBlock) {
      xor_half(data, low[i]);
      xor_half(data + 32, high[i]);
    } else {
      xor_part(data, low[i], high[i], left);
    }
  }
}

}  // namespace wg::crypto::avx2
