// The Internet checksum, RFC 1071. Sums are 64 bits in native memory order: by RFC 1071 2 (B) the byte order
// is irrelevant until the result is stored, which Be16::from_native does. Any number of pieces may be added
// in any order, but every piece except the last must have an even length.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// At most 2^31 bytes may be summed into one ChecksumSum before it is folded.
using ChecksumSum = std::uint64_t;

namespace checksum_detail {

// Two lanes of 64 bits at any address. The 32-bit halves are added separately, so no carry is lost.
typedef std::uint64_t Lanes __attribute__((vector_size(16)));

template <typename Word>
Word load(const std::uint8_t* p) {
  Word w;
  std::memcpy(&w, p, sizeof w);
  return w;
}

inline void add_lanes(Lanes* low, Lanes* high, Lanes v) {
  *low += v & 0xffffffffU;
  *high += v >> 32;
}

inline ChecksumSum add_tail(ChecksumSum sum, const std::uint8_t* data, std::size_t size) {
  for (; size >= 4; size -= 4, data += 4) sum += load<std::uint32_t>(data);
  if (size >= 2) {
    sum += load<std::uint16_t>(data);
    data += 2;
    size -= 2;
  }
  if (size != 0) {
    const std::array<std::uint8_t, 2> padded{*data, 0};
    sum += std::bit_cast<std::uint16_t>(padded);
  }
  return sum;
}

}  // namespace checksum_detail

[[nodiscard]] constexpr std::uint16_t checksum_fold(ChecksumSum sum) {
  // The sum plus itself with swapped halves holds, in the upper half, the sum of both halves with the
  // end-around carry.
  const auto half = static_cast<std::uint32_t>((sum + std::rotl(sum, 32)) >> 32);
  return static_cast<std::uint16_t>((half + std::rotl(half, 16)) >> 16);
}

[[nodiscard]] inline ChecksumSum checksum_add(ChecksumSum sum, const std::uint8_t* data, std::size_t size) {
  using namespace checksum_detail;
  Lanes low_a{}, high_a{}, low_b{}, high_b{};
  for (; size >= 32; size -= 32, data += 32) {
    add_lanes(&low_a, &high_a, load<Lanes>(data));
    add_lanes(&low_b, &high_b, load<Lanes>(data + 16));
  }
  low_a += low_b + high_a + high_b;
  // The vector part is below 2^59 (each lane adds 32-bit words). The caller's sum is folded before the
  // addition.
  return add_tail(checksum_fold(sum) + low_a[0] + low_a[1], data, size);
}

[[nodiscard]] inline ChecksumSum checksum_add(ChecksumSum sum, Bytes bytes) {
  return checksum_add(sum, bytes.data(), bytes.size());
}

// Copies and sums in one pass; the ranges must not overlap.
[[nodiscard]] inline ChecksumSum checksum_copy(ChecksumSum sum, std::uint8_t* to, const std::uint8_t* from,
                                               std::size_t size) {
  using namespace checksum_detail;
  Lanes low_a{}, high_a{}, low_b{}, high_b{};
  for (; size >= 32; size -= 32, from += 32, to += 32) {
    const Lanes a = load<Lanes>(from), b = load<Lanes>(from + 16);
    std::memcpy(to, &a, sizeof a);
    std::memcpy(to + 16, &b, sizeof b);
    add_lanes(&low_a, &high_a, a);
    add_lanes(&low_b, &high_b, b);
  }
  low_a += low_b + high_a + high_b;
  if (size != 0) std::memcpy(to, from, size);
  return add_tail(checksum_fold(sum) + low_a[0] + low_a[1], from, size);
}

// The checksum field for a sum over data in which that field is zero.
[[nodiscard]] constexpr Be16 checksum_finish(ChecksumSum sum) {
  return Be16::from_native(static_cast<std::uint16_t>(~checksum_fold(sum)));
}

// RFC 768: UDP sends a computed zero as all ones, because zero means "no checksum".
[[nodiscard]] constexpr Be16 checksum_finish_udp_folded(std::uint16_t folded) {
  return Be16::from_native(folded == 0xffff ? folded : static_cast<std::uint16_t>(~folded));
}
[[nodiscard]] constexpr Be16 checksum_finish_udp(ChecksumSum sum) {
  return checksum_finish_udp_folded(checksum_fold(sum));
}

// True when the sum over the data, checksum field included, is valid.
[[nodiscard]] constexpr bool checksum_valid(ChecksumSum sum) {
  return checksum_fold(sum) == 0xffff;
}

// Pseudo headers (RFC 9293 3.1, RFC 8200 8.1); `length` of the transport header and data, in bytes.
// The addresses are 4 or 16 bytes at any address.
[[nodiscard]] inline ChecksumSum pseudo_header_v4(const std::uint8_t* source, const std::uint8_t* destination,
                                                  std::uint8_t protocol, std::uint32_t length) {
  using checksum_detail::load;
  ChecksumSum sum = load<std::uint32_t>(source);
  sum += load<std::uint32_t>(destination);
  return sum + Be16{protocol}.native() + Be32{length}.native();
}

[[nodiscard]] inline ChecksumSum pseudo_header_v6(const std::uint8_t* source, const std::uint8_t* destination,
                                                  std::uint8_t protocol, std::uint32_t length) {
  ChecksumSum sum = checksum_detail::add_tail(0, source, 16);
  sum = checksum_detail::add_tail(sum, destination, 16);
  return sum + Be16{protocol}.native() + Be32{length}.native();
}

[[nodiscard]] inline ChecksumSum pseudo_header(const Ipv4Header& ip, std::uint8_t protocol,
                                               std::uint32_t length) {
  return pseudo_header_v4(ip.source.data(), ip.destination.data(), protocol, length);
}

[[nodiscard]] inline ChecksumSum pseudo_header(const Ipv6Header& ip, std::uint8_t protocol,
                                               std::uint32_t length) {
  return pseudo_header_v6(ip.source.data(), ip.destination.data(), protocol, length);
}

// The sum over an IPv4 header without options.
[[nodiscard]] inline ChecksumSum ipv4_header_sum(const std::uint8_t* header) {
  using checksum_detail::load;
  return ChecksumSum{load<std::uint32_t>(header)} + load<std::uint32_t>(header + 4) +
         load<std::uint32_t>(header + 8) + load<std::uint32_t>(header + 12) +
         load<std::uint32_t>(header + 16);
}

// IPv4 header checksum; the header's own length (options included) has been checked by parse_ipv4.
[[nodiscard]] inline bool ipv4_checksum_valid(const Ipv4Header& ip) {
  if (ip.header_length() == kIpv4HeaderSize) return checksum_valid(ipv4_header_sum(bytes_of(ip)));
  return checksum_valid(checksum_detail::add_tail(0, bytes_of(ip), ip.header_length()));
}

inline void ipv4_checksum_fill(Ipv4Header* ip) {
  ip->checksum = Be16{0};
  ip->checksum = checksum_finish(checksum_detail::add_tail(0, bytes_of(*ip), ip->header_length()));
}

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m'), for one 16-bit word that changes from `before` to `after`.
[[nodiscard]] constexpr Be16 checksum_update(Be16 checksum, Be16 before, Be16 after) {
  const ChecksumSum sum = ChecksumSum{static_cast<std::uint16_t>(~checksum.native())} +
                          static_cast<std::uint16_t>(~before.native()) + after.native();
  return checksum_finish(sum);
}

// The same for a run of words, such as an address. `size` is even.
[[nodiscard]] inline Be16 checksum_update(Be16 checksum, const std::uint8_t* before,
                                          const std::uint8_t* after, std::size_t size) {
  const std::uint16_t removed = checksum_fold(checksum_detail::add_tail(0, before, size));
  const ChecksumSum sum = ChecksumSum{static_cast<std::uint16_t>(~checksum.native())} +
                          static_cast<std::uint16_t>(~removed) + checksum_detail::add_tail(0, after, size);
  return checksum_finish(sum);
}

// Decrements the TTL of an IPv4 header and updates its checksum. The TTL is not 0: such packets are not
// forwarded.
inline void ipv4_decrement_ttl(Ipv4Header* ip) {
  static_assert(std::endian::native == std::endian::little);
  // TTL, protocol and checksum in one word, the TTL lowest. RFC 1141: decrementing the upper byte of a word
  // adds 0x0100 to the checksum, end-around; never 0xffff.
  constexpr std::uint32_t kOne = 0x10000, kWraps = 0xfffe0000;  // of the checksum
  const auto word = checksum_detail::load<std::uint32_t>(&ip->ttl);
  const std::uint32_t lowered = word - 1 + kOne + (word >= kWraps ? kOne : 0);
  std::memcpy(&ip->ttl, &lowered, sizeof lowered);
}

inline void ipv4_set_tos(Ipv4Header* ip, std::uint8_t tos) {
  const auto word = [&] { return Be16{static_cast<std::uint16_t>(ip->version_ihl << 8 | ip->tos)}; };
  const Be16 before = word();
  ip->tos = tos;
  ip->checksum = checksum_update(ip->checksum, before, word());
}

}  // namespace wg::dataplane
