// Values shared by the kernel-facing code: prefixes and MAC addresses.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "dataplane/base/ids.h"
#include "dataplane/packet/address.h"

namespace wg::control {

using dataplane::Endpoint;
using dataplane::IpAddress;
using dataplane::kAnyPort;
using dataplane::MacAddress;
using dataplane::to_string;
using dataplane::UdpPort;

// Order: IPv4 before IPv6, then numeric. Free functions, since IpAddress belongs to the dataplane.
[[nodiscard]] std::strong_ordering compare(const IpAddress& a, const IpAddress& b);
// The first `length` bits of `address`, the rest zero.
[[nodiscard]] IpAddress masked(const IpAddress& address, unsigned length);
[[nodiscard]] inline unsigned address_bits(const IpAddress& address) {
  return address.v6 ? 128 : 32;
}
[[nodiscard]] inline bool is_link_local(const IpAddress& a) {
  return a.v6 ? a.bytes[0] == 0xfe && (a.bytes[1] & 0xc0) == 0x80 : a.bytes[0] == 169 && a.bytes[1] == 254;
}

// An interface address ("10.0.0.1/24") keeps its host bits; a route has zero host bits.
struct IpPrefix {
  IpAddress address;
  std::uint8_t length = 0;  // bits, at most address_bits(address)

  [[nodiscard]] bool contains(const IpAddress& a) const {
    return a.v6 == address.v6 && masked(a, length) == masked(address, length);
  }
  [[nodiscard]] IpPrefix network() const { return {masked(address, length), length}; }
  friend bool operator==(const IpPrefix&, const IpPrefix&) = default;
  friend std::strong_ordering operator<=>(const IpPrefix& a, const IpPrefix& b) {
    const auto by_address = compare(a.address, b.address);
    return by_address != 0 ? by_address : a.length <=> b.length;
  }
};

[[nodiscard]] std::string to_string(const IpPrefix& prefix);  // "10.0.0.0/8"
// Parses "10.0.0.0/8"; without "/n" it is a host prefix. nullopt: not a prefix.
[[nodiscard]] std::optional<IpPrefix> parse_ip_prefix(const std::string& text);

}  // namespace wg::control
