// X25519 (RFC 7748) of several scalars and points at once. One alone is libsodium's; more go side by side in
// the lanes of vectors: eight where the processor multiplies 52-bit integers in them (AVX-512 IFMA), else
// four in doubles (AVX2 and FMA). Constant time: neither branches nor addresses depend on scalars, points or
// results.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace wg::crypto {

inline constexpr std::size_t kX25519Size = 32;
// The operations of one pass of the widest vectors: so many cost little more than one.
inline constexpr std::size_t kX25519Lanes = 8;
inline constexpr std::size_t kX25519LanesAvx2 = 4;

// The caller owns all of it. A scalar is used clamped, a point without its top bit. `shared` may be secret
// and is the caller's to wipe; it is all zero for a point of low order, which the caller must refuse. No
// `shared` overlaps anything else of the same call.
struct X25519Op {
  const std::uint8_t* scalar;  // kX25519Size bytes each
  const std::uint8_t* point;
  std::uint8_t* shared;
};

struct X25519Engine {
  const char* name;   // "libsodium", "avx2", "avx512"
  std::size_t lanes;  // operations that go side by side; of 1, several cost what they cost one by one
  void (*multiply)(std::span<const X25519Op> ops) noexcept;
};

// The fastest variant that this machine can run, or the one named in the environment variable
// LINEGATE_X25519. The first call makes the choice; it throws std::runtime_error when the name is unknown.
const X25519Engine& x25519_engine();
// From now on this one: for tests and benches that compare variants. Not while another thread multiplies.
void use_x25519_engine(const X25519Engine& engine) noexcept;
// Every variant this machine can run, libsodium first.
std::span<const X25519Engine* const> x25519_engines() noexcept;

// The base point, 9.
extern const std::uint8_t kX25519Base[kX25519Size];

namespace x25519_detail {
// At most kX25519Lanes operations.
void multiply_lanes_avx512(std::span<const X25519Op> ops) noexcept;
// At most kX25519LanesAvx2.
void multiply_lanes_avx2(std::span<const X25519Op> ops) noexcept;
}  // namespace x25519_detail

}  // namespace wg::crypto
