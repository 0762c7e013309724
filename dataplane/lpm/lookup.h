// The readers' side, one file per instruction set: lookup_portable.cpp, lookup_avx2.cpp,
// lookup_avx512.cpp, lookup_neon.cpp.
#pragma once

#include "dataplane/lpm/node.h"

namespace wg::lpm {

// Looks up a burst of at most kMaxBurst keys below the root. kNoMatch: only a default could match.
struct Lookup {
  const char* name;
  void (*v4)(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept;
  void (*v6)(const Root& root, const std::uint8_t* const* keys, Value* out, std::size_t n) noexcept;
};

extern const Lookup kLookupPortable;
#if defined(__x86_64__)
extern const Lookup kLookupAvx2;    // AVX2, BMI and BMI2
extern const Lookup kLookupAvx512;  // AVX-512 F, BW, VL, DQ and BMI2
#else
extern const Lookup kLookupNeon;
#endif

}  // namespace wg::lpm
