// The frames of bench/vf, judged by the gateway's own parsers.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <vector>

#include "bench/vf/frames.h"
#include "dataplane/packet/address.h"
#include "dataplane/packet/checksum.h"

namespace wg::bench {
namespace {

using namespace dataplane;

constexpr MacAddress kOurs{2, 0, 0, 0, 0, 1}, kTheirs{2, 0, 0, 0, 0, 2};
const Ends kEnds{kOurs, kTheirs};

std::string text_of(const std::uint8_t* address) {
  return to_string(IpAddress::from_v4(address));
}

std::vector<std::uint8_t> inner(Direction direction, const Stamp& stamp, std::uint32_t length) {
  std::vector<std::uint8_t> packet(length, 0xa5);
  EXPECT_EQ(write_inner(packet.data(), direction, stamp, length), length);
  return packet;
}

TEST(VfFrames, AnInnerPacketIsWholeForTheGatewaysParser) {
  for (const std::uint32_t length : {64u, 65u, 570u, 1419u, 1420u}) {
    const auto packet = inner(Direction::kReceive, {3, 258, 77, 99}, length);
    Ipv4View ip;
    ASSERT_EQ(parse_ipv4(packet, &ip), Parse::kOk);
    EXPECT_EQ(ip.total_length, length);
    EXPECT_FALSE(ip.has_options());
    EXPECT_TRUE(ipv4_checksum_valid(*ip.header));
    EXPECT_EQ(text_of(ip.header->source.data()), "10.0.1.3");
    EXPECT_EQ(text_of(ip.header->destination.data()), "198.19.0.2");
    UdpView udp;
    ASSERT_EQ(parse_udp(ip.payload, &udp), Parse::kOk);
    EXPECT_EQ(udp.payload.size(), length - 28);
  }
  const auto back = inner(Direction::kSend, {3, 258, 77, 99}, 64);
  EXPECT_EQ(text_of(back.data() + 12), "198.19.0.2");
  EXPECT_EQ(text_of(back.data() + 16), "10.0.1.3");
}

TEST(VfFrames, AStampComesBackAndACorruptPacketHasNone) {
  const Stamp written{3, 258, 77, 0x123456789abcdef0};
  auto packet = inner(Direction::kSend, written, 570);
  Stamp read;
  ASSERT_TRUE(read_stamp(packet, &read));
  EXPECT_EQ(read.trial, written.trial);
  EXPECT_EQ(read.flow, written.flow);
  EXPECT_EQ(read.number, written.number);
  EXPECT_EQ(read.clock, written.clock);
  for (const std::size_t at : {28, 32, 36, 44, 566, 569}) {
    auto corrupt = packet;
    corrupt[at] ^= 1;
    EXPECT_FALSE(read_stamp(corrupt, &read)) << at;
  }
  // Another packet's end behind this one's beginning.
  const auto other = inner(Direction::kSend, {3, 258, 78, 0}, 570);
  std::copy(other.end() - 4, other.end(), packet.end() - 4);
  EXPECT_FALSE(read_stamp(packet, &read));
  packet.resize(63);
  EXPECT_FALSE(read_stamp(packet, &read));
  EXPECT_FALSE(read_stamp({}, &read));
}

TEST(VfFrames, AMessageLeavesFromThePeersEndpointAndTheAnswerFindsIt) {
  for (const std::uint32_t flow : {0u, 1u, 59'999u, 60'000u, 99'999u}) {
    std::vector<std::uint8_t> frame(42 + 148, 0);
    ASSERT_EQ(write_outer(frame.data(), kEnds, flow, 148), 42u);
    EthernetView ethernet;
    ASSERT_EQ(parse_ethernet(frame, &ethernet), Parse::kOk);
    EXPECT_EQ(ethernet.header->destination, kTheirs);
    EXPECT_EQ(ethernet.header->source, kOurs);
    Ipv4View ip;
    ASSERT_EQ(parse_ipv4(ethernet.payload, &ip), Parse::kOk);
    EXPECT_TRUE(ipv4_checksum_valid(*ip.header));
    EXPECT_EQ(ip.total_length, 20u + 8 + 148);
    UdpView udp;
    ASSERT_EQ(parse_udp(ip.payload, &udp), Parse::kOk);
    EXPECT_EQ(udp.payload.size(), 148u);
    EXPECT_EQ(udp.header->destination_port.value(), 51820);

    // The gateway's answer: the ends exchanged.
    auto* header = header_at<Ipv4Header>(frame.data() + 14);
    std::swap(header->source, header->destination);
    auto* ports = header_at<UdpHeader>(frame.data() + 34);
    std::swap(ports->source_port, ports->destination_port);
    MessageView view;
    ASSERT_TRUE(read_message(frame, &view));
    EXPECT_EQ(view.message.size(), 148u);
    EXPECT_EQ(flow_at(view.to, 100'000), flow);
    EXPECT_EQ(flow_at(view.to, flow), std::nullopt);
  }
}

TEST(VfFrames, EveryPeerHasAnEndpointOfItsOwn) {
  std::set<std::pair<std::uint32_t, std::uint16_t>> seen;
  for (std::uint32_t flow = 0; flow < 200'000; ++flow) {
    const PeerEndpoint endpoint = endpoint_of(flow);
    ASSERT_TRUE(seen.emplace(endpoint.address, endpoint.port).second) << flow;
    ASSERT_EQ(flow_at(endpoint, 200'000), flow);
  }
  EXPECT_EQ(flow_at({kWanPeers, kFirstPort - 1}, 10), std::nullopt);
  EXPECT_EQ(flow_at({kWanPeers - 1, kFirstPort}, 10), std::nullopt);
  EXPECT_EQ(flow_at({kWanPeers, static_cast<std::uint16_t>(kFirstPort + kPortsOfAddress)}, kMostPeers),
            std::nullopt);
}

TEST(VfFrames, ArpIsAnsweredForOurAddressesAlone) {
  const ArpNetwork network{kWanGateway, kWanPeers, 2};
  std::array<std::uint8_t, kArpFrame> request{}, reply{};
  const auto ask = [&](std::uint32_t wanted, std::optional<MacAddress>* gateway) {
    write_arp_request(request.data(), kTheirs, kWanGateway, wanted);
    return take_arp(request, kOurs, network, reply.data(), gateway);
  };
  std::optional<MacAddress> gateway;
  ASSERT_TRUE(ask(kWanPeers + 1, &gateway));
  EXPECT_EQ(gateway, kTheirs);
  EthernetView ethernet;
  const ArpPacket* arp = nullptr;
  ASSERT_EQ(parse_ethernet(reply, &ethernet), Parse::kOk);
  ASSERT_EQ(parse_arp(ethernet.payload, &arp), Parse::kOk);
  EXPECT_EQ(ethernet.header->destination, kTheirs);
  EXPECT_EQ(arp->operation.value(), 2);
  EXPECT_EQ(arp->sender_mac, kOurs);
  EXPECT_EQ(text_of(arp->sender_ip.data()), "198.18.1.1");
  EXPECT_EQ(text_of(arp->target_ip.data()), "198.18.0.1");
  EXPECT_FALSE(ask(kWanPeers + 2, &gateway));
  EXPECT_FALSE(ask(kWanPeers - 1, &gateway));

  // A reply is learnt from and not answered.
  gateway.reset();
  header_at<ArpPacket>(request.data() + 14)->operation = Be16{2};
  EXPECT_FALSE(take_arp(request, kOurs, network, reply.data(), &gateway));
  EXPECT_EQ(gateway, kTheirs);
  EXPECT_FALSE(take_arp({}, kOurs, network, reply.data(), &gateway));
}

TEST(VfFrames, PayloadsArePaddedAsWireGuardDoes) {
  for (std::uint32_t inner = 64; inner <= 1420; ++inner) {
    std::uint32_t expected = inner;
    while (expected % 16 != 0) ++expected;
    EXPECT_EQ(padded(inner), std::min(expected, 1420u)) << inner;
  }
}

TEST(VfFrames, Sizes) {
  EXPECT_EQ(sizes_of("512"), std::vector<std::uint32_t>{512});
  const auto imix = sizes_of("imix");
  EXPECT_EQ(std::count(imix.begin(), imix.end(), 64u), 7);
  EXPECT_EQ(std::count(imix.begin(), imix.end(), 570u), 4);
  EXPECT_EQ(std::count(imix.begin(), imix.end(), 1420u), 1);
  for (const char* wrong : {"", "63", "1421", "64x", "-64", "mix"})
    EXPECT_THROW(static_cast<void>(sizes_of(wrong)), std::runtime_error) << wrong;
}

}  // namespace
}  // namespace wg::bench
