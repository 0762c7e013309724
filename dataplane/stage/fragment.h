// Cuts an inner IPv4 packet that may be fragmented to its peer's MTU (RFC 791 3.2): Linux knows the
// interface's MTU and the route's, but not that of one peer behind them. Rare, so it copies.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/core/core.h"

namespace wg::dataplane {

class Fragment {
 public:
  explicit Fragment(Core& core) : core_(core) {}

  // True: `packet` is gone, its fragments wait for move_into(), or it was dropped without buffers. False:
  // it may not be cut, or there is no room for its fragments in this burst.
  bool cut(rte_mbuf* packet, std::size_t mtu, const PacketOrigin& origin, Peer* peer);

  // The fragments made of the last burst, as the next one; `send` is empty. False: none.
  bool move_into(SendBurst& send);

 private:
  bool copy_pieces(const rte_mbuf* packet, std::size_t payload, std::size_t most);

  Core& core_;
  std::size_t n_ = 0;
  std::array<rte_mbuf*, kBurst> packet_;
  std::array<PacketOrigin, kBurst> origin_;
  std::array<Peer*, kBurst> peer_;
};

}  // namespace wg::dataplane
