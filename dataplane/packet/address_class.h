// Addresses that no packet may be routed from or to, or answered at. RFC 1812 5.3.7, RFC 4291 2.5 and 2.7.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace wg::dataplane {

// In IPv4 the first byte decides: "this network", loopback, multicast and class E.
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

// ::ffff:a.b.c.d, an IPv4 address in IPv6's form: belongs on no wire (RFC 4291 2.5.5.2).
[[nodiscard]] inline bool is_mapped_v6(const std::uint8_t* address) {
  const auto zero = [](std::uint8_t b) { return b == 0; };
  return address[10] == 0xff && address[11] == 0xff && std::all_of(address, address + 10, zero);
}

// IPv6: multicast, unspecified, loopback and mapped IPv4.
[[nodiscard]] inline bool is_special_v6(const std::uint8_t* address) {
  const auto zero = [](std::uint8_t b) { return b == 0; };
  return is_group_v6(address) || is_mapped_v6(address) ||
         (address[15] <= 1 && std::all_of(address, address + 15, zero));
}

// Among the special ones, the machine's own.
[[nodiscard]] inline bool is_loopback(const std::uint8_t* address, bool v6) {
  if (!v6) return address[0] == 127;
  return address[15] == 1 && std::all_of(address, address + 15, [](std::uint8_t b) { return b == 0; });
}

// Sources that Linux refuses on every link (ip_route_input_slow, ip6_rcv_core): loopback, multicast, the
// limited broadcast and mapped IPv4. Of unspecified and class E sources Linux decides.
[[nodiscard]] inline bool is_martian_source_v4(const std::uint8_t* source) {
  constexpr std::array<std::uint8_t, 4> kBroadcast{255, 255, 255, 255};
  return source[0] == 127 || (source[0] >= 224 && source[0] < 240) ||
         std::equal(kBroadcast.begin(), kBroadcast.end(), source);
}
[[nodiscard]] inline bool is_martian_source_v6(const std::uint8_t* source) {
  return is_group_v6(source) || is_mapped_v6(source) || is_loopback(source, true);
}

[[nodiscard]] inline bool is_link_local_v6(const std::uint8_t* address) {
  return address[0] == 0xfe && (address[1] & 0xc0) == 0x80;
}

}  // namespace wg::dataplane
