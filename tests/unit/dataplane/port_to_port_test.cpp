// Plain packets between ports with `port_to_port`, and what stays with Linux there.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/dataplane/scenario.h"

namespace wg::test::port_to_port_test {
namespace {

using namespace dataplane;

constexpr std::uint16_t kMtuOfGateway = 1400;  // of the route out of the WAN port
const std::string kFar4 = "198.51.100.9", kFar6 = "2001:db8:9::9", kHost4 = "192.168.1.5", kHost6 = "fd01::5";

Octets frame(const Octets& to, const Octets& from, const Packet& ip, int tag = -1) {
  const Octets bytes = ip.build();
  Packet ethernet = Packet().eth(to, from);
  if (tag >= 0) ethernet.vlan(static_cast<std::uint16_t>(tag));
  Octets out = ethernet.build();
  put16(out, out.size() - 2, bytes[0] >> 4 == 6 ? 0x86dd : 0x0800);
  return out + bytes;
}
// Between the gateway and us on the WAN, and between the host and us on the LAN.
Frame from_gateway(const Packet& ip, int tag = -1) {
  return {kWan, frame(kWanMac, kGatewayMac, ip, tag)};
}
Frame to_gateway(const Packet& ip, int tag = -1) {
  return {kWan, frame(kGatewayMac, kWanMac, ip, tag)};
}
Frame from_host(const Packet& ip, int tag = -1) {
  return {kLan, frame(kLanMac, kHostMac, ip, tag)};
}
Frame to_host(const Packet& ip, int tag = -1) {
  return {kLan, frame(kHostMac, kLanMac, ip, tag)};
}

// The way to the gateway on the WAN; 0: untagged.
std::uint16_t hop_to_gateway(WorkerWorld& w, std::uint16_t vlan) {
  NextHop hop;
  hop.kind = HopKind::kPort;
  hop.port = kWan;
  hop.mtu = kMtuOfGateway;
  hop.header_length = vlan == 0 ? 14 : 18;
  const Octets header =
      frame(kGatewayMac, kWanMac, Packet().ip4("0.0.0.0", "0.0.0.0"), vlan == 0 ? -1 : vlan);
  std::copy_n(header.begin(), hop.header_length, hop.header.begin());
  return w.add_hop(hop);
}

void route_to_gateway(WorkerWorld& w, std::uint16_t vlan = 0) {
  const std::uint16_t hop = hop_to_gateway(w, vlan);
  const std::uint32_t network4 = 198U << 24 | 51U << 16 | 100U << 8;
  const Octets far6 = address("2001:db8:9::");
  lpm::Address6 network6;
  std::copy(far6.begin(), far6.end(), network6.bytes.begin());
  ASSERT_TRUE(w.routes4().insert(network4, 24, hop));
  ASSERT_TRUE(w.routes6().insert(network6, 48, hop));
}

void both_have_it(WorkerWorld& w) {
  w.port(kWan).port_to_port = w.port(kLan).port_to_port = true;
  route_to_gateway(w);
}

// In a world in which both ports have `port_to_port`.
Scenario row(const std::string& name, const std::vector<Frame>& in, const std::vector<Frame>& out) {
  return {.name = name, .in = in, .out = out, .given = both_have_it};
}
Scenario for_linux(const std::string& name, const Frame& in) {
  Scenario scenario = row(name, {in}, {});
  scenario.drops = {{"punt_off", 1}};
  return scenario;
}

// Each also counts as from port to port, and as nothing else.
std::vector<Scenario> forwarded() {
  const Packet in4 = inner4(kFar4, kHost4), out4 = inner4(kHost4, kFar4);
  const Packet in6 = inner6(kFar6, kHost6), out6 = inner6(kHost6, kFar6);
  const auto aged = [](Packet packet) { return packet.ttl(63); };
  const Packet syn = Packet().ip4(kHost4, kFar4).tcp(5000, 80, 2, {2, 4, 5, 0xb4}).data(7);
  const Packet error = Packet().ip4(kFar4, kHost4).icmp4(11, 0).data(out4.build());
  Octets padded = from_host(Packet().ip4(kHost4, kFar4).udp(1, 2).data(3)).bytes;
  padded.resize(60, 0xee);
  std::vector<Scenario> rows = {
      row("IPv4 in", {from_gateway(in4)}, {to_host(aged(in4))}),
      row("IPv4 out", {from_host(out4)}, {to_gateway(aged(out4))}),
      row("IPv6 in", {from_gateway(in6)}, {to_host(aged(in6))}),
      row("IPv6 out", {from_host(out6)}, {to_gateway(aged(out6))}),
      row("both families in one burst", {from_host(out4), from_host(out6), from_host(out4)},
          {to_gateway(aged(out4)), to_gateway(aged(out6)), to_gateway(aged(out4))}),
      row("segments are not clamped", {from_host(syn)}, {to_gateway(aged(syn))}),
      row("the padding of a short frame ends here", {{kLan, padded}},
          {to_gateway(Packet().ip4(kHost4, kFar4).ttl(63).udp(1, 2).data(3))}),
      row("as large as the MTU", {from_host(inner4(kHost4, kFar4, kMtuOfGateway))},
          {to_gateway(inner4(kHost4, kFar4, kMtuOfGateway).ttl(63))}),
      row("the last hop but one", {from_host(inner4(kHost4, kFar4).ttl(2))},
          {to_gateway(inner4(kHost4, kFar4).ttl(1))}),
      row("an ICMP error of another", {from_gateway(error)}, {to_host(aged(error))}),
      row("a protocol that we do not know", {from_host(Packet().ip4(kHost4, kFar4).data(40))},
          {to_gateway(Packet().ip4(kHost4, kFar4).ttl(63).data(40))}),
      row("in chained buffers", {{kLan, from_host(out4).bytes, 3}}, {to_gateway(aged(out4))}),
      row("a priority tag in", {from_host(out4, 5 << 13)}, {to_gateway(aged(out4))}),
  };
  Scenario checksum = row("a wrong TCP checksum is the receiver's affair", {from_host(syn)}, {});
  checksum.in[0].bytes[14 + 20 + 16] ^= 0xff;
  checksum.out = {to_gateway(aged(syn))};
  checksum.out[0].bytes[14 + 20 + 16] ^= 0xff;
  rows.push_back(checksum);
  for (Scenario& scenario : rows)
    scenario.then = [n = scenario.in.size()](WorkerWorld& w) {
      const WorkerCounters& counters = w.worker().counters();
      EXPECT_EQ(counters.port_to_port.get(), n);
      EXPECT_EQ(counters.short_cut_to_port.get() + counters.short_cut_from_port.get(), 0U);
    };
  return rows;
}
SCENARIOS(PortToPort, forwarded);

std::vector<Scenario> linux_decides() {
  const Packet out4 = inner4(kHost4, kFar4), out6 = inner6(kHost6, kFar6);
  const auto too_big4 = [] { return inner4(kHost4, kFar4, kMtuOfGateway + 1); };
  return {
      for_linux("TTL 1", from_host(inner4(kHost4, kFar4).ttl(1))),
      for_linux("TTL 0", from_host(inner4(kHost4, kFar4).ttl(0))),
      for_linux("hop limit 1", from_host(inner6(kHost6, kFar6).ttl(1))),
      for_linux("too big", from_host(too_big4())),
      for_linux("too big with DF", from_host(too_big4().dont_fragment())),
      for_linux("too big, v6", from_host(inner6(kHost6, kFar6, kMtuOfGateway + 1))),
      for_linux("options", from_host(Packet().ip4(kHost4, kFar4).options({1, 1, 1, 0}).udp(1, 2).data(30))),
      for_linux("a first fragment", from_host(Packet().ip4(kHost4, kFar4).fragment(0x2000).data(80))),
      for_linux("a later fragment", from_host(Packet().ip4(kHost4, kFar4).fragment(0x0010).data(80))),
      for_linux("hop by hop options", from_host(Packet().ip6(kHost6, kFar6).next_header(0).data(48))),
      for_linux("from our own address on the other side", from_host(inner4(kUs4, kFar4))),
      for_linux("from our own address, v6", from_host(inner6(kUs6, kFar6))),
      for_linux("to our own address on the other side", from_host(inner4(kHost4, kUs4))),
      for_linux("to our own address, v6", from_host(inner6(kHost6, kUs6))),
      for_linux("to a group", from_host(inner4(kHost4, "224.0.0.5"))),
      for_linux("from loopback", from_host(inner4("127.0.0.1", kFar4))),
      for_linux("from no address", from_host(inner4("0.0.0.0", kFar4))),
      for_linux("from a link-local address, v6", from_host(inner6("fe80::5", kFar6))),
      for_linux("without a route", from_host(inner4(kHost4, "8.8.8.8"))),
      for_linux("in a VLAN without a device", from_host(out4, 7)),
      for_linux("IPv6 in a VLAN without a device", from_host(out6, 7)),
  };
}
SCENARIOS(PortToPortLinux, linux_decides);

// A burst in which all packets but the second are forwarded: in order, and the second is Linux's.
std::vector<Scenario> mixed() {
  const auto nth = [](std::uint16_t id) { return inner4(kHost4, kFar4).id(id); };
  Scenario scenario = row("among others", {from_host(nth(1)), from_host(nth(2).ttl(1)), from_host(nth(3))},
                          {to_gateway(nth(1).ttl(63)), to_gateway(nth(3).ttl(63))});
  scenario.drops = {{"punt_off", 1}};
  Scenario blackhole = row("a blackhole", {from_host(inner4(kHost4, "192.168.66.1"))}, {});
  blackhole.drops = {{"blackhole", 1}};
  Scenario checksum = row("a wrong IPv4 checksum", {from_host(nth(1))}, {});
  checksum.in[0].bytes[14 + 10] ^= 0xff;
  checksum.drops = {{"bad_outer_checksum", 1}};
  Scenario other_host = row("for another host's MAC address", {from_host(nth(1))}, {});
  other_host.in[0].bytes[5] ^= 0xff;
  other_host.drops = {{"other_host", 1}};
  Scenario tunnel =
      row("into a tunnel, as ever", {from_host(inner4(kHost4, kAlice.inside4))},
          {{kWan, outer_to(kAlice, message_to(kAlice, 0, inner4(kHost4, kAlice.inside4).ttl(63)))}});
  tunnel.then = [](WorkerWorld& w) {
    EXPECT_EQ(w.worker().counters().port_to_port.get(), 0U);
    EXPECT_EQ(w.worker().counters().short_cut_from_port.get(), 1U);
  };
  return {scenario, blackhole, checksum, other_host, tunnel};
}
SCENARIOS(PortToPortMixed, mixed);

// What ports and routes must be like.
std::vector<Scenario> settings() {
  const auto changed = [](const std::string& name, const std::string& drop, void (*change)(WorkerWorld&)) {
    Scenario scenario = row(name, {from_host(inner4(kHost4, kFar4))}, {});
    scenario.drops = {{drop, 1}};
    scenario.given = [change](WorkerWorld& w) {
      both_have_it(w);
      change(w);
    };
    return scenario;
  };
  return {
      changed("neither has it", "punt_off",
              [](WorkerWorld& w) { w.port(kLan).port_to_port = w.port(kWan).port_to_port = false; }),
      changed("the port that it comes from has it not", "punt_off",
              [](WorkerWorld& w) { w.port(kLan).port_to_port = false; }),
      changed("the port that it leaves by has it not", "punt_off",
              [](WorkerWorld& w) { w.port(kWan).port_to_port = false; }),
      changed("Linux forwards no IPv4 from the port", "punt_off",
              [](WorkerWorld& w) {
                w.port(kLan).linux_forwards = {false, true};
              }),
      changed("the port that it comes from is down", "port_down",
              [](WorkerWorld& w) { w.port(kLan).up = false; }),
      changed("the port that it leaves by is down", "port_down",
              [](WorkerWorld& w) { w.port(kWan).up = false; }),
      changed("the port that it leaves by is gone", "port_down",
              [](WorkerWorld& w) { w.port(kWan).port = nullptr; }),
      changed("the next hop is not resolved", "punt_off",
              [](WorkerWorld& w) { w.snapshot().next_hops.back().kind = HopKind::kKernel; }),
      changed("the route has a smaller MTU", "punt_off",
              [](WorkerWorld& w) { w.snapshot().next_hops.back().mtu = 63; }),
  };
}
SCENARIOS(PortToPortSettings, settings);

// VLAN 8 and 9 of both ports; the way to the far side is in VLAN `out`, 0: untagged. -1: the frame has no
// tag.
Scenario in_vlans(const std::string& name, const Frame& in, std::uint16_t out,
                  const std::vector<Frame>& expected) {
  Scenario scenario = row(name, {in}, expected);
  if (expected.empty()) scenario.drops = {{"punt_off", 1}};
  scenario.given = [out](WorkerWorld& w) {
    w.port(kWan).port_to_port = w.port(kLan).port_to_port = true;
    route_to_gateway(w, out);
    for (const PortIndex port : {kWan, kLan})
      for (const int id : {8, 9}) w.accept_vlan(port, static_cast<std::uint16_t>(id));
  };
  return scenario;
}

std::vector<Scenario> vlans() {
  const Packet out = inner4(kHost4, kFar4), aged = inner4(kHost4, kFar4).ttl(63);
  const Packet out6 = inner6(kHost6, kFar6), aged6 = inner6(kHost6, kFar6).ttl(63);
  constexpr int kPriority = 7 << 13;
  std::vector<Scenario> rows = {
      in_vlans("out of a VLAN", from_host(out, 9), 0, {to_gateway(aged)}),
      in_vlans("into a VLAN", from_host(out), 9, {to_gateway(aged, 9)}),
      in_vlans("from VLAN to VLAN", from_host(out, 8), 9, {to_gateway(aged, 9)}),
      in_vlans("within a VLAN, by two ports", from_host(out, 9), 9, {to_gateway(aged, 9)}),
      in_vlans("from VLAN to VLAN, v6", from_host(out6, 8), 9, {to_gateway(aged6, 9)}),
      in_vlans("the priority is not kept", from_host(out, kPriority | 8), 9, {to_gateway(aged, 9)}),
      in_vlans("between VLANs of one port", from_gateway(out, 8), 9, {to_gateway(aged, 9)}),
      in_vlans("from a VLAN of the port to none", from_gateway(out, 8), 0, {to_gateway(aged)}),
      in_vlans("from none to a VLAN of the port", from_gateway(out), 9, {to_gateway(aged, 9)}),
      in_vlans("back by the same link", from_gateway(out), 0, {}),
      in_vlans("back by the same link, v6", from_gateway(out6), 0, {}),
      in_vlans("back by the same link, with a priority", from_gateway(out, kPriority), 0, {}),
      in_vlans("back by the same VLAN", from_gateway(out, 9), 9, {}),
      in_vlans("back by the same VLAN, with a priority", from_gateway(out, kPriority | 9), 9, {}),
  };
  const auto nth = [](std::uint16_t id) { return inner4(kHost4, kFar4).id(id); };
  Scenario mixture = in_vlans("VLANs of one port in one burst", from_gateway(nth(0), 8), 9, {});
  for (std::uint16_t id = 1; id < 12; ++id) mixture.in.push_back(from_gateway(nth(id), id % 3 == 0 ? 8 : 9));
  for (std::uint16_t id = 0; id < 12; id += 3) mixture.out.push_back(to_gateway(nth(id).ttl(63), 9));
  mixture.drops = {{"punt_off", 8}};
  rows.push_back(mixture);
  return rows;
}
SCENARIOS(PortToPortVlans, vlans);

}  // namespace
}  // namespace wg::test::port_to_port_test
