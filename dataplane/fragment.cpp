// Cutting an inner IPv4 packet that may be fragmented to its peer's MTU (RFC 791 3.2): Linux knows the
// interface's MTU and the route's, but not that of one peer behind them. Rare, so it copies.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/packet/checksum.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kFragmentUnit = 8;

bool may_cut(const rte_mbuf* packet) {
  const auto* ip = rte_pktmbuf_mtod(packet, const Ipv4Header*);
  // Options would have to be chosen for each fragment.
  return packet->data_len > kIpv4HeaderSize && ip->version_ihl == 0x45 && !ip->dont_fragment();
}

// The piece of `size` payload bytes from `at`; nullptr without a buffer.
rte_mbuf* piece_of(const rte_mbuf* packet, std::size_t at, std::size_t size) {
  rte_mbuf* piece = rte_pktmbuf_alloc(packet->pool);
  if (piece == nullptr) return nullptr;
  char* to = rte_pktmbuf_append(piece, static_cast<std::uint16_t>(kIpv4HeaderSize + size));
  if (to == nullptr) return rte_pktmbuf_free(piece), nullptr;
  const auto* from = rte_pktmbuf_mtod(packet, const char*);
  std::memcpy(to, from, kIpv4HeaderSize);
  std::memcpy(to + kIpv4HeaderSize, from + kIpv4HeaderSize + at, size);
  auto* ip = rte_pktmbuf_mtod(piece, Ipv4Header*);
  const std::uint16_t old = ip->fragment.value();
  const bool more = (old & Ipv4Header::kMoreFragments) != 0 || kIpv4HeaderSize + at + size < packet->data_len;
  const auto offset = static_cast<std::uint16_t>((old & Ipv4Header::kOffsetMask) + at / kFragmentUnit);
  ip->fragment = Be16{static_cast<std::uint16_t>((more ? Ipv4Header::kMoreFragments : 0) | offset)};
  ip->total_length = Be16{static_cast<std::uint16_t>(kIpv4HeaderSize + size)};
  ipv4_checksum_fill(ip);
  return piece;
}

}  // namespace

// True: packet i is gone, its pieces wait in cut_. False: it may not be cut, or there is no room for the
// pieces in this burst.
bool Worker::cut(std::size_t i, std::size_t mtu) {
  rte_mbuf* packet = send_.packet[i];
  if (!may_cut(packet) || mtu < kIpv4HeaderSize + kFragmentUnit) return false;
  const std::size_t payload = packet->data_len - kIpv4HeaderSize;
  const std::size_t most = (mtu - kIpv4HeaderSize) / kFragmentUnit * kFragmentUnit;
  const std::size_t before = cut_.n;
  if ((payload + most - 1) / most > kBurst - before) return false;
  for (std::size_t at = 0; at < payload; at += most) {
    rte_mbuf* piece = piece_of(packet, at, std::min(most, payload - at));
    if (piece == nullptr) {
      rte_pktmbuf_free_bulk(cut_.packet.data() + before, static_cast<unsigned>(cut_.n - before));
      cut_.n = before;
      return drop(packet, DropReason::no_mbuf), true;
    }
    cut_origin_[cut_.n] = send_.origin[i];
    cut_peer_[cut_.n] = send_.peer[i];
    cut_.packet[cut_.n++] = piece;
  }
  rte_pktmbuf_free(packet);
  return true;
}

void Worker::send_pieces(const BurstContext& at) {
  for (std::size_t i = 0; i < cut_.n; ++i) queue_send(cut_.packet[i], cut_origin_[i], cut_peer_[i]);
  cut_.n = 0;
  send_burst(at);
}

}  // namespace wg::dataplane
