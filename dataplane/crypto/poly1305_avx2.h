// Poly1305 (RFC 8439 section 2.5) in AVX2: lane = packet, four packets to a vector, limbs of 26 bits so that
// a product fits the 64 bits of vpmuludq. Packets are aligned at their ends as in poly1305_lanes_avx512.h:
//
//     pair       0       1       2       3       a pair is two blocks, 32 bytes, one carry
//     lane 0   .   .   .   A   A   A   a  len    a: partly filled last block   len: 0 || LE64(length)
//     lane 1   .   B   B   B   B   B   B  len    .: leading zeros, which change nothing
//
// Two blocks share a carry: h = (h + m0) r^2 + m1 r. Pairs in which lanes start, and the last pair, mask the
// bytes outside the packet. They read up to 16 bytes before the payload and 15 after the tag
// (kAeadReadBefore, kAeadReadAfter).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/chacha20_avx2.h"
#include "dataplane/crypto/poly1305_scalar.h"

namespace wg::crypto::avx2 {

constexpr int kPolyLanes = 4;
constexpr std::uint64_t kMask26 = (1u << 26) - 1;
constexpr std::uint64_t kBlockBit = 1u << 24;  // 2^128 of a full block, in the limb that starts at bit 104

// The one-time keys of four packets: r = low || high, and the pad.
struct alignas(32) OneTimeKeys {
  std::uint64_t r_low[kPolyLanes];
  std::uint64_t r_high[kPolyLanes];
  std::uint64_t pad_low[kPolyLanes];
  std::uint64_t pad_high[kPolyLanes];
};

struct Limbs {
  Vec limb[5];
};

// A power of r: limbs, and the limbs 1..4 times 5, for products that pass 2^130.
struct Multiplier {
  Vec r[5];
  Vec r5[5];
};

WG_INLINE Vec all(std::uint64_t value) {
  return _mm256_set1_epi64x(static_cast<long long>(value));
}
WG_INLINE Vec add(Vec a, Vec b) {
  return _mm256_add_epi64(a, b);
}

WG_INLINE Multiplier multiplier(const Limbs& a) {
  Multiplier m;
  for (int i = 0; i < 5; ++i) {
    m.r[i] = a.limb[i];
    m.r5[i] = add(a.limb[i], _mm256_slli_epi64(a.limb[i], 2));
  }
  return m;
}

WG_INLINE Limbs split(Vec low, Vec high, Vec block_bit) {
  const Vec mask = all(kMask26);
  const Vec middle = _mm256_or_si256(_mm256_srli_epi64(low, 52), _mm256_slli_epi64(high, 12));
  return {{_mm256_and_si256(low, mask), _mm256_and_si256(_mm256_srli_epi64(low, 26), mask),
           _mm256_and_si256(middle, mask), _mm256_and_si256(_mm256_srli_epi64(high, 14), mask),
           _mm256_or_si256(_mm256_srli_epi64(high, 40), block_bit)}};
}

// sum += m r. Limbs below 2^28 and factors below 2^29 leave room for many sums below 2^64.
WG_INLINE void multiply_add(Limbs& sum, const Limbs& m, const Multiplier& r) {
  for (int i = 0; i < 5; ++i) {
    for (int j = 0; j < 5; ++j) {
      const Vec factor = j <= i ? r.r[i - j] : r.r5[5 + i - j];
      sum.limb[i] = add(sum.limb[i], _mm256_mul_epu32(m.limb[j], factor));
    }
  }
}

// Runs two carry chains in parallel, 0 1 2 3 and 3 4 0 1. The limbs end below 2^26 + 2^12.
WG_INLINE Limbs carry(Limbs h) {
  const Vec mask = all(kMask26);
  const auto carry_from = [&](int from, int to) {
    const Vec c = _mm256_srli_epi64(h.limb[from], 26);
    h.limb[from] = _mm256_and_si256(h.limb[from], mask);
    h.limb[to] = add(h.limb[to], from == 4 ? add(c, _mm256_slli_epi64(c, 2)) : c);
  };
  carry_from(0, 1);
  carry_from(3, 4);
  carry_from(1, 2);
  carry_from(4, 0);
  carry_from(2, 3);
  carry_from(0, 1);
  carry_from(3, 4);
  return h;
}

WG_INLINE Limbs zero_limbs() {
  const Vec zero = _mm256_setzero_si256();
  return {{zero, zero, zero, zero, zero}};
}

// Two blocks of four packets.
struct Pair {
  Vec low[2], high[2];  // of block 0, block 1
};

WG_INLINE Pair transpose_pair(Vec p0, Vec p1, Vec p2, Vec p3) {
  const Vec low01 = _mm256_unpacklo_epi64(p0, p1), high01 = _mm256_unpackhi_epi64(p0, p1);
  const Vec low23 = _mm256_unpacklo_epi64(p2, p3), high23 = _mm256_unpackhi_epi64(p2, p3);
  return {{_mm256_permute2x128_si256(low01, low23, 0x20), _mm256_permute2x128_si256(low01, low23, 0x31)},
          {_mm256_permute2x128_si256(high01, high23, 0x20), _mm256_permute2x128_si256(high01, high23, 0x31)}};
}

struct LaneGroup {
  Limbs h;
  Multiplier r, r2;
  alignas(32) std::uint64_t first_block[kPolyLanes];  // leading zero blocks of each lane
  alignas(32) std::uint64_t length[kPolyLanes];
  alignas(32) std::uint64_t last_low[kPolyLanes];  // mask of the payload bytes in the last data block
  alignas(32) std::uint64_t last_high[kPolyLanes];
  const std::uint8_t* base[kPolyLanes];    // address of pair 0, possibly before the packet
  const std::uint8_t* lowest[kPolyLanes];  // lowest address a lane may load from
};

WG_INLINE void set_lanes(LaneGroup& g, const Batch& batch, int first, int pairs) {
  for (int i = 0; i < kPolyLanes; ++i) {
    const std::uint64_t length = batch.length[first + i];
    const int missing = 2 * pairs - poly_blocks(length);
    const std::uint64_t bits = length % 16 * 8;
    g.first_block[i] = static_cast<std::uint64_t>(missing);
    g.length[i] = length;
    g.last_low[i] = bits == 0 ? ~0ull : scalar_poly1305::low_bits(bits);
    g.last_high[i] = bits == 0 ? ~0ull : scalar_poly1305::low_bits(bits > 64 ? bits - 64 : 0);
    g.base[i] = batch.data[first + i] - 16 * missing;
    g.lowest[i] = batch.data[first + i] - 16;
  }
}

WG_INLINE void set_powers(LaneGroup& g, const OneTimeKeys& keys) {
  const Vec low = _mm256_and_si256(load(keys.r_low), all(0x0ffffffc0fffffff));
  const Vec high = _mm256_and_si256(load(keys.r_high), all(0x0ffffffc0ffffffc));
  const Limbs r = split(low, high, _mm256_setzero_si256());
  g.r = multiplier(r);
  Limbs square = zero_limbs();
  multiply_add(square, r, g.r);
  g.r2 = multiplier(carry(square));
  g.h = zero_limbs();
}

WG_INLINE void absorb(LaneGroup& g, const Pair& pair, Vec bit0, Vec bit1) {
  Limbs first = split(pair.low[0], pair.high[0], bit0);
  for (int i = 0; i < 5; ++i) first.limb[i] = add(first.limb[i], g.h.limb[i]);
  Limbs sum = zero_limbs();
  multiply_add(sum, split(pair.low[1], pair.high[1], bit1), g.r);
  multiply_add(sum, first, g.r2);
  g.h = carry(sum);
}

WG_INLINE Pair load_pair(const LaneGroup& g, int index) {
  const int offset = 32 * index;
  return transpose_pair(load(g.base[0] + offset), load(g.base[1] + offset), load(g.base[2] + offset),
                        load(g.base[3] + offset));
}

// Absorbs a pair in which lanes may start and which may be the last.
WG_INLINE void absorb_edge_pair(LaneGroup& g, int index, bool last) {
  Vec packet[kPolyLanes];
  for (int i = 0; i < kPolyLanes; ++i) {
    const std::uint8_t* address = g.base[i] + 32 * index;
    packet[i] = load(address < g.lowest[i] ? g.lowest[i] : address);
  }
  Pair pair = transpose_pair(packet[0], packet[1], packet[2], packet[3]);
  if (last) {
    pair.low[0] = _mm256_and_si256(pair.low[0], load(g.last_low));
    pair.high[0] = _mm256_and_si256(pair.high[0], load(g.last_high));
    pair.low[1] = _mm256_setzero_si256();
    pair.high[1] = load(g.length);
  }
  Vec bit[2];
  for (int b = 0; b < 2; ++b) {
    const Vec before =
        _mm256_cmpgt_epi64(load(g.first_block), all(static_cast<std::uint64_t>(2 * index + b)));
    pair.low[b] = _mm256_andnot_si256(before, pair.low[b]);
    pair.high[b] = _mm256_andnot_si256(before, pair.high[b]);
    bit[b] = _mm256_andnot_si256(before, all(kBlockBit));
  }
  absorb(g, pair, bit[0], bit[1]);
}

// Does the final carries and adds the pad in general registers: limbs of 26 bits to 64 + 64 + 2 bits.
WG_INLINE Tag128 finish_lane(const std::uint64_t* limb, std::uint64_t pad_low, std::uint64_t pad_high) {
  using scalar_poly1305::Sum;
  using scalar_poly1305::Word;
  Sum h = {0, 0, 0};
  h = scalar_poly1305::add(h, limb[0], 0, 0);
  h = scalar_poly1305::add(h, limb[1] << 26, 0, 0);
  h = scalar_poly1305::add(h, limb[2] << 52, limb[2] >> 12, 0);
  h = scalar_poly1305::add(h, 0, limb[3] << 14, 0);
  h = scalar_poly1305::add(h, 0, limb[4] << 40, limb[4] >> 24);
  const Word wrapped = (h.h2 >> 2) * 5;
  h.h2 &= 3;
  return scalar_poly1305::finish(scalar_poly1305::add(h, wrapped, 0, 0), pad_low, pad_high);
}

// Computes the tags of packets first .. first + 3 of the batch.
inline void tag_four(const Batch& batch, int first, const OneTimeKeys& keys, TagColumns& tags) {
  LaneGroup g;
  const int pairs = (poly_blocks(batch.length[first + kPolyLanes - 1]) + 1) / 2;
  set_lanes(g, batch, first, pairs);
  set_powers(g, keys);
  // Lanes start in the pairs before this one; the batch is sorted, so the first lane starts last.
  const int all_started = static_cast<int>(g.first_block[0] + 1) / 2;
  int index = 0;
  for (; index < all_started && index < pairs - 1; ++index) absorb_edge_pair(g, index, false);
  for (; index < pairs - 1; ++index) absorb(g, load_pair(g, index), all(kBlockBit), all(kBlockBit));
  absorb_edge_pair(g, pairs - 1, true);

  alignas(32) std::uint64_t limbs[5][kPolyLanes];
  for (int i = 0; i < 5; ++i) store(limbs[i], g.h.limb[i]);
  for (int i = 0; i < kPolyLanes; ++i) {
    const std::uint64_t lane[5] = {limbs[0][i], limbs[1][i], limbs[2][i], limbs[3][i], limbs[4][i]};
    const Tag128 tag = finish_lane(lane, keys.pad_low[i], keys.pad_high[i]);
    tags.low[first + i] = tag.low;
    tags.high[first + i] = tag.high;
  }
}

}  // namespace wg::crypto::avx2
