#include "dataplane/stage/classify.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/packet/address_class.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/endpoints.h"
#include "dataplane/stage/outer_checksum.h"

namespace wg::dataplane {

namespace {

using checksum_detail::load;

constexpr std::uint32_t kSavedBudgets = 4;

Bytes frame_of(const rte_mbuf* packet) {
  return {rte_pktmbuf_mtod(packet, const std::uint8_t*), packet->data_len};
}

// No host can have such a source address: an answer would go to a service of this box, or to a group. Linux
// refuses such packets on its own path.
bool is_martian(const std::uint8_t* l3, const UdpHeader& udp, const LocalAddresses& own) {
  if (udp.source_port.value() == 0) return true;
  if (l3[0] >> 4 == 6) {
    const std::uint8_t* from = header_at<Ipv6Header>(l3)->source.data();
    return is_special_v6(from) || own.contains_v6(from);
  }
  const std::uint8_t* from = header_at<Ipv4Header>(l3)->source.data();
  return is_special_v4(from) || own.contains_v4(from);
}

// Is the source one of our own addresses? Linux decides by accept_local and its routes.
bool comes_from_us(const std::uint8_t* l3, bool v6, const LocalAddresses& own) {
  return v6 ? own.contains_v6(header_at<Ipv6Header>(l3)->source.data())
            : own.contains_v4(header_at<Ipv4Header>(l3)->source.data());
}

// Does an IP payload hold transport data, read as a UDP datagram?
bool is_data(Bytes ip_payload) {
  return ip_payload.size() > kUdpHeaderSize && ip_payload[kUdpHeaderSize] == kMessageTransportData;
}

// The first 16 bytes of the expected frame: to this port, from any source, IPv4 without options, any TOS.
using FrameStart = std::array<std::uint64_t, 2>;
constexpr auto kCompared = std::bit_cast<FrameStart>(
    std::array<std::uint8_t, 16>{255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 255, 255, 255, 0});

FrameStart expected_prefix(const PortView& port) {
  if (!port.untagged) return {~std::uint64_t{0}, ~std::uint64_t{0}};  // equals no frame
  const std::array<std::uint8_t, 6>& mac = port.mac;
  return std::bit_cast<FrameStart>(std::array<std::uint8_t, 16>{mac[0], mac[1], mac[2], mac[3], mac[4],
                                                                mac[5], 0, 0, 0, 0, 0, 0, 8, 0, 0x45, 0});
}

bool starts_with(const std::uint8_t* frame, const FrameStart& prefix) {
  const auto start = load<FrameStart>(frame);
  return (((start[0] & kCompared[0]) ^ prefix[0]) | ((start[1] & kCompared[1]) ^ prefix[1])) == 0;
}

constexpr std::uint16_t kFragmentBits = std::bit_cast<std::uint16_t>(std::array<std::uint8_t, 2>{0x3f, 255});

// Where a frame's headers begin when it is untagged IPv4 without options.
constexpr std::size_t kIp = kEthernetHeaderSize, kUdp = kIp + kIpv4HeaderSize;
constexpr std::size_t kMessage = kUdp + kUdpHeaderSize;

// The mask over the first 46 bytes of such a frame around transport data. It covers what the next frame to
// the same address and port has in common with it: not lengths, ids, checksums, TOS, TTL, nor the sender.
constexpr std::array<std::size_t, 3> kUsualPieces{0, 16, kMessage + sizeof(Le32) - 16};
constexpr auto kUsualCompared = [] {
  std::array<std::uint8_t, kMessage + sizeof(Le32)> compared{};
  const auto whole = [&](std::size_t at, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) compared[at + i] = 0xff;
  };
  whole(offsetof(EthernetHeader, destination), sizeof(MacAddress));
  whole(offsetof(EthernetHeader, type), sizeof(Be16));
  whole(kIp + offsetof(Ipv4Header, version_ihl), 1);
  whole(kIp + offsetof(Ipv4Header, fragment), sizeof(Be16));
  compared[kIp + offsetof(Ipv4Header, fragment)] = 0x3f;  // DF may differ
  whole(kIp + offsetof(Ipv4Header, protocol), 1);
  whole(kIp + offsetof(Ipv4Header, destination), sizeof(Ipv4Bytes));
  whole(kUdp + offsetof(UdpHeader, destination_port), sizeof(Be16));
  whole(kMessage + offsetof(TransportDataHeader, type), sizeof(Le32));
  std::array<FrameStart, kUsualPieces.size()> pieces{};
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    std::array<std::uint8_t, sizeof(FrameStart)> piece{};
    for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = compared[kUsualPieces[p] + i];
    pieces[p] = std::bit_cast<FrameStart>(piece);
  }
  return pieces;
}();

bool equals_usual(const std::uint8_t* frame, const std::array<FrameStart, 3>& fields) {
  using checksum_detail::Lanes;
  Lanes different{};
  for (std::size_t p = 0; p < fields.size(); ++p) {
    const auto expected = std::bit_cast<Lanes>(fields[p]), compared = std::bit_cast<Lanes>(kUsualCompared[p]);
    different |= (load<Lanes>(frame + kUsualPieces[p]) ^ expected) & compared;
  }
  return (different[0] | different[1]) == 0;
}

// The port's verdict on an IPv4 header's checksum; without one, `checked()` decides.
template <typename Checked>
bool ipv4_checksum_good(const rte_mbuf* packet, Checked checked) {
  const std::uint64_t flags = packet->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
  if (flags == RTE_MBUF_F_RX_IP_CKSUM_GOOD) return true;
  return flags != RTE_MBUF_F_RX_IP_CKSUM_BAD && checked();
}

}  // namespace

void Classify::begin_loop() noexcept {
  const std::uint32_t budget = core_.options.handshake_budget;
  handshakes_left_ = std::min(handshakes_left_ + budget, kSavedBudgets * budget);
}

void Classify::run(const BurstContext& at, PortIndex index, rte_mbuf* const* packets, std::size_t n,
                   DataBurst& data, InnerBurst& inner) {
  constexpr std::size_t kFramesAhead = 4;
  const PortView& port = at.view->ports[index];
  Poll poll{at,
            port,
            index,
            expected_prefix(port),
            port.forwards(0, false),
            PacketOrigin::at_port(index, kEthernetHeaderSize),
            data,
            inner};
  for (std::size_t i = 0; i < n; ++i) __builtin_prefetch(packets[i]);
  for (std::size_t i = 0; i < n && i < kFramesAhead; ++i)
    __builtin_prefetch(rte_pktmbuf_mtod(packets[i], void*));
  for (std::size_t i = 0; i < n; ++i) {
    if (i + kFramesAhead < n) __builtin_prefetch(rte_pktmbuf_mtod(packets[i + kFramesAhead], void*));
    if (poll.usual.known && take_usual(poll, packets[i])) continue;
    if (!classify_fast(poll, packets[i])) classify_slow(poll, packets[i]);
  }
}

// Transport data like that before it: what is left to check are lengths and the checksum. True: taken.
bool Classify::take_usual(Poll& poll, rte_mbuf* packet) {
  auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
  const std::size_t total = header_at<Ipv4Header>(frame + kIp)->total_length.value();
  const std::size_t length = header_at<UdpHeader>(frame + kUdp)->length.value();
  if (packet->data_len < kMessage + sizeof(Le32) || packet->nb_segs != 1 ||
      !equals_usual(frame, poll.usual.fields) || total > packet->data_len - kIp ||
      length + kIpv4HeaderSize > total || length < kUdpHeaderSize + kKeepaliveSize ||
      !ipv4_checksum_good(packet, [&] { return checksum_valid(ipv4_header_sum(frame + kIp)); })) [[unlikely]]
    return false;
  const auto* message = header_at<TransportDataHeader>(frame + kMessage);
  const std::uint32_t receiver = message->receiver.value();
  if (receiver != poll.receiver) poll.at.view->keypairs->prefetch(poll.receiver = receiver);
  poll.data.push(packet, frame + kIp, frame + kMessage, static_cast<std::uint32_t>(length - kUdpHeaderSize),
                 poll.usual.interface_id, header_at<Ipv4Header>(frame + kIp)->tos);
  return true;
}

// Nearly every frame: untagged, whole IPv4 without options, to be routed or a datagram for a listen port.
// Checks what classify_slow() checks, in fewer steps, and leaves every other frame and every refusal to it.
// True: taken.
bool Classify::classify_fast(Poll& poll, rte_mbuf* packet) {
  auto* frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
  if (packet->data_len < kMessage + sizeof(Le32) || packet->nb_segs != 1) [[unlikely]]
    return false;
  const auto& ip = *header_at<Ipv4Header>(frame + kIp);
  const std::size_t total = ip.total_length.value();
  if (!starts_with(frame, poll.expected_prefix) ||
      (load<std::uint16_t>(bytes_of(ip.fragment)) & kFragmentBits) != 0 || total < kIpv4HeaderSize ||
      total > packet->data_len - kIp ||
      !ipv4_checksum_good(packet, [&] { return checksum_valid(ipv4_header_sum(frame + kIp)); })) [[unlikely]]
    return false;
  const Snapshot& view = *poll.at.view;
  if (!view.local_addresses.contains_v4(ip.destination.data())) {
    if (poll.routes_v4 && !view.local_addresses.contains_v4(ip.source.data())) [[likely]] {
      poll.inner.push(packet, frame + kIp, static_cast<std::uint16_t>(total), poll.untagged, false);
    } else {
      egress_.punt_to_tap(poll.at, poll.index, packet);
    }
    return true;
  }
  const auto& udp = *header_at<UdpHeader>(frame + kUdp);
  const std::size_t length = udp.length.value();
  if (ip.protocol != ip_protocol::kUdp || length > total - kIpv4HeaderSize ||
      length < kUdpHeaderSize + sizeof(Le32)) {
    // Answers to what is masqueraded behind our address are as usual as packets for others.
    if (ip.protocol != ip_protocol::kTcp || !poll.port.flows || !poll.routes_v4) return false;
    poll.inner.push(packet, frame + kIp, static_cast<std::uint16_t>(total), poll.untagged, false);
    return true;
  }
  const InterfaceId interface_id = (*view.listen_ports)[udp.destination_port.value()];
  if (interface_id == kNoInterface) {
    if (poll.port.flows && poll.routes_v4) {
      poll.inner.push(packet, frame + kIp, static_cast<std::uint16_t>(total), poll.untagged, false);
    } else {
      egress_.punt_to_tap(poll.at, poll.index, packet);
    }
    return true;
  }
  const Bytes message(frame + kMessage, length - kUdpHeaderSize);
  const std::size_t taken = poll.data.n;
  take_message(poll.at, interface_id, {packet, frame + kIp, false, ip.tos, &udp, message}, poll.data);
  if (poll.data.n != taken) note_usual(frame, interface_id, poll.usual);
  return true;
}

// `frame`: transport data that has been taken.
void Classify::note_usual(const std::uint8_t* frame, InterfaceId interface_id, UsualDatagram& usual) {
  for (std::size_t p = 0; p < usual.fields.size(); ++p)
    usual.fields[p] = load<FrameStart>(frame + kUsualPieces[p]);
  usual.interface_id = interface_id;
  usual.known = true;
}

void Classify::classify_slow(const Poll& poll, rte_mbuf* packet) {
  // One segment is the rule; a chain that fits into its first buffer is made one, any other is refused.
  if (packet->nb_segs != 1 && rte_pktmbuf_linearize(packet) != 0)
    return core_.drop(packet, DropReason::segmented);
  EthernetView frame;
  const Parse result = parse_ethernet(frame_of(packet), &frame);
  if (result == Parse::kTruncated) return core_.drop(packet, DropReason::truncated_frame);
  if (result != Parse::kOk) return egress_.punt_to_tap(poll.at, poll.index, packet);
  if (frame.header->destination != poll.port.mac) {
    const bool group = (frame.header->destination[0] & 1) != 0;
    return group || poll.port.linux_listens_to(frame.header->destination)
               ? egress_.punt_to_tap(poll.at, poll.index, packet)
               : core_.drop(packet, DropReason::other_host);
  }
  // Other VLANs are Linux's, which drops those that it has no device for.
  if (!poll.port.accepts_vlan(frame.tag == nullptr ? 0 : frame.tag->id()))
    return egress_.punt_to_tap(poll.at, poll.index, packet);
  if (frame.type == ether_type::kIpv4) return classify_v4(poll, packet, frame);
  if (frame.type == ether_type::kIpv6) return classify_v6(poll, packet, frame);
  egress_.punt_to_tap(poll.at, poll.index, packet);
}

void Classify::classify_v4(const Poll& poll, rte_mbuf* packet, const EthernetView& frame) {
  Ipv4View ip;
  if (parse_ipv4(frame.payload, &ip) != Parse::kOk) return core_.drop(packet, DropReason::truncated_frame);
  if (!ipv4_checksum_good(packet, [&] { return ipv4_checksum_valid(*ip.header); }))
    return core_.drop(packet, DropReason::bad_outer_checksum);
  // Options and fragments are Linux's: its stack reassembles, and its socket hands datagrams back to us.
  if (ip.has_options() || ip.header->is_fragment()) return egress_.punt_to_tap(poll.at, poll.index, packet);
  if (!poll.at.view->local_addresses.contains_v4(ip.header->destination.data())) {
    if (poll.at.view->local_addresses.contains_v4(ip.header->source.data()))
      return egress_.punt_to_tap(poll.at, poll.index, packet);
    return queue_for_route(poll, packet, frame, ip.total_length, false);
  }
  const bool udp = ip.header->protocol == ip_protocol::kUdp;
  if (udp &&
      take_datagram(poll.at, {packet, frame.payload.data(), false, ip.header->tos, nullptr, ip.payload},
                    poll.data))
    return;
  leave_local(poll, packet, frame, ip.total_length, false);
}

void Classify::classify_v6(const Poll& poll, rte_mbuf* packet, const EthernetView& frame) {
  Ipv6View ip;
  const Parse result = parse_ipv6(frame.payload, &ip);
  if (result == Parse::kJumbogram) return egress_.punt_to_tap(poll.at, poll.index, packet);
  if (result != Parse::kOk) return core_.drop(packet, DropReason::truncated_frame);
  if (ip.has_extension()) return egress_.punt_to_tap(poll.at, poll.index, packet);
  if (!poll.at.view->local_addresses.contains_v6(ip.header->destination.data()))
    return queue_for_route(poll, packet, frame, ip.total_length, true);
  // From a link-local address Linux takes handshakes: its socket gives the link, without which none is
  // answered.
  if (is_link_local_v6(ip.header->source.data()) && !is_data(ip.payload))
    return egress_.punt_to_tap(poll.at, poll.index, packet);
  const bool udp = ip.header->next_header == ip_protocol::kUdp;
  if (udp &&
      take_datagram(poll.at,
                    {packet, frame.payload.data(), true, ip.header->traffic_class(), nullptr, ip.payload},
                    poll.data))
    return;
  leave_local(poll, packet, frame, ip.total_length, true);
}

// To one of our addresses, and not for us: Linux's, but for the answers to what is masqueraded behind it.
void Classify::leave_local(const Poll& poll, rte_mbuf* packet, const EthernetView& frame, std::size_t length,
                           bool v6) {
  if (poll.port.flows) return queue_for_route(poll, packet, frame, length, v6);
  egress_.punt_to_tap(poll.at, poll.index, packet);
}

void Classify::queue_for_route(const Poll& poll, rte_mbuf* packet, const EthernetView& frame,
                               std::size_t length, bool v6) {
  if (!poll.port.forwards(frame.tag == nullptr ? 0 : frame.tag->id(), v6) ||
      comes_from_us(frame.payload.data(), v6, poll.at.view->local_addresses))
    return egress_.punt_to_tap(poll.at, poll.index, packet);
  const auto l2_length = static_cast<std::uint16_t>(frame.l3_offset());
  poll.inner.push(packet, rte_pktmbuf_mtod_offset(packet, std::uint8_t*, l2_length),
                  static_cast<std::uint16_t>(length), PacketOrigin::at_port(poll.index, l2_length), v6);
}

// A datagram for one of our listen ports is ours whatever it holds; true when the packet has been taken.
// `datagram.message` is the IP payload, the UDP header is looked for here.
bool Classify::take_datagram(const BurstContext& at, Datagram datagram, DataBurst& data) {
  UdpView udp;
  if (parse_udp(datagram.message, &udp) != Parse::kOk) return false;
  const InterfaceId interface_id = (*at.view->listen_ports)[udp.header->destination_port.value()];
  if (interface_id == kNoInterface) return false;
  datagram.udp = udp.header;
  datagram.message = udp.payload;
  take_message(at, interface_id, datagram, data);
  return true;
}

void Classify::take_message(const BurstContext& at, InterfaceId interface_id, const Datagram& datagram,
                            DataBurst& data) {
  rte_mbuf* packet = datagram.packet;
  const Bytes message = datagram.message;
  if (!at.view->interfaces[interface_id].up) return core_.drop(packet, DropReason::interface_down);
  switch (classify_message(message)) {
    case MessageClass::kTransportData: {
      at.view->keypairs->prefetch(header_at<TransportDataHeader>(message.data())->receiver.value());
      std::uint8_t* const frame = rte_pktmbuf_mtod(packet, std::uint8_t*);
      data.push(packet, datagram.l3, frame + (message.data() - frame),
                static_cast<std::uint32_t>(message.size()), interface_id, datagram.tos);
      return;
    }
    case MessageClass::kBadType:
      return core_.drop(packet, DropReason::bad_message_type);
    case MessageClass::kBadLength:
      return core_.drop(packet, DropReason::bad_message_length);
    default:
      return post_handshake(at, interface_id, datagram);
  }
}

// Transport data that reached the kernel's socket (a link without a port, or reassembled by Linux): control
// has put the addresses into headers in front of it, so it joins the others here.
void Classify::take_socket_datagram(const BurstContext& at, rte_mbuf* packet, DataBurst& data) {
  EthernetView frame;
  IpView ip;
  if (parse_ethernet(frame_of(packet), &frame) != Parse::kOk || parse_ip(frame.payload, &ip) != Parse::kOk ||
      data.n == kBurst ||
      !take_datagram(at, {packet, frame.payload.data(), ip.v6, ip.tos, nullptr, ip.payload}, data)) {
    core_.drop(packet, DropReason::truncated_frame);
  }
}

// Nothing is hashed here: beyond the budget of a loop handshakes are shed, so that a flood costs data
// nothing.
void Classify::post_handshake(const BurstContext& at, InterfaceId interface_id, Datagram datagram) {
  rte_mbuf* packet = datagram.packet;
  if (handshakes_left_ == 0) return core_.drop(packet, DropReason::handshake_budget);
  --handshakes_left_;
  if (is_martian(datagram.l3, *datagram.udp, at.view->local_addresses))
    return core_.drop(packet, DropReason::martian_source);
  if (!outer_checksum_good(packet, datagram.l3, *datagram.udp))
    return core_.drop(packet, DropReason::bad_outer_checksum);
  HandshakeMessage out;
  std::memcpy(out.bytes.data(), datagram.message.data(), datagram.message.size());
  out.length = static_cast<std::uint16_t>(datagram.message.size());
  out.interface_id = interface_id;
  const Endpoints ends = endpoints_of(datagram.l3, *datagram.udp);
  out.remote = ends.remote;
  out.local = ends.local;
  if (!core_.post(out)) return core_.drop(packet, DropReason::handshake_mailbox_full);
  if (core_.watcher.on()) [[unlikely]]
    core_.watcher.step(packet, WatchPoint::handshake);
  rte_pktmbuf_free(packet);
}

}  // namespace wg::dataplane
