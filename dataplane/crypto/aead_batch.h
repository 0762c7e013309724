// A burst cut into batches the vector variants work on: packets sorted by length, fields as columns.
//
// Sorting makes neighbours in a Poly1305 vector (one packet per lane) end together. Positions past `count`
// repeat the last packet, so that a vector may always be filled from valid memory.
#pragma once

#include <cstdint>

#include "dataplane/crypto/aead.h"

namespace wg::crypto {

inline constexpr int kBatchSize = 32;

struct Batch {
  alignas(64) std::uint8_t* data[kBatchSize];
  alignas(64) std::uint64_t length[kBatchSize];  // 64 bits wide: used as vectors of addresses and offsets
  alignas(64) std::uint32_t counter_low[kBatchSize];
  alignas(64) std::uint32_t counter_high[kBatchSize];
  alignas(64) std::uint32_t length32[kBatchSize];
  const std::uint8_t* key[kBatchSize];
  std::uint8_t order[kBatchSize];  // position in the batch -> index in the caller's ops
  int count;
};

// Blocks Poly1305 sees: the payload padded to 16 bytes, and the length block (RFC 8439 section 2.8).
inline int poly_blocks(std::uint64_t length) {
  return static_cast<int>((length + 15) / 16 + 1);
}

// Blocks of keystream the payload needs.
inline int chacha_blocks(std::uint64_t length) {
  return static_cast<int>((length + 63) / 64);
}

}  // namespace wg::crypto
