// The burst AEAD: ChaCha20-Poly1305 (RFC 8439) over many packets and many keys in one call.
//
// WireGuard's transport data uses an empty AAD and the nonce 4 zero bytes || LE64(counter)
// (WireGuard paper section 5.4.6), so an operation is fully described by key, counter, buffer
// and length. Lanes of one vector come from different packets and different keys.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace wg::crypto {

inline constexpr std::size_t kAeadKeySize = 32;
inline constexpr std::size_t kAeadTagSize = 16;
inline constexpr std::size_t kAeadMaxPayload = 65519;
inline constexpr std::size_t kAeadMaxBurst = 256;

// The number of bytes around [data, data + length + 16) that a variant may READ (never write). They must be
// mapped; their contents do not influence any result. An mbuf payload after the Ethernet, IP, UDP and message
// headers in a buffer with 128 bytes of headroom satisfies this by construction.
inline constexpr std::size_t kAeadReadBefore = 48;
inline constexpr std::size_t kAeadReadAfter = 16;

// One packet. The caller owns it; the engine uses it only during the call. The payload and the space for its
// tag are contiguous: a packet in several mbuf segments is linearised before it becomes an operation.
struct AeadOp {
  std::uint8_t* data;       // payload, sealed or opened in place; the tag is at data + length
  const std::uint8_t* key;  // kAeadKeySize bytes
  std::uint64_t counter;    // WireGuard's message counter
  std::uint32_t length;     // payload bytes without the tag, 0..kAeadMaxPayload
  std::uint32_t authentic;  // written by open(): 1 = tag verified, 0 = forged; untouched by seal()
};

// Worker-private working memory (one-time keys, keystream, lane lists). Not thread-safe: one per worker.
// It holds key material only during a call (docs/security.md lists the exceptions) and is wiped on
// destruction.
class AeadScratch;
struct AeadScratchDeleter {
  void operator()(AeadScratch* scratch) const noexcept;
};
using AeadScratchPtr = std::unique_ptr<AeadScratch, AeadScratchDeleter>;

// One variant. Immutable, with static storage.
struct AeadEngine {
  const char* name;  // "portable", "avx2", "avx512", "neon"

  // Encrypts every payload in place and writes its tag. ops.size() 1..kAeadMaxBurst.
  void (*seal)(AeadScratch& scratch, std::span<AeadOp> ops) noexcept;

  // Verifies every tag, decrypts in place and sets ops[i].authentic; returns how many are authentic.
  // The payload of a forged packet is unspecified afterwards: the caller must drop it.
  std::size_t (*open)(AeadScratch& scratch, std::span<AeadOp> ops) noexcept;
};

// The best variant this CPU and OS support, or the one named in the environment variable
// LINEGATE_AEAD (portable, avx2, avx512, neon). The first call makes the choice.
const AeadEngine& aead_engine();

// A variant by name, or nullptr when it does not exist or this machine cannot run it.
const AeadEngine* aead_engine_named(const char* name) noexcept;

// Every variant this machine can run, portable first.
std::span<const AeadEngine* const> aead_engines() noexcept;

AeadScratchPtr make_aead_scratch();

}  // namespace wg::crypto
