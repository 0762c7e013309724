// Inner to outer: cryptokey routing, sessions, padding, outer headers. Each expected frame is sealed by
// libsodium and compared whole.
#include <gtest/gtest.h>

#include "tests/unit/dataplane/scenario.h"

namespace wg::test::send_test {
namespace {

using namespace dataplane;

// The packet from the LAN host to the peer as it leaves, with its TTL decremented.
Octets to_alice(std::size_t size, std::uint8_t ttl = 64, std::uint8_t tos = 0) {
  return inner4("192.168.1.5", "10.10.0.2", size).ttl(ttl).tos(tos).dont_fragment();
}
Octets to_alice_aged(std::size_t size, std::uint8_t tos = 0) {
  return to_alice(size, 63, tos);
}
// An IPv4 datagram without a UDP checksum.
Octets without_checksum(Octets frame) {
  std::fill_n(frame.begin() + kEthernetHeaderSize + kIpv4HeaderSize + offsetof(UdpHeader, checksum), 2,
              std::uint8_t{0});
  return frame;
}
// A path, and what leaves by it, with a VLAN tag.
constexpr std::size_t kTagAt = 12;
const Octets kTag = {0x81, 0, 0, 9};
Octets tagged(const Octets& frame) {
  return slice(frame, 0, kTagAt) + kTag + slice(frame, kTagAt, frame.size());
}
void tag_path(Path& path) {
  const Octets header = tagged({path.header.begin(), path.header.begin() + path.header_length});
  std::copy(header.begin(), header.end(), path.header.begin());
  path.header_length = static_cast<std::uint8_t>(header.size());
  path.l3_offset = kEthernetHeaderSize + kVlanTagSize;
}
Frame host_sends(const Octets& ip) {
  return {kLan, frame_from_host(ip)};
}

std::vector<Scenario> sent() {
  const Octets six = inner6("fd01::5", "fd10::2"), six_out = inner6("fd01::5", "fd10::2").ttl(63);
  const Octets bob4 = inner4("192.168.1.5", "10.10.0.3"),
               bob4_out = inner4("192.168.1.5", "10.10.0.3").ttl(63);
  const Octets bob6 = inner6("fd01::5", "fd10::3"), bob6_out = inner6("fd01::5", "fd10::3").ttl(63);
  const Octets carol = inner4("192.168.1.5", "10.20.0.2"),
               carol_out = inner4("192.168.1.5", "10.20.0.2").ttl(63);
  return {
      {.name = "v4 in v4",
       .in = {host_sends(to_alice(64))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64)))}},
       .then =
           [](WorkerWorld& w) {
             EXPECT_EQ(w.peer(kAlice).tx_bytes, 64u + 32);
             EXPECT_EQ(w.peer(kAlice).tx_packets, 1u);
             EXPECT_EQ(w.peer(kAlice).last_sent.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).last_data_sent.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).unanswered_sent.load(), w.now());
             EXPECT_EQ(w.worker().counters().sealed_packets.get(), 1u);
             EXPECT_EQ(w.worker().counters().sealed_bytes.get(), 64u);
             EXPECT_EQ(w.worker().counters().short_cut_from_port.get(), 1u);
           }},
      {.name = "v6 in v4",
       .in = {host_sends(six)},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, six_out))}}},
      {.name = "v4 in v6",
       .in = {host_sends(bob4)},
       .out = {{kWan, outer_to(kBob, message_to(kBob, 0, bob4_out))}}},
      {.name = "v6 in v6",
       .in = {host_sends(bob6)},
       .out = {{kWan, outer_to(kBob, message_to(kBob, 0, bob6_out))}}},
      {.name = "mixed peers, families and interfaces: counters and IPv4 ids in order",
       .in = {host_sends(to_alice(64)), host_sends(bob6), host_sends(six), host_sends(carol),
              host_sends(bob4), host_sends(to_alice(100))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64)), 1)},
               {kWan, outer_to(kBob, message_to(kBob, 0, bob6_out))},
               {kWan, outer_to(kAlice, message_to(kAlice, 1, six_out), 2)},
               {kWan, outer_to(kCarol, message_to(kCarol, 0, carol_out), 3)},
               {kWan, outer_to(kBob, message_to(kBob, 1, bob4_out))},
               {kWan, outer_to(kAlice, message_to(kAlice, 2, to_alice_aged(100)), 4)}}},
      {.name = "the counter goes on from where the session stands",
       .in = {host_sends(to_alice(64)), host_sends(to_alice(64))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0x1122334455667788u, to_alice_aged(64)), 1)},
               {kWan, outer_to(kAlice, message_to(kAlice, 0x1122334455667789u, to_alice_aged(64)), 2)}},
       .events = {EventType::kNeedHandshake},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.counter = 0x1122334455667788u}); }},
      {.name = "ethernet padding does not enter the tunnel",
       .in = {{kLan, frame_from_host(to_alice(40)) + Octets(6, 0xee)}},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(40)))}}},
      {.name = "a frame with a VLAN tag",
       .in = {{kLan, Packet()
                         .eth(kLanMac, kHostMac)
                         .vlan(9)
                         .ip4("192.168.1.5", "10.10.0.2")
                         .dont_fragment()
                         .udp(1000, 2000)
                         .data(36)}},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64)))}},
       .given = [](WorkerWorld& w) { w.accept_vlan(kLan, 9); }},
      {.name = "a frame with a VLAN tag between frames without",
       .in = {host_sends(to_alice(64)),
              {kLan, Packet()
                         .eth(kLanMac, kHostMac)
                         .vlan(9)
                         .ip4("192.168.1.5", "10.10.0.2")
                         .dont_fragment()
                         .udp(1000, 2000)
                         .data(36)},
              host_sends(to_alice(64))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64)), 1)},
               {kWan, outer_to(kAlice, message_to(kAlice, 1, to_alice_aged(64)), 2)},
               {kWan, outer_to(kAlice, message_to(kAlice, 2, to_alice_aged(64)), 3)}},
       .given = [](WorkerWorld& w) { w.accept_vlan(kLan, 9); }},
      {.name = "a chain of buffers",
       .in = {{kLan, frame_from_host(to_alice(500)), 4}},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(500)))}}},
      {.name = "full MTU is not padded beyond it",
       .in = {host_sends(to_alice(1420))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(1420), 1420))}}},
      {.name = "padding stops at the MTU",
       .in = {host_sends(to_alice(1411))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(1411), 1420))}}},
      {.name = "padding stops at the peer's MTU",
       .in = {host_sends(to_alice(1299))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(1299), 1300))}},
       .given = [](WorkerWorld& w) { w.peer(kAlice).mtu = 1300; }},
      {.name = "ECN is copied, DSCP is not",
       .in = {host_sends(to_alice(64, 64, 0xb9)), host_sends(to_alice(64, 64, 0xba)),
              host_sends(to_alice(64, 64, 0xbb)), host_sends(to_alice(64, 64, 0xb8))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64, 0xb9)), 1, 1)},
               {kWan, outer_to(kAlice, message_to(kAlice, 1, to_alice_aged(64, 0xba)), 2, 2)},
               {kWan, outer_to(kAlice, message_to(kAlice, 2, to_alice_aged(64, 0xbb)), 3, 3)},
               {kWan, outer_to(kAlice, message_to(kAlice, 3, to_alice_aged(64, 0xb8)), 4, 0)}}},
      {.name = "DSCP is copied where asked for",
       .in = {host_sends(to_alice(64, 64, 0xb9))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64, 0xb9)), 1, 0xb9)}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).copy_dscp = true; }},
      {.name = "DSCP is copied by the interface that was asked to alone",
       .in = {host_sends(to_alice(64, 64, 0xb9)), host_sends(inner4("192.168.1.5", "10.20.0.2").tos(0xb9)),
              host_sends(to_alice(64, 64, 0xb9))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64, 0xb9)), 1, 0xb9)},
               {kWan,
                outer_to(kCarol, message_to(kCarol, 0, inner4("192.168.1.5", "10.20.0.2").tos(0xb9).ttl(63)),
                         2, 1)},
               {kWan, outer_to(kAlice, message_to(kAlice, 1, to_alice_aged(64, 0xb9)), 3, 0xb9)}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).copy_dscp = true; }},
      {.name = "v6 traffic class into a v6 outer header",
       .in = {host_sends(inner6("fd01::5", "fd10::3").tos(0x2b))},
       .out = {{kWan, outer_to(kBob, message_to(kBob, 0, inner6("fd01::5", "fd10::3").tos(0x2b).ttl(63)), 0,
                               0x2b)}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).copy_dscp = true; }},
      {.name = "UDP checksums of IPv4 can be left out, IPv6 has them all the same",
       .in = {host_sends(to_alice(64)), host_sends(bob4), host_sends(carol)},
       .out = {{kWan, without_checksum(outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64)), 1))},
               {kWan, outer_to(kBob, message_to(kBob, 0, bob4_out))},
               {kWan, outer_to(kCarol, message_to(kCarol, 0, carol_out), 2)}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).udp_checksum4 = false; }},
      {.name = "UDP checksums are left to a port that computes them",
       .in = {host_sends(to_alice(64)), host_sends(bob4), host_sends(to_alice(100))},
       .out = {{kWan,
                outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64)), 1).checksum_left_to_device()},
               {kWan, outer_to(kBob, message_to(kBob, 0, bob4_out)).checksum_left_to_device()},
               {kWan,
                outer_to(kAlice, message_to(kAlice, 1, to_alice_aged(100)), 2).checksum_left_to_device()}},
       .given = [](WorkerWorld& w) { w.port(kWan).udp_checksum_offload = true; }},
      {.name = "behind a VLAN tag",
       .in = {host_sends(to_alice(64, 64, 2)), host_sends(bob6), host_sends(carol),
              host_sends(to_alice(100))},
       .out = {{kWan, tagged(outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64, 2)), 1, 2))},
               {kWan, tagged(outer_to(kBob, message_to(kBob, 0, bob6_out)))},
               {kWan, outer_to(kCarol, message_to(kCarol, 0, carol_out), 2)},
               {kWan, tagged(outer_to(kAlice, message_to(kAlice, 1, to_alice_aged(100)), 3))}},
       .given =
           [](WorkerWorld& w) {
             tag_path(w.path(kAlice));
             tag_path(w.path(kBob));
           }},
      {.name = "ten pings: 1280 bytes sent",
       .in = std::vector<Frame>(10, host_sends(to_alice(84))),
       .out =
           [] {
             std::vector<Frame> out;
             for (std::uint16_t i = 0; i < 10; ++i)
               out.push_back({kWan, outer_to(kAlice, message_to(kAlice, i, to_alice_aged(84)),
                                             static_cast<std::uint16_t>(i + 1))});
             return out;
           }(),
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.peer(kAlice).tx_bytes, 1280u); }},
  };
}
SCENARIOS(SendSeals, sent);

std::vector<Scenario> sessions() {
  const Frame hello = host_sends(to_alice(64));
  const Frame sealed{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(64)))};
  constexpr std::uint64_t kReject = ~std::uint64_t{0} - (std::uint64_t{1} << 13);
  const auto counter_at = [](std::uint64_t counter, bool initiator) {
    return [=](WorkerWorld& w) { w.set_session(kAlice, {.initiator = initiator, .counter = counter}); };
  };
  const auto sealed_at = [&](std::uint64_t counter) {
    return Frame{kWan, outer_to(kAlice, message_to(kAlice, counter, to_alice_aged(64)))};
  };
  return {
      {.name = "no session: staged whole, a handshake is asked for once",
       .in = {hello, host_sends(to_alice(100))},
       .given = [](WorkerWorld& w) { w.remove_session(kAlice); },
       .then =
           [](WorkerWorld& w) {
             const auto notes = w.events();
             ASSERT_EQ(notes.size(), 3u);
             EXPECT_EQ(notes[0].event.type, EventType::kNeedHandshake);
             EXPECT_EQ(notes[0].event.peer, w.peer(kAlice).ref());
             EXPECT_EQ(notes[1].event.type, EventType::kStage);
             EXPECT_EQ(notes[1].packet, to_alice_aged(64));
             EXPECT_EQ(notes[2].packet, to_alice_aged(100));
             EXPECT_EQ(w.peer(kAlice).tx_bytes, 0u);
             EXPECT_EQ(w.peer(kAlice).requested, kRequestHandshake);
             EXPECT_EQ(w.worker().counters().staged.get(), 2u);
           }},
      {.name = "staged for one peer, sealed for the other",
       .in = {hello, host_sends(inner4("192.168.1.5", "10.10.0.3"))},
       .out = {{kWan, outer_to(kBob, message_to(kBob, 0, inner4("192.168.1.5", "10.10.0.3").ttl(63)))}},
       .events = {EventType::kNeedHandshake, EventType::kStage},
       .given = [](WorkerWorld& w) { w.remove_session(kAlice); }},
      {.name = "a sending key of 180 s is not used",
       .in = {hello},
       .events = {EventType::kNeedHandshake, EventType::kStage},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.age = std::chrono::seconds(180)}); }},
      {.name = "nor behind a packet that is cut first",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.2", 1400)), hello},
       .events = {EventType::kNeedHandshake, EventType::kStage, EventType::kStage, EventType::kStage},
       .given =
           [](WorkerWorld& w) {
             w.set_session(kAlice, {.age = std::chrono::seconds(180)});
             w.peer(kAlice).mtu = 1300;
           }},
      {.name = "nor one whose private key is gone",
       .in = {hello},
       .events = {EventType::kNeedHandshake, EventType::kStage},
       .given = [](WorkerWorld& w) { w.keypair(kAlice).sending_valid = false; }},
      {.name = "initiator's key of 120 s sends and asks for a new one",
       .in = {hello, hello},
       .out = {sealed, {kWan, outer_to(kAlice, message_to(kAlice, 1, to_alice_aged(64)), 2)}},
       .events = {EventType::kNeedHandshake},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.age = std::chrono::seconds(120)}); }},
      {.name = "119 s do not",
       .in = {hello},
       .out = {sealed},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.age = std::chrono::seconds(119)}); }},
      {.name = "a responder never asks by time",
       .in = {hello},
       .out = {sealed},
       .given =
           [](WorkerWorld& w) {
             w.set_session(kAlice, {.initiator = false, .age = std::chrono::seconds(179)});
           }},
      {.name = "a key born after the loop's clock reading sends and is not old",
       .in = {hello},
       .out = {sealed},
       .given =
           [](WorkerWorld& w) { w.keypair(kAlice).set_birthdate(w.now() + std::chrono::microseconds(1)); }},
      {.name = "message 2^60 asks for a new key, initiator",
       .in = {hello},
       .out = {sealed_at(REKEY_AFTER_MESSAGES)},
       .events = {EventType::kNeedHandshake},
       .given = counter_at(REKEY_AFTER_MESSAGES, true)},
      {.name = "message 2^60 asks for a new key, responder",
       .in = {hello},
       .out = {sealed_at(REKEY_AFTER_MESSAGES)},
       .events = {EventType::kNeedHandshake},
       .given = counter_at(REKEY_AFTER_MESSAGES, false)},
      {.name = "the message before does not",
       .in = {hello},
       .out = {sealed_at(REKEY_AFTER_MESSAGES - 1)},
       .given = counter_at(REKEY_AFTER_MESSAGES - 1, true)},
      {.name = "the last counter is used, then packets are staged",
       .in = {hello},
       .out = {sealed_at(kReject - 1)},
       .events = {EventType::kNeedHandshake},
       .given = counter_at(kReject - 1, true)},
      {.name = "REJECT_AFTER_MESSAGES inside one burst",
       .in = {hello, hello, hello},
       .out = {sealed_at(kReject - 1)},
       .drops = {{"counter_limit", 2}},
       .events = {EventType::kNeedHandshake},
       .given = counter_at(kReject - 1, true)},
      {.name = "at REJECT_AFTER_MESSAGES nothing is sealed",
       .in = {hello},
       .events = {EventType::kNeedHandshake, EventType::kStage},
       .given = counter_at(kReject, true)},
      {.name = "staging full: the request for a handshake and 4095 packets fit",
       .in = std::vector<Frame>(2, hello),
       .drops = {{"staging_full", 2}},
       .events = std::vector<EventType>(4096, EventType::kStage),
       .given =
           [hello](WorkerWorld& w) {
             w.remove_session(kAlice);
             for (int i = 0; i < 4095; ++i) {
               w.arrive(kLan, hello.bytes);
               w.loop();
             }
           },
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.worker().counters().events_lost.get(), 2u); }},
      {.name = "no endpoint: the inside sender is told",
       .in = {hello},
       .out = {{kLan, Packet()
                          .eth(kHostMac, kLanMac)
                          .ip4("192.168.1.1", "192.168.1.5")
                          .tos(0xc0)
                          .icmp4(3, 1)
                          .data(to_alice_aged(64))}},
       .drops = {{"no_endpoint", 1}},
       .given = [](WorkerWorld& w) { w.remove_endpoint(kAlice); },
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.peer(kAlice).drop_no_endpoint, 1u); }},
      {.name = "the endpoint's route leads into the tunnel",
       .in = {hello},
       .drops = {{"routing_loop", 1}},
       .given = [](WorkerWorld& w) { w.path(kAlice).port = kLoopPath; }},
      {.name = "no peer for the destination",
       .in = {host_sends(inner4("192.168.1.5", "10.10.0.99"))},
       .out = {{kLan, Packet()
                          .eth(kHostMac, kLanMac)
                          .ip4("192.168.1.1", "192.168.1.5")
                          .tos(0xc0)
                          .icmp4(3, 1)
                          .data(inner4("192.168.1.5", "10.10.0.99").ttl(63))}},
       .drops = {{"no_peer", 1}}},
      {.name = "no peer for the destination, v6",
       .in = {host_sends(inner6("fd01::5", "fd10::99"))},
       .out = {{kLan, Packet()
                          .eth(kHostMac, kLanMac)
                          .ip6("fd01::1", "fd01::5")
                          .icmp6(1, 3)
                          .data(inner6("fd01::5", "fd10::99").ttl(63))}},
       .drops = {{"no_peer", 1}}},
      {.name = "the port of the path is gone",
       .in = {hello},
       .drops = {{"port_down", 1}},
       .given = [](WorkerWorld& w) { w.path(kAlice).port = dataplane::PortIndex{7}; }},
      {.name = "the port of the path is removed",
       .in = {hello},
       .drops = {{"port_down", 1}},
       .given = [](WorkerWorld& w) { w.port(kWan).port = nullptr; }},
      {.name = "wire full",
       .in = {hello, hello},
       .drops = {{"tx_full", 2}},
       .given = [](WorkerWorld& w) { w.block_wire(kWan); },
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.worker().counters().tx_packets.get(), 0u); }},
      {.name = "no room for the tag",
       .in = {host_sends(to_alice(2020))},
       .drops = {{"no_headroom", 1}},
       .given = [](WorkerWorld& w) { w.interface(kWg0).mtu = 9000; }},
  };
}

std::vector<Scenario> session_rows() {
  std::vector<Scenario> rows = sessions();
  for (Scenario& row : rows) {
    if (row.name.rfind("staging full", 0) == 0) row.events[0] = EventType::kNeedHandshake;
  }
  return rows;
}
SCENARIOS(SendSessions, session_rows);

// Every length from the smallest packet to one beyond a few paddings.
TEST(SendLengths, AreSealedAsTheOracleSeals) {
  for (std::size_t size = 28; size <= 160; ++size) {
    SCOPED_TRACE(size);
    play({.name = "",
          .in = {host_sends(to_alice(size))},
          .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(size)))}}});
    play({.name = "",
          .in = {host_sends(inner4("192.168.1.5", "10.10.0.3", size))},
          .out = {{kWan,
                   outer_to(kBob, message_to(kBob, 0, inner4("192.168.1.5", "10.10.0.3", size).ttl(63)))}}});
  }
}

// Whole bursts of random sizes, peers and families.
TEST(SendBursts, MatchTheOracle) {
  std::uint32_t state = 12345;
  const auto random = [&state](std::uint32_t n) {
    return (state = state * 1664525 + 1013904223) / 65536 % n;
  };
  WorkerWorld w;
  std::uint64_t counters[3] = {};
  std::uint16_t id = 0;
  const TestPeer* everyone[] = {&kAlice, &kBob, &kCarol};
  for (int round = 0; round < 200; ++round) {
    std::vector<Octets> expected;
    const std::uint32_t packets = 1 + random(32);
    for (std::uint32_t i = 0; i < packets; ++i) {
      const TestPeer& to = *everyone[random(3)];
      const bool v6 = random(2) != 0;
      const std::size_t size = 48 + random(1373);
      const auto inner = [&](std::uint8_t ttl) {
        return (v6 ? inner6("fd01::5", to.inside6, size) : inner4("192.168.1.5", to.inside4, size)).ttl(ttl);
      };
      w.arrive(kLan, frame_from_host(inner(64)));
      const std::size_t padded = std::min<std::size_t>((size + 15) / 16 * 16, 1420);
      const bool outer4 = &to != &kBob;
      expected.push_back(outer_to(to, message_to(to, counters[to.slot]++, inner(63), padded),
                                  outer4 ? ++id : std::uint16_t{0}));
    }
    w.loop();
    const auto got = w.transmitted(kWan);
    ASSERT_EQ(got.size(), expected.size());
    for (std::size_t i = 0; i < got.size(); ++i)
      ASSERT_EQ(hex(got[i]), hex(expected[i])) << round << " " << i;
  }
  EXPECT_EQ(w.missing_buffers(), 0u);
}

// Control may post a thousand at once; packets that come meanwhile wait for a burst of them at most.
TEST(Commands, ABurstPerLoop) {
  WorkerWorld w;
  for (int i = 0; i < 100; ++i) w.command(CommandType::kKeepalive, kAlice);
  w.arrive(kLan, frame_from_host(to_alice(64)));
  std::vector<std::size_t> sent;
  while (w.loop()) sent.push_back(w.transmitted(kWan).size());
  EXPECT_EQ(sent, (std::vector<std::size_t>{33, 32, 32, 4}));
  EXPECT_EQ(w.missing_buffers(), 0u);
}

std::vector<Scenario> commands() {
  return {
      {.name = "keepalive: 32 bytes, unpadded, not data",
       .in = {},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, {}))}},
       .given = [](WorkerWorld& w) { w.command(CommandType::kKeepalive, kAlice); },
       .then =
           [](WorkerWorld& w) {
             EXPECT_EQ(w.peer(kAlice).tx_bytes, 32u);
             EXPECT_EQ(w.peer(kAlice).last_sent.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).last_data_sent.load(), kNever);
             EXPECT_EQ(w.peer(kAlice).unanswered_sent.load(), kNever);
           }},
      {.name = "keepalive without a session asks for one and waits for nothing",
       .in = {},
       .events = {EventType::kNeedHandshake},
       .given =
           [](WorkerWorld& w) {
             w.remove_session(kAlice);
             w.command(CommandType::kKeepalive, kAlice);
           }},
      {.name = "keepalive without an endpoint",
       .in = {},
       .drops = {{"no_endpoint", 1}},
       .given =
           [](WorkerWorld& w) {
             w.remove_endpoint(kAlice);
             w.command(CommandType::kKeepalive, kAlice);
           }},
      {.name = "keepalive without a buffer",
       .in = {},
       .drops = {{"no_mbuf", 1}},
       .given =
           [](WorkerWorld& w) {
             w.command(CommandType::kKeepalive, kAlice);
             w.exhaust_pool();
           }},
      {.name = "a staged packet goes to its peer, whatever its destination says",
       .in = {},
       .out = {{kWan, outer_to(kBob, message_to(kBob, 0, inner4("192.168.1.5", "10.10.0.2")))}},
       .given =
           [](WorkerWorld& w) {
             w.command(CommandType::kSendInner, kBob, inner4("192.168.1.5", "10.10.0.2"));
           }},
      {.name = "a command for a peer that has gone is dropped with its packet",
       .in = {},
       .drops = {{"peer_gone", 1}},
       .given = [](WorkerWorld& w) { w.stale_command(inner4("192.168.1.5", "10.10.0.2")); }},
      {.name = "a command for a slot no peer ever had",
       .in = {},
       .drops = {{"peer_gone", 1}},
       .given =
           [](WorkerWorld& w) {
             w.stale_command({1, 2, 3});
           }},
      {.name = "a finished frame leaves by its port as it is",
       .in = {},
       .out = {{kLan, pattern(106)}},
       .given = [](WorkerWorld& w) { w.frame_command(kLan, pattern(106)); }},
      {.name = "a finished frame for a port that has gone is dropped with its buffer",
       .in = {},
       .drops = {{"port_down", 1}},
       .given = [](WorkerWorld& w) { w.frame_command(dataplane::PortIndex{77}, pattern(106)); }},
      {.name = "a path through the kernel: sealed message, no outer headers",
       .in = {host_sends(to_alice(64, 64, 0xb9))},
       .given = [](WorkerWorld& w) { w.use_kernel_path(kAlice); },
       .then =
           [](WorkerWorld& w) {
             const auto notes = w.events();
             ASSERT_EQ(notes.size(), 1u);
             EXPECT_EQ(notes[0].event.type, EventType::kKernelSend);
             EXPECT_EQ(notes[0].event.tos, 1u);
             EXPECT_EQ(notes[0].event.peer, w.peer(kAlice).ref());
             EXPECT_EQ(notes[0].packet, message_to(kAlice, 0, to_alice_aged(64, 0xb9)));
             EXPECT_EQ(w.worker().counters().to_kernel_socket.get(), 1u);
           }},
      {.name = "a datagram of just the path's MTU leaves whole",
       .in = {host_sends(to_alice(1248))},
       .out = {{kWan, outer_to(kAlice, message_to(kAlice, 0, to_alice_aged(1248)))}},
       .given = [](WorkerWorld& w) { w.limit_path(kAlice, 1248 + 60); }},
      {.name = "what is larger than the path's MTU the kernel's socket cuts",
       .in = {host_sends(to_alice(1264))},
       .given = [](WorkerWorld& w) { w.limit_path(kAlice, 1248 + 60); },
       .then =
           [](WorkerWorld& w) {
             const auto notes = w.events();
             ASSERT_EQ(notes.size(), 1u);
             EXPECT_EQ(notes[0].event.type, EventType::kKernelSend);
             EXPECT_EQ(notes[0].packet, message_to(kAlice, 0, to_alice_aged(1264)));
             EXPECT_EQ(w.worker().counters().to_kernel_socket.get(), 1u);
           }},
      {.name = "the way to the kernel's socket is full",
       .in = {},
       .drops = {{"kernel_path_full", 32}},
       .given =
           [](WorkerWorld& w) {
             w.use_kernel_path(kAlice);
             for (int burst = 0; burst < 129; ++burst) {
               for (int i = 0; i < 32; ++i) w.arrive(kLan, frame_from_host(to_alice(64)));
               w.loop();
             }
           },
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.events().size(), 4096u); }},
  };
}
SCENARIOS(SendCommands, commands);

// A datagram from the kernel's socket joins the receive path with its addresses.
TEST(SocketDatagrams, AreReceivedLikeFrames) {
  WorkerWorld w;
  w.command(CommandType::kReceiveOuter, kAlice,
            outer_from(kAlice, message_from(kAlice, 0, inner4("10.10.0.2", "192.168.1.5"))));
  w.loop();
  const auto got = w.transmitted(kLan);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(hex(got[0]), hex(frame_to_host(inner4("10.10.0.2", "192.168.1.5").ttl(63))));
  w.command(CommandType::kReceiveOuter, kAlice, {1, 2, 3});
  w.loop();
  EXPECT_EQ(w.drops(), (std::map<std::string, std::uint64_t>{{"truncated_frame", 1}}));
  EXPECT_EQ(w.missing_buffers(), 0u);
}

}  // namespace
}  // namespace wg::test::send_test
