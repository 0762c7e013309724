// Chooses the variant by what the processor can do.
#include <array>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "dataplane/crypto/aead_variants.h"

namespace wg::crypto {
namespace {

constexpr bool has(std::uint64_t word, std::uint64_t bits) {
  return (word & bits) == bits;
}

constexpr std::uint32_t kOsxsaveAvxPopcnt = (1u << 27) | (1u << 28) | (1u << 23);
constexpr std::uint32_t kAvx2Bmi1Bmi2 = (1u << 5) | (1u << 3) | (1u << 8);
constexpr std::uint32_t kAvx512FDqIfmaBwVl = (1u << 16) | (1u << 17) | (1u << 21) | (1u << 30) | (1u << 31);
constexpr std::uint32_t kAvx512Vbmi2 = 1u << 6;
constexpr std::uint64_t kXmmYmmState = 0x06;     // XCR0.SSE, XCR0.AVX
constexpr std::uint64_t kXmmYmmZmmState = 0xe6;  // and opmask, ZMM_Hi256, Hi16_ZMM

// Ordered from slowest to fastest, so the last one that can run is the best.
struct Candidate {
  const AeadEngine* engine;
  bool (*can_run)(const processor::FeatureWords&) noexcept;
};

bool always(const processor::FeatureWords&) noexcept {
  return true;
}

constexpr std::array kCandidates = {
    Candidate{&kAeadPortable, always},
#if defined(__x86_64__)
    Candidate{&kAeadAvx2, can_run_avx2},
    Candidate{&kAeadAvx512, can_run_avx512},
#else
    Candidate{&kAeadNeon, always},
#endif
};

struct Runnable {
  std::array<const AeadEngine*, kCandidates.size()> engines{};
  std::size_t count = 0;
};

Runnable runnable(const processor::FeatureWords& words) noexcept {
  Runnable result;
  for (const Candidate& candidate : kCandidates) {
    if (candidate.can_run(words)) result.engines[result.count++] = candidate.engine;
  }
  return result;
}

const Runnable& runnable_here() noexcept {
  static const Runnable result = runnable(processor::read_feature_words());
  return result;
}

}  // namespace

bool can_run_avx2(const processor::FeatureWords& words) noexcept {
  return words.max_leaf >= 7 && has(words.leaf1_ecx, kOsxsaveAvxPopcnt) && has(words.xcr0, kXmmYmmState) &&
         has(words.leaf7_ebx, kAvx2Bmi1Bmi2);
}

bool can_run_avx512(const processor::FeatureWords& words) noexcept {
  return can_run_avx2(words) && has(words.xcr0, kXmmYmmZmmState) &&
         has(words.leaf7_ebx, kAvx512FDqIfmaBwVl) && has(words.leaf7_ecx, kAvx512Vbmi2);
}

const AeadEngine& choose_aead_engine(const processor::FeatureWords& words, const char* forced) {
  const Runnable candidates = runnable(words);
  if (forced == nullptr || *forced == '\0') return *candidates.engines[candidates.count - 1];
  for (std::size_t i = 0; i < candidates.count; ++i) {
    if (std::string_view(candidates.engines[i]->name) == forced) return *candidates.engines[i];
  }
  throw std::runtime_error("LINEGATE_AEAD=" + std::string(forced) +
                           ": no such variant, or this machine cannot run it");
}

const AeadEngine& aead_engine() {
  static const AeadEngine& engine =
      choose_aead_engine(processor::read_feature_words(), std::getenv("LINEGATE_AEAD"));
  return engine;
}

const AeadEngine* aead_engine_named(const char* name) noexcept {
  for (const AeadEngine* engine : aead_engines()) {
    if (std::string_view(engine->name) == name) return engine;
  }
  return nullptr;
}

std::span<const AeadEngine* const> aead_engines() noexcept {
  const Runnable& here = runnable_here();
  return {here.engines.data(), here.count};
}

}  // namespace wg::crypto
