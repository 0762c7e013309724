#include "dataplane/packet/checksum_burst.h"

#include <array>

namespace wg::dataplane {

namespace {

void burst_sse2(const ChecksumPiece* pieces, std::uint16_t* folded, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i)
    folded[i] = checksum_fold(checksum_add(pieces[i].start, pieces[i].data, pieces[i].size));
}

constexpr std::array kVariants = {
    ChecksumVariant{"sse2", burst_sse2},
    ChecksumVariant{"avx2", checksum_detail::burst_avx2},
    ChecksumVariant{"avx512", checksum_detail::burst_avx512},
};

}  // namespace

std::span<const ChecksumVariant> checksum_variants() noexcept {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return {kVariants.data(), 1};
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                    __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("bmi2");
  return {kVariants.data(), wide ? 3u : 2u};
}

const ChecksumBurst checksum_detail::widest = checksum_variants().back().burst;

}  // namespace wg::dataplane
