// ChaCha20 (RFC 8439 section 2.4) in AVX2: setting up groups of 8 lanes for the kernels of shadow_avx2.h. The
// layout is that of chacha20_avx512.h at half the width: row = state word, column = lane, lane = any block of
// any packet under any key.
//
//     full     8 consecutive blocks of one packet
//     mixed    a lane list (packet, block): blocks of several packets, densely packed
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/shadow_avx2.h"

namespace wg::crypto::avx2 {

WG_INLINE Vec all32(std::uint32_t value) {
  return _mm256_set1_epi32(static_cast<int>(value));
}

constexpr int kMaxLanes = kLanes * kBatchSize + kLanes;

// A lane is a packet and a block: 0 for the one-time key, 1 .. for the payload.
struct LaneList {
  alignas(32) std::uint8_t packet[kMaxLanes];
  alignas(32) std::uint16_t block[kMaxLanes];
  int size;
};

// Appends `count` <= 8 blocks of a packet from `first` on. It writes eight lanes; the next call overwrites
// those behind `count`.
WG_INLINE void append_lanes(LaneList& lanes, int packet, int first, int count) {
  const __m128i blocks =
      _mm_add_epi16(_mm_set1_epi16(static_cast<short>(first)), _mm_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(lanes.block + lanes.size), blocks);
  _mm_storeu_si64(lanes.packet + lanes.size, _mm_set1_epi8(static_cast<char>(packet)));
  lanes.size += count;
}

constexpr std::uint32_t kConstants[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

WG_INLINE void set_constant_rows(Kernel& kernel) {
  for (int word = 0; word < 4; ++word) store(kernel.state[word], all32(kConstants[word]));
  store(kernel.state[13], _mm256_setzero_si256());
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

// ---- Setting up the state

WG_INLINE void set_full_rows(Kernel& kernel, const std::uint8_t* key, std::uint64_t counter,
                             std::uint32_t first_block) {
  for (int word = 0; word < 8; ++word) {
    std::uint32_t key_word;
    __builtin_memcpy(&key_word, key + 4 * word, sizeof key_word);
    store(kernel.state[4 + word], all32(key_word));
  }
  store(kernel.state[12], _mm256_add_epi32(all32(first_block), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)));
  store(kernel.state[14], all32(static_cast<std::uint32_t>(counter)));
  store(kernel.state[15], all32(static_cast<std::uint32_t>(counter >> 32)));
}

// Advances to the next 8 blocks of the same packet.
WG_INLINE void advance_full_rows(Kernel& kernel) {
  store(kernel.state[12], _mm256_add_epi32(load(kernel.state[12]), all32(kLanes)));
}

// Message counters of lanes first, first + 1, first + 4, first + 5.
WG_INLINE __m256 counters_of_lanes(const std::uint64_t* counter, const std::uint8_t* packets, int first) {
  const auto pair = [&](int lane) {
    return _mm_set_epi64x(static_cast<long long>(counter[packets[lane + 1]]),
                          static_cast<long long>(counter[packets[lane]]));
  };
  return _mm256_castsi256_ps(
      _mm256_inserti128_si256(_mm256_castsi128_si256(pair(first)), pair(first + 4), 1));
}

WG_INLINE void set_mixed_rows(Kernel& kernel, const std::uint8_t* const* key, const std::uint64_t* counter,
                              const std::uint8_t* packets, const std::uint16_t* blocks) {
  Vec keys[kLanes];
  for (int i = 0; i < kLanes; ++i) keys[i] = load(key[packets[i]]);
  transpose(keys);
  for (int word = 0; word < 8; ++word) store(kernel.state[4 + word], keys[word]);
  store(kernel.state[12], _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(blocks))));
  const __m256 a = counters_of_lanes(counter, packets, 0), b = counters_of_lanes(counter, packets, 2);
  store(kernel.state[14], _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)));
  store(kernel.state[15], _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)));
}

// ---- Using the keystream

WG_INLINE void xor_half(std::uint8_t* data, Vec keystream) {
  store(data, _mm256_xor_si256(load(data), keystream));
}

// XORs `size` < 64 bytes in pieces of 32, 16, 8, 4, 2 and 1, because AVX2 cannot store part of a vector.
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

}  // namespace wg::crypto::avx2
