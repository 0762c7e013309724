// Routing to ports, interfaces, peers and Linux; TTL, MTU, ICMP, MSS.
#include <gtest/gtest.h>

#include "tests/unit/dataplane/scenario.h"

namespace wg::test::route_test {
namespace {

using namespace dataplane;

Frame alice_sends(const Octets& inner, std::uint64_t counter = 0) {
  return {kWan, outer_from(kAlice, message_from(kAlice, counter, inner))};
}
Frame host_sends(const Octets& ip) {
  return {kLan, frame_from_host(ip)};
}

std::vector<Scenario> peers() {
  const Octets to_bob = inner4("10.10.0.2", "10.10.0.3"),
               to_bob_aged = inner4("10.10.0.2", "10.10.0.3").ttl(63);
  const Octets to_carol = inner6("fd10::2", "fd20::2"), to_carol_aged = inner6("fd10::2", "fd20::2").ttl(63);
  return {
      {.name = "hairpin: from peer to peer",
       .in = {alice_sends(to_bob)},
       .out = {{kWan, outer_to(kBob, message_to(kBob, 0, to_bob_aged))}},
       .then =
           [](WorkerWorld& w) {
             EXPECT_EQ(w.worker().counters().hairpin.get(), 1u);
             EXPECT_EQ(w.peer(kAlice).rx_bytes, 96u);
             EXPECT_EQ(w.peer(kBob).tx_bytes, 96u);
           }},
      {.name = "hairpin switched off",
       .in = {alice_sends(to_bob)},
       .drops = {{"hairpin_off", 1}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).hairpin = false; }},
      {.name = "to itself",
       .in = {alice_sends(inner4("10.10.0.2", "10.10.0.2"))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, inner4("10.10.0.2", "10.10.0.2").ttl(63)))}}},
      {.name = "from interface to interface, hairpin off does not matter",
       .in = {alice_sends(to_carol)},
       .out = {{kWan, outer_to(kCarol, message_to(kCarol, 0, to_carol_aged))}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).hairpin = w.interface(kWg1).hairpin = false; }},
      {.name = "to an interface that is down: Linux decides",
       .in = {alice_sends(to_carol)},
       .drops = {{"punt_off", 1}},
       .given = [](WorkerWorld& w) { w.interface(kWg1).up = false; }},
      {.name = "to an interface with forwarding: kernel",
       .in = {alice_sends(to_carol)},
       .drops = {{"punt_off", 1}},
       .given = [](WorkerWorld& w) { w.interface(kWg1).short_cut = false; }},
      {.name = "from an interface with forwarding: kernel",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .drops = {{"punt_off", 1}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).short_cut = false; }},
      {.name = "from a port with forwarding: kernel",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.2"))},
       .drops = {{"punt_off", 1}},
       .given = [](WorkerWorld& w) { w.port(kLan).short_cut = false; }},
      {.name = "a port with forwarding: kernel still takes transport data",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .out = {{kLan, frame_to_host(inner4("10.10.0.2", "192.168.1.5").ttl(63))}},
       .given = [](WorkerWorld& w) { w.port(kWan).short_cut = false; }},
      {.name = "the answer to a sender in the tunnel goes into the tunnel",
       .in = {alice_sends(inner4("10.10.0.2", "10.10.0.99"))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0,
                                                  Packet()
                                                      .ip4("10.10.0.1", "10.10.0.2")
                                                      .tos(0xc0)
                                                      .icmp4(3, 1)
                                                      .data(inner4("10.10.0.2", "10.10.0.99").ttl(63))))}},
       .drops = {{"no_peer", 1}}},
      {.name = "a blackhole is silent towards the tunnel",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.66.1"))},
       .drops = {{"blackhole", 1}}},
      {.name = "Linux does not forward IPv4 from the interface",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .drops = {{"punt_off", 1}},
       .given =
           [](WorkerWorld& w) {
             w.interface(kWg0).linux_forwards = {false, true};
           }},
      {.name = "Linux does not forward IPv6 from the interface: IPv4 passes",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .out = {{kLan, frame_to_host(inner4("10.10.0.2", "192.168.1.5").ttl(63))}},
       .given =
           [](WorkerWorld& w) {
             w.interface(kWg0).linux_forwards = {true, false};
           }},
      {.name = "Linux does not forward IPv4 from the port",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.2"))},
       .drops = {{"punt_off", 1}},
       .given =
           [](WorkerWorld& w) {
             w.port(kLan).linux_forwards = {false, true};
           }},
      {.name = "Linux does not forward IPv6 from the port",
       .in = {host_sends(inner6("fd01::5", "fd10::2"))},
       .drops = {{"punt_off", 1}},
       .given =
           [](WorkerWorld& w) {
             w.port(kLan).linux_forwards = {true, false};
           }},
      {.name = "a port from which Linux forwards nothing still takes transport data",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .out = {{kLan, frame_to_host(inner4("10.10.0.2", "192.168.1.5").ttl(63))}},
       .given =
           [](WorkerWorld& w) {
             w.port(kWan).linux_forwards = {false, false};
           }},
      {.name = "the hop's port is gone",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .drops = {{"port_down", 1}},
       .given = [](WorkerWorld& w) { w.port(kLan).port = nullptr; }},
      {.name = "the hop's port is down",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .drops = {{"port_down", 1}},
       .given = [](WorkerWorld& w) { w.port(kLan).up = false; }},
      {.name = "from a port that is down",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.2")),
              host_sends(inner6("fd01::5", "fd10::2")),
              host_sends(inner4("192.168.1.5", "192.168.1.1")),
              {kLan, Packet().eth(Octets(6, 0xff), kHostMac).data(28)}},
       .drops = {{"port_down", 4}},
       .given = [](WorkerWorld& w) { w.port(kLan).up = false; }},
      {.name = "transport data from a port that is down",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5"))},
       .drops = {{"port_down", 1}},
       .given = [](WorkerWorld& w) { w.port(kWan).up = false; },
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.peer(kAlice).rx_packets, 0u); }},
      {.name = "a sealed packet for a port that is down",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.2"))},
       .drops = {{"port_down", 1}},
       .given = [](WorkerWorld& w) { w.port(kWan).up = false; }},
  };
}
SCENARIOS(RoutePeers, peers);

// Which tags a port takes: untagged or not, and VLAN 9. -1: no tag. What it does not take is Linux's, without
// a TAP here.
std::vector<Scenario> vlans() {
  std::vector<Scenario> rows;
  const auto eth = [](const Octets& to, const Octets& from, int tag) {
    Packet frame = Packet().eth(to, from);
    return tag < 0 ? frame : frame.vlan(static_cast<std::uint16_t>(tag));
  };
  const auto add = [&](int tag, bool untagged, bool taken) {
    const std::string name = "tag " + std::to_string(tag) + (untagged ? "" : ", port with a VLAN of its own");
    const auto given = [untagged](WorkerWorld& w) {
      for (const dataplane::PortIndex port : {kWan, kLan}) {
        w.port(port).untagged = untagged;
        w.accept_vlan(port, 9);
      }
    };
    const std::map<std::string, std::uint64_t> drops =
        taken ? std::map<std::string, std::uint64_t>{}
              : std::map<std::string, std::uint64_t>{{"punt_off", 2}};
    const Octets sealed = outer_to(
        kAlice, message_to(kAlice, 0, Packet().ip4("192.168.1.5", "10.10.0.2").ttl(63).udp(1, 2).data(20)));
    const Octets opened = frame_to_host(inner4("10.10.0.2", "192.168.1.5").ttl(63));
    std::vector<Frame> out;
    if (taken) out = {{kWan, sealed}, {kLan, opened}};
    rows.push_back(
        {.name = name,
         .in = {{kLan, eth(kLanMac, kHostMac, tag).ip4("192.168.1.5", "10.10.0.2").udp(1, 2).data(20)},
                {kWan, eth(kWanMac, kGatewayMac, tag)
                           .ip4(kAlice.endpoint, kUs4)
                           .udp(kAlice.endpoint_port, kAlice.listen_port)
                           .data(message_from(kAlice, 0, inner4("10.10.0.2", "192.168.1.5")))}},
         .out = out,
         .drops = drops,
         .given = given});
  };
  for (const bool untagged : {true, false}) {
    for (const int none : {-1, 0, 7 << 13}) add(none, untagged, untagged);  // none, priority 0, priority 7
    for (const int right : {9, 7 << 13 | 9}) add(right, untagged, true);
    for (const int wrong : {1, 8, 10, 666, 4095}) add(wrong, untagged, false);
  }
  return rows;
}
SCENARIOS(RouteVlans, vlans);

std::vector<Scenario> linux_decides() {
  const auto punted = [](const std::string& name, const Frame& frame) {
    return Scenario{.name = name, .in = {frame}, .drops = {{"punt_off", 1}}};
  };
  const Octets hop_by_hop = Packet().ip6("fd01::5", "fd10::2").next_header(0).data(48);
  return {
      punted("ARP", {kLan, Packet().eth(kLanMac, kHostMac).data(28)}),
      punted("broadcast MAC",
             {kLan, Packet().eth(Octets(6, 0xff), kHostMac).ip4("192.168.1.5", "10.10.0.2")}),
      {.name = "to a MAC address that Linux listens to on the port",
       .in = {{kLan, Packet().eth({0, 0, 0x5e, 0, 1, 7}, kHostMac).ip4("192.168.1.5", "10.10.0.2").data(8)},
              {kLan, Packet().eth({0, 0, 0x5e, 0, 1, 8}, kHostMac).ip4("192.168.1.5", "10.10.0.2").data(8)}},
       .drops = {{"punt_off", 1}, {"other_host", 1}},
       .given =
           [](WorkerWorld& w) {
             using Macs = std::vector<std::array<std::uint8_t, 6>>;
             w.port(kLan).other_macs = std::make_shared<const Macs>(Macs{{0, 0, 0x5e, 0, 1, 7}});
           }},
      {.name = "to any MAC address, while Linux listens to all",
       .in = {{kLan, Packet().eth({0, 0, 0x5e, 0, 1, 8}, kHostMac).ip4("192.168.1.5", "10.10.0.2").data(8)}},
       .drops = {{"punt_off", 1}},
       .given = [](WorkerWorld& w) { w.port(kLan).all_macs = true; }},
      punted("for the box itself", host_sends(inner4("192.168.1.5", "192.168.1.1"))),
      punted("for the box itself, v6", host_sends(inner6("fd01::5", "fd01::1"))),
      punted("from one of our addresses", host_sends(inner4("192.168.1.1", "10.10.0.2"))),
      punted("from one of our addresses, v6", host_sends(inner6("fd01::1", "fd10::2"))),
      punted("no route of ours", host_sends(inner4("192.168.1.5", "8.8.8.8"))),
      punted(
          "from port to port",
          {kWan, Packet().eth(kWanMac, kGatewayMac).ip4("198.51.100.9", "192.168.1.5").udp(1, 2).data(10)}),
      punted("multicast", host_sends(inner4("192.168.1.5", "224.0.0.5"))),
      punted("multicast, v6", host_sends(inner6("fd01::5", "ff02::1"))),
      punted("link-local, v6", host_sends(inner6("fe80::5", "fd10::2"))),
      punted("loopback source", host_sends(inner4("127.0.0.1", "10.10.0.2"))),
      punted("unspecified source, v6", host_sends(inner6("::", "fd10::2"))),
      punted("IPv4 options",
             host_sends(Packet().ip4("192.168.1.5", "10.10.0.2").options({1, 1, 1, 0}).data(30))),
      punted("IPv4 options from the tunnel",
             alice_sends(Packet().ip4("10.10.0.2", "192.168.1.5").options({1, 1, 1, 0}).data(30))),
      punted("IPv6 hop-by-hop", host_sends(hop_by_hop)),
      punted("first fragment",
             host_sends(Packet().ip4("192.168.1.5", "10.10.0.2").fragment(0x2000).data(80))),
      punted("later fragment",
             host_sends(Packet().ip4("192.168.1.5", "10.10.0.2").fragment(0x0010).data(80))),
      punted("outer fragment", {kWan, Packet()
                                          .eth(kWanMac, kGatewayMac)
                                          .ip4(kAlice.endpoint, kUs4)
                                          .fragment(0x2000)
                                          .udp(1111, 51820)
                                          .data(64)}),
      punted("two VLAN tags",
             {kLan, Packet().eth(kLanMac, kHostMac).vlan(1).vlan(2).ip4("192.168.1.5", "10.10.0.2")}),
      punted("UDP for our address with a bad length",
             {kWan, Packet().eth(kWanMac, kGatewayMac).ip4(kAlice.endpoint, kUs4).udp(1, 51820).build()}),
      punted("too big but fragmentable", host_sends(inner4("192.168.1.5", "10.10.0.2", 1421))),
      punted("too big with DF", host_sends(inner4("192.168.1.5", "10.10.0.2", 1421).dont_fragment())),
      punted("too big, v6", host_sends(inner6("fd01::5", "fd10::2", 1421))),
      {.name = "too big for the route into the tunnel",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.2", 1401).dont_fragment())},
       .drops = {{"punt_off", 1}},
       .given = [](WorkerWorld& w) { w.snapshot().next_hops[1].mtu = 1400; }},
      {.name = "too big for the LAN, out of the tunnel",
       .in = {alice_sends(inner4("10.10.0.2", "192.168.1.5", 1400).dont_fragment())},
       .drops = {{"punt_off", 1}},
       .given = [](WorkerWorld& w) { w.snapshot().next_hops[0].mtu = 1300; }},
      punted("TTL 1", host_sends(inner4("192.168.1.5", "10.10.0.2").ttl(1))),
      punted("TTL 0", host_sends(inner4("192.168.1.5", "10.10.0.2").ttl(0))),
      punted("hop limit 1", host_sends(inner6("fd01::5", "fd10::2").ttl(1))),
      punted("TTL 1 out of the tunnel", alice_sends(inner4("10.10.0.2", "192.168.1.5").ttl(1))),
  };
}

std::vector<Scenario> linux_rows() {
  std::vector<Scenario> rows = linux_decides();
  for (Scenario& row : rows) {
    if (row.name != "UDP for our address with a bad length") continue;
    put16(row.in[0].bytes, 38, 7);  // UDP length below its header
  }
  return rows;
}
SCENARIOS(RouteLinux, linux_rows);

std::vector<Scenario> icmp_errors() {
  const auto router4 = [] {
    return Packet().eth(kHostMac, kLanMac).ip4("192.168.1.1", "192.168.1.5").tos(0xc0);
  };
  const auto router6 = [] { return Packet().eth(kHostMac, kLanMac).ip6("fd01::1", "fd01::5"); };
  const auto bytes = [](std::size_t from, std::size_t to) { return slice(Packet().data(2000), from, to); };
  const auto host_piece = [](std::uint16_t fragment, const Octets& data) -> Octets {
    return Packet().ip4("192.168.1.5", "10.10.0.2").fragment(fragment).ttl(63).data(data);
  };
  const auto alice_piece = [](std::uint16_t fragment, const Octets& data) {
    return Packet().ip4("10.10.0.2", "10.10.0.3").fragment(fragment).data(data);
  };
  const auto silent = [](const std::string& name, const Octets& ip, const std::string& reason) {
    return Scenario{.name = name, .in = {host_sends(ip)}, .drops = {{reason, 1}}};
  };
  const auto to_nobody = [](std::uint8_t ttl) { return Packet().ip4("192.168.1.5", "10.10.0.99").ttl(ttl); };
  return {
      {.name = "too big for the peer",
       .in = {host_sends(inner6("fd01::5", "fd10::2", 1301))},
       .out =
           {{kLan,
             router6().icmp6(2, 0, 1300).data(slice(inner6("fd01::5", "fd10::2", 1301).ttl(63), 0, 1232))}},
       .drops = {{"too_big", 1}},
       .given = [](WorkerWorld& w) { w.peer(kAlice).mtu = 1300; },
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.peer(kAlice).drop_too_big, 1u); }},
      {.name = "too big for the peer but fragmentable: cut at its MTU",
       .in = {host_sends(Packet().ip4("192.168.1.5", "10.10.0.2").data(bytes(0, 1376)))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, host_piece(0x2000, bytes(0, 1280)), 1301))},
               {kWan, outer_to(kAlice, message_to(kAlice, 1, host_piece(0x00a0, bytes(1280, 1376))), 2)}},
       .given = [](WorkerWorld& w) { w.peer(kAlice).mtu = 1301; },
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.peer(kAlice).drop_too_big, 0u); }},
      {.name = "a fragment too big for the peer: more follow its last piece",
       .in = {alice_sends(alice_piece(0x2003, bytes(0, 1376)))},
       .out = {{kWan, outer_to(kBob, message_to(kBob, 0, alice_piece(0x2003, bytes(0, 1280)).ttl(63), 1300))},
               {kWan,
                outer_to(kBob, message_to(kBob, 1, alice_piece(0x20a3, bytes(1280, 1376)).ttl(63)), 2)}},
       .given = [](WorkerWorld& w) { w.peer(kBob).mtu = 1300; }},
      {.name = "with DF the sender is told",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.2", 1396).dont_fragment())},
       .out = {{kLan,
                router4()
                    .icmp4(3, 4, 1300)
                    .data(slice(inner4("192.168.1.5", "10.10.0.2", 1396).dont_fragment().ttl(63), 0, 548))}},
       .drops = {{"too_big", 1}},
       .given = [](WorkerWorld& w) { w.peer(kAlice).mtu = 1300; }},
      {.name = "no buffer for the pieces",
       .in = {},
       .drops = {{"no_mbuf", 1}},
       .given =
           [](WorkerWorld& w) {
             w.peer(kAlice).mtu = 1300;
             w.arrive(kLan, frame_from_host(inner4("192.168.1.5", "10.10.0.2", 1396)));
             w.exhaust_pool();
           }},
      {.name = "a blackhole is silent",
       .in = {host_sends(inner6("fd01::5", "fd66::1"))},
       .drops = {{"blackhole", 1}}},
      {.name = "with a VLAN tag the answer keeps it",
       .in = {{kLan, Packet().eth(kLanMac, kHostMac).vlan(9).ip4("192.168.1.5", "10.10.0.99").data(8)}},
       .out = {{kLan, Packet()
                          .eth(kHostMac, kLanMac)
                          .vlan(9)
                          .ip4("192.168.1.1", "192.168.1.5")
                          .tos(0xc0)
                          .icmp4(3, 1)
                          .data(to_nobody(63).data(8))}},
       .drops = {{"no_peer", 1}},
       .given = [](WorkerWorld& w) { w.accept_vlan(kLan, 9); }},
      silent("never about an ICMP error", to_nobody(64).icmp4(3, 1).data(30), "no_peer"),
      silent("never about an ICMPv6 error", Packet().ip6("fd01::5", "fd10::99").icmp6(1, 0).data(30),
             "no_peer"),
      {.name = "about an echo request, yes",
       .in = {host_sends(to_nobody(64).icmp4(8, 0, 7).data(30))},
       .out = {{kLan, router4().icmp4(3, 1).data(to_nobody(63).icmp4(8, 0, 7).data(30))}},
       .drops = {{"no_peer", 1}},
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.worker().counters().icmp_sent.get(), 1u); }},
      {.name = "nothing without an address to say it from",
       .in = {host_sends(to_nobody(64).data(8))},
       .drops = {{"no_peer", 1}},
       .given = [](WorkerWorld& w) { w.port(kLan).icmp_source4 = {}; }},
      {.name = "no buffer for the answer",
       .in = {},
       .drops = {{"no_peer", 1}, {"no_mbuf", 1}},
       .given =
           [](WorkerWorld& w) {
             w.arrive(kLan, frame_from_host(inner4("192.168.1.5", "10.10.0.99")));
             w.exhaust_pool();
           }},
  };
}

SCENARIOS(RouteIcmp, icmp_errors);

// A burst of 50, then as many per second as configured; what is suppressed is counted.
TEST(RouteIcmpRate, IsLimited) {
  WorkerWorld w({.icmp_per_second = 10});
  const Octets refused = frame_from_host(inner4("192.168.1.5", "10.10.0.99"));
  const auto answers_to = [&](int packets) {
    for (int i = 0; i < packets; ++i) {
      w.arrive(kLan, refused);
      w.loop();
    }
    return w.transmitted(kLan).size();
  };
  EXPECT_EQ(answers_to(60), 50u);
  EXPECT_EQ(w.worker().counters().icmp_suppressed.get(), 10u);
  EXPECT_EQ(answers_to(5), 0u);
  w.advance_clock(std::chrono::milliseconds(350));
  EXPECT_EQ(answers_to(10), 3u);
  w.advance_clock(std::chrono::seconds(100));
  EXPECT_EQ(answers_to(60), 50u);
  EXPECT_EQ(w.drops()["no_peer"], 135u);
  EXPECT_EQ(w.missing_buffers(), 0u);
}

constexpr std::uint8_t kSyn = 2, kAck = 16;

Octets mss(std::uint16_t value) {
  return {2, 4, static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)};
}
// Options to a multiple of 4 bytes.
Octets options(Octets bytes) {
  bytes.resize((bytes.size() + 3) / 4 * 4);
  return bytes;
}

std::vector<Scenario> clamping() {
  const auto clamp = [](const std::string& name, const Octets& before, const Octets& after,
                        std::uint8_t flags = kSyn) {
    const auto segment = [flags](const Octets& tcp_options) {
      return Packet().ip4("10.10.0.2", "192.168.1.5").tcp(5000, 80, flags, tcp_options).data(7);
    };
    return Scenario{.name = name,
                    .in = {alice_sends(segment(before))},
                    .out = {{kLan, frame_to_host(segment(after).ttl(63))}},
                    .given = [](WorkerWorld& w) { w.interface(kWg0).mss_clamp = 1360; }};
  };
  const auto v6 = [](std::uint16_t value) {
    return Packet().ip6("fd01::5", "fd10::2").tcp(5000, 80, kSyn | kAck, mss(value));
  };
  return {
      clamp("lowered", mss(1460), mss(1360)),
      clamp("in SYN ACK too", mss(1460), mss(1360), kSyn | kAck),
      clamp("smaller ones stay", mss(536), mss(536)),
      clamp("equal ones stay", mss(1360), mss(1360)),
      clamp("not without SYN", mss(1460), mss(1460), kAck),
      clamp("at an odd offset", options(Octets{1} + mss(1460)), options(Octets{1} + mss(1360))),
      clamp("behind other options", options(Octets{1, 3, 3, 7} + mss(0xfffe)),
            options(Octets{1, 3, 3, 7} + mss(1360))),
      clamp("not behind the end of options", Octets{0, 0, 0, 0} + mss(1460), Octets{0, 0, 0, 0} + mss(1460)),
      clamp("a malformed option ends the search", Octets{3, 0, 0, 0} + mss(1460),
            Octets{3, 0, 0, 0} + mss(1460)),
      clamp("an option beyond the header", Octets{1, 1, 1, 2}, Octets{1, 1, 1, 2}),
      clamp("no options at all", {}, {}),
      {.name = "towards the tunnel, v6: 20 less",
       .in = {host_sends(v6(1440))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, v6(1340).ttl(63)))}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).mss_clamp = 1360; }},
      {.name = "off by default",
       .in = {host_sends(v6(1440))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, v6(1440).ttl(63)))}}},
  };
}
SCENARIOS(RouteMss, clamping);

}  // namespace
}  // namespace wg::test::route_test
