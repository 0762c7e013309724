// X25519 in eight lanes of AVX-512: lane = one scalar and one point. RFC 7748 section 5, the Montgomery
// ladder.
//
// An element of the field of 2^255 - 19 is five limbs of 51 bits. IFMA multiplies the low 52 bits of two
// limbs and adds the low or the high 52 bits of the product, so a limb may be a little larger than 2^51, but
// never reaches 2^52: "reduced" below means less than 2^51 + 2^15. Sums and differences are carried at once.
//
// A product a * b has the limbs L[k] = low halves with i + j = k, and H[k] = high halves with i + j = k - 1.
// A high half weighs 2^52 = 2 * 2^51, so limb k is L[k] + 2 H[k]. Limbs 5 to 9 come back 19 times at 0 to 4,
// because 2^255 = 19. Bounds: L[k] and 2 H[k] are below 5 * 2^52 and 2 * 5 * 2^51.1, so every limb is below
// 2^56, with 19 times another below 2^60.5, and the carry out of it below 2^9.5, which is within 2^15 even 19
// times.
//
// Everything is done to all lanes alike: the ladder's swap is a blend under a mask. This file is compiled
// with AVX-512 flags, so it instantiates nothing of the standard library with external linkage.
#include <immintrin.h>

#include "dataplane/crypto/x25519_lanes.h"

namespace wg::crypto {
namespace {

using Vec = __m512i;
constexpr int kLaneCount = static_cast<int>(kX25519Lanes);

struct Element {
  Vec limb[kLimbs];
};

X25519_INLINE Vec all(std::uint64_t value) {
  return _mm512_set1_epi64(static_cast<long long>(value));
}
X25519_INLINE Vec low(Vec sum, Vec a, Vec b) {
  return _mm512_madd52lo_epu64(sum, a, b);
}
X25519_INLINE Vec high(Vec sum, Vec a, Vec b) {
  return _mm512_madd52hi_epu64(sum, a, b);
}
X25519_INLINE Vec add(Vec a, Vec b) {
  return _mm512_add_epi64(a, b);
}
X25519_INLINE Vec twice(Vec a) {
  return _mm512_add_epi64(a, a);
}
X25519_INLINE Vec nineteen_times(Vec a) {
  return add(add(_mm512_slli_epi64(a, 4), twice(a)), a);
}

// All carries at once. Limbs below 2^60.5 become reduced.
X25519_INLINE Element carried(const Vec (&limb)[kLimbs]) {
  Element out;
  Vec carry[kLimbs];
  for (int i = 0; i < kLimbs; ++i) {
    carry[i] = _mm512_srli_epi64(limb[i], kLimbBits);
    out.limb[i] = _mm512_and_si512(limb[i], all(kLimbMask));
  }
  out.limb[0] = low(out.limb[0], carry[kLimbs - 1], all(19));
  for (int i = 1; i < kLimbs; ++i) out.limb[i] = add(out.limb[i], carry[i - 1]);
  return out;
}

X25519_INLINE Element operator+(const Element& a, const Element& b) {
  Vec sum[kLimbs];
  for (int i = 0; i < kLimbs; ++i) sum[i] = add(a.limb[i], b.limb[i]);
  return carried(sum);
}

// For reduced elements: 2 * (2^255 - 19) in limbs is larger than b's in every limb.
X25519_INLINE Element operator-(const Element& a, const Element& b) {
  Vec difference[kLimbs];
  for (int i = 0; i < kLimbs; ++i) {
    const Vec twice_p = all(2 * (i == 0 ? kLimbMask - 18 : kLimbMask));
    difference[i] = _mm512_sub_epi64(add(a.limb[i], twice_p), b.limb[i]);
  }
  return carried(difference);
}

// Limbs 5 to 9 of a product, back at 0 to 4, and the high halves of those: what the low halves are added to.
struct Product {
  Vec limb[2 * kLimbs];
};
X25519_INLINE void fold(Product& product) {
  for (int i = 0; i < kLimbs; ++i)
    product.limb[i] = add(product.limb[i], nineteen_times(product.limb[i + kLimbs]));
}
X25519_INLINE Element folded(Product& product) {
  fold(product);
  const Vec limb[kLimbs] = {product.limb[0], product.limb[1], product.limb[2], product.limb[3],
                            product.limb[4]};
  return carried(limb);
}

X25519_INLINE Element operator*(const Element& a, const Element& b) {
  Product product;
  for (Vec& limb : product.limb) limb = _mm512_setzero_si512();
#pragma GCC unroll 5
  for (int i = 0; i < kLimbs; ++i) {
#pragma GCC unroll 5
    for (int j = 0; j < kLimbs; ++j)
      product.limb[i + j + 1] = high(product.limb[i + j + 1], a.limb[i], b.limb[j]);
  }
#pragma GCC unroll 10
  for (int k = 1; k < 2 * kLimbs; ++k) product.limb[k] = twice(product.limb[k]);
#pragma GCC unroll 5
  for (int i = 0; i < kLimbs; ++i) {
#pragma GCC unroll 5
    for (int j = 0; j < kLimbs; ++j) product.limb[i + j] = low(product.limb[i + j], a.limb[i], b.limb[j]);
  }
  return folded(product);
}

// Products of two different limbs come twice, so a limb is 2 (2 H' + H + L') + L with the halves of those in
// H' and L', and those of squares of limbs in H and L.
X25519_INLINE Element squared(const Element& a) {
  Product product;
  for (Vec& limb : product.limb) limb = _mm512_setzero_si512();
#pragma GCC unroll 5
  for (int i = 0; i < kLimbs; ++i) {
#pragma GCC unroll 5
    for (int j = i + 1; j < kLimbs; ++j)
      product.limb[i + j + 1] = high(product.limb[i + j + 1], a.limb[i], a.limb[j]);
  }
#pragma GCC unroll 8
  for (int k = 2; k < 2 * kLimbs - 1; ++k) product.limb[k] = twice(product.limb[k]);
#pragma GCC unroll 5
  for (int i = 0; i < kLimbs; ++i)
    product.limb[2 * i + 1] = high(product.limb[2 * i + 1], a.limb[i], a.limb[i]);
#pragma GCC unroll 5
  for (int i = 0; i < kLimbs; ++i) {
#pragma GCC unroll 5
    for (int j = i + 1; j < kLimbs; ++j) product.limb[i + j] = low(product.limb[i + j], a.limb[i], a.limb[j]);
  }
#pragma GCC unroll 10
  for (int k = 1; k < 2 * kLimbs; ++k) product.limb[k] = twice(product.limb[k]);
#pragma GCC unroll 5
  for (int i = 0; i < kLimbs; ++i) product.limb[2 * i] = low(product.limb[2 * i], a.limb[i], a.limb[i]);
  return folded(product);
}

// a + 121665 b. The high halves are below 2^17.
X25519_INLINE Element plus_a24_times(const Element& a, const Element& b) {
  const Vec a24 = all(121665);
  Vec halves[kLimbs], sum[kLimbs];
  for (int i = 0; i < kLimbs; ++i) halves[i] = twice(high(_mm512_setzero_si512(), b.limb[i], a24));
  for (int i = 0; i < kLimbs; ++i) sum[i] = low(a.limb[i], b.limb[i], a24);
  sum[0] = low(sum[0], halves[kLimbs - 1], all(19));
  for (int i = 1; i < kLimbs; ++i) sum[i] = add(sum[i], halves[i - 1]);
  return carried(sum);
}

X25519_INLINE void swap_if(__mmask8 lanes, Element& a, Element& b) {
  for (int i = 0; i < kLimbs; ++i) {
    const Vec of_a = a.limb[i];
    a.limb[i] = _mm512_mask_mov_epi64(of_a, lanes, b.limb[i]);
    b.limb[i] = _mm512_mask_mov_epi64(b.limb[i], lanes, of_a);
  }
}

// Two points of the ladder, x : z.
struct Ladder {
  Element x2, z2, x3, z3;
};

// RFC 7748's step with its names.
X25519_INLINE void step(Ladder& at, const Element& x1) {
  const Element a = at.x2 + at.z2, b = at.x2 - at.z2, c = at.x3 + at.z3, d = at.x3 - at.z3;
  const Element da = d * a, cb = c * b;
  const Element aa = squared(a), bb = squared(b);
  const Element e = aa - bb;
  at.x3 = squared(da + cb);
  at.z3 = x1 * squared(da - cb);
  at.x2 = aa * bb;
  at.z2 = e * plus_a24_times(aa, e);
}

X25519_INLINE Element element_of(const Columns<kLaneCount>& columns) {
  Vec word[kWords];
  for (int w = 0; w < kWords; ++w) word[w] = _mm512_load_si512(columns.word[w]);
  const Vec mask = all(kLimbMask);
  const auto across = [&](Vec lower, int right, Vec upper, int left) {
    return _mm512_and_si512(_mm512_or_si512(_mm512_srl_epi64(lower, _mm_cvtsi32_si128(right)),
                                            _mm512_sll_epi64(upper, _mm_cvtsi32_si128(left))),
                            mask);
  };
  return {{_mm512_and_si512(word[0], mask), across(word[0], 51, word[1], 13),
           across(word[1], 38, word[2], 26), across(word[2], 25, word[3], 39),
           _mm512_and_si512(_mm512_srli_epi64(word[3], 12), mask)}};
}

Ladder climb(const Columns<kLaneCount>& scalars, const Element& x1) {
  const Vec zero = _mm512_setzero_si512();
  const Element nought{{zero, zero, zero, zero, zero}}, one{{all(1), zero, zero, zero, zero}};
  Ladder at{one, nought, x1, one};
  __mmask8 swapped = 0;
  for (int bit = 254; bit >= 0; --bit) {
    const Vec word = _mm512_load_si512(scalars.word[bit / 64]);
    const __mmask8 set = _mm512_test_epi64_mask(word, all(std::uint64_t{1} << (bit % 64)));
    const auto swap = static_cast<__mmask8>(set ^ swapped);
    swapped = set;
    swap_if(swap, at.x2, at.x3);
    swap_if(swap, at.z2, at.z3);
    step(at, x1);
  }
  swap_if(swapped, at.x2, at.x3);
  swap_if(swapped, at.z2, at.z3);
  return at;
}

}  // namespace

void x25519_detail::multiply_lanes_avx512(std::span<const X25519Op> ops) noexcept {
  Columns<kLaneCount> columns;
  gather(columns, ops, [](const X25519Op& op) { return op.point; });
  const Element x1 = element_of(columns);
  gather(columns, ops, [](const X25519Op& op) { return op.scalar; });
  clamp(columns);
  Ladder top = climb(columns, x1);
  const Element result = top.x2 * inverse(top.z2);
  alignas(64) std::uint64_t limbs[kLimbs][kLaneCount];
  for (int i = 0; i < kLimbs; ++i) _mm512_store_si512(limbs[i], result.limb[i]);
  std::uint64_t limb[kLimbs];
  for (std::size_t lane = 0; lane < ops.size(); ++lane) {
    for (int i = 0; i < kLimbs; ++i) limb[i] = limbs[i][lane];
    store_canonical(ops[lane].shared, limb);
  }
  wipe(&columns, sizeof columns);
  wipe(&top, sizeof top);
  wipe(limbs, sizeof limbs);
  wipe(limb, sizeof limb);
}

}  // namespace wg::crypto
