#include "control/interface/datagram_frame.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/headers.h"

namespace wg::control {

namespace {

std::size_t headers_of(std::size_t l2, bool v6) {
  using namespace dataplane;
  return l2 + (v6 ? kIpv6HeaderSize : kIpv4HeaderSize) + kUdpHeaderSize;
}

}  // namespace

bool fits_a_buffer(rte_mempool* pool, std::size_t l2, bool v6, std::size_t payload) {
  const std::size_t room = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM;
  return headers_of(l2, v6) + payload <= room;
}

PacketPtr frame_of(rte_mempool* pool, std::span<const std::uint8_t> l2, const dataplane::Endpoint& from,
                   const dataplane::Endpoint& to, std::uint8_t tos, std::span<const std::uint8_t> payload) {
  using namespace dataplane;
  const bool v6 = to.address.v6;
  const std::size_t headers = headers_of(l2.size(), v6);
  PacketPtr packet = allocate_packet(pool);
  if (!packet) return nullptr;
  // Before any narrowing: the largest datagram of all has a length that its headers carry over 16 bits.
  if (headers + payload.size() > rte_pktmbuf_tailroom(packet.get())) return nullptr;
  auto* out = reinterpret_cast<std::uint8_t*>(
      rte_pktmbuf_append(packet.get(), static_cast<std::uint16_t>(headers + payload.size())));
  std::memset(out, 0, headers);
  std::copy(l2.begin(), l2.end(), out);
  *header_at<Be16>(out + l2.size() - 2) = Be16{v6 ? ether_type::kIpv6 : ether_type::kIpv4};
  const auto udp_length = static_cast<std::uint16_t>(kUdpHeaderSize + payload.size());
  auto* udp = header_at<UdpHeader>(out + headers - kUdpHeaderSize);
  udp->source_port = Be16{number_of(from.port)};
  udp->destination_port = Be16{number_of(to.port)};
  udp->length = Be16{udp_length};
  if (v6) {
    auto* ip = header_at<Ipv6Header>(out + l2.size());
    ip->version_class_flow = Be32{6u << 28};
    ip->set_traffic_class(tos);
    ip->payload_length = Be16{udp_length};
    ip->next_header = ip_protocol::kUdp;
    ip->hop_limit = 64;
    std::memcpy(ip->source.data(), from.address.bytes.data(), 16);
    std::memcpy(ip->destination.data(), to.address.bytes.data(), 16);
  } else {
    auto* ip = header_at<Ipv4Header>(out + l2.size());
    ip->version_ihl = 0x45;
    ip->tos = tos;
    ip->total_length = Be16{static_cast<std::uint16_t>(kIpv4HeaderSize + udp_length)};
    ip->ttl = 64;
    ip->protocol = ip_protocol::kUdp;
    std::memcpy(ip->source.data(), from.address.bytes.data(), 4);
    std::memcpy(ip->destination.data(), to.address.bytes.data(), 4);
    ipv4_checksum_fill(ip);
  }
  std::memcpy(out + headers, payload.data(), payload.size());
  return packet;
}

// The addresses lie just in front of the UDP header.
void fill_udp_checksum(rte_mbuf& packet, std::size_t l2, bool v6) {
  using namespace dataplane;
  auto* l3 = rte_pktmbuf_mtod_offset(&packet, std::uint8_t*, l2);
  auto* udp = header_at<UdpHeader>(l3 + (v6 ? kIpv6HeaderSize : kIpv4HeaderSize));
  const std::uint16_t length = udp->length.value();
  const ChecksumSum pseudo = v6 ? pseudo_header(*header_at<Ipv6Header>(l3), ip_protocol::kUdp, length)
                                : pseudo_header(*header_at<Ipv4Header>(l3), ip_protocol::kUdp, length);
  udp->checksum =
      checksum_finish_udp(checksum_add(pseudo, {reinterpret_cast<const std::uint8_t*>(udp), length}));
}

}  // namespace wg::control
