// Poly1305 (RFC 8439 section 2.5) in AVX-512 with IFMA52: arithmetic modulo 2^130 - 5 on eight lanes of
// three limbs of 44, 44 and 42 bits. The kernels decide what a lane is: one of eight packets
// (poly1305_lanes_avx512.h) or one of eight blocks of a packet (poly1305_message_avx512.h).
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "dataplane/crypto/aead_batch.h"

namespace wg::crypto::avx512 {

using Vec = __m512i;

WG_INLINE Vec load(const void* address) {
  return _mm512_loadu_si512(address);
}
WG_INLINE void store(void* address, Vec value) {
  _mm512_storeu_si512(address, value);
}
WG_INLINE Vec all(std::uint64_t value) {
  return _mm512_set1_epi64(static_cast<long long>(value));
}
WG_INLINE Vec add(Vec a, Vec b) {
  return _mm512_add_epi64(a, b);
}

constexpr std::uint64_t kMask44 = (1ull << 44) - 1;
constexpr std::uint64_t kMask42 = (1ull << 42) - 1;
constexpr std::uint64_t kBlockBit = 1ull << 40;  // 2^128 of a full block, in the limb that starts at bit 88

// r is clamped (RFC 8439 section 2.5.1).
constexpr std::uint64_t kClampLow = 0x0ffffffc0fffffff;
constexpr std::uint64_t kClampHigh = 0x0ffffffc0ffffffc;

struct Limbs {
  Vec limb[3];
};

// A power of r prepared for multiplication. Products above 2^132 = 4 * 2^130 wrap around multiplied by 20.
struct Multiplier {
  Vec r0, r1, r2;
  Vec r1_times_20, r2_times_20;
};

// 52-bit halves of the products, not yet carried; high halves weigh 2^52.
struct Product {
  Vec low[3];
  Vec high[3];
};

WG_INLINE Limbs zero_limbs() {
  const Vec zero = _mm512_setzero_si512();
  return {{zero, zero, zero}};
}

WG_INLINE Product zero_product() {
  const Vec zero = _mm512_setzero_si512();
  return {{zero, zero, zero}, {zero, zero, zero}};
}

WG_INLINE Vec times_20(Vec a) {
  return _mm512_slli_epi64(add(a, _mm512_slli_epi64(a, 2)), 2);
}

WG_INLINE Multiplier multiplier(const Limbs& r) {
  return {r.limb[0], r.limb[1], r.limb[2], times_20(r.limb[1]), times_20(r.limb[2])};
}

// Splits 16-byte numbers (low and high 64 bits) into limbs and ORs `block_bit` into the top limb.
WG_INLINE Limbs split(Vec low, Vec high, Vec block_bit) {
  return {{_mm512_and_si512(low, all(kMask44)),
           _mm512_and_si512(_mm512_shrdi_epi64(low, high, 44), all(kMask44)),
           _mm512_or_si512(_mm512_srli_epi64(high, 24), block_bit)}};
}

WG_INLINE Limbs add(const Limbs& a, const Limbs& b) {
  return {{add(a.limb[0], b.limb[0]), add(a.limb[1], b.limb[1]), add(a.limb[2], b.limb[2])}};
}

WG_INLINE void add_to(Product& sum, const Product& other) {
  for (int i = 0; i < 3; ++i) {
    sum.low[i] = add(sum.low[i], other.low[i]);
    sum.high[i] = add(sum.high[i], other.high[i]);
  }
}

// sum += m * (f0, f1, f2), where f are the factors of limb m in each limb of the result. One limb at a time,
// so that a kernel can put loads between the limbs.
WG_INLINE void multiply_limb(Product& sum, Vec m, Vec f0, Vec f1, Vec f2) {
  sum.low[0] = _mm512_madd52lo_epu64(sum.low[0], m, f0);
  sum.high[0] = _mm512_madd52hi_epu64(sum.high[0], m, f0);
  sum.low[1] = _mm512_madd52lo_epu64(sum.low[1], m, f1);
  sum.high[1] = _mm512_madd52hi_epu64(sum.high[1], m, f1);
  sum.low[2] = _mm512_madd52lo_epu64(sum.low[2], m, f2);
  sum.high[2] = _mm512_madd52hi_epu64(sum.high[2], m, f2);
}
WG_INLINE void multiply_limb0(Product& sum, Vec m, const Multiplier& r) {
  multiply_limb(sum, m, r.r0, r.r1, r.r2);
}
WG_INLINE void multiply_limb1(Product& sum, Vec m, const Multiplier& r) {
  multiply_limb(sum, m, r.r2_times_20, r.r0, r.r1);
}
WG_INLINE void multiply_limb2(Product& sum, Vec m, const Multiplier& r) {
  multiply_limb(sum, m, r.r1_times_20, r.r2_times_20, r.r0);
}

WG_INLINE void multiply_add(Product& sum, const Limbs& m, const Multiplier& r) {
  multiply_limb0(sum, m.limb[0], r);
  multiply_limb1(sum, m.limb[1], r);
  multiply_limb2(sum, m.limb[2], r);
}

// Carries all limbs at once instead of one after the other. The limbs stay below 2^44 + 2^18, which the next
// multiplication tolerates (operands below 2^52, sums of 12 products below 2^64). High halves weigh 2^52: 2^8
// above the next limb, and 2^10 above 2^42 for the top limb, which wraps around multiplied by 5.
WG_INLINE Limbs carry(const Product& p) {
  const Vec wrapped = _mm512_slli_epi64(p.high[2], 10);
  const Vec d0 = add(p.low[0], add(wrapped, _mm512_slli_epi64(p.high[2], 12)));
  const Vec d1 = add(p.low[1], _mm512_slli_epi64(p.high[0], 8));
  const Vec d2 = add(p.low[2], _mm512_slli_epi64(p.high[1], 8));
  const Vec c0 = _mm512_srli_epi64(d0, 44);
  const Vec c1 = _mm512_srli_epi64(d1, 44);
  const Vec c2 = _mm512_srli_epi64(d2, 42);
  return {{add(_mm512_and_si512(d0, all(kMask44)), add(c2, _mm512_slli_epi64(c2, 2))),
           add(_mm512_and_si512(d1, all(kMask44)), c0), add(_mm512_and_si512(d2, all(kMask42)), c1)}};
}

WG_INLINE Multiplier multiply(const Multiplier& a, const Multiplier& b) {
  Product product = zero_product();
  multiply_add(product, {{a.r0, a.r1, a.r2}}, b);
  return multiplier(carry(product));
}

// Carries once from limb 0 to limb 2 and around.
WG_INLINE void carry_through(Limbs& h) {
  Vec c = _mm512_srli_epi64(h.limb[0], 44);
  h.limb[0] = _mm512_and_si512(h.limb[0], all(kMask44));
  h.limb[1] = add(h.limb[1], c);
  c = _mm512_srli_epi64(h.limb[1], 44);
  h.limb[1] = _mm512_and_si512(h.limb[1], all(kMask44));
  h.limb[2] = add(h.limb[2], c);
  c = _mm512_srli_epi64(h.limb[2], 42);
  h.limb[2] = _mm512_and_si512(h.limb[2], all(kMask42));
  h.limb[0] = add(h.limb[0], add(c, _mm512_slli_epi64(c, 2)));
}

struct Tags {
  Vec low, high;
};

// tag = (h mod 2^130 - 5) + s mod 2^128.
WG_INLINE Tags finish(Limbs h, Vec pad_low, Vec pad_high) {
  carry_through(h);
  carry_through(h);
  Vec c = _mm512_srli_epi64(h.limb[0], 44);
  h.limb[0] = _mm512_and_si512(h.limb[0], all(kMask44));
  h.limb[1] = add(h.limb[1], c);
  // h + 5 reaches 2^130 exactly when h >= p; then h + 5 - 2^130 is the remainder. Bits from 2^128 up do not
  // matter for the tag.
  Limbs g = h;
  g.limb[0] = add(g.limb[0], all(5));
  c = _mm512_srli_epi64(g.limb[0], 44);
  g.limb[0] = _mm512_and_si512(g.limb[0], all(kMask44));
  g.limb[1] = add(g.limb[1], c);
  c = _mm512_srli_epi64(g.limb[1], 44);
  g.limb[1] = _mm512_and_si512(g.limb[1], all(kMask44));
  g.limb[2] = add(g.limb[2], c);
  const __mmask8 wraps = _mm512_cmpgt_epu64_mask(g.limb[2], all(kMask42));
  for (int i = 0; i < 3; ++i) h.limb[i] = _mm512_mask_mov_epi64(h.limb[i], wraps, g.limb[i]);

  const Vec low = _mm512_or_si512(h.limb[0], _mm512_slli_epi64(h.limb[1], 44));
  const Vec high = _mm512_or_si512(_mm512_srli_epi64(h.limb[1], 20), _mm512_slli_epi64(h.limb[2], 24));
  Tags tags = {add(low, pad_low), add(high, pad_high)};
  const __mmask8 carries = _mm512_cmplt_epu64_mask(tags.low, low);
  tags.high = _mm512_mask_add_epi64(tags.high, carries, tags.high, all(1));
  return tags;
}

}  // namespace wg::crypto::avx512
