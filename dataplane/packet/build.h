// Headers that we make ourselves: the counterpart of the parse functions in headers.h.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "dataplane/packet/address.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

inline constexpr std::uint8_t kOwnTtl = 64;  // RFC 1700: the recommended default

struct IpFields {
  IpAddress source, destination;  // of one family
  std::uint8_t protocol = 0;
  std::uint8_t tos = 0;             // IPv6: traffic class
  std::uint16_t packet_length = 0;  // with the IP header; 0: filled in later
};

// IPv4 without options, DF clear, the checksum that of these fields. Returns the header's length.
inline std::size_t build_ipv4(std::uint8_t* out, const IpFields& fields) {
  auto* ip = header_at<Ipv4Header>(out);
  *ip = {};
  ip->version_ihl = 0x45;
  ip->tos = fields.tos;
  ip->total_length = Be16{fields.packet_length};
  ip->ttl = kOwnTtl;
  ip->protocol = fields.protocol;
  std::copy_n(fields.source.bytes.begin(), sizeof ip->source, ip->source.begin());
  std::copy_n(fields.destination.bytes.begin(), sizeof ip->destination, ip->destination.begin());
  ipv4_checksum_fill(ip);
  return kIpv4HeaderSize;
}

// IPv6 without extension headers, flow label 0. Returns the header's length.
inline std::size_t build_ipv6(std::uint8_t* out, const IpFields& fields) {
  auto* ip = header_at<Ipv6Header>(out);
  *ip = {};
  ip->version_class_flow = Be32{6u << 28};
  ip->set_traffic_class(fields.tos);
  if (fields.packet_length != 0)
    ip->payload_length = Be16{static_cast<std::uint16_t>(fields.packet_length - kIpv6HeaderSize)};
  ip->next_header = fields.protocol;
  ip->hop_limit = kOwnTtl;
  ip->source = fields.source.bytes;
  ip->destination = fields.destination.bytes;
  return kIpv6HeaderSize;
}

// Chooses by the family of the destination.
inline std::size_t build_ip(std::uint8_t* out, const IpFields& fields) {
  return fields.destination.v6 ? build_ipv6(out, fields) : build_ipv4(out, fields);
}

// The checksum is left 0: it follows when the payload is there (RFC 768; RFC 8200 8.1: compulsory for IPv6).
// `length`: with the UDP header; 0: filled in later.
inline void build_udp(std::uint8_t* out, UdpPort source, UdpPort destination, std::uint16_t length) {
  *header_at<UdpHeader>(out) = {Be16{number_of(source)}, Be16{number_of(destination)}, Be16{length}, Be16{0}};
}

}  // namespace wg::dataplane
