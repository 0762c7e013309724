// Poly1305 of one packet on eight lanes: for packets alone or much longer than their neighbours.
//
// A vector is 8 consecutive blocks, 128 bytes; two loads and an unpack put them in lane order 0 4 1 5 2 6
// 3 7. Every lane runs Horner's rule with r^8. The last vector is multiplied by r^8 ... r^1 instead, and the
// lanes are summed. Leading zeros replace missing blocks and have no effect.
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

// Sum of the lanes, with its carries done in general registers: 44 + 44 + 42 bits to 64 + 64 + 2.
WG_INLINE Tag128 finish_sum(const Limbs& h, const OneTimeKey& key) {
  const auto limb = [&](int i) { return static_cast<std::uint64_t>(_mm512_reduce_add_epi64(h.limb[i])); };
  const std::uint64_t h0 = limb(0), h1 = limb(1), h2 = limb(2);
  scalar_poly1305::Sum sum = scalar_poly1305::add({h0, 0, 0}, h1 << 44, h1 >> 20, 0);
  sum = scalar_poly1305::add(sum, 0, h2 << 24, h2 >> 40);
  const std::uint64_t wrapped = (sum.h2 >> 2) * 5;
  sum.h2 &= 3;
  return scalar_poly1305::finish(scalar_poly1305::add(sum, wrapped, 0, 0), key.pad_low, key.pad_high);
}

// The mask of the bytes of [0, 64) below `end`.
WG_INLINE __mmask64 bytes_below(std::int64_t end) {
  if (end <= 0) return 0;
  return end >= 64 ? ~0ull : ~0ull >> (64 - end);
}

class MessageTag {
 public:
  MessageTag(const std::uint8_t* data, std::uint64_t length, const OneTimeKey& key)
      : data_(data), length_(length), key_(key) {}

  WG_INLINE Tag128 compute() {
    const int blocks = poly_blocks(length_);
    const int vectors = (blocks + 7) / 8;
    const int missing = 8 * vectors - blocks;  // zero blocks in front
    const std::uint8_t* p = data_ - 16 * missing;
    set_powers(vectors - 1);
    if (vectors == 1) {
      absorb_last(p, missing);
    } else {
      p = absorb_first(p, missing, (vectors - 2) % 4 + 1);
      for (int left = (vectors - 2) / 4; left > 0; --left, p += 4 * 128)
        absorb<4>(p, load_blocks(p), all(kBlockBit));
      absorb_last(p, 0);
    }
    return finish_sum(h_, key_);
  }

 private:
  // `before_last`: the number of vectors multiplied by powers of r^8, of which up to four share a carry.
  WG_INLINE void set_powers(int before_last) {
    const Multiplier r =
        multiplier(split(all(key_.r_low & kClampLow), all(key_.r_high & kClampHigh), _mm512_setzero_si512()));
    const Multiplier powers = powers_1_to_8(r);
    final_ = permute(_mm512_setr_epi64(7, 3, 6, 2, 5, 1, 4, 0), powers);
    power_[0] = permute(all(7), powers);
    if (before_last >= 2) power_[1] = multiply(power_[0], power_[0]);
    if (before_last >= 3) {
      power_[2] = multiply(power_[1], power_[0]);
      power_[3] = multiply(power_[1], power_[1]);
    }
  }

  // The block bit for lanes that hold a block of the packet.
  WG_INLINE static Vec front_bits(int missing) {
    const Vec block_of_lane = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm512_maskz_mov_epi64(
        _mm512_cmpge_epu64_mask(block_of_lane, all(static_cast<std::uint64_t>(missing))), all(kBlockBit));
  }

  // Absorbs Count vectors from p on with one carry. The first is a parameter, the others are whole.
  template <int Count>
  WG_INLINE void absorb(const std::uint8_t* p, const VectorOfBlocks& first, Vec first_bits) {
    Product even = zero_product();
    Product odd = zero_product();
    for (int i = Count - 1; i > 0; --i) {
      const VectorOfBlocks blocks = load_blocks(p + 128 * i);
      multiply_add(i % 2 != 0 ? odd : even, split(blocks.low, blocks.high, all(kBlockBit)),
                   power_[Count - 1 - i]);
    }
    multiply_add(even, add(h_, split(first.low, first.high, first_bits)), power_[Count - 1]);
    if (Count > 1) add_to(even, odd);
    h_ = carry(even);
  }

  // Absorbs the first `count` vectors, so that a multiple of four remains before the last.
  WG_INLINE const std::uint8_t* absorb_first(const std::uint8_t* p, int missing, int count) {
    const int start = 16 * missing;
    const VectorOfBlocks first = load_blocks(p, ~bytes_below(start), ~bytes_below(start - 64));
    const Vec bits = front_bits(missing);
    switch (count) {
      case 1:
        absorb<1>(p, first, bits);
        break;
      case 2:
        absorb<2>(p, first, bits);
        break;
      case 3:
        absorb<3>(p, first, bits);
        break;
      default:
        absorb<4>(p, first, bits);
        break;
    }
    return p + 128 * count;
  }

  // The last vector: what is left of the payload, and the length block in its last lane.
  WG_INLINE void absorb_last(const std::uint8_t* p, int missing) {
    const std::int64_t start = 16 * missing;
    const std::int64_t end = data_ + length_ - p;
    constexpr __mmask64 kBeforeLengthBlock = ~0ull >> 16;
    VectorOfBlocks blocks =
        load_blocks(p, bytes_below(end) & ~bytes_below(start),
                    bytes_below(end - 64) & ~bytes_below(start - 64) & kBeforeLengthBlock);
    blocks.high = _mm512_mask_mov_epi64(blocks.high, 0x80, all(length_));
    Product sum = zero_product();
    multiply_add(sum, add(h_, split(blocks.low, blocks.high, front_bits(missing))), final_);
    h_ = carry(sum);
  }

  const std::uint8_t* data_;
  std::uint64_t length_;
  OneTimeKey key_;
  Multiplier power_[4];  // r^8, r^16, r^24, r^32
  Multiplier final_;     // r^8 ... r^1, in lane order
  Limbs h_ = zero_limbs();
};

// The object stays in registers: only its result leaves this function.
[[gnu::noinline]] inline Tag128 tag_of_message(const std::uint8_t* data, std::uint64_t length,
                                               const OneTimeKey& key) {
  return MessageTag(data, length, key).compute();
}

}  // namespace wg::crypto::avx512
