// Poly1305 (RFC 8439 section 2.5) of one packet in general registers: limbs of 64, 64 and a few bits.
//
// Each block depends on the one before, about 24 cycles, so two packets run together where there are two. The
// set-up is negligible, so this beats the vector kernels for short packets.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdint>

#include "dataplane/crypto/aead_batch.h"

namespace wg::crypto {

// The key as block 0 of the keystream holds it: r = low || high, before clamping, and the pad s.
struct OneTimeKey {
  std::uint64_t r_low, r_high, pad_low, pad_high;
};

struct Tag128 {
  std::uint64_t low, high;
};

namespace scalar_poly1305 {

using Word = unsigned long long;
__extension__ using Word2 = unsigned __int128;

// h0 + 2^64 h1 + 2^128 h2, partly reduced: h2 below 8.
struct Sum {
  Word h0, h1, h2;
};

// r, clamped: below 2^124, with r1 a multiple of 4.
struct Clamped {
  Word r0, r1, r1_times_5_4;
};

WG_INLINE Word load64(const std::uint8_t* p) {
  Word value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

WG_INLINE Clamped clamp(const OneTimeKey& key) {
  const Word r1 = key.r_high & 0x0ffffffc0ffffffc;
  return {key.r_low & 0x0ffffffc0fffffff, r1, r1 + (r1 >> 2)};
}

// a + b + carry, and the carry out of it.
WG_INLINE unsigned char add_carry(unsigned char carry, Word a, Word b, Word* sum) {
#if defined(__x86_64__)
  return _addcarry_u64(carry, a, b, sum);
#else
  const Word2 wide = Word2{a} + b + carry;
  *sum = static_cast<Word>(wide);
  return static_cast<unsigned char>(wide >> 64);
#endif
}

// a + low + 2^64 high + 2^128 top.
WG_INLINE Sum add(Sum a, Word low, Word high, Word top) {
  Sum sum;
  unsigned char carry = add_carry(0, a.h0, low, &sum.h0);
  carry = add_carry(carry, a.h1, high, &sum.h1);
  sum.h2 = a.h2 + top + carry;
  return sum;
}

// (h + low + 2^64 high + 2^128) r, the step of every block. The part above 2^128 wraps around as 5/4 r1, and
// the part above 2^130 as 5/4 of itself. h2 stays below 5, so h2 r0 + the carry stays below 2^63. On x86-64
// it is assembly because it is one chain of dependent instructions: as 128-bit arithmetic, g++ 12 takes 24
// cycles per block instead of 18.
WG_INLINE Sum absorb(Sum h, Word low, Word high, const Clamped& r) {
#if defined(__x86_64__)
  Word a, b, e, f;
  asm("add %[low], %[h0]\n\t"
      "adc %[high], %[h1]\n\t"
      "adc $1, %[h2]\n\t"
      "mov %[h0], %%rdx\n\t"
      "mulx %[r0], %[a], %[b]\n\t"  // b:a = h0 r0
      "mulx %[r1], %[e], %[f]\n\t"  // f:e = h0 r1
      "mov %[h1], %%rdx\n\t"
      "mulx %[s1], %[h0], %[h1]\n\t"  // b:a += h1 5/4 r1
      "add %[h0], %[a]\n\t"
      "adc %[h1], %[b]\n\t"
      "mulx %[r0], %[h0], %[h1]\n\t"  // f:e += h1 r0
      "mov %[h2], %%rdx\n\t"
      "add %[h0], %[e]\n\t"
      "adc %[h1], %[f]\n\t"
      "imul %[s1], %[h2]\n\t"  // f:e += h2 5/4 r1
      "imul %[r0], %%rdx\n\t"  // f += h2 r0
      "add %[h2], %[e]\n\t"
      "adc %%rdx, %[f]\n\t"
      "add %[b], %[e]\n\t"
      "adc $0, %[f]\n\t"  // the product is f:e:a; f is wrapped above its two low bits
      "mov %[f], %[h2]\n\t"
      "mov %[f], %[b]\n\t"
      "and $3, %[h2]\n\t"
      "shr $2, %[f]\n\t"
      "and $-4, %[b]\n\t"
      "add %[f], %[b]\n\t"
      "add %[b], %[a]\n\t"
      "adc $0, %[e]\n\t"
      "adc $0, %[h2]\n\t"
      : [h0] "+&r"(h.h0), [h1] "+&r"(h.h1), [h2] "+&r"(h.h2), [a] "=&r"(a), [b] "=&r"(b), [e] "=&r"(e),
        [f] "=&r"(f)
      : [low] "rme"(low), [high] "rme"(high), [r0] "m"(r.r0), [r1] "m"(r.r1), [s1] "m"(r.r1_times_5_4)
      : "rdx", "cc");
  return {a, e, h.h2};
#else
  unsigned char carry = add_carry(0, h.h0, low, &h.h0);
  carry = add_carry(carry, h.h1, high, &h.h1);
  h.h2 += 1 + carry;
  const Word2 bottom = Word2{h.h0} * r.r0 + Word2{h.h1} * r.r1_times_5_4;
  const Word2 middle =
      Word2{h.h0} * r.r1 + Word2{h.h1} * r.r0 + h.h2 * r.r1_times_5_4 + static_cast<Word>(bottom >> 64);
  const Word top = h.h2 * r.r0 + static_cast<Word>(middle >> 64);
  Sum product{0, 0, top & 3};
  carry = add_carry(0, static_cast<Word>(bottom), (top >> 2) + (top & ~Word{3}), &product.h0);
  carry = add_carry(carry, static_cast<Word>(middle), 0, &product.h1);
  product.h2 += carry;
  return product;
#endif
}

// h mod 2^130 - 5, plus the pad.
WG_INLINE Tag128 finish(Sum h, Word pad_low, Word pad_high) {
  Word g0, g1, low, high;
  unsigned char carry = add_carry(0, h.h0, 5, &g0);
  carry = add_carry(carry, h.h1, 0, &g1);
  const Word use_g = 0 - ((h.h2 + carry) >> 2);  // all ones when h + 5 reaches 2^130
  carry = add_carry(0, (g0 & use_g) | (h.h0 & ~use_g), pad_low, &low);
  add_carry(carry, (g1 & use_g) | (h.h1 & ~use_g), pad_high, &high);
  return {low, high};
}

// The mask of the low `bits` bits, 0 .. 64.
WG_INLINE Word low_bits(std::uint64_t bits) {
  return bits >= 64 ? ~Word{0} : (Word{1} << bits) - 1;
}

// Does what follows the whole blocks: the last, partial block padded with zeros, the length block, the pad.
// It reads up to 15 bytes after the payload (kAeadReadAfter).
WG_INLINE Tag128 finish_packet(Sum h, const std::uint8_t* rest, std::uint64_t length, const Clamped& r,
                               const OneTimeKey& key) {
  if (const std::uint64_t bits = length % 16 * 8; bits != 0) {
    h = absorb(h, load64(rest) & low_bits(bits), load64(rest + 8) & low_bits(bits > 64 ? bits - 64 : 0), r);
  }
  return finish(absorb(h, 0, length, r), key.pad_low, key.pad_high);
}

WG_INLINE Sum absorb_whole(Sum h, const std::uint8_t* data, const std::uint8_t* end, const Clamped& r) {
  for (; data != end; data += 16) h = absorb(h, load64(data), load64(data + 8), r);
  return h;
}

WG_INLINE Tag128 tag(const std::uint8_t* data, std::uint64_t length, const OneTimeKey& key) {
  const Clamped r = clamp(key);
  const std::uint8_t* const end = data + length / 16 * 16;
  return finish_packet(absorb_whole({0, 0, 0}, data, end, r), end, length, r, key);
}

struct TwoTags {
  Tag128 first, second;
};

// Computes the tags of two packets together, the first not longer than the second. Their chains overlap,
// about 11 cycles per block of each.
WG_INLINE TwoTags tag_two(const std::uint8_t* data0, std::uint64_t length0, const OneTimeKey& key0,
                          const std::uint8_t* data1, std::uint64_t length1, const OneTimeKey& key1) {
  const Clamped r0 = clamp(key0), r1 = clamp(key1);
  const std::uint8_t* const end0 = data0 + length0 / 16 * 16;
  const std::uint8_t* const end1 = data1 + length1 / 16 * 16;
  Sum h0 = {0, 0, 0}, h1 = {0, 0, 0};
  for (; data0 != end0; data0 += 16, data1 += 16) {
    h0 = absorb(h0, load64(data0), load64(data0 + 8), r0);
    h1 = absorb(h1, load64(data1), load64(data1 + 8), r1);
  }
  h1 = absorb_whole(h1, data1, end1, r1);
  return {finish_packet(h0, end0, length0, r0, key0), finish_packet(h1, end1, length1, r1, key1)};
}

}  // namespace scalar_poly1305
}  // namespace wg::crypto
