// X25519 in four lanes of AVX2 and FMA: lane = one scalar and one point. RFC 7748 section 5, the Montgomery
// ladder.
//
// AVX2 multiplies integers of 32 bits only, but FMA multiplies doubles of 53 bits and rounds once. An element
// of the field of 2^255 - 19 is five limbs of 51 bits, positive or negative integers kept as doubles.
// "Reduced" below means that no limb exceeds 2^50 + 2^13. Sums and differences of two reduced elements are
// exact, and are multiplied without a carry: "loose", no limb exceeds 2^51 + 2^14.
//
// A product of limbs, below 2^103, is taken apart into a high part, a multiple of 2^52, and a low part from 0
// to 2^52. The sum of the product and kHighBase = 3 * 2^103 lies where doubles are multiples of 2^52 apart,
// and the rounding mode is towards zero while this file computes, so the bits of that sum count the high part
// in units of 2^52. A second FMA subtracts it from the product and adds kLowBase = 2^52, so its bits count
// the low part in units of 1. No other operation here rounds. Both are summed as integers of 64 bits, and the
// bits of the bases are subtracted from the sums by one constant a limb.
//
// A product a * b has the limbs L[k] = low parts with i + j = k, and H[k] = high parts with i + j = k - 1. A
// high part weighs 2^52 = 2 * 2^51, so limb k is L[k] + 2 H[k]. Limbs 5 to 9 come back 19 times at 0 to 4,
// because 2^255 = 19. Bounds: L[k] and 2 H[k] are below 5 * 2^52 and 2 * 5 * 2^50.1, so every limb is within
// 2^55, and with 19 times another within 2^59.6. kOffset = 2^60 makes them positive.
//
// Everything is done to all lanes alike: the ladder's swap is a blend under a mask. Doubles are 0 or at least
// 1, so none is subnormal, which would take longer. This file is compiled with AVX2 flags, so it instantiates
// nothing of the standard library with external linkage.
#include <immintrin.h>

#include "dataplane/crypto/x25519_lanes.h"

namespace wg::crypto {
namespace {

using Doubles = __m256d;
using Integers = __m256i;
constexpr int kLaneCount = 4;

constexpr double kLowBase = 0x1p52, kHighBase = 0x3p103;
constexpr std::uint64_t kLowBaseBits = 0x4330000000000000, kHighBaseBits = 0x4678000000000000;
constexpr std::uint64_t kOffset = std::uint64_t{1} << 60;
constexpr std::uint64_t kOffsetCarry = kOffset >> kLimbBits;
constexpr std::uint64_t kHalf = std::uint64_t{1} << (kLimbBits - 1);

struct Element {
  Doubles limb[kLimbs];
};
struct Limbs {
  Integers limb[kLimbs];
};

X25519_INLINE Doubles all(double value) {
  return _mm256_set1_pd(value);
}
X25519_INLINE Integers all(std::uint64_t value) {
  return _mm256_set1_epi64x(static_cast<long long>(value));
}
X25519_INLINE Integers row(const std::uint64_t (&words)[kLaneCount]) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(words));
}
X25519_INLINE Integers add(Integers a, Integers b) {
  return _mm256_add_epi64(a, b);
}
X25519_INLINE Integers twice(Integers a) {
  return _mm256_add_epi64(a, a);
}
X25519_INLINE Integers nineteen_times(Integers a) {
  return add(add(_mm256_slli_epi64(a, 4), twice(a)), a);
}

X25519_INLINE Element operator+(const Element& a, const Element& b) {
  Element sum;
  for (int i = 0; i < kLimbs; ++i) sum.limb[i] = _mm256_add_pd(a.limb[i], b.limb[i]);
  return sum;
}
X25519_INLINE Element operator-(const Element& a, const Element& b) {
  Element difference;
  for (int i = 0; i < kLimbs; ++i) difference.limb[i] = _mm256_sub_pd(a.limb[i], b.limb[i]);
  return difference;
}

// Integers below 2^52 to doubles, and `more` subtracted.
X25519_INLINE Doubles minus(Integers a, double more) {
  return _mm256_sub_pd(_mm256_castsi256_pd(_mm256_or_si256(a, all(kLowBaseBits))), all(kLowBase + more));
}

// All carries at once. Limbs with kOffset and kHalf added, so below 2^61, become reduced.
X25519_INLINE Element carried(const Limbs& sum) {
  constexpr auto kTooMuch = static_cast<double>(kOffsetCarry), kBelow = static_cast<double>(kHalf);
  Integers rest[kLimbs], carry[kLimbs];
  for (int i = 0; i < kLimbs; ++i) {
    carry[i] = _mm256_srli_epi64(sum.limb[i], kLimbBits);
    rest[i] = _mm256_and_si256(sum.limb[i], all(kLimbMask));
  }
  Element out;
  out.limb[0] = minus(add(rest[0], _mm256_mul_epu32(carry[kLimbs - 1], all(std::uint64_t{19}))),
                      kBelow + 19 * kTooMuch);
  for (int i = 1; i < kLimbs; ++i) out.limb[i] = minus(add(rest[i], carry[i - 1]), kBelow + kTooMuch);
  return out;
}

// How many products of limbs i and j have i + j = k.
constexpr std::uint64_t products(int k) {
  if (k < 0 || k > 2 * (kLimbs - 1)) return 0;
  return static_cast<std::uint64_t>(k < kLimbs ? k + 1 : 2 * kLimbs - 1 - k);
}
// The bases have added this to limb k of ten, of a product.
constexpr std::uint64_t bases(int k) {
  return products(k) * kLowBaseBits + 2 * products(k - 1) * kHighBaseBits;
}
constexpr std::uint64_t correction(int k) {
  return kOffset + kHalf - bases(k) - 19 * bases(k + kLimbs);
}

// Adds the parts of a * b to sums of such.
X25519_INLINE void multiply(Integers& low, Integers& high, Doubles a, Doubles b) {
  const Doubles top = _mm256_fmadd_pd(a, b, all(kHighBase));
  const Doubles bottom = _mm256_fmadd_pd(a, b, _mm256_sub_pd(all(kHighBase + kLowBase), top));
  low = add(low, _mm256_castpd_si256(bottom));
  high = add(high, _mm256_castpd_si256(top));
}

// The corrections of the limbs of a product. They are read from memory: g++ 12 would make them from general
// registers in every product, which takes as long as 40 additions.
struct alignas(32) Corrections {
  std::uint64_t limb[kLimbs][kLaneCount];
};
constexpr Corrections corrections() {
  Corrections all_lanes{};
  for (int k = 0; k < kLimbs; ++k) {
    for (std::uint64_t& lane : all_lanes.limb[k]) lane = correction(k);
  }
  return all_lanes;
}
constexpr Corrections kCorrections = corrections();

// Limbs 0 to 9 of a product.
struct Product {
  Integers limb[2 * kLimbs];
};
X25519_INLINE Element folded(const Product& product) {
  const Corrections* corrections = &kCorrections;
  asm("" : "+r"(corrections));
  Limbs sum;
#pragma GCC unroll 5
  for (int k = 0; k < kLimbs; ++k)
    sum.limb[k] =
        add(add(product.limb[k], row(corrections->limb[k])), nineteen_times(product.limb[k + kLimbs]));
  return carried(sum);
}

X25519_INLINE Element product_inline(const Element& a, const Element& b) {
  Product product;
  Integers high = _mm256_setzero_si256();
#pragma GCC unroll 9
  for (int k = 0; k < 2 * kLimbs - 1; ++k) {
    Integers low = twice(high);
    high = _mm256_setzero_si256();
#pragma GCC unroll 5
    for (int i = k < kLimbs ? 0 : k - kLimbs + 1; i <= k && i < kLimbs; ++i)
      multiply(low, high, a.limb[i], b.limb[k - i]);
    product.limb[k] = low;
  }
  product.limb[2 * kLimbs - 1] = twice(high);
  return folded(product);
}

// Products of two different limbs come twice.
X25519_INLINE Element square_inline(const Element& a) {
  Product product;
  Integers high = _mm256_setzero_si256();
#pragma GCC unroll 9
  for (int k = 0; k < 2 * kLimbs - 1; ++k) {
    Integers low = high, above = _mm256_setzero_si256();
#pragma GCC unroll 2
    for (int i = k < kLimbs ? 0 : k - kLimbs + 1; 2 * i < k; ++i)
      multiply(low, above, a.limb[i], a.limb[k - i]);
    low = twice(low);
    above = twice(above);
    if (k % 2 == 0) multiply(low, above, a.limb[k / 2], a.limb[k / 2]);
    product.limb[k] = low;
    high = above;
  }
  product.limb[2 * kLimbs - 1] = twice(high);
  return folded(product);
}

[[gnu::noinline]] void multiply(Element& out, const Element& a, const Element& b) {
  out = product_inline(a, b);
}
[[gnu::noinline]] void square(Element& out, const Element& a) {
  out = square_inline(a);
}
X25519_INLINE Element operator*(const Element& a, const Element& b) {
  Element out;
  multiply(out, a, b);
  return out;
}
X25519_INLINE Element squared(const Element& a) {
  Element out;
  square(out, a);
  return out;
}

// 121665 a, of a loose element.
X25519_INLINE Element a24_times(const Element& a) {
  const Doubles a24 = all(121665.0);
  Integers low[kLimbs], high[kLimbs];
  for (int i = 0; i < kLimbs; ++i) {
    low[i] = high[i] = _mm256_setzero_si256();
    multiply(low[i], high[i], a.limb[i], a24);
  }
  constexpr std::uint64_t kCorrection = kOffset + kHalf - kLowBaseBits;
  Limbs sum;
  sum.limb[0] =
      add(add(low[0], all(kCorrection - 38 * kHighBaseBits)), nineteen_times(twice(high[kLimbs - 1])));
  for (int i = 1; i < kLimbs; ++i)
    sum.limb[i] = add(add(low[i], all(kCorrection - 2 * kHighBaseBits)), twice(high[i - 1]));
  return carried(sum);
}

// Swaps in the lanes whose mask is all ones.
X25519_INLINE void swap_if(Integers lanes, Element& a, Element& b) {
  const Doubles mask = _mm256_castsi256_pd(lanes);
  for (int i = 0; i < kLimbs; ++i) {
    const Doubles of_a = a.limb[i];
    a.limb[i] = _mm256_blendv_pd(of_a, b.limb[i], mask);
    b.limb[i] = _mm256_blendv_pd(b.limb[i], of_a, mask);
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
  at.z2 = e * (aa + a24_times(e));
}

X25519_INLINE Element element_of(const Columns<kLaneCount>& columns) {
  Integers word[kWords];
  for (int w = 0; w < kWords; ++w) word[w] = row(columns.word[w]);
  const Integers mask = all(kLimbMask);
  const auto across = [&](Integers lower, int right, Integers upper, int left) {
    return _mm256_and_si256(_mm256_or_si256(_mm256_srl_epi64(lower, _mm_cvtsi32_si128(right)),
                                            _mm256_sll_epi64(upper, _mm_cvtsi32_si128(left))),
                            mask);
  };
  const Integers limb[kLimbs] = {_mm256_and_si256(word[0], mask), across(word[0], 51, word[1], 13),
                                 across(word[1], 38, word[2], 26), across(word[2], 25, word[3], 39),
                                 _mm256_and_si256(_mm256_srli_epi64(word[3], 12), mask)};
  Limbs sum;
  for (int i = 0; i < kLimbs; ++i) sum.limb[i] = add(limb[i], all(kOffset + kHalf));
  return carried(sum);
}

[[gnu::noinline]] void climb(Ladder& at, const Columns<kLaneCount>& scalars, const Element& x1) {
  const Element nought{{all(0.0), all(0.0), all(0.0), all(0.0), all(0.0)}};
  const Element one{{all(1.0), all(0.0), all(0.0), all(0.0), all(0.0)}};
  at = {one, nought, x1, one};
  Integers swapped = _mm256_setzero_si256();
  for (int bit = 254; bit >= 0; --bit) {
    const Integers one_bit = all(std::uint64_t{1} << (bit % 64));
    const Integers set = _mm256_cmpeq_epi64(_mm256_and_si256(row(scalars.word[bit / 64]), one_bit), one_bit);
    const Integers swap = _mm256_xor_si256(set, swapped);
    swapped = set;
    swap_if(swap, at.x2, at.x3);
    swap_if(swap, at.z2, at.z3);
    step(at, x1);
  }
  swap_if(swapped, at.x2, at.x3);
  swap_if(swapped, at.z2, at.z3);
}

// A multiple of 2^255 - 19 whose limbs exceed those of reduced elements is added: positive integers.
X25519_INLINE Integers positive(Doubles limb, int i) {
  const std::uint64_t twice_p = 2 * (i == 0 ? kLimbMask - 18 : kLimbMask);
  const Integers bits = _mm256_castpd_si256(_mm256_add_pd(limb, all(0x3p51)));
  return add(bits, all(twice_p - (kLowBaseBits + (std::uint64_t{1} << 51))));
}

[[gnu::noinline]] void multiply_lanes(std::span<const X25519Op> ops) noexcept {
  Columns<kLaneCount> columns;
  gather(columns, ops, [](const X25519Op& op) { return op.point; });
  const Element x1 = element_of(columns);
  gather(columns, ops, [](const X25519Op& op) { return op.scalar; });
  clamp(columns);
  Ladder top;
  climb(top, columns, x1);
  const Element result = top.x2 * inverse(top.z2);
  alignas(32) std::uint64_t limbs[kLimbs][kLaneCount];
  for (int i = 0; i < kLimbs; ++i)
    _mm256_store_si256(reinterpret_cast<__m256i*>(limbs[i]), positive(result.limb[i], i));
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

}  // namespace

// No register keeps a secret. The flags of inexact results are put back with the mode.
void x25519_detail::multiply_lanes_avx2(std::span<const X25519Op> ops) noexcept {
  const unsigned mode = _mm_getcsr();
  _mm_setcsr((mode & ~static_cast<unsigned>(_MM_ROUND_MASK)) | _MM_ROUND_TOWARD_ZERO | _MM_MASK_MASK);
  asm volatile("" : : : "memory");
  multiply_lanes(ops);
  asm volatile("" : : : "memory");
  _mm256_zeroall();
  _mm_setcsr(mode);
}

}  // namespace wg::crypto
