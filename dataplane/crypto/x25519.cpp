#include "dataplane/crypto/x25519.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "dataplane/crypto/aead_variants.h"

namespace wg::crypto {

const std::uint8_t kX25519Base[kX25519Size] = {9};

namespace {

#if defined(__x86_64__)
// The stack that the vectors' function may have used below the caller's frame: its registers, spilled.
constexpr std::size_t kSpilled = 16384;
#endif

void multiply_one(const X25519Op& op) noexcept {
  if (op.point == kX25519Base) {
    crypto_scalarmult_curve25519_base(op.shared, op.scalar);
    return;
  }
  // Refused by libsodium: a point of low order.
  if (crypto_scalarmult_curve25519(op.shared, op.scalar, op.point) != 0)
    sodium_memzero(op.shared, kX25519Size);
}

void multiply_libsodium(std::span<const X25519Op> ops) noexcept {
  for (const X25519Op& op : ops) multiply_one(op);
}

#if defined(__x86_64__)
void multiply_avx512(std::span<const X25519Op> ops) noexcept {
  if (ops.size() == 1) return multiply_one(ops[0]);
  for (std::size_t at = 0; at < ops.size(); at += kX25519Lanes)
    x25519_detail::multiply_lanes_avx512(ops.subspan(at, std::min(kX25519Lanes, ops.size() - at)));
  sodium_stackzero(kSpilled);
}

// The base point costs libsodium a third of another. Lanes gain from two others on.
bool pays_in_four_lanes(std::span<const X25519Op> ops) noexcept {
  std::size_t points = 0;
  for (const X25519Op& op : ops) points += op.point != kX25519Base;
  return points >= 2;
}

void multiply_avx2(std::span<const X25519Op> ops) noexcept {
  for (std::size_t at = 0; at < ops.size(); at += kX25519LanesAvx2) {
    const auto some = ops.subspan(at, std::min(kX25519LanesAvx2, ops.size() - at));
    if (pays_in_four_lanes(some)) {
      x25519_detail::multiply_lanes_avx2(some);
    } else {
      multiply_libsodium(some);
    }
  }
  sodium_stackzero(kSpilled);
}
#endif

constexpr X25519Engine kLibsodium{"libsodium", 1, multiply_libsodium};
#if defined(__x86_64__)
constexpr X25519Engine kAvx512{"avx512", kX25519Lanes, multiply_avx512};
constexpr X25519Engine kAvx2{"avx2", kX25519LanesAvx2, multiply_avx2};
constexpr std::array<const X25519Engine*, 3> kEngines{&kLibsodium, &kAvx2, &kAvx512};

// How many of kEngines. Every processor with AVX-512 has FMA.
std::size_t runnable(const processor::FeatureWords& words) noexcept {
  constexpr std::uint32_t kFma = 1u << 12;  // CPUID.1:ECX
  if (!can_run_avx2(words) || (words.leaf1_ecx & kFma) == 0) return 1;
  return can_run_avx512(words) ? 3 : 2;
}
#else
constexpr std::array<const X25519Engine*, 1> kEngines{&kLibsodium};

std::size_t runnable(const processor::FeatureWords&) noexcept {
  return 1;
}
#endif

const X25519Engine& choose(const char* forced) {
  const std::span<const X25519Engine* const> engines = x25519_engines();
  if (forced == nullptr || *forced == '\0') return *engines.back();
  for (const X25519Engine* engine : engines) {
    if (std::string_view(engine->name) == forced) return *engine;
  }
  throw std::runtime_error("LINEGATE_X25519=" + std::string(forced) +
                           ": no such variant, or this machine cannot run it");
}

std::atomic<const X25519Engine*>& chosen() {
  static std::atomic<const X25519Engine*> engine = &choose(std::getenv("LINEGATE_X25519"));
  return engine;
}

}  // namespace

const X25519Engine& x25519_engine() {
  return *chosen().load(std::memory_order_relaxed);
}

void use_x25519_engine(const X25519Engine& engine) noexcept {
  chosen().store(&engine, std::memory_order_relaxed);
}

std::span<const X25519Engine* const> x25519_engines() noexcept {
  static const std::size_t count = runnable(processor::read_feature_words());
  return {kEngines.data(), count};
}

}  // namespace wg::crypto
