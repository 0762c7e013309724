// The variants and the choice between them. Only aead_dispatch.cpp and tests include this header; all other
// code calls aead_engine().
#pragma once

#include <cstdint>

#include "dataplane/crypto/aead.h"

namespace wg::crypto {

extern const AeadEngine kAeadPortable;
extern const AeadEngine kAeadAvx2;
extern const AeadEngine kAeadAvx512;

// The inputs of the choice: the processor's feature words and the register state that the operating system
// saves (Intel SDM volume 2, CPUID; volume 1, 13.3 and 14.3).
struct CpuFeatureWords {
  std::uint32_t max_leaf;   // CPUID.0:EAX
  std::uint32_t leaf1_ecx;  // CPUID.1:ECX, OSXSAVE, AVX and POPCNT
  std::uint32_t leaf7_ebx;  // CPUID.7.0:EBX, BMI1/2, AVX2 and AVX512F/DQ/IFMA/BW/VL
  std::uint32_t leaf7_ecx;  // CPUID.7.0:ECX, AVX512_VBMI2
  std::uint64_t xcr0;       // XGETBV 0, or 0 without OSXSAVE
};

CpuFeatureWords read_cpu_feature_words() noexcept;

bool can_run_avx2(const CpuFeatureWords& words) noexcept;
bool can_run_avx512(const CpuFeatureWords& words) noexcept;

// Returns the fastest variant that the words allow. `forced` (a name, or nullptr) overrides the choice.
// Throws std::runtime_error when `forced` is unknown or the words rule it out.
const AeadEngine& choose_aead_engine(const CpuFeatureWords& words, const char* forced);

}  // namespace wg::crypto
