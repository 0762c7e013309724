// Packets the control thread owns: whoever lets go of one returns it to its pool. Mailbox messages hold plain
// pointers; CommandPort releases into them, and what drains the event mailbox adopts from them.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <span>

namespace wg::control {

struct ReturnToPool {
  void operator()(rte_mbuf* packet) const noexcept { rte_pktmbuf_free(packet); }
};

using PacketPtr = std::unique_ptr<rte_mbuf, ReturnToPool>;

// Null: the pool is empty.
inline PacketPtr allocate_packet(rte_mempool* pool) {
  return PacketPtr(rte_pktmbuf_alloc(pool));
}

inline std::span<const std::uint8_t> bytes_of(const rte_mbuf& packet) {
  return {rte_pktmbuf_mtod(&packet, const std::uint8_t*), packet.data_len};
}

}  // namespace wg::control
