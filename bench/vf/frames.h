// The frames of the generator, as bytes. Addresses are those of RFC 2544 appendix C.2.2:
//
//   198.19.0.2  host ── LAN ── 198.19.0.1 gateway 198.18.0.1 ── WAN ── 198.18.1.x:1024.. the peers' endpoints
//   and each peer has an inner address in 10.0.0.0/9
//
// Every packet carries a stamp: which flow, which one of it, when it was sent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/packet/headers.h"

namespace wg::bench {

using dataplane::MacAddress;

inline constexpr std::uint32_t kLanHost = 0xc6130002, kLanGateway = 0xc6130001, kWanGateway = 0xc6120001,
                               kWanPeers = 0xc6120100, kInnerPeers = 0x0a000001;
inline constexpr std::uint16_t kGatewayPort = 51820, kFirstPort = 1024, kPortsOfAddress = 60'000;
inline constexpr std::uint32_t kMostPeers = 1'000'000;
inline constexpr std::size_t kPlainHeaders = dataplane::kIpv4HeaderSize + dataplane::kUdpHeaderSize;
inline constexpr std::size_t kOuterHeaders = dataplane::kEthernetHeaderSize + kPlainHeaders;
inline constexpr std::size_t kBeforeInner = kOuterHeaders + dataplane::kTransportDataHeaderSize;
inline constexpr std::uint32_t kSmallestInner = 64, kLargestInner = 1420;

struct Ends {
  MacAddress ours{}, gateway{};
};

// An outer address and port of a peer.
struct PeerEndpoint {
  std::uint32_t address;
  std::uint16_t port;
};
[[nodiscard]] constexpr PeerEndpoint endpoint_of(std::uint32_t flow) noexcept {
  return {kWanPeers + flow / kPortsOfAddress,
          static_cast<std::uint16_t>(kFirstPort + flow % kPortsOfAddress)};
}
// nullopt: no peer of `peers` has it.
[[nodiscard]] std::optional<std::uint32_t> flow_at(const PeerEndpoint& endpoint,
                                                   std::uint32_t peers) noexcept;

struct Stamp {
  std::uint32_t trial = 0, flow = 0;
  std::uint64_t number = 0;  // in its flow and trial
  std::uint64_t clock = 0;   // TSC when its burst was begun
};

enum class Direction : std::uint8_t { kSend, kReceive };  // as the gateway does: into or out of the tunnel

// ---- writing; each returns how many bytes it has written
// An inner IP packet of UDP with its stamp, from the peer to the host or back. The bytes between stamp and
// end stay as they are. `length`: kSmallestInner or more.
std::size_t write_inner(std::uint8_t* at, Direction direction, const Stamp& stamp, std::uint32_t length);
// Ethernet, IPv4 and UDP from a peer's endpoint to the gateway in front of a message of `length` bytes.
std::size_t write_outer(std::uint8_t* at, const Ends& ends, std::uint32_t flow, std::size_t length);
std::size_t write_ethernet(std::uint8_t* at, const Ends& ends, std::uint16_t type);
// A request for `wanted`, as from `own`.
std::size_t write_arp_request(std::uint8_t* at, const MacAddress& ours, std::uint32_t own,
                              std::uint32_t wanted);
inline constexpr std::size_t kArpFrame = 60;  // with Ethernet's padding

// The length of a sealed payload before its tag: padded to 16 bytes, but not beyond the MTU of 1420.
[[nodiscard]] constexpr std::uint32_t padded(std::uint32_t inner) noexcept {
  const std::uint32_t up = (inner + 15) / 16 * 16;
  return up > kLargestInner && inner <= kLargestInner ? kLargestInner : up;
}

// ---- reading
// False: no packet of ours, or its end does not belong to its beginning.
[[nodiscard]] bool read_stamp(dataplane::Bytes inner, Stamp* out);

// A message of WireGuard in a frame to one of the peers' endpoints.
struct MessageView {
  PeerEndpoint to{};
  dataplane::Bytes message;
};
[[nodiscard]] bool read_message(dataplane::Bytes frame, MessageView* out);

// An ARP packet to us. True: `reply` is a frame of kArpFrame bytes to be sent. A gateway's reply or request
// gives its MAC address as *gateway.
struct ArpNetwork {
  std::uint32_t gateway, first_own, owned;  // addresses
};
bool take_arp(dataplane::Bytes frame, const MacAddress& ours, const ArpNetwork& network, std::uint8_t* reply,
              std::optional<MacAddress>* gateway);

// ---- sizes
// "64", "imix" (64, 570 and 1420 bytes as 7:4:1), mixed. Throws std::runtime_error saying what is allowed.
[[nodiscard]] std::vector<std::uint32_t> sizes_of(const std::string& text);

}  // namespace wg::bench
