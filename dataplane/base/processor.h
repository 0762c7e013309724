// The instructions that differ between architectures, and the questions what this processor can do. No other
// file names such instructions, apart from those of the vector variants. x86-64 and arm64.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <cpuid.h>
#elif !defined(__aarch64__)
#error "linegate runs on x86-64 and arm64"
#endif

namespace wg::processor {

// In a loop that waits for another core.
inline void pause() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  asm volatile("yield" : : : "memory");
#endif
}

// A counter of constant rate, the one that DPDK calls TSC: rte_get_tsc_hz() is its frequency. On x86-64 it
// counts cycles, on arm64 it is the timer of the system, of 25 MHz to 1 GHz.
[[nodiscard]] inline std::uint64_t cycle_counter() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  std::uint64_t value;
  asm volatile("mrs %0, cntvct_el0" : "=r"(value));
  return value;
#endif
}

// The same after all instructions before it, and before all after it: for what is measured.
[[nodiscard]] inline std::uint64_t cycle_counter_ordered() noexcept {
#if defined(__x86_64__)
  unsigned aux;
  __builtin_ia32_lfence();
  const std::uint64_t value = __builtin_ia32_rdtscp(&aux);
  __builtin_ia32_lfence();
  return value;
#else
  asm volatile("isb" : : : "memory");
  const std::uint64_t value = cycle_counter();
  asm volatile("isb" : : : "memory");
  return value;
#endif
}

// ---- What this processor and its operating system can do. On arm64 nothing is asked: NEON is part of it.

// The feature words of x86-64 and the register state that the operating system saves (Intel SDM volume 2,
// CPUID; volume 1, 13.3 and 14.3). All zero on arm64.
struct FeatureWords {
  std::uint32_t max_leaf;   // CPUID.0:EAX
  std::uint32_t leaf1_ecx;  // CPUID.1:ECX, OSXSAVE, AVX and POPCNT
  std::uint32_t leaf7_ebx;  // CPUID.7.0:EBX, BMI1/2, AVX2 and AVX512F/DQ/IFMA/BW/VL
  std::uint32_t leaf7_ecx;  // CPUID.7.0:ECX, AVX512_VBMI2
  std::uint64_t xcr0;       // XGETBV 0, or 0 without OSXSAVE
};

#if defined(__x86_64__)
inline FeatureWords read_feature_words() noexcept {
  FeatureWords words{};
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  words.max_leaf = __get_cpuid_max(0, nullptr);
  if (words.max_leaf < 1) return words;
  __cpuid(1, eax, ebx, ecx, edx);
  words.leaf1_ecx = ecx;
  if ((ecx & 1u << 27) != 0) {
    asm volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
    words.xcr0 = std::uint64_t{edx} << 32 | eax;
  }
  if (words.max_leaf < 7) return words;
  __cpuid_count(7, 0, eax, ebx, ecx, edx);
  words.leaf7_ebx = ebx;
  words.leaf7_ecx = ecx;
  return words;
}

inline bool has_avx2() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2");
}
inline bool has_avx2_bmi2() noexcept {
  return has_avx2() && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}
inline bool has_avx512_bw() noexcept {
  return has_avx2_bmi2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
}
inline bool has_avx512_bw_vl_dq() noexcept {
  return has_avx512_bw() && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}
inline bool has_avx512_bw_vnni() noexcept {
  return has_avx512_bw() && __builtin_cpu_supports("avx512vnni");
}
inline bool has_avx512_ifma_vbmi2() noexcept {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2");
}

struct Model {
  unsigned family;
  unsigned model;
  bool amd;
};
inline Model model() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  __get_cpuid(0, &a, &b, &c, &d);
  const bool amd = c == signature_AMD_ecx;
  __get_cpuid(1, &a, &b, &c, &d);
  const unsigned base = a >> 8 & 15;
  const unsigned family = base == 15 ? base + (a >> 20 & 255) : base;
  return {family, (a >> 4 & 15) | (a >> 12 & 0xf0), amd};
}
#else
inline FeatureWords read_feature_words() noexcept {
  return {};
}
#endif

}  // namespace wg::processor
