// Packets for tests, layer by layer, written byte by byte and without any code of the dataplane:
//
//   Packet().eth(kWanMac, kGatewayMac).ip4("198.51.100.1", "203.0.113.2").tos(3).udp(1111, 51820).data(bytes)
//
// build() computes lengths, EtherTypes, protocol numbers and checksums from the inside out.
#pragma once

#include <arpa/inet.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace wg::test {

using Octets = std::vector<std::uint8_t>;

inline void put16(Octets& b, std::size_t at, std::size_t value) {
  b.at(at) = static_cast<std::uint8_t>(value >> 8);
  b.at(at + 1) = static_cast<std::uint8_t>(value);
}
inline void put32(Octets& b, std::size_t at, std::uint32_t value) {
  put16(b, at, value >> 16);
  put16(b, at + 2, value & 0xffff);
}
inline std::uint16_t get16(const Octets& b, std::size_t at) {
  return static_cast<std::uint16_t>(b.at(at) << 8 | b.at(at + 1));
}
inline Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
inline Octets slice(const Octets& b, std::size_t from, std::size_t to) {
  return {b.begin() + static_cast<std::ptrdiff_t>(from), b.begin() + static_cast<std::ptrdiff_t>(to)};
}
inline Octets pattern(std::size_t size, std::size_t seed = 0) {
  Octets b(size);
  for (std::size_t i = 0; i < size; ++i) b[i] = static_cast<std::uint8_t>((i * 7 + seed) % 251);
  return b;
}

// RFC 1071, two bytes at a time.
inline std::uint32_t ones_sum(const Octets& b, std::size_t from, std::size_t to, std::uint32_t sum = 0) {
  for (std::size_t i = from; i < to; ++i) sum += (i - from) % 2 == 0 ? b[i] << 8 : b[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

inline Octets address(const std::string& text) {
  Octets out(text.find(':') == std::string::npos ? 4 : 16);
  if (inet_pton(out.size() == 4 ? AF_INET : AF_INET6, text.c_str(), out.data()) != 1)
    throw std::invalid_argument(text);
  return out;
}

class Packet {
 public:
  // ---- layers, outermost first
  Packet& eth(const Octets& to, const Octets& from) { return add(Kind::eth, to + from + Octets(2)); }
  Packet& vlan(std::uint16_t id) {
    Octets b(4);
    put16(b, 0, id);
    return add(Kind::vlan, b);
  }
  Packet& ip4(const std::string& from, const std::string& to) {
    Octets b(12);
    b[0] = 0x45;
    b[8] = 64;
    return add(Kind::ip4, b + address(from) + address(to));
  }
  Packet& ip6(const std::string& from, const std::string& to) {
    Octets b(8);
    b[0] = 0x60;
    b[7] = 64;
    return add(Kind::ip6, b + address(from) + address(to));
  }
  Packet& udp(std::uint16_t from, std::uint16_t to) {
    Octets b(8);
    put16(b, 0, from);
    put16(b, 2, to);
    return add(Kind::udp, b);
  }
  Packet& tcp(std::uint16_t from, std::uint16_t to, std::uint8_t flags, const Octets& options = {}) {
    Octets b(20);
    put16(b, 0, from);
    put16(b, 2, to);
    b[12] = static_cast<std::uint8_t>((20 + options.size()) / 4 << 4);
    b[13] = flags;
    put16(b, 14, 502);
    return add(Kind::tcp, b + options);
  }
  Packet& icmp4(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0) {
    return icmp(Kind::icmp4, type, code, rest);
  }
  Packet& icmp6(std::uint8_t type, std::uint8_t code, std::uint32_t rest = 0) {
    return icmp(Kind::icmp6, type, code, rest);
  }
  Packet& data(const Octets& bytes) { return add(Kind::data, bytes); }
  Packet& data(std::size_t size) { return add(Kind::data, pattern(size)); }

  // ---- of the IP layer added last
  Packet& ttl(std::uint8_t value) {
    ip()[is6() ? 7 : 8] = value;
    return *this;
  }
  Packet& tos(std::uint8_t value) {
    Octets& b = ip();
    if (!is6()) {
      b[1] = value;
      return *this;
    }
    b[0] = static_cast<std::uint8_t>(0x60 | value >> 4);
    b[1] = static_cast<std::uint8_t>((b[1] & 0x0f) | value << 4);
    return *this;
  }
  Packet& id(std::uint16_t value) {
    put16(ip(), 4, value);
    return *this;
  }
  Packet& fragment(std::uint16_t value) {
    put16(ip(), 6, value);
    return *this;
  }
  Packet& dont_fragment() { return fragment(0x4000); }
  Packet& options(const Octets& bytes) {
    Octets& b = ip();
    b[0] = static_cast<std::uint8_t>(0x45 + bytes.size() / 4);
    b = b + bytes;
    return *this;
  }
  Packet& next_header(std::uint8_t value) {
    next_header_ = value;
    return *this;
  }
  // ---- of the TCP layer, added last
  Packet& sequence(std::uint32_t value) {
    put32(layers_.back().header, 4, value);
    return *this;
  }
  // ---- of the UDP layer
  Packet& no_checksum() {
    udp_checksum_ = false;
    return *this;
  }
  // The sum of the pseudo header alone, as Linux leaves it to a device.
  Packet& checksum_left_to_device() {
    device_checksum_ = true;
    return *this;
  }

  [[nodiscard]] Octets build() const {
    Octets body;
    for (std::size_t i = layers_.size(); i-- > 0;) body = wrap(i, body);
    return body;
  }
  operator Octets() const { return build(); }

 private:
  enum class Kind { eth, vlan, ip4, ip6, udp, tcp, icmp4, icmp6, data };
  struct Layer {
    Kind kind;
    Octets header;
  };

  Packet& add(Kind kind, const Octets& header) {
    layers_.push_back({kind, header});
    return *this;
  }
  Packet& icmp(Kind kind, std::uint8_t type, std::uint8_t code, std::uint32_t rest) {
    Octets b(8);
    b[0] = type;
    b[1] = code;
    put32(b, 4, rest);
    return add(kind, b);
  }
  Layer& last_ip() {
    for (std::size_t i = layers_.size(); i-- > 0;) {
      if (layers_[i].kind == Kind::ip4 || layers_[i].kind == Kind::ip6) return layers_[i];
    }
    throw std::logic_error("no IP layer yet");
  }
  Octets& ip() { return last_ip().header; }
  bool is6() { return last_ip().kind == Kind::ip6; }
  [[nodiscard]] Kind kind_of(std::size_t i) const {
    return i < layers_.size() ? layers_[i].kind : Kind::data;
  }

  static std::uint16_t ether_type(Kind kind) {
    return kind == Kind::vlan ? 0x8100 : kind == Kind::ip4 ? 0x0800 : kind == Kind::ip6 ? 0x86dd : 0x88b5;
  }
  static std::uint8_t protocol(Kind kind) {
    switch (kind) {
      case Kind::udp:
        return 17;
      case Kind::tcp:
        return 6;
      case Kind::icmp4:
        return 1;
      case Kind::icmp6:
        return 58;
      default:
        return 253;  // RFC 3692: experiments
    }
  }
  static std::size_t checksum_at(Kind kind) { return kind == Kind::udp ? 6 : kind == Kind::tcp ? 16 : 2; }

  void fill_inner_checksum(Kind inner, const Octets& addresses, Octets& body) const {
    if (inner == Kind::data || inner == Kind::icmp4) return;
    if (inner == Kind::udp && !udp_checksum_) return;
    const std::uint32_t pseudo =
        ones_sum(addresses, 0, addresses.size(), protocol(inner)) + static_cast<std::uint32_t>(body.size());
    if (device_checksum_ && (inner == Kind::udp || inner == Kind::tcp))
      return put16(body, checksum_at(inner), ones_sum({}, 0, 0, pseudo));
    std::uint32_t sum = ~ones_sum(body, 0, body.size(), pseudo) & 0xffff;
    if (inner == Kind::udp && sum == 0) sum = 0xffff;
    put16(body, checksum_at(inner), sum);
  }

  [[nodiscard]] Octets wrap(std::size_t i, Octets body) const {
    Octets header = layers_[i].header;
    const Kind inner = kind_of(i + 1);
    switch (layers_[i].kind) {
      case Kind::eth:
        put16(header, 12, ether_type(inner));
        break;
      case Kind::vlan:
        put16(header, 2, ether_type(inner));
        break;
      case Kind::udp:
        put16(header, 4, header.size() + body.size());
        break;
      case Kind::ip4:
        put16(header, 2, header.size() + body.size());
        header[9] = protocol(inner);
        put16(header, 10, 0);
        put16(header, 10, ~ones_sum(header, 0, header.size()) & 0xffff);
        fill_inner_checksum(inner, slice(header, 12, 20), body);
        break;
      case Kind::ip6:
        put16(header, 4, body.size());
        header[6] = next_header_ >= 0 ? static_cast<std::uint8_t>(next_header_) : protocol(inner);
        fill_inner_checksum(inner, slice(header, 8, 40), body);
        break;
      case Kind::icmp4: {
        Octets whole = header + body;
        put16(whole, 2, ~ones_sum(whole, 0, whole.size()) & 0xffff);
        return whole;
      }
      case Kind::tcp:
      case Kind::icmp6:
      case Kind::data:
        break;
    }
    return header + body;
  }

  std::vector<Layer> layers_;
  int next_header_ = -1;  // below 0: by the inner layer
  bool udp_checksum_ = true;
  bool device_checksum_ = false;
};

}  // namespace wg::test
