// Packets for tests, written byte by byte and without any code of the dataplane: builder, byte-wise checksum
// and a splitter so simple that it can be believed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace wg::dataplane::test {

using Octets = std::vector<std::uint8_t>;

inline void put16(Octets& b, std::size_t at, std::size_t value) {
  b[at] = static_cast<std::uint8_t>(value >> 8);
  b[at + 1] = static_cast<std::uint8_t>(value);
}
inline void put32(Octets& b, std::size_t at, std::uint32_t value) {
  put16(b, at, value >> 16);
  put16(b, at + 2, value & 0xffff);
}
inline std::uint32_t get16(const Octets& b, std::size_t at) {
  return std::uint32_t{b[at]} << 8 | b[at + 1];
}
inline std::uint32_t get32(const Octets& b, std::size_t at) {
  return get16(b, at) << 16 | get16(b, at + 2);
}

inline std::uint32_t ones_sum(const Octets& b, std::size_t from, std::size_t to, std::uint32_t sum = 0) {
  for (std::size_t i = from; i < to; ++i) sum += (i - from) % 2 == 0 ? b[i] << 8 : b[i];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// The fields that a test varies; the rest is computed.
struct Recipe {
  bool v6 = false;
  bool udp = false;
  bool ethernet = false;
  bool vlan = false;
  std::uint8_t host = 1;  // last byte of the source address
  std::uint16_t source_port = 40000;
  std::uint16_t destination_port = 5201;
  std::uint32_t sequence = 1000;
  std::uint32_t acknowledgment = 77;
  std::uint8_t flags = 0x10;  // ACK
  std::uint16_t window = 502;
  std::uint16_t id = 0x1200;
  std::uint16_t fragment = 0x4000;  // DF
  std::uint8_t tos = 0;
  std::uint8_t ttl = 64;
  Octets tcp_options = {1, 1, 8, 10, 0, 1, 2, 3, 9, 8, 7, 6};
  Octets ip_extra;  // IPv4 options, or IPv6 extension headers
  std::uint8_t ip6_next = 0;
  Octets payload;

  [[nodiscard]] std::size_t l3() const { return ethernet ? (vlan ? 18 : 14) : 0; }
  [[nodiscard]] std::size_t l4() const { return l3() + (v6 ? 40 : 20) + ip_extra.size(); }
  [[nodiscard]] std::size_t header_size() const { return l4() + (udp ? 8 : 20 + tcp_options.size()); }
  [[nodiscard]] std::size_t checksum_at() const { return l4() + (udp ? 6 : 16); }
};

inline Octets pattern(std::size_t size, std::size_t seed) {
  Octets b(size);
  for (std::size_t i = 0; i < size; ++i) b[i] = static_cast<std::uint8_t>((i + seed) % 251);
  return b;
}

inline std::uint32_t pseudo_sum(const Recipe& r, const Octets& b, std::size_t l4_size) {
  const std::size_t addresses = r.l3() + (r.v6 ? 8 : 12);
  return ones_sum(b, addresses, addresses + (r.v6 ? 32 : 8),
                  (r.udp ? 17 : 6) + static_cast<std::uint32_t>(l4_size));
}

// Sets lengths and checksums from the bytes as they are.
inline void seal_packet(const Recipe& r, Octets& b) {
  const std::size_t l3 = r.l3(), l4 = r.l4();
  if (r.v6) {
    put16(b, l3 + 4, b.size() - l3 - 40);
  } else {
    put16(b, l3 + 2, b.size() - l3);
    put16(b, l3 + 10, 0);
    put16(b, l3 + 10, ~ones_sum(b, l3, l4) & 0xffff);
  }
  if (r.udp) put16(b, l4 + 4, b.size() - l4);
  put16(b, r.checksum_at(), 0);
  std::uint32_t checksum = ~ones_sum(b, l4, b.size(), pseudo_sum(r, b, b.size() - l4)) & 0xffff;
  if (r.udp && checksum == 0) checksum = 0xffff;
  put16(b, r.checksum_at(), checksum);
}

inline void put_ip(const Recipe& r, Octets& b) {
  const std::size_t l3 = r.l3();
  const std::uint8_t protocol = r.udp ? 17 : 6;
  if (r.v6) {
    put32(b, l3, 0x60012345u | static_cast<std::uint32_t>(r.tos) << 20);
    b[l3 + 6] = r.ip_extra.empty() ? protocol : r.ip6_next;
    b[l3 + 7] = r.ttl;
    b[l3 + 8] = b[l3 + 24] = 0xfd;
    b[l3 + 23] = r.host;
    b[l3 + 39] = 200;
  } else {
    b[l3] = static_cast<std::uint8_t>(0x45 + r.ip_extra.size() / 4);
    b[l3 + 1] = r.tos;
    put16(b, l3 + 4, r.id);
    put16(b, l3 + 6, r.fragment);
    b[l3 + 8] = r.ttl;
    b[l3 + 9] = protocol;
    put32(b, l3 + 12, 0x0a070000u | r.host);
    put32(b, l3 + 16, 0x0a0700c8u);
  }
  std::copy(r.ip_extra.begin(), r.ip_extra.end(),
            b.begin() + static_cast<std::ptrdiff_t>(l3 + (r.v6 ? 40 : 20)));
}

inline Octets build(const Recipe& r) {
  Octets b(r.header_size());
  if (r.ethernet) {
    for (std::size_t i = 0; i < 12; ++i) b[i] = static_cast<std::uint8_t>(2 + 16 * i);
    if (r.vlan) put32(b, 12, 0x81000007);
    put16(b, r.l3() - 2, r.v6 ? 0x86dd : 0x0800);
  }
  put_ip(r, b);
  const std::size_t l4 = r.l4();
  put16(b, l4, r.source_port);
  put16(b, l4 + 2, r.destination_port);
  if (!r.udp) {
    put32(b, l4 + 4, r.sequence);
    put32(b, l4 + 8, r.acknowledgment);
    b[l4 + 12] = static_cast<std::uint8_t>((20 + r.tcp_options.size()) / 4 << 4);
    b[l4 + 13] = r.flags;
    put16(b, l4 + 14, r.window);
    std::copy(r.tcp_options.begin(), r.tcp_options.end(), b.begin() + static_cast<std::ptrdiff_t>(l4 + 20));
  }
  b.insert(b.end(), r.payload.begin(), r.payload.end());
  seal_packet(r, b);
  return b;
}

// The next packet of the flow.
inline Recipe after(Recipe r, std::size_t payload_size) {
  r.sequence += static_cast<std::uint32_t>(r.payload.size());
  ++r.id;
  r.payload = pattern(payload_size, r.sequence);
  return r;
}

// The packet as the kernel delivers it: the checksum field holds the sum of the pseudo header.
inline Octets build_super(const Recipe& r) {
  Octets b = build(r);
  put16(b, r.checksum_at(), pseudo_sum(r, b, b.size() - r.l4()));
  return b;
}

// One packet per `size` bytes of payload, as RFC 9293 and the kernel's segmentation say.
inline std::vector<Octets> split_oracle(const Recipe& super, std::size_t size) {
  std::vector<Octets> packets;
  for (std::size_t at = 0; at < super.payload.size(); at += size) {
    const std::size_t end = std::min(at + size, super.payload.size());
    Recipe r = super;
    r.sequence += static_cast<std::uint32_t>(at);
    r.id = static_cast<std::uint16_t>(r.id + at / size);
    r.payload = {super.payload.begin() + static_cast<std::ptrdiff_t>(at),
                 super.payload.begin() + static_cast<std::ptrdiff_t>(end)};
    if (end != super.payload.size()) r.flags &= 0xf6;  // PSH, FIN
    if (at != 0) r.flags &= 0x7f;                      // CWR
    packets.push_back(build(r));
  }
  return packets;
}

}  // namespace wg::dataplane::test
