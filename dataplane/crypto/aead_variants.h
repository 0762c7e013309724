// The variants and the choice between them. Only aead_dispatch.cpp and tests include this header; all other
// code calls aead_engine().
#pragma once

#include "dataplane/base/processor.h"
#include "dataplane/crypto/aead.h"

namespace wg::crypto {

extern const AeadEngine kAeadPortable;
#if defined(__x86_64__)
extern const AeadEngine kAeadAvx2;
extern const AeadEngine kAeadAvx512;
#else
extern const AeadEngine kAeadNeon;
#endif

bool can_run_avx2(const processor::FeatureWords& words) noexcept;
bool can_run_avx512(const processor::FeatureWords& words) noexcept;

// Returns the fastest variant that the words allow. `forced` (a name, or nullptr) overrides the choice.
// Throws std::runtime_error when `forced` is unknown or the words rule it out.
const AeadEngine& choose_aead_engine(const processor::FeatureWords& words, const char* forced);

}  // namespace wg::crypto
