// The hash of a table whose keys are peers' public keys.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "control/noise/types.h"

namespace wg::noise {

// SipHash with a random key, because whoever registers peers chooses their public keys: without it, chosen
// keys meet in one bucket, and each insertion walks through all of them.
struct KeyHash {
  explicit KeyHash(Random& random) { random.fill(secret); }
  std::size_t operator()(const PublicKey& key) const noexcept;

  std::array<std::uint8_t, 16> secret;
};

}  // namespace wg::noise
