#include "config/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace wg::config {
namespace {

constexpr std::size_t kMaxHostName = 253;  // RFC 1035 2.3.4, without the trailing dot
constexpr std::size_t kMaxLabel = 63;

template <class Number>
std::optional<Number> decimal(std::string_view text, Number max) {
  if (text.empty() || text.size() > 10) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value > max) return std::nullopt;
  return static_cast<Number>(value);
}

struct AddressAndLength {
  Address address;
  std::uint8_t length;
};

std::optional<AddressAndLength> parse_with_length(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  const auto length =
      decimal<std::uint8_t>(text.substr(slash + 1), static_cast<std::uint8_t>(address->bits()));
  if (!length) return std::nullopt;
  return AddressAndLength{*address, *length};
}

bool is_label(std::string_view label) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' && label.back() != '-' &&
         std::all_of(label.begin(), label.end(), allowed);
}

// The name of a Linux interface.
bool is_zone(std::string_view zone) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("_=+.-").find(c) != std::string_view::npos;
  };
  return !zone.empty() && zone.size() <= 15 && std::all_of(zone.begin(), zone.end(), allowed);
}

bool is_host_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxHostName) return false;
  // A last label of digits alone would be an IPv4 address with a slip (RFC 3696 2).
  const auto last = name.substr(name.rfind('.') == std::string_view::npos ? 0 : name.rfind('.') + 1);
  if (std::all_of(last.begin(), last.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
  while (true) {
    const auto dot = name.find('.');
    if (!is_label(name.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    name.remove_prefix(dot + 1);
  }
}

Refusal fault(std::string_view words) {
  return {EINVAL, std::string(words)};
}

// `[address%zone]`, without the brackets.
bool read_bracketed(std::string_view text, Endpoint& endpoint) {
  const auto percent = text.find('%');
  const auto address = parse_address(text.substr(0, percent));
  if (!address || address->is_v4()) return false;
  if (percent != std::string_view::npos) {
    endpoint.zone = text.substr(percent + 1);
    if (!is_zone(endpoint.zone)) return false;
  }
  endpoint.host = *address;
  return true;
}

bool read_plain_host(std::string_view text, Endpoint& endpoint) {
  if (const auto address = parse_address(text); address && address->is_v4()) {
    endpoint.host = *address;
    return true;
  }
  if (!is_host_name(text)) return false;
  endpoint.host = std::string(text);
  return true;
}

}  // namespace

std::optional<Address> parse_address(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof terminated || text.find('\0') != std::string_view::npos)
    return std::nullopt;
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  Address address;
  address.family = text.find(':') == std::string_view::npos ? Family::kIpv4 : Family::kIpv6;
  if (inet_pton(address.is_v4() ? AF_INET : AF_INET6, terminated, address.bytes.data()) != 1)
    return std::nullopt;
  return address;
}

std::optional<Prefix> parse_prefix(std::string_view text) {
  const auto parsed = parse_with_length(text);
  if (!parsed) return std::nullopt;
  return prefix_of(parsed->address, parsed->length);
}

std::optional<InterfaceAddress> parse_interface_address(std::string_view text) {
  const auto parsed = parse_with_length(text);
  if (!parsed) return std::nullopt;
  return InterfaceAddress{parsed->address, parsed->length};
}

std::optional<MacAddress> parse_mac_address(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (std::size_t i = 0; i < 6; ++i) {
    const char* first = text.data() + 3 * i;
    if (i < 5 && first[2] != ':') return std::nullopt;
    const auto [end, error] = std::from_chars(first, first + 2, mac.bytes[i], 16);
    if (error != std::errc{} || end != first + 2) return std::nullopt;
  }
  return mac;
}

Expected<Endpoint> parse_endpoint(std::string_view text) {
  const auto colon = text.rfind(':');
  if (text.empty()) return fault("is empty");
  if (colon == std::string_view::npos || text.ends_with(']')) return fault("has no port");
  const auto port = decimal<std::uint16_t>(text.substr(colon + 1), 65535);
  const auto host = text.substr(0, colon);
  if (host.find(':') != std::string_view::npos && !host.starts_with('['))
    return fault("is an IPv6 address without brackets");
  if (!port || *port == 0) return fault("has a port outside 1 to 65535");
  Endpoint endpoint;
  endpoint.port = UdpPort{*port};
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || !read_bracketed(host.substr(1, host.size() - 2), endpoint))
      return fault("has no IPv6 address between its brackets");
  } else if (!read_plain_host(host, endpoint)) {
    return fault("names neither an IPv4 address nor a valid host name");
  }
  return endpoint;
}

std::string to_string(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(address.is_v4() ? AF_INET : AF_INET6, address.bytes.data(), text, sizeof text);
  return text;
}

std::string to_string(const Prefix& prefix) {
  return to_string(prefix.address) + "/" + std::to_string(prefix.length);
}

std::string to_string(const InterfaceAddress& address) {
  return to_string(address.address) + "/" + std::to_string(address.length);
}

std::string to_string(const MacAddress& mac) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const auto byte : mac.bytes) {
    if (!text.empty()) text += ':';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string to_string(const Endpoint& endpoint) {
  const auto port = ":" + std::to_string(number_of(endpoint.port));
  const Address* address = endpoint.address();
  if (address == nullptr) return *endpoint.name() + port;
  if (address->is_v4()) return to_string(*address) + port;
  return "[" + to_string(*address) + (endpoint.zone.empty() ? "" : "%" + endpoint.zone) + "]" + port;
}

Prefix prefix_of(const Address& address, unsigned length) {
  Prefix prefix{address, static_cast<std::uint8_t>(length)};
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned kept = length > 8 * i ? std::min(8U, length - 8 * i) : 0;
    prefix.address.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] & (0xff00U >> kept));
  }
  return prefix;
}

bool contains(const Prefix& prefix, const Address& address) {
  return prefix.address.family == address.family && prefix_of(address, prefix.length) == prefix;
}

bool contains(const Prefix& outer, const Prefix& inner) {
  return outer.length <= inner.length && contains(outer, inner.address);
}

bool is_private_ipv4(const Address& address) {
  if (!address.is_v4()) return false;
  const unsigned a = address.bytes[0];
  const unsigned b = address.bytes[1];
  return a == 10 || a == 127 || (a == 172 && (b & 0xf0) == 16) || (a == 192 && b == 168) ||
         (a == 169 && b == 254) || (a == 100 && (b & 0xc0) == 64);
}

bool is_unicast(const Address& address) {
  const auto& bytes = address.bytes;
  if (std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; })) return false;
  if (!address.is_v4()) return bytes[0] != 0xff;
  return bytes[0] < 224;
}

}  // namespace wg::config
