// The two ends of a UDP datagram that we received.
#pragma once

#include <cstdint>

#include "dataplane/packet/address.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

struct Endpoints {
  Endpoint remote;  // the source
  Endpoint local;   // the destination
};

// `l3`: the datagram's IP header.
inline Endpoints endpoints_of(const std::uint8_t* l3, const UdpHeader& udp) {
  Endpoints ends;
  if (l3[0] >> 4 == 6) {
    ends.remote.address = IpAddress::from_v6(header_at<Ipv6Header>(l3)->source.data());
    ends.local.address = IpAddress::from_v6(header_at<Ipv6Header>(l3)->destination.data());
  } else {
    ends.remote.address = IpAddress::from_v4(header_at<Ipv4Header>(l3)->source.data());
    ends.local.address = IpAddress::from_v4(header_at<Ipv4Header>(l3)->destination.data());
  }
  ends.remote.port = UdpPort{udp.source_port.value()};
  ends.local.port = UdpPort{udp.destination_port.value()};
  return ends;
}

}  // namespace wg::dataplane
