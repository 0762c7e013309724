// Rewriting against an oracle that builds the packet with the new addresses and ports from nothing.
#include "dataplane/flow/rewrite.h"

#include <gtest/gtest.h>

#include "tests/unit/flow/flows.h"

namespace wg::test {
namespace {

using namespace dataplane;

struct Case {
  const char* name;
  FlowTuple original, reply;
};

std::vector<Case> cases() {
  const FlowTuple out4 = tuple("10.10.0.2", 40000, "198.51.100.7", 443, kTcp);
  const FlowTuple out6 = tuple("fd10::2", 40000, "2001:db8:7::7", 443, kTcp);
  const FlowTuple in4 = tuple("198.51.100.7", 50000, "203.0.113.2", 8080);
  return {
      {"nothing", out4, out4.turned_round()},
      {"nothing IPv6", out6, out6.turned_round()},
      {"masquerade", out4, tuple("198.51.100.7", 443, "203.0.113.2", 61001, kTcp)},
      {"masquerade UDP", tuple("10.10.0.2", 5353, "198.51.100.7", 53),
       tuple("198.51.100.7", 53, "203.0.113.2", 5353)},
      {"port forward", in4, tuple("10.10.0.2", 80, "198.51.100.7", 50000)},
      {"both", in4, tuple("10.10.0.2", 80, "10.10.0.1", 50001)},
      {"ports alone", out4, tuple("198.51.100.7", 443, "10.10.0.2", 1, kTcp)},
      {"masquerade IPv6", out6, tuple("2001:db8:7::7", 443, "2001:db8:1::2", 40000, kTcp)},
      {"prefix translation", tuple("fd10::2", 1000, "2001:db8:7::7", 2000),
       tuple("2001:db8:7::7", 2000, "2001:db8:10::2", 1000)},
  };
}

Octets rewritten(Octets packet, const Flow& flow, std::size_t direction) {
  const FlowDirection& in = flow.direction[direction];
  EXPECT_TRUE(can_be_carried(packet.data(), packet.size(), in.v6));
  EXPECT_TRUE(names(in, packet.data(), in.v6));
  rewrite(packet.data(), in, flow.direction[1 - direction]);
  return packet;
}

TEST(Rewrite, GivesThePacketThatTheOtherSideWouldHaveSent) {
  for (const Case& c : cases()) {
    Flow flow;
    fill(flow, c.original, c.reply, FlowIngress::interface(dataplane::InterfaceId{0}),
         FlowIngress::port(dataplane::PortIndex{0}, 0), {});
    EXPECT_EQ(flow.direction[kOriginal].rewritten, c.original != c.reply.turned_round()) << c.name;
    for (std::size_t size = 0; size < 70; ++size) {
      const Octets payload = pattern(size, size);
      EXPECT_EQ(rewritten(packet_of(c.original, payload), flow, kOriginal),
                packet_of(c.reply.turned_round(), payload))
          << c.name << ", " << size << " bytes";
      EXPECT_EQ(rewritten(packet_of(c.reply, payload), flow, kReply),
                packet_of(c.original.turned_round(), payload))
          << c.name << ", reply, " << size << " bytes";
    }
  }
}

// Every value of the checksum, 0 and 0xffff among them: 65536 payloads that differ in one word.
TEST(Rewrite, EveryChecksum) {
  for (const Case& c : cases()) {
    Flow flow;
    fill(flow, c.original, c.reply, FlowIngress::interface(dataplane::InterfaceId{0}),
         FlowIngress::port(dataplane::PortIndex{0}, 0), {});
    for (std::size_t word = 0; word < 65536; word += c.original.source.v6 ? 17 : 1) {
      Octets payload(2);
      put16(payload, 0, word);
      ASSERT_EQ(rewritten(packet_of(c.original, payload), flow, kOriginal),
                packet_of(c.reply.turned_round(), payload))
          << c.name << ", payload " << word;
    }
  }
}

TEST(Rewrite, RandomTuples) {
  RandomTuples random(1);
  for (int i = 0; i < 20000; ++i) {
    const FlowTuple original = random.next(250);
    const bool v6 = original.source.v6;
    const FlowTuple reply{random.host(v6, 250), random.host(v6, 250), random.port(65535), random.port(65535),
                          original.protocol};
    Flow flow;
    fill(flow, original, reply, FlowIngress::interface(dataplane::InterfaceId{0}),
         FlowIngress::interface(dataplane::InterfaceId{0}), {});
    const Octets payload = pattern(random.below(40), random.below(250));
    ASSERT_EQ(rewritten(packet_of(original, payload), flow, kOriginal),
              packet_of(reply.turned_round(), payload))
        << to_string(original) << " as " << to_string(reply.turned_round());
  }
}

TEST(Rewrite, ADatagramWithoutChecksumStaysWithoutOne) {
  const Case c = cases()[3];
  Flow flow;
  fill(flow, c.original, c.reply, FlowIngress::interface(dataplane::InterfaceId{0}),
       FlowIngress::port(dataplane::PortIndex{0}, 0), {});
  EXPECT_EQ(rewritten(packet_of(c.original, pattern(9), false), flow, kOriginal),
            packet_of(c.reply.turned_round(), pattern(9), false));
}

TEST(CanBeCarried, OnlyWholePlainPacketsThatOpenAndCloseNothing) {
  const auto carried = [](const Octets& p) { return can_be_carried(p.data(), p.size(), p[0] >> 4 == 6); };
  const FlowTuple tcp4 = tuple("10.0.0.1", 1, "10.0.0.2", 2, kTcp),
                  tcp6 = tuple("fd01::1", 1, "fd01::2", 2, kTcp);
  const FlowTuple udp4 = tuple("10.0.0.1", 1, "10.0.0.2", 2), udp6 = tuple("fd01::1", 1, "fd01::2", 2);
  for (const FlowTuple& t : {tcp4, tcp6, udp4, udp6}) EXPECT_TRUE(carried(packet_of(t, {}))) << to_string(t);
  for (const FlowTuple& t : {tcp4, tcp6}) {
    for (const std::uint8_t flags : Octets{0x02, 0x12, 0x01, 0x11, 0x04, 0x14})
      EXPECT_FALSE(carried(packet_of(t, {}, true, flags))) << to_string(t) << " flags " << int{flags};
    for (const std::uint8_t flags : Octets{0x00, 0x10, 0x18, 0x30, 0xd0})
      EXPECT_TRUE(carried(packet_of(t, {}, true, flags))) << to_string(t) << " flags " << int{flags};
  }
  const auto v4 = [] { return Packet().ip4("10.0.0.1", "10.0.0.2"); };
  EXPECT_FALSE(carried(v4().fragment(0x2000).udp(1, 2).data(8))) << "first fragment";
  EXPECT_FALSE(carried(v4().fragment(0x0001).udp(1, 2).data(8))) << "later fragment";
  EXPECT_TRUE(carried(v4().dont_fragment().udp(1, 2).data(8)));
  EXPECT_FALSE(carried(v4().options(Octets(4, 1)).udp(1, 2).data(8)));
  EXPECT_FALSE(carried(v4().icmp4(8, 0).data(8)));
  EXPECT_FALSE(carried(v4().data(20))) << "another protocol";
  EXPECT_FALSE(carried(Packet().ip6("fd01::1", "fd01::2").next_header(0).udp(1, 2).data(8))) << "extension";
  EXPECT_FALSE(carried(Packet().ip6("fd01::1", "fd01::2").icmp6(128, 0).data(8)));
}

// The bytes behind the IP header may be fewer than a transport header.
TEST(CanBeCarried, NeedsTheWholeTransportHeader) {
  for (const FlowTuple& t :
       {tuple("10.0.0.1", 1, "10.0.0.2", 2, kTcp), tuple("fd01::1", 1, "fd01::2", 2, kTcp),
        tuple("10.0.0.1", 1, "10.0.0.2", 2), tuple("fd01::1", 1, "fd01::2", 2)}) {
    const Octets whole = packet_of(t, {});
    for (std::size_t size = t.source.v6 ? 40 : 20; size < whole.size(); ++size) {
      const Octets cut = slice(whole, 0, size);
      EXPECT_FALSE(can_be_carried(cut.data(), cut.size(), t.source.v6)) << to_string(t) << ", " << size;
    }
  }
}

TEST(Names, DiffersInEveryMember) {
  RandomTuples random(2);
  for (int i = 0; i < 20000; ++i) {
    const FlowTuple a = random.next(2), b = random.next(2);
    Flow flow;
    fill(flow, a, a.turned_round(), FlowIngress::interface(dataplane::InterfaceId{0}),
         FlowIngress::interface(dataplane::InterfaceId{0}), {});
    const Octets packet = packet_of(b, {});
    ASSERT_EQ(names(flow.direction[kOriginal], packet.data(), b.source.v6), a == b)
        << to_string(a) << " and " << to_string(b);
    ASSERT_EQ(flow.direction[kOriginal].tuple(), a);
  }
}

TEST(FlowIngress, PortsVlansAndInterfacesAllDiffer) {
  EXPECT_NE(FlowIngress::port(dataplane::PortIndex{1}, 0), FlowIngress::interface(dataplane::InterfaceId{1}));
  EXPECT_NE(FlowIngress::port(dataplane::PortIndex{1}, 0), FlowIngress::port(dataplane::PortIndex{1}, 1));
  EXPECT_NE(FlowIngress::port(dataplane::PortIndex{0}, 1), FlowIngress::port(dataplane::PortIndex{1}, 0));
  EXPECT_NE(FlowIngress::port(dataplane::PortIndex{0}, 0), FlowIngress());
  EXPECT_NE(FlowIngress::port(dataplane::PortIndex{63}, 4095),
            FlowIngress::interface(dataplane::InterfaceId{63}));
  EXPECT_EQ(FlowIngress::from_bits(FlowIngress::port(dataplane::PortIndex{3}, 7).bits()),
            FlowIngress::port(dataplane::PortIndex{3}, 7));
}

}  // namespace
}  // namespace wg::test
