#include "dataplane/packet/checksum_burst.h"

#include <array>

#include "dataplane/base/processor.h"

namespace wg::dataplane {

namespace {

void burst_portable(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    folded[i] = checksum_fold(checksum_add(pieces[i].start, pieces[i].data, pieces[i].size));
}

constexpr std::array kVariants = {
    ChecksumVariant{"portable", burst_portable},
#if defined(__x86_64__)
    ChecksumVariant{"avx2", checksum_detail::burst_avx2},
    ChecksumVariant{"avx512", checksum_detail::burst_avx512},
#else
    ChecksumVariant{"neon", checksum_detail::burst_neon},
#endif
};

std::size_t runnable() noexcept {
#if defined(__x86_64__)
  if (!processor::has_avx2()) return 1;
  return processor::has_avx512_bw_vnni() ? 3 : 2;
#else
  return kVariants.size();
#endif
}

}  // namespace

std::span<const ChecksumVariant> checksum_variants() noexcept {
  return {kVariants.data(), runnable()};
}

const ChecksumBurst checksum_detail::widest = checksum_variants().back().burst;

}  // namespace wg::dataplane
