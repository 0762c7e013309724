// Addresses, prefixes and endpoints as plain values, and their text forms.
//
// Shapes: addresses are kept in network byte order; an IPv4 address fills the first four bytes, the
// rest is zero, so that the defaulted comparison is right. Parsing returns nullopt on any deviation
// (leading zeros in IPv4, missing prefix length where one is required, spaces); the caller words the
// complaint. Text forms are the ones inet_ntop(3) prints (RFC 5952 for IPv6).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "dataplane/base/expected.h"
#include "dataplane/base/ids.h"

namespace wg::config {

using dataplane::kAnyPort;
using dataplane::UdpPort;

enum class Family : std::uint8_t { kIpv4, kIpv6 };

struct Address {
  Family family = Family::kIpv4;
  std::array<std::uint8_t, 16> bytes{};

  auto operator<=>(const Address&) const = default;
  [[nodiscard]] bool is_v4() const { return family == Family::kIpv4; }
  [[nodiscard]] unsigned bits() const { return is_v4() ? 32 : 128; }
};

// A set of addresses: host bits are zero. Made by prefix_of() or parse_prefix(), which mask.
struct Prefix {
  Address address;
  std::uint8_t length = 0;

  auto operator<=>(const Prefix&) const = default;
};

// An address with the length of its subnet: host bits are kept.
struct InterfaceAddress {
  Address address;
  std::uint8_t length = 0;

  auto operator<=>(const InterfaceAddress&) const = default;
};

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  auto operator<=>(const MacAddress&) const = default;
};

// Where a peer is reached: an address or a host name still to be resolved, and a UDP port.
struct Endpoint {
  std::variant<Address, std::string> host;
  std::string zone;  // interface name after '%' of a link-local IPv6 address, else empty
  UdpPort port = kAnyPort;

  bool operator==(const Endpoint&) const = default;
  [[nodiscard]] const Address* address() const { return std::get_if<Address>(&host); }
  [[nodiscard]] const std::string* name() const { return std::get_if<std::string>(&host); }
};

[[nodiscard]] std::optional<Address> parse_address(std::string_view text);
// Host bits are masked, as wg(8) does; `text` must carry a length.
[[nodiscard]] std::optional<Prefix> parse_prefix(std::string_view text);
[[nodiscard]] std::optional<InterfaceAddress> parse_interface_address(std::string_view text);
[[nodiscard]] std::optional<MacAddress> parse_mac_address(std::string_view text);

// A refusal says what is wrong with the text: `has no port`.
Expected<Endpoint> parse_endpoint(std::string_view text);

[[nodiscard]] std::string to_string(const Address& address);
[[nodiscard]] std::string to_string(const Prefix& prefix);
[[nodiscard]] std::string to_string(const InterfaceAddress& address);
[[nodiscard]] std::string to_string(const MacAddress& mac);
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

[[nodiscard]] Prefix prefix_of(const Address& address, unsigned length);
[[nodiscard]] bool contains(const Prefix& prefix, const Address& address);
// True when every address of `inner` is in `outer` (equal prefixes contain each other).
[[nodiscard]] bool contains(const Prefix& outer, const Prefix& inner);

// RFC 1918, RFC 6598 (carrier NAT), RFC 3927 and loopback: an address behind NAT. IPv6 is never.
[[nodiscard]] bool is_private_ipv4(const Address& address);
// Multicast, unspecified or limited broadcast: never the address of one host.
[[nodiscard]] bool is_unicast(const Address& address);

}  // namespace wg::config
