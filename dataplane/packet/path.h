// The path to a peer's endpoint: outer headers that the control thread builds from the kernel's route and
// neighbour tables. A path is immutable after publication; it is replaced as a whole and retired through
// quiescence.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/base/ids.h"
#include "dataplane/packet/address.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

inline constexpr PortIndex kKernelPath{0xffff};
// The route to the endpoint leads back into the sending interface, so nothing may be sent (protocol C5-15).
inline constexpr PortIndex kLoopPath{0xfffe};

struct alignas(64) Path {
  // First cache line: everything that receiving reads.
  Endpoint remote;
  Endpoint local;  // our address to which the peer last sent (sticky source); zero: kernel's choice
  // Second cache line: everything that sending reads (after a VLAN tag the last bytes of IPv6 are in the
  // third). The port to transmit on, or kKernelPath: the neighbour is unresolved or the route has no DPDK
  // port, so sealed datagrams leave through the kernel's UDP socket.
  alignas(64) PortIndex port = kKernelPath;
  std::uint16_t mtu = 1500;        // of the outer link, IP bytes
  std::uint8_t header_length = 0;  // 0 when port == kKernelPath
  std::uint8_t l3_offset = 0;      // 14 or 18
  // Ethernet [VLAN] IP UDP, complete except for lengths, id, ECN and checksums. The IPv4 header checksum
  // field holds the checksum for zero length, id and ECN.
  std::array<std::uint8_t, 66> header{};

  // The IP version of the header, which spares sending the first cache line. Requires a header.
  [[nodiscard]] bool v6() const { return header_length - l3_offset == kIpv6HeaderSize + kUdpHeaderSize; }
};

}  // namespace wg::dataplane
