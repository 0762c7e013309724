// Which packets a flow may carry, and what becomes of one: new addresses and ports, and checksums brought up
// to date by their difference (RFC 1624). The payload is neither read nor summed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/flow/flow.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// TCP and UDP, whole, without options or extension headers, and no TCP segment that opens or closes: Linux
// has to follow those. `length`: IP bytes, all of which are there.
[[nodiscard]] inline bool can_be_carried(const std::uint8_t* l3, std::size_t length, bool v6) {
  constexpr std::uint8_t kPlainV4 = 0x45;  // version 4, five words: no options
  const std::size_t header = v6 ? kIpv6HeaderSize : kIpv4HeaderSize;
  const std::uint8_t protocol =
      v6 ? header_at<Ipv6Header>(l3)->next_header : header_at<Ipv4Header>(l3)->protocol;
  if (!v6 && (l3[0] != kPlainV4 || header_at<Ipv4Header>(l3)->is_fragment())) return false;
  if (protocol == ip_protocol::kUdp) return length >= header + kUdpHeaderSize;
  if (protocol != ip_protocol::kTcp || length < header + kTcpHeaderSize) return false;
  constexpr std::uint8_t kOpensOrCloses = TcpHeader::kSyn | TcpHeader::kFin | TcpHeader::kRst;
  return (header_at<TcpHeader>(l3 + header)->flags & kOpensOrCloses) == 0;
}

// Does the direction's tuple name this packet, which can_be_carried()?
[[nodiscard]] inline bool names(const FlowDirection& direction, const std::uint8_t* l3, bool v6) {
  using checksum_detail::load;
  const std::uint8_t* const own = direction.addresses.data();
  if (direction.v6 != v6) return false;
  if (!v6) {
    const std::uint8_t* const ends = l3 + offsetof(Ipv4Header, source);
    return load<std::uint64_t>(ends) == load<std::uint64_t>(own) &&
           load<std::uint32_t>(ends + 8) == load<std::uint32_t>(own + 8) &&
           header_at<Ipv4Header>(l3)->protocol == direction.protocol;
  }
  const std::uint8_t* const ports = l3 + kIpv6HeaderSize;
  return header_at<Ipv6Header>(l3)->next_header == direction.protocol &&
         header_at<Be16>(ports)->native() == direction.source_port.native() &&
         header_at<Be16>(ports + sizeof(Be16))->native() == direction.destination_port.native() &&
         std::memcmp(own, l3 + offsetof(Ipv6Header, source), 2 * sizeof(Ipv6Bytes)) == 0;
}
static_assert(offsetof(Ipv4Header, source) + FlowDirection::kEnds4 == kIpv4HeaderSize + 2 * sizeof(Be16));

namespace rewrite_detail {

[[nodiscard]] inline Be16 adjusted(Be16 checksum, std::uint16_t difference) {
  return checksum_finish(ChecksumSum{static_cast<std::uint16_t>(~checksum.native())} + difference);
}

// Zero means "no checksum" (RFC 768): such a datagram stays without one, and a result of zero is sent as all
// ones.
[[nodiscard]] inline Be16 adjusted_udp(Be16 checksum, std::uint16_t difference) {
  if (checksum.native() == 0) return checksum;
  const Be16 result = adjusted(checksum, difference);
  return result.native() == 0 ? Be16::from_native(0xffff) : result;
}

}  // namespace rewrite_detail

inline void rewrite4(std::uint8_t* l3, const FlowDirection& in) {
  auto* ip = header_at<Ipv4Header>(l3);
  std::memcpy(l3 + offsetof(Ipv4Header, source), in.addresses.data() + FlowDirection::kLeaving4,
              FlowDirection::kEnds4);
  ip->checksum = rewrite_detail::adjusted(ip->checksum, in.ip_difference);
}

inline void rewrite6(std::uint8_t* l3, const FlowDirection& back) {
  auto* ip = header_at<Ipv6Header>(l3);
  std::memcpy(ip->source.data(), back.addresses.data() + sizeof(Ipv6Bytes), sizeof(Ipv6Bytes));
  std::memcpy(ip->destination.data(), back.addresses.data(), sizeof(Ipv6Bytes));
  *header_at<Be16>(l3 + kIpv6HeaderSize) = back.destination_port;
  *header_at<Be16>(l3 + kIpv6HeaderSize + sizeof(Be16)) = back.source_port;
}

// `in` names the packet; `back` is the flow's other direction.
inline void rewrite(std::uint8_t* l3, const FlowDirection& in, const FlowDirection& back) {
  if (in.v6) {
    rewrite6(l3, back);
  } else {
    rewrite4(l3, in);
  }
  std::uint8_t* const transport = l3 + (in.v6 ? kIpv6HeaderSize : kIpv4HeaderSize);
  if (in.protocol == ip_protocol::kTcp) {
    auto* tcp = header_at<TcpHeader>(transport);
    tcp->checksum = rewrite_detail::adjusted(tcp->checksum, in.transport_difference);
  } else {
    auto* udp = header_at<UdpHeader>(transport);
    udp->checksum = rewrite_detail::adjusted_udp(udp->checksum, in.transport_difference);
  }
}

}  // namespace wg::dataplane
