// First look at a frame: transport data and handshakes for a listen port, packets to route, the rest for
// Linux.
#include <rte_mbuf.h>

#include <array>
#include <bit>

#include "dataplane/io/port.h"
#include "dataplane/packet/address_class.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {

Bytes frame_of(const rte_mbuf* packet) {
  return {rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len};
}

using checksum_detail::load;

// Nobody out there has such an address: to answer it would send our message to a service of this box, or to
// a group. Linux refuses such packets on its own path.
bool is_martian(const std::uint8_t* l3, const UdpHeader& udp, const LocalAddresses& own) {
  if (udp.source_port.value() == 0) return true;
  if (l3[0] >> 4 == 6) {
    const std::uint8_t* from = header_at<Ipv6Header>(l3)->source.data();
    return is_special_v6(from) || own.contains_v6(from);
  }
  const std::uint8_t* from = header_at<Ipv4Header>(l3)->source.data();
  return is_special_v4(from) || own.contains_v4(from);
}

// Of what an IP packet carries, were it a datagram.
bool is_data(Bytes ip_payload) {
  return ip_payload.size() > kUdpHeaderSize && ip_payload[kUdpHeaderSize] == kMessageTransportData;
}

// The first 16 bytes of the usual frame: to this port, from anybody, IPv4 without options, any TOS.
constexpr auto kCompared = std::bit_cast<FrameStart>(
    std::array<std::uint8_t, 16>{255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255, 0});

FrameStart usual_start(const std::array<std::uint8_t, 6>& mac) {
  return std::bit_cast<FrameStart>(std::array<std::uint8_t, 16>{mac[0], mac[1], mac[2], mac[3], mac[4],
                                                                mac[5], 0, 0, 0, 0, 0, 0, 8, 0, 0x45, 0});
}

bool starts_as(const std::uint8_t* frame, const FrameStart& usual) {
  const auto start = load<FrameStart>(frame);
  return (((start[0] & kCompared[0]) ^ usual[0]) | ((start[1] & kCompared[1]) ^ usual[1])) == 0;
}

constexpr std::uint16_t kFragmentBits = std::bit_cast<std::uint16_t>(std::array<std::uint8_t, 2>{0x3f, 255});

// What the port says of an IPv4 header's checksum; where it says nothing, `checked()` decides.
template <typename Checked>
bool ipv4_checksum_good(const rte_mbuf* packet, Checked checked) {
  const std::uint64_t flags = packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
  if (flags == RTE_MBUF_F_RX_IP_CKSUM_GOOD) return true;
  return flags != RTE_MBUF_F_RX_IP_CKSUM_BAD && checked();
}

}  // namespace

void Worker::classify(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf** packets,
                      std::uint16_t n) {
  constexpr std::size_t kFramesAhead = 4;
  const FirstLook look{usual_start(port.mac), {From::port, index, index, kEthernetHeaderSize}};
  for (std::size_t i = 0; i < n; ++i) __builtin_prefetch(packets[i]);
  for (std::size_t i = 0; i < n && i < kFramesAhead; ++i)
    __builtin_prefetch(rte_pktmbuf_mtod(packets[i], void*));
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kFramesAhead < n) __builtin_prefetch(rte_pktmbuf_mtod(packets[i + kFramesAhead], void*));
    if (!take_common(at, port, index, packets[i], look)) classify_checked(at, port, index, packets[i]);
  }
}

void Worker::classify_checked(const BurstContext& at, const PortView& port, std::uint16_t index,
                              rte_mbuf* packet) {
  // One segment is the rule; a chain that fits into its first buffer is made one, any other is refused.
  if (packet->nb_segs != 1 && rte_pktmbuf_linearize(packet) != 0) return drop(packet, DropReason::segmented);
  EthernetView frame;
  const Parse result = parse_ethernet(frame_of(packet), &frame);
  if (result == Parse::kTruncated) return drop(packet, DropReason::truncated_frame);
  if (result != Parse::kOk) return punt_to_tap(at, index, packet);
  if (frame.header->destination != port.mac) {
    const bool group = (frame.header->destination[0] & 1) != 0;
    return group ? punt_to_tap(at, index, packet) : drop(packet, DropReason::other_host);
  }
  if (frame.type == ether_type::kIpv4) return classify_v4(at, port, index, packet, frame);
  if (frame.type == ether_type::kIpv6) return classify_v6(at, port, index, packet, frame);
  punt_to_tap(at, index, packet);
}

// Nearly every frame: untagged, whole IPv4 without options, to be routed or a datagram for a listen port.
// Asks what the checked way below asks, in fewer steps, and leaves every other frame and every refusal to it.
// True: taken.
bool Worker::take_common(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                         const FirstLook& look) {
  constexpr std::size_t kIp = kEthernetHeaderSize, kUdp = kIp + kIpv4HeaderSize;
  constexpr std::size_t kMessage = kUdp + kUdpHeaderSize;
  auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
  if (packet->data_len < kMessage + sizeof(Le32) || packet->nb_segs != 1) [[unlikely]]
    return false;
  const auto& ip = *header_at<Ipv4Header>(frame + kIp);
  const std::size_t total = ip.total_length.value();
  if (!starts_as(frame, look.usual) || (load<std::uint16_t>(bytes_of(ip.fragment)) & kFragmentBits) != 0 ||
      total < kIpv4HeaderSize || total > packet->data_len - kIp ||
      !ipv4_checksum_good(packet, [&] { return checksum_valid(ipv4_header_sum(frame + kIp)); })) [[unlikely]]
    return false;
  if (!at.view->local_addresses.contains_v4(ip.destination.data())) {
    if (!port.short_cut) return punt_to_tap(at, index, packet), true;
    return queue_inner(packet, frame + kIp, static_cast<std::uint16_t>(total), look.untagged, false), true;
  }
  const auto& udp = *header_at<UdpHeader>(frame + kUdp);
  const std::size_t length = udp.length.value();
  if (ip.protocol != ip_protocol::kUdp || length > total - kIpv4HeaderSize ||
      length < kUdpHeaderSize + sizeof(Le32))
    return false;
  const std::uint16_t interface_id = (*at.view->listen_ports)[udp.destination_port.value()];
  if (interface_id == kNone16) return punt_to_tap(at, index, packet), true;
  const Bytes message(frame + kMessage, length - kUdpHeaderSize);
  take_message_of(at, interface_id, packet, frame + kIp, false, ip.tos, udp, message);
  return true;
}

void Worker::classify_v4(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                         const EthernetView& frame) {
  Ipv4View ip;
  if (parse_ipv4(frame.payload, &ip) != Parse::kOk) return drop(packet, DropReason::truncated_frame);
  if (!ipv4_checksum_good(packet, [&] { return ipv4_checksum_valid(*ip.header); }))
    return drop(packet, DropReason::bad_outer_checksum);
  // Options and fragments are Linux's: its stack reassembles, and its socket hands datagrams back to us.
  if (ip.has_options() || ip.header->is_fragment()) return punt_to_tap(at, index, packet);
  if (!at.view->local_addresses.contains_v4(ip.header->destination.data())) {
    return want_route(at, port, index, packet, frame.l3_offset(), ip.total_length, false);
  }
  if (ip.header->protocol == ip_protocol::kUdp &&
      take_message(at, packet, frame.payload.data(), false, ip.header->tos, ip.payload)) {
    return;
  }
  punt_to_tap(at, index, packet);
}

void Worker::classify_v6(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                         const EthernetView& frame) {
  Ipv6View ip;
  const Parse result = parse_ipv6(frame.payload, &ip);
  if (result == Parse::kJumbogram) return punt_to_tap(at, index, packet);
  if (result != Parse::kOk) return drop(packet, DropReason::truncated_frame);
  if (ip.has_extension()) return punt_to_tap(at, index, packet);
  if (!at.view->local_addresses.contains_v6(ip.header->destination.data())) {
    return want_route(at, port, index, packet, frame.l3_offset(), ip.total_length, true);
  }
  // From a link-local address Linux takes handshakes: its socket tells the link, without which none is
  // answered.
  if (is_link_local_v6(ip.header->source.data()) && !is_data(ip.payload))
    return punt_to_tap(at, index, packet);
  if (ip.header->next_header == ip_protocol::kUdp &&
      take_message(at, packet, frame.payload.data(), true, ip.header->traffic_class(), ip.payload)) {
    return;
  }
  punt_to_tap(at, index, packet);
}

// A datagram for one of our listen ports is ours whatever it holds; true when the packet has been taken.
bool Worker::take_message(const BurstContext& at, rte_mbuf* packet, const std::uint8_t* l3, bool v6,
                          std::uint8_t tos, Bytes ip_payload) {
  UdpView udp;
  if (parse_udp(ip_payload, &udp) != Parse::kOk) return false;
  const std::uint16_t interface_id = (*at.view->listen_ports)[udp.header->destination_port.value()];
  if (interface_id == kNone16) return false;
  take_message_of(at, interface_id, packet, l3, v6, tos, *udp.header, udp.payload);
  return true;
}

void Worker::take_message_of(const BurstContext& at, std::uint16_t interface_id, rte_mbuf* packet,
                             const std::uint8_t* l3, bool v6, std::uint8_t tos, const UdpHeader& udp,
                             Bytes message) {
  if (!at.view->interfaces[interface_id].up) return drop(packet, DropReason::interface_down);
  switch (classify_message(message)) {
    case MessageClass::kTransportData: {
      at.view->keypairs->prefetch(header_at<TransportDataHeader>(message.data())->receiver.value());
      const std::size_t i = data_.n++;
      data_.packet[i] = packet;
      data_.l3[i] = l3;
      data_.message[i] = rte_pktmbuf_mtod(packet, std::uint8_t*) +
                         (message.data() - rte_pktmbuf_mtod(packet, const std::uint8_t*));
      data_.message_length[i] = static_cast<std::uint32_t>(message.size());
      data_.interface_id[i] = interface_id;
      data_.outer_tos[i] = tos;
      return;
    }
    case MessageClass::kBadType:
      return drop(packet, DropReason::bad_message_type);
    case MessageClass::kBadLength:
      return drop(packet, DropReason::bad_message_length);
    default:
      return post_handshake(at, packet, l3, v6, udp, message, interface_id);
  }
}

// Transport data that reached the kernel's socket (a link without a port, or reassembled by Linux): control
// has put the addresses into headers in front of it, so it joins the others here.
void Worker::take_socket_datagram(const BurstContext& at, rte_mbuf* packet) {
  EthernetView frame;
  IpView ip;
  if (parse_ethernet(frame_of(packet), &frame) != Parse::kOk || parse_ip(frame.payload, &ip) != Parse::kOk ||
      data_.n == kBurst || !take_message(at, packet, frame.payload.data(), ip.v6, ip.tos, ip.payload)) {
    drop(packet, DropReason::truncated_frame);
  }
}

// Nothing is hashed here: beyond the budget of a loop handshakes are shed, so that a flood costs data
// nothing.
void Worker::post_handshake(const BurstContext& at, rte_mbuf* packet, const std::uint8_t* l3, bool v6,
                            const UdpHeader& udp, Bytes message, std::uint16_t interface_id) {
  if (handshakes_left_ == 0) return drop(packet, DropReason::handshake_budget);
  --handshakes_left_;
  if (is_martian(l3, udp, at.view->local_addresses)) return drop(packet, DropReason::martian_source);
  HandshakeMessage out;
  std::memcpy(out.bytes.data(), message.data(), message.size());
  out.length = static_cast<std::uint16_t>(message.size());
  out.interface_id = interface_id;
  if (v6) {
    out.remote.address = IpAddress::from_v6(header_at<Ipv6Header>(l3)->source.data());
    out.local.address = IpAddress::from_v6(header_at<Ipv6Header>(l3)->destination.data());
  } else {
    out.remote.address = IpAddress::from_v4(header_at<Ipv4Header>(l3)->source.data());
    out.local.address = IpAddress::from_v4(header_at<Ipv4Header>(l3)->destination.data());
  }
  out.remote.port = udp.source_port.value();
  out.local.port = udp.destination_port.value();
  if (!mailboxes_.handshakes.post(out)) return drop(packet, DropReason::handshake_mailbox_full);
  counters_.handshakes_posted.add(1);
  posted_ = true;
  rte_pktmbuf_free(packet);
}

void Worker::want_route(const BurstContext& at, const PortView& port, std::uint16_t index, rte_mbuf* packet,
                        std::size_t l3_offset, std::size_t length, bool v6) {
  if (!port.short_cut) return punt_to_tap(at, index, packet);
  queue_inner(packet, rte_pktmbuf_mtod_offset(packet, std::uint8_t*, l3_offset),
              static_cast<std::uint16_t>(length),
              {From::port, index, index, static_cast<std::uint16_t>(l3_offset)}, v6);
}

}  // namespace wg::dataplane
