// A batch: the part of a burst that the vector variants process together, sorted by length, with the packets'
// fields as columns.
//
// Sorting lets the packets of a Poly1305 vector (one packet per lane) end together. Positions past `count`
// repeat the last packet, so that a vector can always be filled from valid memory.
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

// The vector variants are compiled with different flags, so a function both include must never exist out of
// line: the linker would keep one copy for the whole program. Hence always_inline for everything in the
// shared headers.
#define WG_INLINE [[gnu::always_inline]] inline

// The number of Poly1305 blocks: the padded payload and the length block (RFC 8439 section 2.8).
WG_INLINE int poly_blocks(std::uint64_t length) {
  return static_cast<int>((length + 15) / 16 + 1);
}

// The number of keystream blocks for the payload.
WG_INLINE int chacha_blocks(std::uint64_t length) {
  return static_cast<int>((length + 63) / 64);
}

WG_INLINE void set_packet(Batch& batch, int position, const AeadOp& op) {
  batch.data[position] = op.data;
  batch.length[position] = op.length;
  batch.length32[position] = op.length;
  batch.counter_low[position] = static_cast<std::uint32_t>(op.counter);
  batch.counter_high[position] = static_cast<std::uint32_t>(op.counter >> 32);
  batch.key[position] = op.key;
}

struct TagColumns {
  alignas(64) std::uint64_t low[kBatchSize];
  alignas(64) std::uint64_t high[kBatchSize];
};

WG_INLINE void write_tags(const Batch& batch, const TagColumns& tags) {
  for (int i = 0; i < batch.count; ++i) {
    std::uint8_t* tag = batch.data[i] + batch.length[i];
    __builtin_memcpy(tag, &tags.low[i], 8);
    __builtin_memcpy(tag + 8, &tags.high[i], 8);
  }
}

// Compares the tags without a branch on any of them: the result is data until the caller reads it.
WG_INLINE std::size_t check_tags(const Batch& batch, const TagColumns& tags, AeadOp* ops) {
  std::size_t authentic = 0;
  for (int i = 0; i < batch.count; ++i) {
    std::uint64_t tag[2];
    __builtin_memcpy(tag, batch.data[i] + batch.length[i], sizeof tag);
    const std::uint64_t difference = (tag[0] ^ tags.low[i]) | (tag[1] ^ tags.high[i]);
    const std::uint32_t equal = difference == 0;
    ops[batch.order[i]].authentic = equal;
    authentic += equal;
  }
  return authentic;
}

}  // namespace wg::crypto
