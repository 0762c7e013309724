#include "control/noise/key_hash.h"

#include <sodium.h>

namespace wg::noise {

std::size_t KeyHash::operator()(const PublicKey& key) const noexcept {
  static_assert(crypto_shorthash_BYTES == sizeof(std::uint64_t) && crypto_shorthash_KEYBYTES == 16);
  std::uint64_t out = 0;
  crypto_shorthash(reinterpret_cast<std::uint8_t*>(&out), key.data(), key.size(), secret.data());
  return out;
}

}  // namespace wg::noise
