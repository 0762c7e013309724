// Where a routed packet goes: the value behind the route mirror's longest-prefix match.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/base/ids.h"

namespace wg::dataplane {

enum class HopKind : std::uint8_t {
  kKernel,     // Linux decides: unresolved neighbour, no DPDK port that way, local delivery
  kPort,       // rewrite L2 and transmit
  kInterface,  // a WireGuard interface: cryptokey routing decides
  kDrop,       // a blackhole: no sender learns of it
};

// Immutable inside a snapshot.
struct NextHop {
  HopKind kind = HopKind::kKernel;
  std::uint8_t header_length = 0;         // 14, or 18 with a VLAN tag
  PortIndex port{};                       // index into Snapshot::ports
  InterfaceId interface_id{};             // index into Snapshot::interfaces
  std::uint16_t mtu = 1500;               // IP bytes, of the link or the route
  std::uint16_t ip_version = 4;           // of the packets that take it: 4 or 6
  std::array<std::uint8_t, 18> header{};  // Ethernet [VLAN]; the EtherType is set per packet

  // The VLAN of its frames; 0: they have no tag.
  [[nodiscard]] std::uint16_t vlan() const noexcept {
    constexpr std::size_t kTag = 14;
    const unsigned tag = static_cast<unsigned>(header[kTag]) << 8 | header[kTag + 1];
    return header_length == header.size() ? static_cast<std::uint16_t>(tag & 0xfff) : 0;
  }
};
static_assert(sizeof(NextHop) <= 32);

}  // namespace wg::dataplane
