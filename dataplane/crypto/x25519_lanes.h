// The variants of X25519 in lanes share this: bytes to lanes, the inverse, and limbs to bytes. Included by
// files that are compiled with flags of their own, so everything here has internal linkage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/crypto/x25519.h"

#define X25519_INLINE [[gnu::always_inline]] inline

namespace wg::crypto {
namespace {

constexpr int kLimbs = 5;
constexpr int kLimbBits = 51;
constexpr std::uint64_t kLimbMask = (std::uint64_t{1} << kLimbBits) - 1;
constexpr int kWords = 4;  // of 64 bits, in 32 bytes

// Words [word][lane] of all lanes' 32 bytes, little endian as the processor is.
template <int lanes>
struct alignas(8 * lanes) Columns {
  std::uint64_t word[kWords][lanes];
};

// Lanes without an operation repeat the first.
template <int lanes, typename BytesOf>
X25519_INLINE void gather(Columns<lanes>& columns, std::span<const X25519Op> ops, const BytesOf& bytes_of) {
  for (int lane = 0; lane < lanes; ++lane) {
    const std::size_t i = static_cast<std::size_t>(lane) < ops.size() ? static_cast<std::size_t>(lane) : 0;
    for (int w = 0; w < kWords; ++w) __builtin_memcpy(&columns.word[w][lane], bytes_of(ops[i]) + 8 * w, 8);
  }
}

// RFC 7748 section 5: the low three bits clear, bit 255 clear, bit 254 set.
template <int lanes>
X25519_INLINE void clamp(Columns<lanes>& scalars) {
  for (int lane = 0; lane < lanes; ++lane) {
    scalars.word[0][lane] &= ~std::uint64_t{7};
    scalars.word[kWords - 1][lane] &= ~std::uint64_t{0} >> 1;
    scalars.word[kWords - 1][lane] |= std::uint64_t{1} << 62;
  }
}

// a^(2^n) * b
template <typename Element>
[[gnu::noinline]] Element squared_times(Element a, int n, const Element& b) {
  for (; n > 0; --n) a = squared(a);
  return a * b;
}

// a^(2^255 - 21), which is 1 / a, and 0 of 0. onesN: a^(2^N - 1).
template <typename Element>
Element inverse(const Element& a) {
  const Element two = squared(a);
  const Element nine = squared_times(two, 2, a);
  const Element eleven = nine * two;
  const Element ones5 = squared_times(eleven, 1, nine);
  const Element ones10 = squared_times(ones5, 5, ones5);
  const Element ones20 = squared_times(ones10, 10, ones10);
  const Element ones40 = squared_times(ones20, 20, ones20);
  const Element ones50 = squared_times(ones40, 10, ones10);
  const Element ones100 = squared_times(ones50, 50, ones50);
  const Element ones200 = squared_times(ones100, 100, ones100);
  const Element ones250 = squared_times(ones200, 50, ones50);
  return squared_times(ones250, 5, eleven);
}

// The one representative below 2^255 - 19, as 32 bytes.
void store_canonical(std::uint8_t* to, std::uint64_t (&limb)[kLimbs]) {
  const auto carry = [&limb] {
    for (int i = 0; i + 1 < kLimbs; ++i) {
      limb[i + 1] += limb[i] >> kLimbBits;
      limb[i] &= kLimbMask;
    }
    limb[0] += 19 * (limb[kLimbs - 1] >> kLimbBits);
    limb[kLimbs - 1] &= kLimbMask;
  };
  carry();
  carry();
  // At most 2^255 - 1 now, but for limb 0. Adding 19 carries out of the top exactly when it is 2^255 - 19 or
  // more; then that much is taken away.
  limb[0] += 19;
  carry();
  limb[0] += kLimbMask + 1 - 19;
  for (int i = 1; i < kLimbs; ++i) limb[i] += kLimbMask;
  for (int i = 0; i + 1 < kLimbs; ++i) {
    limb[i + 1] += limb[i] >> kLimbBits;
    limb[i] &= kLimbMask;
  }
  limb[kLimbs - 1] &= kLimbMask;
  const std::uint64_t word[kWords] = {limb[0] | limb[1] << 51, limb[1] >> 13 | limb[2] << 38,
                                      limb[2] >> 26 | limb[3] << 25, limb[3] >> 39 | limb[4] << 12};
  __builtin_memcpy(to, word, sizeof word);
}

// With stores that the compiler may not drop as dead.
X25519_INLINE void wipe(void* memory, std::size_t size) {
  __builtin_memset(memory, 0, size);
  asm volatile("" : : "r"(memory) : "memory");
}

}  // namespace
}  // namespace wg::crypto
