// Outer datagrams of the control thread as frames for the workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "control/packet_ptr.h"
#include "dataplane/packet/path.h"

namespace wg::control {

// A datagram as a frame: `l2` (its EtherType is set here), IP and UDP headers, payload. Null: no buffer, or
// none that large.
[[nodiscard]] PacketPtr frame_of(rte_mempool* pool, std::span<const std::uint8_t> l2,
                                 const dataplane::Endpoint& from, const dataplane::Endpoint& to,
                                 std::uint8_t tos, std::span<const std::uint8_t> payload);

// The UDP checksum of a frame of frame_of(): RFC 768, RFC 8200 8.1.
void fill_udp_checksum(rte_mbuf& packet, std::size_t l2, bool v6);

// Whether an empty packet buffer has room for such a frame.
[[nodiscard]] bool fits_a_buffer(rte_mempool* pool, std::size_t l2, bool v6, std::size_t payload);

}  // namespace wg::control
