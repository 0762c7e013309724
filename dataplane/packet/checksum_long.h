// checksum_add() for whole datagrams: the widest vectors this machine has, chosen once at start.
#pragma once

#include <span>

#include "dataplane/packet/checksum.h"

namespace wg::dataplane {

// One variant; adds `size` bytes at `data` to `sum`, as checksum_add().
using ChecksumAdd = ChecksumSum (*)(ChecksumSum sum, const std::uint8_t* data, std::size_t size);

struct ChecksumVariant {
  const char* name;
  ChecksumAdd add;
};

// What this machine can run, narrowest first.
std::span<const ChecksumVariant> checksum_variants() noexcept;

namespace checksum_detail {
extern const ChecksumAdd add_long;
ChecksumSum add_avx2(ChecksumSum sum, const std::uint8_t* data, std::size_t size);
ChecksumSum add_avx512(ChecksumSum sum, const std::uint8_t* data, std::size_t size);
}  // namespace checksum_detail

[[nodiscard]] inline ChecksumSum checksum_add_long(ChecksumSum sum, const std::uint8_t* data,
                                                   std::size_t size) {
  return checksum_detail::add_long(sum, data, size);
}

}  // namespace wg::dataplane
