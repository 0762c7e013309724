#include "control/kernel/types.h"

#include <charconv>
#include <cstring>

namespace wg::control {

std::strong_ordering compare(const IpAddress& a, const IpAddress& b) {
  if (a.v6 != b.v6) return a.v6 <=> b.v6;
  return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) <=> 0;
}

IpAddress masked(const IpAddress& address, unsigned length) {
  IpAddress result = address;
  const unsigned whole = length / 8;
  for (unsigned i = whole; i < result.bytes.size(); ++i) {
    const unsigned keep = i == whole ? length % 8 : 0;
    result.bytes[i] = static_cast<std::uint8_t>(result.bytes[i] & (0xff00u >> keep));
  }
  return result;
}

std::string to_string(const IpPrefix& prefix) {
  return dataplane::to_string(prefix.address) + "/" + std::to_string(prefix.length);
}

std::optional<IpPrefix> parse_ip_prefix(const std::string& text) {
  const auto slash = text.find('/');
  const std::optional<IpAddress> address = dataplane::parse_ip_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  IpPrefix prefix{*address};
  unsigned length = address_bits(prefix.address);
  if (slash != std::string::npos) {
    const char* first = text.data() + slash + 1;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(first, last, length);
    if (error != std::errc{} || end != last || length > address_bits(prefix.address)) {
      return std::nullopt;
    }
  }
  prefix.length = static_cast<std::uint8_t>(length);
  return prefix;
}

}  // namespace wg::control
