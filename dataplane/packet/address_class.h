// Addresses that no packet may be routed from or to, or answered at. RFC 1812 5.3.7, RFC 4291 2.5 and 2.7.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace wg::dataplane {

// IPv4 tells by the first byte: "this network", loopback, multicast and class E.
inline constexpr std::array<bool, 256> kSpecialFirstByte = [] {
  std::array<bool, 256> special{};
  for (std::size_t b = 0; b < 256; ++b) special[b] = b >= 224 || b == 127 || b == 0;
  return special;
}();

[[nodiscard]] inline bool is_special_v4(const std::uint8_t* address) {
  return kSpecialFirstByte[address[0]];
}

// Multicast, and class E with the broadcast address: names no single host.
[[nodiscard]] inline bool is_group_v4(const std::uint8_t* address) {
  return address[0] >= 224;
}

[[nodiscard]] inline bool is_group_v6(const std::uint8_t* address) {
  return address[0] == 0xff;
}

// IPv6: multicast, unspecified and loopback.
[[nodiscard]] inline bool is_special_v6(const std::uint8_t* address) {
  const auto zero = [](std::uint8_t b) { return b == 0; };
  return is_group_v6(address) || (address[15] <= 1 && std::all_of(address, address + 15, zero));
}

// Among the special ones, the machine's own.
[[nodiscard]] inline bool is_loopback(const std::uint8_t* address, bool v6) {
  if (!v6) return address[0] == 127;
  return address[15] == 1 && std::all_of(address, address + 15, [](std::uint8_t b) { return b == 0; });
}

[[nodiscard]] inline bool is_link_local_v6(const std::uint8_t* address) {
  return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

}  // namespace wg::dataplane
