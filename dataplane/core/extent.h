// The part of a packet buffer in use. From classify to the way out only the bursts say where a packet lies
// and how long it is; its buffer is set once, where the packet leaves this worker's stages.
#pragma once

#include <rte_mbuf.h>

#include <cstddef>
#include <cstdint>

#include "dataplane/core/bursts.h"

namespace wg::dataplane {

// Bytes of the buffer in front of `begin`.
inline std::size_t headroom(const rte_mbuf& packet, const std::uint8_t* begin) noexcept {
  return static_cast<std::size_t>(begin - static_cast<const std::uint8_t*>(packet.buf_addr));
}

// The packet is the `size` bytes from `begin` on, which lies in its buffer.
inline void set_extent(rte_mbuf& packet, const std::uint8_t* begin, std::size_t size) noexcept {
  packet.data_off = static_cast<std::uint16_t>(headroom(packet, begin));
  packet.data_len = static_cast<std::uint16_t>(size);
  packet.pkt_len = static_cast<std::uint32_t>(size);
}

// For who looks at packet i instead of the burst, Linux or an ICMP error. Out of a tunnel it begins at its IP
// header; from a port it lies as it came, with its Ethernet header in front.
inline void settle(const InnerBurst& inner, std::size_t i) noexcept {
  if (inner.origin[i].from == From::kPort) return;
  set_extent(*inner.packet[i], inner.l3[i], inner.length[i]);
  inner.packet[i]->ol_flags = 0;
}

}  // namespace wg::dataplane
