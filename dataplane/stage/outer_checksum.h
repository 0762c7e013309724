// The UDP checksum of a datagram that came from a port.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// No tag and no mac1 covers the outer addresses. So before anything is answered or an endpoint moves, the
// datagram's own checksum must hold. `packet` lies in one segment, `l3` is its IP header; the port's verdict
// is taken where it has one. IPv4 allows a datagram without checksum (RFC 768), IPv6 does not (RFC 8200 8.1).
// A sender on the same machine (a veth, a container) leaves the checksum to a device that is not there: the
// field then holds the sum of the pseudo header. Linux takes such a datagram, so it is good here too; it
// names the addresses as a whole checksum does.
inline bool outer_checksum_good(const rte_mbuf* packet, const std::uint8_t* l3, const UdpHeader& udp) {
  const std::uint64_t flags = packet->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
  if (flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD) return true;
  const bool v6 = l3[0] >> 4 == 6;
  if (udp.checksum.value() == 0) return !v6;
  const std::uint16_t length = udp.length.value();
  const ChecksumSum pseudo = v6 ? pseudo_header(*header_at<Ipv6Header>(l3), ip_protocol::kUdp, length)
                                : pseudo_header(*header_at<Ipv4Header>(l3), ip_protocol::kUdp, length);
  if (udp.checksum.native() == checksum_fold(pseudo)) return true;
  return checksum_valid(checksum_add(pseudo, reinterpret_cast<const std::uint8_t*>(&udp), length));
}

}  // namespace wg::dataplane
