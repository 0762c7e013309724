// The way to a peer's endpoint: outer headers prebuilt by the control thread from the kernel's route and
// neighbour tables. Immutable after publication; replaced whole and retired through quiescence.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/packet/address.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

inline constexpr std::uint16_t kKernelPath = 0xffff;
// The route to the endpoint leads into the very interface that would send: nothing may be sent (protocol
// C5-15).
inline constexpr std::uint16_t kLoopPath = 0xfffe;

struct alignas(64) Path {
  // First line: all that receiving looks at.
  Endpoint remote;
  Endpoint local;  // address the peer last addressed (sticky source); zero: kernel's choice
  // Second line: all that sending looks at (behind a VLAN tag the last bytes of IPv6 are in the third).
  // Port to transmit on, or kKernelPath: no resolved neighbour or no DPDK port that way, so sealed
  // datagrams leave through the kernel's UDP socket.
  alignas(64) std::uint16_t port = kKernelPath;
  std::uint16_t mtu = 1500;        // of the outer link, IP bytes
  std::uint8_t header_length = 0;  // 0 when port == kKernelPath
  std::uint8_t l3_offset = 0;      // 14 or 18
  // Ethernet [VLAN] IP UDP, complete but for lengths, id, ECN and checksums. The IPv4 header
  // checksum field holds the checksum as if length, id and ECN were zero.
  std::array<std::uint8_t, 66> header{};

  // Of the header, so that sending does not touch the first line; only when there is one.
  [[nodiscard]] bool v6() const { return header_length - l3_offset == kIpv6HeaderSize + kUdpHeaderSize; }
};

}  // namespace wg::dataplane
