// The NEON variant of the checksum: one instruction adds the words of 32 bits of a vector, in pairs, to two
// sums of 64 bits.
#include <arm_neon.h>

#include "dataplane/packet/checksum_burst.h"

namespace wg::dataplane {

namespace {

uint32x4_t load(const std::uint8_t* data) {
  return vreinterpretq_u32_u8(vld1q_u8(data));
}

ChecksumSum add(ChecksumSum sum, const std::uint8_t* data, std::size_t size) {
  // Four, because each addition waits for the one before.
  uint64x2_t a = vdupq_n_u64(0), b = a, c = a, d = a;
  for (; size >= 64; size -= 64, data += 64) {
    a = vpadalq_u32(a, load(data));
    b = vpadalq_u32(b, load(data + 16));
    c = vpadalq_u32(c, load(data + 32));
    d = vpadalq_u32(d, load(data + 48));
  }
  for (; size >= 16; size -= 16, data += 16) a = vpadalq_u32(a, load(data));
  const std::uint64_t lanes = vaddvq_u64(vaddq_u64(vaddq_u64(a, b), vaddq_u64(c, d)));
  return checksum_detail::add_tail(checksum_fold(sum) + lanes, data, size);
}

}  // namespace

void checksum_detail::burst_neon(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    folded[i] = checksum_fold(add(pieces[i].start, pieces[i].data, pieces[i].size));
}

}  // namespace wg::dataplane
