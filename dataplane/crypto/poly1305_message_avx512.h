// Poly1305 of one packet on eight lanes: for packets alone or much longer than their neighbours.
//
// A vector is 8 consecutive blocks, 128 bytes; two loads and an unpack leave them in lane order
// 0 4 1 5 2 6 3 7. Every lane runs Horner's rule with r^8; the last vector is multiplied by r^8 ... r^1
// instead, and the lanes are summed. Missing blocks are zeros in front, where they change nothing.
#pragma once

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_avx512.h"
#include "dataplane/crypto/poly1305_scalar.h"

namespace wg::crypto::avx512 {

struct VectorOfBlocks {
  Vec low, high;
};

WG_INLINE VectorOfBlocks load_blocks(const std::uint8_t* p) {
  const Vec a = load(p);
  const Vec b = load(p + 64);
  return {_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)};
}

WG_INLINE VectorOfBlocks load_blocks(const std::uint8_t* p, __mmask64 first, __mmask64 second) {
  const Vec a = _mm512_maskz_loadu_epi8(first, p);
  const Vec b = _mm512_maskz_loadu_epi8(second, p + 64);
  return {_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)};
}

WG_INLINE Multiplier permute(Vec lanes, const Multiplier& a) {
  return {_mm512_permutexvar_epi64(lanes, a.r0), _mm512_permutexvar_epi64(lanes, a.r1),
          _mm512_permutexvar_epi64(lanes, a.r2), _mm512_permutexvar_epi64(lanes, a.r1_times_20),
          _mm512_permutexvar_epi64(lanes, a.r2_times_20)};
}

WG_INLINE Multiplier blend(__mmask8 from_b, const Multiplier& a, const Multiplier& b) {
  return {_mm512_mask_mov_epi64(a.r0, from_b, b.r0), _mm512_mask_mov_epi64(a.r1, from_b, b.r1),
          _mm512_mask_mov_epi64(a.r2, from_b, b.r2),
          _mm512_mask_mov_epi64(a.r1_times_20, from_b, b.r1_times_20),
          _mm512_mask_mov_epi64(a.r2_times_20, from_b, b.r2_times_20)};
}

// Lanes 0..7 = r^1 .. r^8, in three multiplications.
WG_INLINE Multiplier powers_1_to_8(const Multiplier& r) {
  const Multiplier r2 = multiply(r, r);
  const Multiplier r12 = blend(0xaa, r, r2);                     // 1 2 1 2 1 2 1 2
  const Multiplier r1234 = blend(0xcc, r12, multiply(r12, r2));  // 1 2 3 4 1 2 3 4
  const Multiplier r4 = permute(all(3), r1234);
  return blend(0xf0, r1234, multiply(r1234, r4));  // 1 2 3 4 5 6 7 8
}

WG_INLINE Limbs sum_of_lanes(const Limbs& h) {
  return {{all(static_cast<std::uint64_t>(_mm512_reduce_add_epi64(h.limb[0]))),
           all(static_cast<std::uint64_t>(_mm512_reduce_add_epi64(h.limb[1]))),
           all(static_cast<std::uint64_t>(_mm512_reduce_add_epi64(h.limb[2])))}};
}

// Bits set for the bytes of [0, 64) below `end`.
WG_INLINE __mmask64 bytes_below(std::int64_t end) {
  if (end <= 0) return 0;
  return end >= 64 ? ~0ull : ~0ull >> (64 - end);
}

class MessageTag {
 public:
  MessageTag(const std::uint8_t* data, std::uint64_t length, const OneTimeKey& key)
      : data_(data), length_(length), key_(key) {}

  WG_INLINE Tag128 compute() {
    set_powers();
    const int blocks = poly_blocks(length_);
    int vectors = (blocks + 7) / 8;
    const int missing = 8 * vectors - blocks;  // zero blocks in front
    const std::uint8_t* p = data_ - 16 * missing;
    std::int64_t start = 16 * missing;  // the packet begins so far behind p
    if (vectors > 1) {
      absorb(load_front(p, start), front_bits(missing));
      p += 128;
      start = 0;
      p = absorb_middle(p, --vectors - 1);
    }
    absorb_last(p, start);
    const Tags tags = finish(sum_of_lanes(h_), all(key_.pad_low), all(key_.pad_high));
    return {first_lane(tags.low), first_lane(tags.high)};
  }

 private:
  WG_INLINE static std::uint64_t first_lane(Vec v) {
    return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(v)));
  }

  WG_INLINE void set_powers() {
    const Multiplier r =
        multiplier(split(all(key_.r_low & kClampLow), all(key_.r_high & kClampHigh), _mm512_setzero_si512()));
    const Multiplier powers = powers_1_to_8(r);
    final_ = permute(_mm512_setr_epi64(7, 3, 6, 2, 5, 1, 4, 0), powers);
    r8_ = permute(all(7), powers);
  }

  WG_INLINE static VectorOfBlocks load_front(const std::uint8_t* p, std::int64_t start) {
    return load_blocks(p, ~bytes_below(start), ~bytes_below(start - 64));
  }

  // The block bit for lanes that hold a block of the packet.
  WG_INLINE static Vec front_bits(int missing) {
    const Vec block_of_lane = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm512_maskz_mov_epi64(
        _mm512_cmpge_epu64_mask(block_of_lane, all(static_cast<std::uint64_t>(missing))), all(kBlockBit));
  }

  WG_INLINE void absorb(const VectorOfBlocks& blocks, Vec bits) {
    Product sum = zero_product();
    multiply_add(sum, add(h_, split(blocks.low, blocks.high, bits)), r8_);
    h_ = carry(sum);
  }

  // Whole vectors between the first and the last: one by one up to a multiple of four, then four per carry.
  WG_INLINE const std::uint8_t* absorb_middle(const std::uint8_t* p, int vectors) {
    for (; vectors % 4 != 0; --vectors, p += 128) absorb(load_blocks(p), all(kBlockBit));
    if (vectors == 0) return p;
    Multiplier power[4];
    power[0] = r8_;
    power[1] = multiply(r8_, r8_);
    power[2] = multiply(power[1], r8_);
    power[3] = multiply(power[1], power[1]);
    for (; vectors > 0; vectors -= 4, p += 512) {
      Product even = zero_product();
      Product odd = zero_product();
      for (int i = 3; i >= 0; --i) {
        const VectorOfBlocks blocks = load_blocks(p + 128 * i);
        Limbs m = split(blocks.low, blocks.high, all(kBlockBit));
        if (i == 0) m = add(m, h_);
        multiply_add(i % 2 != 0 ? even : odd, m, power[3 - i]);
      }
      add_to(even, odd);
      h_ = carry(even);
    }
    return p;
  }

  // The last vector: what is left of the payload, and the length block in its last lane.
  WG_INLINE void absorb_last(const std::uint8_t* p, std::int64_t start) {
    const std::int64_t end = data_ + length_ - p;
    constexpr __mmask64 kBeforeLengthBlock = ~0ull >> 16;
    VectorOfBlocks blocks =
        load_blocks(p, bytes_below(end) & ~bytes_below(start),
                    bytes_below(end - 64) & ~bytes_below(start - 64) & kBeforeLengthBlock);
    blocks.high = _mm512_mask_mov_epi64(blocks.high, 0x80, all(length_));
    Product sum = zero_product();
    multiply_add(sum, add(h_, split(blocks.low, blocks.high, front_bits(static_cast<int>(start / 16)))),
                 final_);
    h_ = carry(sum);
  }

  const std::uint8_t* data_;
  std::uint64_t length_;
  OneTimeKey key_;
  Multiplier r8_, final_;
  Limbs h_ = zero_limbs();
};

// The object stays in registers here: nothing but its result leaves the function.
[[gnu::noinline]] inline Tag128 tag_of_message(const std::uint8_t* data, std::uint64_t length,
                                               const OneTimeKey& key) {
  return MessageTag(data, length, key).compute();
}

}  // namespace wg::crypto::avx512
