// The protocol's primitives (WireGuard paper section 5.4) under the paper's names. Only this module uses
// which library computes them: libb2 for BLAKE2s, libsodium for the rest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "control/noise/types.h"

namespace wg::noise {

using Bytes = std::span<const std::uint8_t>;

inline constexpr std::size_t kTagSize = 16;
inline constexpr std::size_t kMacSize = 16;
inline constexpr std::size_t kXNonceSize = 24;

using Mac = std::array<std::uint8_t, kMacSize>;

// Overwrites memory in a way the compiler keeps.
void wipe(void* memory, std::size_t size) noexcept;

// A secret on the stack or in a wiped structure: cleared when it goes out of scope.
template <typename Array>
struct Wiped {
  Array bytes{};

  Wiped() = default;
  explicit Wiped(const Array& from) : bytes(from) {}
  Wiped(const Wiped&) = default;
  Wiped& operator=(const Wiped&) = default;
  ~Wiped() { wipe(bytes.data(), bytes.size()); }
};
using Secret = Wiped<Key>;
using Cookie = Wiped<Mac>;

[[nodiscard]] bool is_zero(Bytes bytes) noexcept;  // constant time

// HASH(a || b): BLAKE2s-256.
Hash hash(Bytes a, Bytes b = {}) noexcept;

// MAC(key, input): keyed BLAKE2s, 16 bytes out. Key of 1 to 32 bytes.
Mac mac(Bytes key, Bytes input) noexcept;

// HMAC-BLAKE2s and HKDF with it: Kdf1..Kdf3 of the paper. Null outputs end the expansion.
Hash hmac(Bytes key, Bytes input) noexcept;
void kdf(Key* first, Key* second, Key* third, Bytes key, Bytes input) noexcept;

// X25519 (RFC 7748).
inline constexpr std::size_t kDhAtOnce = 8;
struct DhOp {
  const Key* private_key;
  const PublicKey* public_key;
  Secret* shared;
  bool ok = false;  // as dh() returns it
};
// Several at once, which costs less than one by one where the processor has the vectors for it.
void dh(std::span<DhOp> ops) noexcept;  // at most kDhAtOnce
[[nodiscard]] bool dh_is_faster_together() noexcept;
// The public key of a private one together with others' results: a dh() with this point.
[[nodiscard]] const PublicKey& base_point() noexcept;
void clamp(Key& private_key) noexcept;
[[nodiscard]] PublicKey derive_public(const Key& private_key) noexcept;
// False when the result is all zero (low-order point): *shared must not be used (protocol C1-5).
[[nodiscard]] bool dh(Secret* shared, const Key& private_key, const PublicKey& public_key) noexcept;

// AEAD(key, counter = 0, plain, additional): ChaCha20-Poly1305, nonce zero as in every handshake message.
// `out` is plain.size() + 16 bytes; may alias.
void seal(std::uint8_t* out, const Key& key, Bytes plain, Bytes additional) noexcept;
// `out` is sealed.size() - 16 bytes and written only when the tag is right.
[[nodiscard]] bool open(std::uint8_t* out, const Key& key, Bytes sealed, Bytes additional) noexcept;

// XAEAD: XChaCha20-Poly1305 with a 24-byte nonce.
void xseal(std::uint8_t* out, const Key& key, Bytes nonce, Bytes plain, Bytes additional) noexcept;
[[nodiscard]] bool xopen(std::uint8_t* out, const Key& key, Bytes nonce, Bytes sealed,
                         Bytes additional) noexcept;

}  // namespace wg::noise
