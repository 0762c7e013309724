// Chooses the variant by CPUID. No other file of the AEAD reads it.
#include <cpuid.h>

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

std::uint64_t read_xcr0() noexcept {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32) | low;
}

// Ordered from slowest to fastest, so the last one that can run is the best.
struct Candidate {
  const AeadEngine* engine;
  bool (*can_run)(const CpuFeatureWords&) noexcept;
};

bool always(const CpuFeatureWords&) noexcept {
  return true;
}

constexpr std::array kCandidates = {
    Candidate{&kAeadPortable, always},
    Candidate{&kAeadAvx2, can_run_avx2},
    Candidate{&kAeadAvx512, can_run_avx512},
};

struct Runnable {
  std::array<const AeadEngine*, kCandidates.size()> engines{};
  std::size_t count = 0;
};

Runnable runnable(const CpuFeatureWords& words) noexcept {
  Runnable result;
  for (const Candidate& candidate : kCandidates) {
    if (candidate.can_run(words)) result.engines[result.count++] = candidate.engine;
  }
  return result;
}

const Runnable& runnable_here() noexcept {
  static const Runnable result = runnable(read_cpu_feature_words());
  return result;
}

}  // namespace

CpuFeatureWords read_cpu_feature_words() noexcept {
  CpuFeatureWords words{};
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  words.max_leaf = __get_cpuid_max(0, nullptr);
  if (words.max_leaf < 1) return words;
  __cpuid(1, eax, ebx, ecx, edx);
  words.leaf1_ecx = ecx;
  if (has(words.leaf1_ecx, 1u << 27)) words.xcr0 = read_xcr0();
  if (words.max_leaf < 7) return words;
  __cpuid_count(7, 0, eax, ebx, ecx, edx);
  words.leaf7_ebx = ebx;
  words.leaf7_ecx = ecx;
  return words;
}

bool can_run_avx2(const CpuFeatureWords& words) noexcept {
  return words.max_leaf >= 7 && has(words.leaf1_ecx, kOsxsaveAvxPopcnt) && has(words.xcr0, kXmmYmmState) &&
         has(words.leaf7_ebx, kAvx2Bmi1Bmi2);
}

bool can_run_avx512(const CpuFeatureWords& words) noexcept {
  return can_run_avx2(words) && has(words.xcr0, kXmmYmmZmmState) &&
         has(words.leaf7_ebx, kAvx512FDqIfmaBwVl) && has(words.leaf7_ecx, kAvx512Vbmi2);
}

const AeadEngine& choose_aead_engine(const CpuFeatureWords& words, const char* forced) {
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
      choose_aead_engine(read_cpu_feature_words(), std::getenv("LINEGATE_AEAD"));
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
