#include "bench/vf/frames.h"

#include <cstring>
#include <stdexcept>

#include "dataplane/packet/build.h"

namespace wg::bench {

using namespace dataplane;

namespace {

// "LGVF": the first word of every payload.
constexpr std::uint32_t kMagic = 0x4c475646;
constexpr std::uint16_t kHostUdp = 4000, kPeerUdp = 4001;

struct Payload {
  std::uint32_t magic, trial, flow, rest;
  std::uint64_t number, clock;
};
static_assert(sizeof(Payload) == 32 &&
              kPlainHeaders + sizeof(Payload) + sizeof(std::uint32_t) <= kSmallestInner);

IpAddress ipv4(std::uint32_t address) {
  const Be32 wire{address};
  return IpAddress::from_v4(&wire);
}

// The last word of a packet: it belongs to this packet alone.
std::uint32_t ending_of(const Payload& payload) {
  return static_cast<std::uint32_t>(payload.number * 0x9e3779b1U) ^ payload.flow ^ payload.trial;
}

void write_arp(std::uint8_t* at, std::uint16_t operation, const MacAddress& from_mac, std::uint32_t from,
               const MacAddress& to_mac, std::uint32_t to) {
  const bool reply = operation == 2;
  MacAddress broadcast;
  broadcast.fill(0xff);
  std::memset(at, 0, kArpFrame);
  *header_at<EthernetHeader>(at) = {reply ? to_mac : broadcast, from_mac, Be16{ether_type::kArp}};
  auto* arp = header_at<ArpPacket>(at + kEthernetHeaderSize);
  *arp = {Be16{1}, Be16{ether_type::kIpv4}, 6, 4, Be16{operation}, from_mac, {}, to_mac, {}};
  const Be32 sender{from}, target{to};
  std::memcpy(arp->sender_ip.data(), &sender, 4);
  std::memcpy(arp->target_ip.data(), &target, 4);
}

std::uint32_t host_order(const Ipv4Bytes& address) {
  return header_at<Be32>(address.data())->value();
}

}  // namespace

std::optional<std::uint32_t> flow_at(const PeerEndpoint& endpoint, std::uint32_t peers) noexcept {
  if (endpoint.address < kWanPeers || endpoint.port < kFirstPort) return std::nullopt;
  const std::uint64_t port = endpoint.port - kFirstPort;
  const std::uint64_t flow = std::uint64_t{endpoint.address - kWanPeers} * kPortsOfAddress + port;
  if (port >= kPortsOfAddress || flow >= peers) return std::nullopt;
  return static_cast<std::uint32_t>(flow);
}

std::size_t write_inner(std::uint8_t* at, Direction direction, const Stamp& stamp, std::uint32_t length) {
  const bool to_peer = direction == Direction::kSend;
  const std::uint32_t peer = kInnerPeers + stamp.flow;
  build_ipv4(at, {ipv4(to_peer ? kLanHost : peer), ipv4(to_peer ? peer : kLanHost), ip_protocol::kUdp, 0,
                  static_cast<std::uint16_t>(length)});
  build_udp(at + kIpv4HeaderSize, UdpPort{to_peer ? kHostUdp : kPeerUdp},
            UdpPort{to_peer ? kPeerUdp : kHostUdp}, static_cast<std::uint16_t>(length - kIpv4HeaderSize));
  const Payload payload{kMagic, stamp.trial, stamp.flow, 0, stamp.number, stamp.clock};
  std::memcpy(at + kPlainHeaders, &payload, sizeof payload);
  const std::uint32_t ending = ending_of(payload);
  std::memcpy(at + length - sizeof ending, &ending, sizeof ending);
  return length;
}

std::size_t write_ethernet(std::uint8_t* at, const Ends& ends, std::uint16_t type) {
  *header_at<EthernetHeader>(at) = {ends.gateway, ends.ours, Be16{type}};
  return kEthernetHeaderSize;
}

std::size_t write_outer(std::uint8_t* at, const Ends& ends, std::uint32_t flow, std::size_t length) {
  const PeerEndpoint from = endpoint_of(flow);
  write_ethernet(at, ends, ether_type::kIpv4);
  std::uint8_t* const l3 = at + kEthernetHeaderSize;
  build_ipv4(l3, {ipv4(from.address), ipv4(kWanGateway), ip_protocol::kUdp, 0,
                  static_cast<std::uint16_t>(kPlainHeaders + length)});
  build_udp(l3 + kIpv4HeaderSize, UdpPort{from.port}, UdpPort{kGatewayPort},
            static_cast<std::uint16_t>(kUdpHeaderSize + length));
  return kOuterHeaders;
}

std::size_t write_arp_request(std::uint8_t* at, const MacAddress& ours, std::uint32_t own,
                              std::uint32_t wanted) {
  write_arp(at, 1, ours, own, {}, wanted);
  return kArpFrame;
}

bool read_stamp(Bytes inner, Stamp* out) {
  Ipv4View ip;
  UdpView udp;
  if (parse_ipv4(inner, &ip) != Parse::kOk || ip.header->protocol != ip_protocol::kUdp ||
      parse_udp(ip.payload, &udp) != Parse::kOk ||
      udp.payload.size() < sizeof(Payload) + sizeof(std::uint32_t))
    return false;
  Payload payload;
  std::memcpy(&payload, udp.payload.data(), sizeof payload);
  std::uint32_t ending = 0;
  std::memcpy(&ending, udp.payload.data() + udp.payload.size() - sizeof ending, sizeof ending);
  if (payload.magic != kMagic || ending != ending_of(payload)) return false;
  *out = {payload.trial, payload.flow, payload.number, payload.clock};
  return true;
}

bool read_message(Bytes frame, MessageView* out) {
  EthernetView ethernet;
  Ipv4View ip;
  UdpView udp;
  if (parse_ethernet(frame, &ethernet) != Parse::kOk || ethernet.type != ether_type::kIpv4 ||
      parse_ipv4(ethernet.payload, &ip) != Parse::kOk || ip.header->protocol != ip_protocol::kUdp ||
      ip.header->is_fragment() || parse_udp(ip.payload, &udp) != Parse::kOk)
    return false;
  if (udp.header->source_port.value() != kGatewayPort) return false;
  *out = {{host_order(ip.header->destination), udp.header->destination_port.value()}, udp.payload};
  return true;
}

bool take_arp(Bytes frame, const MacAddress& ours, const ArpNetwork& network, std::uint8_t* reply,
              std::optional<MacAddress>* gateway) {
  EthernetView ethernet;
  const ArpPacket* arp = nullptr;
  if (parse_ethernet(frame, &ethernet) != Parse::kOk || ethernet.type != ether_type::kArp ||
      parse_arp(ethernet.payload, &arp) != Parse::kOk)
    return false;
  const std::uint32_t sender = host_order(arp->sender_ip), target = host_order(arp->target_ip);
  if (sender == network.gateway) *gateway = arp->sender_mac;
  if (arp->operation.value() != 1 || target - network.first_own >= network.owned) return false;
  write_arp(reply, 2, ours, target, arp->sender_mac, sender);
  return true;
}

std::vector<std::uint32_t> sizes_of(const std::string& text) {
  if (text == "imix") return {64, 570, 64, 64, 570, 64, 1420, 64, 570, 64, 64, 570};
  char* end = nullptr;
  const unsigned long size = std::strtoul(text.c_str(), &end, 10);
  if (end == text.c_str() || *end != '\0' || size < kSmallestInner || size > kLargestInner)
    throw std::runtime_error("inner size '" + text + "': imix, or bytes of an IP packet from 64 to 1420");
  return {static_cast<std::uint32_t>(size)};
}

}  // namespace wg::bench
