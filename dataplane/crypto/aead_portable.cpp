// The portable variant: libsodium, one packet at a time, in place. It is also the oracle for the tests of the
// vector variants.
#include <sodium.h>

#include <cstring>

#include "dataplane/crypto/aead_variants.h"

namespace wg::crypto {
namespace {

static_assert(crypto_aead_chacha20poly1305_ietf_KEYBYTES == kAeadKeySize);
static_assert(crypto_aead_chacha20poly1305_ietf_ABYTES == kAeadTagSize);

// The 96-bit nonce of RFC 8439 as WireGuard defines it: 4 zero bytes || LE64(counter).
struct Nonce {
  explicit Nonce(std::uint64_t counter) noexcept {
    for (int i = 0; i < 8; ++i) bytes[4 + i] = static_cast<std::uint8_t>(counter >> (8 * i));
  }
  std::uint8_t bytes[crypto_aead_chacha20poly1305_ietf_NPUBBYTES] = {};
};

void seal(AeadScratch&, std::span<AeadOp> ops) noexcept {
  for (AeadOp& op : ops) {
    const Nonce nonce(op.counter);
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(op.data, op.data + op.length, nullptr, op.data,
                                                       op.length, nullptr, 0, nullptr, nonce.bytes, op.key);
  }
}

std::size_t open(AeadScratch&, std::span<AeadOp> ops) noexcept {
  std::size_t authentic = 0;
  for (AeadOp& op : ops) {
    const Nonce nonce(op.counter);
    const int forged = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
        op.data, nullptr, op.data, op.length, op.data + op.length, nullptr, 0, nonce.bytes, op.key);
    op.authentic = forged == 0 ? 1 : 0;
    authentic += op.authentic;
  }
  return authentic;
}

}  // namespace

const AeadEngine kAeadPortable = {"portable", seal, open};

}  // namespace wg::crypto
