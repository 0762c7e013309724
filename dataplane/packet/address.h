// The dataplane's IP addresses, endpoints and prefixes: plain values in network byte order.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "dataplane/base/ids.h"

namespace wg::dataplane {

using MacAddress = std::array<std::uint8_t, 6>;

// IPv4 uses the first 4 bytes. The rest stays zero, so equality compares all 16 bytes.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  bool v6 = false;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  [[nodiscard]] std::uint32_t v4_host_order() const {
    return std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 | std::uint32_t{bytes[2]} << 8 |
           bytes[3];
  }
  [[nodiscard]] bool is_zero() const { return bytes == std::array<std::uint8_t, 16>{}; }
  static IpAddress from_v4(const void* network_order) {
    IpAddress a;
    std::memcpy(a.bytes.data(), network_order, 4);
    return a;
  }
  static IpAddress from_v6(const void* network_order) {
    IpAddress a;
    std::memcpy(a.bytes.data(), network_order, 16);
    a.v6 = true;
    return a;
  }
};

// An outer UDP address. `scope` is the kernel's interface index for IPv6 link-local addresses, else 0.
struct Endpoint {
  IpAddress address;
  UdpPort port = kAnyPort;  // kAnyPort: the endpoint is not known
  std::uint32_t scope = 0;

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
  [[nodiscard]] bool known() const { return port != kAnyPort; }
};

// "192.0.2.1", "2001:db8::1"; endpoints as wg prints them: "192.0.2.1:51820", "[2001:db8::1]:51820".
std::string to_string(const IpAddress& address);
std::string to_string(const MacAddress& mac);  // "02:00:5e:10:00:01"
std::string to_string(const Endpoint& endpoint);

// Parses a literal address. nullopt: the text is not one.
[[nodiscard]] std::optional<IpAddress> parse_ip_address(const std::string& text);

}  // namespace wg::dataplane
