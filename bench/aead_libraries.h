// One interface for the libraries that the burst AEAD is compared with: in place, empty AAD, WireGuard's
// nonce, the tag written after the payload or verified there. It includes all work that a caller must do per
// packet.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/crypto/aead.h"

namespace wg::bench {

class AeadLibrary {
 public:
  virtual ~AeadLibrary() = default;
  virtual const char* name() const = 0;
  // The set-up that a caller does once per session: contexts for the keys of these operations.
  virtual void prepare(std::span<crypto::AeadOp> ops) = 0;
  virtual void seal(std::span<crypto::AeadOp> ops) = 0;
  virtual std::size_t open(std::span<crypto::AeadOp> ops) = 0;
};

// One of our engines behind the same interface.
std::unique_ptr<AeadLibrary> make_ours(const crypto::AeadEngine& engine);

// ipsec-mb (job and burst API, when the build found it), OpenSSL EVP, libsodium. With avx2_only, ipsec-mb is
// initialised for AVX2; OpenSSL takes its limit from OPENSSL_ia32cap, which the caller has set.
std::vector<std::unique_ptr<AeadLibrary>> make_libraries(bool avx2_only);

}  // namespace wg::bench
