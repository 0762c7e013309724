#include "dataplane/stage/fragment.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "dataplane/packet/checksum.h"

namespace wg::dataplane {

namespace {

constexpr std::size_t kFragmentUnit = 8;

bool may_cut(const rte_mbuf* packet) {
  const auto* ip = rte_pktmbuf_mtod(packet, const Ipv4Header*);
  // Options would have to be chosen for each fragment.
  return packet->data_len > kIpv4HeaderSize && ip->version_ihl == 0x45 && !ip->dont_fragment();
}

// The piece of `size` payload bytes from `at`; nullptr without a buffer.
rte_mbuf* copy_piece(const rte_mbuf* packet, std::size_t at, std::size_t size) {
  rte_mbuf* piece = rte_pktmbuf_alloc(packet->pool);
  if (piece == nullptr) return nullptr;
  char* to = rte_pktmbuf_append(piece, static_cast<std::uint16_t>(kIpv4HeaderSize + size));
  if (to == nullptr) {
    rte_pktmbuf_free(piece);
    return nullptr;
  }
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

bool Fragment::cut(rte_mbuf* packet, std::size_t mtu, const PacketOrigin& origin, Peer* peer) {
  if (!may_cut(packet) || mtu < kIpv4HeaderSize + kFragmentUnit) return false;
  const std::size_t payload = packet->data_len - kIpv4HeaderSize;
  const std::size_t most = (mtu - kIpv4HeaderSize) / kFragmentUnit * kFragmentUnit;
  const std::size_t before = n_;
  if ((payload + most - 1) / most > kBurst - before) return false;
  if (!copy_pieces(packet, payload, most)) {
    rte_pktmbuf_free_bulk(packet_.data() + before, static_cast<unsigned>(n_ - before));
    n_ = before;
    core_.drop(packet, DropReason::no_mbuf);
    return true;
  }
  if (core_.watcher.on()) [[unlikely]] {
    for (std::size_t i = before; i < n_; ++i) core_.watcher.made(packet_[i], packet);
  }
  PacketOrigin bare = origin;
  bare.l2_length = 0;  // in front of a piece lies no Ethernet header
  std::fill(origin_.begin() + before, origin_.begin() + n_, bare);
  std::fill(peer_.begin() + before, peer_.begin() + n_, peer);
  rte_pktmbuf_free(packet);
  return true;
}

bool Fragment::copy_pieces(const rte_mbuf* packet, std::size_t payload, std::size_t most) {
  for (std::size_t at = 0; at < payload; at += most) {
    rte_mbuf* piece = copy_piece(packet, at, std::min(most, payload - at));
    if (piece == nullptr) return false;
    packet_[n_++] = piece;
  }
  return true;
}

bool Fragment::move_into(SendBurst& send) {
  if (n_ == 0) return false;
  for (std::size_t i = 0; i < n_; ++i) send.push(packet_[i], origin_[i], peer_[i]);
  n_ = 0;
  return true;
}

}  // namespace wg::dataplane
