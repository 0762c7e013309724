// The readers' side. One instruction set per file: lookup_portable.cpp, lookup_avx512.cpp.
#pragma once

#include "dataplane/lpm/node.h"

namespace wg::lpm {

// The answers below the root for a burst of at most kMaxBurst keys; kNoMatch where only the /0 could match.
struct Lookup {
  const char* name;
  void (*v4)(const Root& root, const std::uint32_t* keys, Value* out, std::size_t n) noexcept;
  void (*v6)(const Root& root, const std::uint8_t* const* keys, Value* out, std::size_t n) noexcept;
};

extern const Lookup kLookupPortable;
extern const Lookup kLookupAvx512;  // AVX-512 F, BW, VL, DQ and BMI2

}  // namespace wg::lpm
