// The longest prefixes that hold the sources or destinations of a burst of IP packets, whose families may be
// mixed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/lpm/lpm.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

enum class AddressOf : std::uint8_t { kSource, kDestination };

// n <= Capacity packets, n6 of the whole burst IPv6: their headers, families and IPv4 addresses in host
// order. value[i]: lpm::kNoMatch when no prefix holds packet i's address.
template <AddressOf Which, std::size_t Capacity>
void look_up_addresses(const lpm::Lpm4& table4, const lpm::Lpm6& table6, std::uint8_t* const* l3,
                       const bool* v6, const std::uint32_t* address4, std::size_t n, std::size_t n6,
                       lpm::Value* value) {
  if (n6 == 0) return table4.lookup_burst(address4, value, n);
  std::array<std::uint32_t, Capacity> keys4;
  std::array<const std::uint8_t*, Capacity> keys6;
  std::array<lpm::Value, Capacity> value4, value6;
  std::size_t of4 = 0, of6 = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (v6[i]) {
      const auto* ip = header_at<Ipv6Header>(l3[i]);
      keys6[of6++] = Which == AddressOf::kSource ? ip->source.data() : ip->destination.data();
    } else {
      keys4[of4++] = address4[i];
    }
  }
  if (of4 != 0) table4.lookup_burst(keys4.data(), value4.data(), of4);
  if (of6 != 0) table6.lookup_burst(keys6.data(), value6.data(), of6);
  of4 = of6 = 0;
  for (std::size_t i = 0; i < n; ++i) value[i] = v6[i] ? value6[of6++] : value4[of4++];
}

}  // namespace wg::dataplane
