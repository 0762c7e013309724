// Connections that Linux has accepted: carried with all rewriting, from anywhere to anywhere; everything else
// of such ports and interfaces is Linux's. The world has no TUN and no TAP, so what is left to Linux shows as
// the drop "punt_off".
#include <gtest/gtest.h>

#include <functional>
#include <memory>

#include "dataplane/flow/flow_table.h"
#include "tests/unit/dataplane/scenario.h"

namespace wg::test::flows_test {
namespace {

using namespace dataplane;

constexpr std::uint8_t kTcp = 6, kUdp = 17, kAck = 0x10;
const std::string kServer = "198.51.100.7", kServer6 = "2001:db8:7::7", kHost = "192.168.1.5",
                  kHost6 = "fd01::5";

// One end of a connection in a table row.
struct End {
  std::string address;
  std::uint16_t port;
};

IpAddress ip(const std::string& text) {
  const Octets b = address(text);
  return b.size() == 4 ? IpAddress::from_v4(b.data()) : IpAddress::from_v6(b.data());
}

FlowTuple tuple(const End& from, const End& to, std::uint8_t protocol = kTcp) {
  return {ip(from.address), ip(to.address), from.port, to.port, protocol};
}

Packet tcp(const End& from, const End& to, std::uint8_t flags = kAck) {
  Packet p;
  from.address.find(':') == std::string::npos ? p.ip4(from.address, to.address)
                                              : p.ip6(from.address, to.address);
  return p.tcp(from.port, to.port, flags);
}

struct Connection {
  FlowTuple original, reply;
  FlowIngress original_from, reply_from;
};

using Given = std::function<void(WorkerWorld&)>;

// All ports and interfaces have `flows`, the server is beyond the WAN, and these connections are carried.
Given carrying(const std::vector<Connection>& connections, const Given& more = {}) {
  const auto kept = std::make_shared<std::unique_ptr<FlowTable>>();  // of the world that plays
  return [=](WorkerWorld& w) {
    *kept = std::make_unique<FlowTable>(64, FlowTable::HashKey{1, 2, 3, 4, 5, 6},
                                        [](const std::function<void()>& free) { free(); });
    FlowTable* const table = kept->get();
    for (const Connection& c : connections)
      ASSERT_NE(table->insert(c.original, c.reply, c.original_from, c.reply_from, BootSeconds{}), kNoFlow);
    w.snapshot().flows = table;
    for (const dataplane::PortIndex port : {kWan, kLan}) {
      w.port(port).short_cut = false;
      w.port(port).flows = true;
    }
    for (const dataplane::InterfaceId interface : {kWg0, kWg1}) {
      w.interface(interface).short_cut = false;
      w.interface(interface).flows = true;
    }
    NextHop gateway;
    gateway.kind = HopKind::kPort;
    gateway.port = kWan;
    gateway.header_length = 14;
    const Octets ethernet = slice(Packet().eth(kGatewayMac, kWanMac).data(0).build(), 0, 14);
    std::copy(ethernet.begin(), ethernet.end(), gateway.header.begin());
    value_or_throw(w.routes4().insert(ip(kServer).v4_host_order(), 32, w.add_hop(gateway)));
    if (more) more(w);
  };
}

Octets framed(const Octets& to, const Octets& from, const Octets& packet) {
  Octets ethernet = Packet().eth(to, from).build();
  put16(ethernet, 12, packet.at(0) >> 4 == 6 ? 0x86dd : 0x0800);
  return ethernet + packet;
}
Frame server_sends(const Octets& packet) {
  return {kWan, framed(kWanMac, kGatewayMac, packet)};
}
Frame to_server(const Octets& packet) {
  return {kWan, framed(kGatewayMac, kWanMac, packet)};
}
Frame host_sends(const Octets& packet) {
  return {kLan, frame_from_host(packet)};
}
Frame host_gets(const Octets& packet) {
  return {kLan, frame_to_host(packet)};
}
Frame alice_sends(const Octets& packet, std::uint64_t counter = 0) {
  return {kWan, outer_from(kAlice, message_from(kAlice, counter, packet))};
}
Frame alice_gets(const Octets& packet, std::uint64_t counter = 0) {
  return {kWan,
          outer_to(kAlice, message_to(kAlice, counter, packet), static_cast<std::uint16_t>(counter + 1))};
}

std::function<void(WorkerWorld&)> counted(std::uint64_t carried, std::uint64_t to_linux,
                                          std::uint64_t wrong_way = 0) {
  return [=](WorkerWorld& w) {
    const WorkerCounters& counters = w.worker().counters();
    EXPECT_EQ(counters.flows_carried.get(), carried);
    EXPECT_EQ(counters.flows_to_linux.get(), to_linux);
    EXPECT_EQ(counters.flows_wrong_way.get(), wrong_way);
  };
}

const FlowIngress kFromWan = FlowIngress::port(kWan, 0), kFromLan = FlowIngress::port(kLan, 0),
                  kFromWg0 = FlowIngress::interface(kWg0), kFromWg1 = FlowIngress::interface(kWg1);
const End kAliceEnd{"10.10.0.2", 40000}, kServerEnd{kServer, 443}, kMasked{kUs4, 61001};
// A road warrior behind our address.
const Connection kMasqueraded{tuple(kAliceEnd, kServerEnd), tuple(kServerEnd, kMasked), kFromWg0, kFromWan};
// A port of ours that leads to Alice.
const End kOutside{kServer, 50000}, kForwarded{kUs4, 8080}, kAliceWeb{"10.10.0.2", 80};
const Connection kPortForward{tuple(kOutside, kForwarded), tuple(kAliceWeb, kOutside), kFromWan, kFromWg0};
const End kHostEnd{kHost, 40000}, kHostMasked{kUs4, 61002};
const Connection kFromTheLan{tuple(kHostEnd, kServerEnd), tuple(kServerEnd, kHostMasked), kFromLan, kFromWan};
// Nothing to rewrite.
const End kHost6End{kHost6, 2000}, kAlice6End{"fd10::2", 1000};
const Connection kPlain6{tuple(kAlice6End, kHost6End, kUdp), tuple(kHost6End, kAlice6End, kUdp), kFromWg0,
                         kFromLan};
const End kCarolEnd{"10.20.0.2", 22};
const Connection kBetweenTunnels{tuple(kAliceEnd, kCarolEnd), tuple(kCarolEnd, kAliceEnd), kFromWg0,
                                 kFromWg1};

std::vector<Scenario> carried() {
  const Octets plain6 = inner6("fd10::2", kHost6), plain6_aged = inner6("fd10::2", kHost6).ttl(63);
  return {
      {.name = "masquerade: from the tunnel",
       .in = {alice_sends(tcp(kAliceEnd, kServerEnd).data(100))},
       .out = {to_server(tcp(kMasked, kServerEnd).ttl(63).data(100))},
       .given = carrying({kMasqueraded}),
       .then = counted(1, 0)},
      {.name = "masquerade: back into the tunnel",
       .in = {server_sends(tcp(kServerEnd, kMasked).data(100))},
       .out = {alice_gets(tcp(kServerEnd, kAliceEnd).ttl(63).data(100))},
       .given = carrying({kMasqueraded}),
       .then = counted(1, 0)},
      {.name = "port forward: into the tunnel",
       .in = {server_sends(tcp(kOutside, kForwarded).data(1))},
       .out = {alice_gets(tcp(kOutside, kAliceWeb).ttl(63).data(1))},
       .given = carrying({kPortForward}),
       .then = counted(1, 0)},
      {.name = "port forward: from the tunnel",
       .in = {alice_sends(tcp(kAliceWeb, kOutside).data(1))},
       .out = {to_server(tcp(kForwarded, kOutside).ttl(63).data(1))},
       .given = carrying({kPortForward}),
       .then = counted(1, 0)},
      {.name = "port to port: out",
       .in = {host_sends(tcp(kHostEnd, kServerEnd).data(100))},
       .out = {to_server(tcp(kHostMasked, kServerEnd).ttl(63).data(100))},
       .given = carrying({kFromTheLan}),
       .then = counted(1, 0)},
      {.name = "port to port: back",
       .in = {server_sends(tcp(kServerEnd, kHostMasked).data(100))},
       .out = {host_gets(tcp(kServerEnd, kHostEnd).ttl(63).data(100))},
       .given = carrying({kFromTheLan}),
       .then = counted(1, 0)},
      {.name = "IPv6 without rewriting: from the tunnel",
       .in = {alice_sends(plain6)},
       .out = {host_gets(plain6_aged)},
       .given = carrying({kPlain6}),
       .then = counted(1, 0)},
      {.name = "tunnel to tunnel",
       .in = {alice_sends(tcp(kAliceEnd, kCarolEnd).data(5))},
       .out = {{kWan, outer_to(kCarol, message_to(kCarol, 0, tcp(kAliceEnd, kCarolEnd).ttl(63).data(5)))}},
       .given = carrying({kBetweenTunnels}),
       .then = counted(1, 0)},
      {.name = "UDP to our own address",
       .in = {server_sends(Packet().ip4(kServer, kUs4).udp(53, 61003).data(10))},
       .out = {alice_gets(Packet().ip4(kServer, "10.10.0.2").ttl(63).udp(53, 5353).data(10))},
       .given = carrying({{tuple({"10.10.0.2", 5353}, {kServer, 53}, kUdp),
                           tuple({kServer, 53}, {kUs4, 61003}, kUdp), kFromWg0, kFromWan}}),
       .then = counted(1, 0)},
      {.name = "both families in one burst, in order",
       .in = {alice_sends(plain6, 0), alice_sends(tcp(kAliceEnd, kServerEnd).data(1), 1),
              alice_sends(plain6, 2), alice_sends(tcp(kAliceEnd, kServerEnd).data(2), 3)},
       .out = {host_gets(plain6_aged), host_gets(plain6_aged),
               to_server(tcp(kMasked, kServerEnd).ttl(63).data(1)),
               to_server(tcp(kMasked, kServerEnd).ttl(63).data(2))},
       .given = carrying({kPlain6, kMasqueraded}),
       .then = counted(4, 0)},
      {.name = "in a VLAN",
       .in = {{kLan, from_host().vlan(5).ip4(kHost, kServer).tcp(40000, 443, kAck).data(9)}},
       .out = {to_server(tcp(kHostMasked, kServerEnd).ttl(63).data(9))},
       .given = carrying({{kFromTheLan.original, kFromTheLan.reply, FlowIngress::port(kLan, 5), kFromWan}},
                         [](WorkerWorld& w) { w.accept_vlan(kLan, 5); }),
       .then = counted(1, 0)},
      {.name = "what it counts",
       .in = {alice_sends(tcp(kAliceEnd, kServerEnd).data(100), 0),
              alice_sends(tcp(kAliceEnd, kServerEnd).data(200), 1)},
       .out = {to_server(tcp(kMasked, kServerEnd).ttl(63).data(100)),
               to_server(tcp(kMasked, kServerEnd).ttl(63).data(200))},
       .given = carrying({kMasqueraded}),
       .then =
           [](WorkerWorld& w) {
             const FlowTable& table = *w.snapshot().flows;
             const Flow& flow = table.at(table.find(kMasqueraded.original));
             EXPECT_EQ(flow.direction[kOriginal].packets, 2u);
             EXPECT_EQ(flow.direction[kOriginal].bytes, 2 * 40u + 300u);
             EXPECT_EQ(flow.direction[kOriginal].last_used.load(), in_seconds(w.now()));
             EXPECT_EQ(flow.direction[kReply].packets, 0u);
           }},
  };
}
SCENARIOS(CarriedFlows, carried);

std::vector<Scenario> left_to_linux() {
  const Octets unknown = tcp({"10.10.0.2", 40001}, kServerEnd).data(1);
  const Octets known = tcp(kAliceEnd, kServerEnd).data(1), answer = tcp(kServerEnd, kMasked).data(1);
  const auto row = [](const std::string& name, const std::vector<Frame>& in, const Given& given) {
    return Scenario{.name = name,
                    .in = in,
                    .drops = {{"punt_off", in.size()}},
                    .given = given,
                    .then = counted(0, in.size())};
  };
  const auto later = [](const std::string& name, const std::vector<Frame>& in, const Given& given) {
    return Scenario{
        .name = name, .in = in, .drops = {{"punt_off", in.size()}}, .given = given, .then = counted(0, 0)};
  };
  const auto spoofed = [](const std::string& name, const Frame& frame, const Given& given) {
    return Scenario{
        .name = name, .in = {frame}, .drops = {{"punt_off", 1}}, .given = given, .then = counted(0, 1, 1)};
  };
  return {
      row("an unknown connection", {alice_sends(unknown)}, carrying({kMasqueraded})),
      row("an unknown one to our address", {server_sends(tcp(kServerEnd, {kUs4, 22}).data(1))},
          carrying({kMasqueraded})),
      row("no connection at all", {alice_sends(known), server_sends(answer)}, carrying({})),
      row("segments that open or close",
          {alice_sends(tcp(kAliceEnd, kServerEnd, 0x02), 0), alice_sends(tcp(kAliceEnd, kServerEnd, 0x11), 1),
           alice_sends(tcp(kAliceEnd, kServerEnd, 0x04), 2), server_sends(tcp(kServerEnd, kMasked, 0x12)),
           server_sends(tcp(kServerEnd, kMasked, 0x11)), server_sends(tcp(kServerEnd, kMasked, 0x14))},
          carrying({kMasqueraded})),
      row("other protocols, from a peer and to our address",
          {alice_sends(Packet().ip4("10.10.0.2", kServer).icmp4(8, 0).data(9)),
           server_sends(Packet().ip4(kServer, kUs4).icmp4(0, 0).data(9))},
          carrying({kMasqueraded})),
      row("fragments and options of a known connection",
          {alice_sends(Packet().ip4("10.10.0.2", kServer).fragment(0x2000).tcp(40000, 443, kAck).data(8), 0),
           alice_sends(Packet().ip4("10.10.0.2", kServer).options(Octets(4, 1)).tcp(40000, 443, kAck).data(8),
                       1)},
          carrying({kMasqueraded})),
      spoofed("a known connection's packet from another port", host_sends(known), carrying({kMasqueraded})),
      spoofed("an answer from another port", host_sends(answer), carrying({kMasqueraded})),
      spoofed("an answer out of another tunnel",
              {kWan, outer_from(kCarol, message_from(kCarol, 0, tcp(kCarolEnd, kServerEnd).data(1)))},
              carrying({{tuple(kCarolEnd, kServerEnd), tuple(kServerEnd, kMasked), kFromWg0, kFromWan}})),
      spoofed("in the wrong VLAN",
              {kLan, from_host().vlan(6).ip4(kHost, kServer).tcp(40000, 443, kAck).data(9)},
              carrying({{kFromTheLan.original, kFromTheLan.reply, FlowIngress::port(kLan, 5), kFromWan}},
                       [](WorkerWorld& w) { w.accept_vlan(kLan, 6); })),
      spoofed("untagged instead of tagged", host_sends(tcp(kHostEnd, kServerEnd)),
              carrying({{kFromTheLan.original, kFromTheLan.reply, FlowIngress::port(kLan, 5), kFromWan}})),
      later("no route to where it leaves", {alice_sends(tcp(kAliceEnd, {"203.0.113.99", 443}).data(1))},
            carrying({{tuple(kAliceEnd, {"203.0.113.99", 443}), tuple({"203.0.113.99", 443}, kMasked),
                       kFromWg0, kFromWan}})),
      later("the other side has no flows", {alice_sends(known)},
            carrying({kMasqueraded}, [](WorkerWorld& w) { w.port(kWan).flows = false; })),
      later("the interface is down", {server_sends(answer)},
            carrying({kMasqueraded}, [](WorkerWorld& w) { w.interface(kWg0).up = false; })),
      later("the interface has the short cut", {server_sends(answer)},
            carrying({kMasqueraded},
                     [](WorkerWorld& w) {
                       w.interface(kWg0).flows = false;
                       w.interface(kWg0).short_cut = true;
                     })),
      later("too big without DF: as it came", {server_sends(tcp(kServerEnd, kMasked).data(1400))},
            carrying({kMasqueraded})),
      later("too big with DF: as it came",
            {server_sends(tcp(kServerEnd, kMasked).dont_fragment().data(1400))}, carrying({kMasqueraded})),
      later("no TTL left: as it came", {alice_sends(tcp(kAliceEnd, kServerEnd).ttl(1).data(10))},
            carrying({kMasqueraded})),
      {.name = "a worker's own ports come first",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, inner6("fd10::2", kHost6)))}},
       .out = {host_gets(inner6("fd10::2", kHost6).ttl(63))},
       .given = carrying({kPlain6,
                          {tuple({"10.10.0.9", 51820}, {kAlice.endpoint, 1111}, kUdp),
                           tuple({kAlice.endpoint, 1111}, {kUs4, 51820}, kUdp), kFromWg0, kFromWan}})},
  };
}
SCENARIOS(LeftToLinux, left_to_linux);

std::vector<Scenario> refused() {
  return {
      {.name = "from peer to peer with hairpin off",
       .in = {alice_sends(tcp(kAliceEnd, {"10.10.0.3", 22}).data(1))},
       .drops = {{"hairpin_off", 1}},
       .given = carrying(
           {{tuple(kAliceEnd, {"10.10.0.3", 22}), tuple({"10.10.0.3", 22}, kAliceEnd), kFromWg0, kFromWg0}},
           [](WorkerWorld& w) { w.interface(kWg0).hairpin = false; })},
  };
}
SCENARIOS(RefusedFlows, refused);

// One burst holds packets of ports and interfaces with the short cut beside those of `flows`.
std::vector<Scenario> mixed() {
  const Octets short_cut = inner4("10.20.0.2", kHost), carried_one = tcp(kAliceEnd, kServerEnd).data(1);
  return {
      {.name = "neighbours of another interface take the short cut",
       .in = {{kWan, outer_from(kCarol, message_from(kCarol, 0, short_cut))},
              alice_sends(carried_one, 0),
              alice_sends(tcp({"10.10.0.2", 40001}, kServerEnd).data(1), 1),
              {kWan, outer_from(kCarol, message_from(kCarol, 1, short_cut))}},
       .out = {host_gets(inner4("10.20.0.2", kHost).ttl(63)), host_gets(inner4("10.20.0.2", kHost).ttl(63)),
               to_server(tcp(kMasked, kServerEnd).ttl(63).data(1))},
       .drops = {{"punt_off", 1}},
       .given = carrying({kMasqueraded},
                         [](WorkerWorld& w) {
                           w.interface(kWg1).flows = w.port(kLan).flows = false;
                           w.interface(kWg1).short_cut = w.port(kLan).short_cut = true;
                         }),
       .then = counted(1, 1)},
  };
}
SCENARIOS(MixedFlows, mixed);

}  // namespace
}  // namespace wg::test::flows_test
