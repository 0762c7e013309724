#include "dataplane/packet/checksum_long.h"

#include <array>

namespace wg::dataplane {

namespace {

ChecksumSum add_sse2(ChecksumSum sum, const std::uint8_t* data, std::size_t size) {
  return checksum_add(sum, data, size);
}

constexpr std::array kVariants = {
    ChecksumVariant{"sse2", add_sse2},
    ChecksumVariant{"avx2", checksum_detail::add_avx2},
    ChecksumVariant{"avx512", checksum_detail::add_avx512},
};

}  // namespace

std::span<const ChecksumVariant> checksum_variants() noexcept {
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2")) return {kVariants.data(), 1};
  const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
  return {kVariants.data(), wide ? 3u : 2u};
}

const ChecksumAdd checksum_detail::add_long = checksum_variants().back().add;

}  // namespace wg::dataplane
