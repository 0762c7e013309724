// Constant-time comparison, and the annotations by which memcheck verifies it: a secret is declared
// undefined, so memcheck reports any branch or address that depends on it (tests/consttime).
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(LINEGATE_CONSTTIME)
#include <valgrind/memcheck.h>
#define CONSTTIME_SECRET(address, size) static_cast<void>(VALGRIND_MAKE_MEM_UNDEFINED((address), (size)))
#define CONSTTIME_DECLASSIFY(address, size) static_cast<void>(VALGRIND_MAKE_MEM_DEFINED((address), (size)))
#else
#define CONSTTIME_SECRET(address, size) static_cast<void>(0)
#define CONSTTIME_DECLASSIFY(address, size) static_cast<void>(0)
#endif

namespace wg::crypto {

// True when the first `size` bytes are equal. The time depends only on `size`.
[[nodiscard]] inline bool equal(const void* a, const void* b, std::size_t size) noexcept {
  const auto* x = static_cast<const std::uint8_t*>(a);
  const auto* y = static_cast<const std::uint8_t*>(b);
  std::uint8_t difference = 0;
  for (std::size_t i = 0; i < size; ++i) difference = static_cast<std::uint8_t>(difference | (x[i] ^ y[i]));
  asm volatile("" : "+r"(difference));  // keeps the compiler from leaving the loop early
  return difference == 0;
}

}  // namespace wg::crypto
