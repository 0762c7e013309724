#include "dataplane/core/bursts.h"

#include <rte_mbuf.h>

#include <algorithm>

namespace wg::dataplane {

void DataBurst::take(DataBurst& other) noexcept {
  n = other.n;
  std::copy_n(other.packet.begin(), n, packet.begin());
  std::copy_n(other.l3.begin(), n, l3.begin());
  std::copy_n(other.message.begin(), n, message.begin());
  std::copy_n(other.message_length.begin(), n, message_length.begin());
  std::copy_n(other.interface_id.begin(), n, interface_id.begin());
  std::copy_n(other.outer_tos.begin(), n, outer_tos.begin());
  std::copy_n(other.keypair.begin(), n, keypair.begin());
  std::copy_n(other.moved.begin(), n, moved.begin());
  std::copy_n(other.op.begin(), n, op.begin());
  other.n = 0;
}

void InnerBurst::close_gaps(std::size_t first) noexcept {
  std::size_t kept = first;
  for (std::size_t i = first; i < n; ++i) {
    if (packet[i] == nullptr) {
      n6 -= v6[i] ? 1 : 0;
      continue;
    }
    move(i, kept++);
  }
  n = kept;
}

void SendBurst::push(rte_mbuf* ip_packet, const PacketOrigin& from, Peer* to) noexcept {
  auto* ip = rte_pktmbuf_mtod(ip_packet, std::uint8_t*);
  const bool is_v6 = ip_packet->data_len != 0 && ip[0] >> 4 == 6;
  // Junk that a TUN's user wrote may be shorter than a header; the buffer is not.
  const std::uint32_t destination = header_at<Be32>(header_at<Ipv4Header>(ip)->destination.data())->value();
  push(ip_packet, ip, ip_packet->data_len, is_v6, destination, from, to);
}

void SendBurst::close_gaps() noexcept {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (packet[i] != nullptr) move(i, kept++);
  }
  n = kept;
}

void SendBurst::take(SendBurst& other) noexcept {
  n = other.n;
  std::copy_n(other.packet.begin(), n, packet.begin());
  runs = other.runs;
  std::copy_n(other.run.begin(), runs, run.begin());
  std::copy_n(other.tos.begin(), n, tos.begin());
  std::copy_n(other.op.begin(), n, op.begin());
  checksums.n = other.checksums.n;
  std::copy_n(other.checksums.piece.begin(), checksums.n, checksums.piece.begin());
  std::copy_n(other.checksums.field.begin(), checksums.n, checksums.field.begin());
  other.clear();
}

}  // namespace wg::dataplane
