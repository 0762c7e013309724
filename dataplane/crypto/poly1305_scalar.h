// Poly1305 (RFC 8439 section 2.5) of one packet in general registers: limbs of 64, 64 and a few bits.
//
// A block waits for the one before, some 24 cycles. Longer packets run two chains with r^2, even and odd
// blocks apart, which the processor overlaps; no set-up to speak of, so this beats the vector kernels for
// short packets.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "dataplane/crypto/aead_batch.h"

namespace wg::crypto {

// As block 0 of the keystream holds it: r = low || high, before clamping, and the pad s.
struct OneTimeKey {
  std::uint64_t r_low, r_high, pad_low, pad_high;
};

struct Tag128 {
  std::uint64_t low, high;
};

namespace scalar_poly1305 {

__extension__ using Wide = unsigned __int128;
using Word = unsigned long long;  // what _addcarry_u64 wants

// h0 + 2^64 h1 + 2^128 h2, partly reduced: h2 below 8.
struct Sum {
  Word h0, h1, h2;
};

// A multiplier of up to 2^130, prepared. r is clamped, below 2^124 with r1 a multiple of 4; its square is
// not, and has a third limb.
struct Clamped {
  Word r0, r1, r1_times_5_4;
};

WG_INLINE Word load64(const std::uint8_t* p) {
  Word value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

WG_INLINE Wide times(Word a, Word b) {
  return static_cast<Wide>(a) * b;
}

WG_INLINE Clamped clamp(const OneTimeKey& key) {
  const Word r1 = key.r_high & 0x0ffffffc0ffffffc;
  return {key.r_low & 0x0ffffffc0fffffff, r1, r1 + (r1 >> 2)};
}

// a + low + 2^64 high + 2^128 top.
WG_INLINE Sum add(Sum a, Word low, Word high, Word top) {
  Sum sum;
  unsigned char carry = _addcarry_u64(0, a.h0, low, &sum.h0);
  carry = _addcarry_u64(carry, a.h1, high, &sum.h1);
  sum.h2 = a.h2 + top + carry;
  return sum;
}

// m r. What passes 2^128 comes back as 5/4 r1; m2 r0 + the carry stays below 2^63.
WG_INLINE Sum multiply(Sum m, const Clamped& r) {
  const Wide d0 = times(m.h0, r.r0) + times(m.h1, r.r1_times_5_4);
  const Wide d1 = times(m.h0, r.r1) + times(m.h1, r.r0) + m.h2 * r.r1_times_5_4 + static_cast<Word>(d0 >> 64);
  const Word d2 = m.h2 * r.r0 + static_cast<Word>(d1 >> 64);
  // 2^130 = 5: d2 above its two low bits counts 5/4.
  Sum result = add({static_cast<Word>(d0), static_cast<Word>(d1), 0}, (d2 & ~Word{3}) + (d2 >> 2), 0, d2 & 3);
  return result;
}

WG_INLINE Sum absorb(Sum h, const std::uint8_t* block, const Clamped& r) {
  return multiply(add(h, load64(block), load64(block + 8), 1), r);
}

// h mod 2^130 - 5, plus the pad.
WG_INLINE Tag128 finish(Sum h, Word pad_low, Word pad_high) {
  Word g0, g1, low, high;
  unsigned char carry = _addcarry_u64(0, h.h0, 5, &g0);
  carry = _addcarry_u64(carry, h.h1, 0, &g1);
  const Word use_g = 0 - ((h.h2 + carry) >> 2);  // all ones when h + 5 reaches 2^130
  carry = _addcarry_u64(0, (g0 & use_g) | (h.h0 & ~use_g), pad_low, &low);
  _addcarry_u64(carry, (g1 & use_g) | (h.h1 & ~use_g), pad_high, &high);
  return {low, high};
}

// Ones over the low `bits` bits, 0 .. 64.
WG_INLINE Word low_bits(std::uint64_t bits) {
  return bits >= 64 ? ~Word{0} : (Word{1} << bits) - 1;
}

// The tag of a packet. Reads up to 15 bytes behind the payload (kAeadReadAfter).
WG_INLINE Tag128 tag(const std::uint8_t* data, std::uint64_t length, const OneTimeKey& key) {
  const Clamped r = clamp(key);
  Sum h = {0, 0, 0};
  const std::uint8_t* const end = data + length / 16 * 16;
  for (; data != end; data += 16) h = absorb(h, data, r);
  if (const std::uint64_t bits = length % 16 * 8; bits != 0) {
    const Word low = load64(data) & low_bits(bits);
    const Word high = load64(data + 8) & low_bits(bits > 64 ? bits - 64 : 0);
    h = multiply(add(h, low, high, 1), r);
  }
  h = multiply(add(h, 0, length, 1), r);
  return finish(h, key.pad_low, key.pad_high);
}

}  // namespace scalar_poly1305
}  // namespace wg::crypto
