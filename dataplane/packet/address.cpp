#include "dataplane/packet/address.h"

#include <arpa/inet.h>

#include <cstdio>

namespace wg::dataplane {

std::string to_string(const IpAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), text, sizeof text);
  return text;
}

std::string to_string(const MacAddress& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                mac[5]);
  return text;
}

std::string to_string(const Endpoint& endpoint) {
  const std::string host = to_string(endpoint.address);
  const std::string port = std::to_string(number_of(endpoint.port));
  return endpoint.address.v6 ? "[" + host + "]:" + port : host + ":" + port;
}

std::optional<IpAddress> parse_ip_address(const std::string& text) {
  std::array<std::uint8_t, 16> bytes{};
  const bool v6 = text.find(':') != std::string::npos;
  if (inet_pton(v6 ? AF_INET6 : AF_INET, text.c_str(), bytes.data()) != 1) return std::nullopt;
  return v6 ? IpAddress::from_v6(bytes.data()) : IpAddress::from_v4(bytes.data());
}

}  // namespace wg::dataplane
