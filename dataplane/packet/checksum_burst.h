// Internet checksums of a burst of datagrams, with the widest vectors of this machine, chosen once at start.
#pragma once

#include <span>

#include "dataplane/packet/checksum.h"

namespace wg::dataplane {

struct ChecksumPiece {
  const std::uint8_t* data;
  std::uint32_t size;   // bytes, at most 65 600
  std::uint32_t start;  // a sum to add to, below 2^20
};

// folded[i]: the sum of piece i, folded to 16 bits in memory order, as checksum_fold(checksum_add(…)).
using ChecksumBurst = void (*)(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n);

struct ChecksumVariant {
  const char* name;
  ChecksumBurst burst;
};

// The variants that this machine can run, narrowest first.
std::span<const ChecksumVariant> checksum_variants() noexcept;

namespace checksum_detail {
extern const ChecksumBurst widest;
#if defined(__x86_64__)
void burst_avx2(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n);
void burst_avx512(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n);
#else
void burst_neon(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n);
#endif
}  // namespace checksum_detail

inline void checksum_burst(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n) {
  checksum_detail::widest(pieces, folded, n);
}

}  // namespace wg::dataplane
