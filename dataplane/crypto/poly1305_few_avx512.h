// Poly1305 of two or four packets of similar length on eight lanes. For small bursts this lies between one
// packet per lane (poly1305_lanes_avx512.h) and one message on all lanes (poly1305_message_avx512.h): the
// packets share one set-up and one final step.
//
//     two packets     A0 B0 A1 B1 A2 B2 A3 B3      a vector: four consecutive blocks of each
//     four packets    A0 B0 A1 B1 C0 D0 C1 D1      two of each
//
// An unpack leaves the blocks of two loads in this order. Every lane runs Horner's rule with r^Blocks of its
// packet. The last vector is multiplied by r^Blocks ... r^1 instead, and the lanes of a packet are summed.
// Leading zeros replace missing blocks, fewer than a vector of them, so packets with the same number of
// vectors go together.
#pragma once

#include "dataplane/crypto/aead_batch.h"
#include "dataplane/crypto/poly1305_message_avx512.h"

namespace wg::crypto::avx512 {

template <int Packets>
class TagsOfFew {
  static_assert(Packets == 2 || Packets == 4);

 public:
  static constexpr int kBlocks = 8 / Packets;  // blocks of each packet per vector

  WG_INLINE static int vectors(std::uint64_t length) { return (poly_blocks(length) + kBlocks - 1) / kBlocks; }

  // Takes packets first .. first + Packets - 1 of the batch, which all have the same number of vectors.
  WG_INLINE TagsOfFew(const Batch& batch, int first, const OneTimeKey* keys) : keys_(keys) {
    for (int i = 0; i < Packets; ++i) {
      length_[i] = batch.length[first + i];
      missing_[i] = kBlocks * vectors(length_[i]) - poly_blocks(length_[i]);
      next_[i] = batch.data[first + i] - 16 * missing_[i];
      end_[i] = batch.data[first + i] + length_[i];
    }
  }

  WG_INLINE void compute(TagColumns& tags, int first) {
    const int before_last = vectors(length_[0]) - 1;
    set_powers();
    Vec bits = front_bits();
    if (before_last > 0) {
      absorb_first(bits, (before_last - 1) % 4 + 1);
      for (int left = (before_last - 1) / 4; left > 0; --left) absorb<4>(load_whole(0), all(kBlockBit));
      bits = all(kBlockBit);
      for (int& missing : missing_) missing = 0;
    }
    absorb_last(bits);
    put(tags, first);
  }

 private:
  // Puts a value of each packet into its lanes.
  WG_INLINE static Vec spread(const std::uint64_t (&value)[Packets]) {
    const Vec ab = _mm512_mask_mov_epi64(all(value[0]), 0xaa, all(value[1]));
    if constexpr (Packets == 2) return ab;
    return _mm512_mask_mov_epi64(
        ab, 0xf0, _mm512_mask_mov_epi64(all(value[2 % Packets]), 0xaa, all(value[3 % Packets])));
  }
  template <typename Field>
  WG_INLINE Vec spread_keys(Field field) const {
    std::uint64_t value[Packets];
    for (int i = 0; i < Packets; ++i) value[i] = keys_[i].*field;
    return spread(value);
  }

  WG_INLINE void set_powers() {
    const Vec low = _mm512_and_si512(spread_keys(&OneTimeKey::r_low), all(kClampLow));
    const Vec high = _mm512_and_si512(spread_keys(&OneTimeKey::r_high), all(kClampHigh));
    const Multiplier r = multiplier(split(low, high, _mm512_setzero_si512()));
    const Multiplier r2 = multiply(r, r);
    if constexpr (Packets == 2) {
      const Multiplier r3 = multiply(r2, r), r4 = multiply(r2, r2);
      final_ = blend(0xf0, blend(0x0c, r4, r3), blend(0xc0, r2, r));
      power_[0] = r4;
    } else {
      final_ = blend(0xcc, r2, r);
      power_[0] = r2;
    }
    power_[1] = multiply(power_[0], power_[0]);
    power_[2] = multiply(power_[1], power_[0]);
    power_[3] = multiply(power_[1], power_[1]);
  }

  // The block bit for lanes that hold a block of their packet.
  WG_INLINE Vec front_bits() const {
    const Vec block_of_lane =
        Packets == 2 ? _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3) : _mm512_setr_epi64(0, 0, 1, 1, 0, 0, 1, 1);
    std::uint64_t missing[Packets];
    for (int i = 0; i < Packets; ++i) missing[i] = static_cast<std::uint64_t>(missing_[i]);
    return _mm512_maskz_mov_epi64(_mm512_cmpge_epu64_mask(block_of_lane, spread(missing)), all(kBlockBit));
  }

  WG_INLINE static VectorOfBlocks unpack(Vec a, Vec b) {
    return {_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b)};
  }

  // Loads vector number `index` from next_ on, which is all payload.
  WG_INLINE VectorOfBlocks load_whole(int index) const {
    if constexpr (Packets == 2) return unpack(load(next_[0] + 64 * index), load(next_[1] + 64 * index));
    const auto half = [&](int i) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(next_[i % Packets] + 32 * index));
    };
    return unpack(_mm512_inserti64x4(_mm512_castsi256_si512(half(0)), half(2), 1),
                  _mm512_inserti64x4(_mm512_castsi256_si512(half(1)), half(3), 1));
  }

  // Loads the vector at next_, in which bytes at the front and after the end may be missing.
  WG_INLINE VectorOfBlocks load_edge(const __mmask64* bytes) const {
    if constexpr (Packets == 2) {
      return unpack(_mm512_maskz_loadu_epi8(bytes[0], next_[0]), _mm512_maskz_loadu_epi8(bytes[1], next_[1]));
    }
    const auto half = [&](int i) {
      return _mm256_maskz_loadu_epi8(static_cast<__mmask32>(bytes[i % Packets]), next_[i % Packets]);
    };
    return unpack(_mm512_inserti64x4(_mm512_castsi256_si512(half(0)), half(2), 1),
                  _mm512_inserti64x4(_mm512_castsi256_si512(half(1)), half(3), 1));
  }

  // Count vectors with one carry; the first is given, the others are whole.
  template <int Count>
  WG_INLINE void absorb(const VectorOfBlocks& first, Vec first_bits) {
    Product even = zero_product();
    Product odd = zero_product();
    for (int i = Count - 1; i > 0; --i) {
      const VectorOfBlocks blocks = load_whole(i);
      multiply_add(i % 2 != 0 ? odd : even, split(blocks.low, blocks.high, all(kBlockBit)),
                   power_[Count - 1 - i]);
    }
    multiply_add(even, add(h_, split(first.low, first.high, first_bits)), power_[Count - 1]);
    if (Count > 1) add_to(even, odd);
    h_ = carry(even);
    for (const std::uint8_t*& next : next_) next += 16 * kBlocks * Count;
  }

  WG_INLINE void absorb_first(Vec bits, int count) {
    __mmask64 bytes[Packets];
    for (int i = 0; i < Packets; ++i) bytes[i] = ~bytes_below(16 * missing_[i]);
    const VectorOfBlocks first = load_edge(bytes);
    if (count == 1) return absorb<1>(first, bits);
    if (count == 2) return absorb<2>(first, bits);
    if (count == 3) return absorb<3>(first, bits);
    absorb<4>(first, bits);
  }

  // The last vector: what is left of the payloads, and the length blocks in the last lanes.
  WG_INLINE void absorb_last(Vec bits) {
    constexpr __mmask64 kBeforeLengthBlock = ~0ull >> (64 - 16 * (kBlocks - 1));
    __mmask64 bytes[Packets];
    for (int i = 0; i < Packets; ++i) {
      bytes[i] = bytes_below(end_[i] - next_[i]) & ~bytes_below(16 * missing_[i]) & kBeforeLengthBlock;
    }
    VectorOfBlocks blocks = load_edge(bytes);
    constexpr __mmask8 kLengthLanes = Packets == 2 ? 0xc0 : 0xcc;
    blocks.high = _mm512_mask_mov_epi64(blocks.high, kLengthLanes, spread(length_));
    Product sum = zero_product();
    multiply_add(sum, add(h_, split(blocks.low, blocks.high, bits)), final_);
    h_ = carry(sum);
  }

  // Sums the lanes of each packet; the tags are then in lanes 0, 1 (, 4, 5).
  WG_INLINE void put(TagColumns& tags, int first) {
    for (Vec& limb : h_.limb) {
      if constexpr (Packets == 2) limb = add(limb, _mm512_shuffle_i64x2(limb, limb, 0x4e));
      limb = add(limb, _mm512_shuffle_i64x2(limb, limb, 0xb1));
    }
    const Tags result =
        avx512::finish(h_, spread_keys(&OneTimeKey::pad_low), spread_keys(&OneTimeKey::pad_high));
    const Vec lanes = _mm512_setr_epi64(0, 1, 4, 5, 0, 0, 0, 0);
    constexpr __mmask8 kPackets = (1 << Packets) - 1;
    _mm512_mask_storeu_epi64(tags.low + first, kPackets, _mm512_permutexvar_epi64(lanes, result.low));
    _mm512_mask_storeu_epi64(tags.high + first, kPackets, _mm512_permutexvar_epi64(lanes, result.high));
  }

  const OneTimeKey* keys_;
  std::uint64_t length_[Packets];
  const std::uint8_t* next_[Packets];  // first byte not yet absorbed, or a missing block before it
  const std::uint8_t* end_[Packets];
  int missing_[Packets];
  Multiplier power_[4];  // r^Blocks and its powers
  Multiplier final_;
  Limbs h_ = zero_limbs();
};

template <int Packets>
[[gnu::noinline]] void tags_of_few(const Batch& batch, int first, const OneTimeKey* keys, TagColumns& tags) {
  TagsOfFew<Packets>(batch, first, keys).compute(tags, first);
}

}  // namespace wg::crypto::avx512
