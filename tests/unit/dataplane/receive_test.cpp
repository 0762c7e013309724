// Outer to inner: the protocol's order of checks, row by row.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/dataplane/scenario.h"

namespace wg::test::receive_test {
namespace {

using namespace dataplane;

const Octets kHi = inner4("10.10.0.2", "192.168.1.5");
const Octets kHiForwarded = inner4("10.10.0.2", "192.168.1.5").ttl(63);

// An accepted packet updates the peer's state, and a refused one must not.
void untouched(WorkerWorld& w) {
  EXPECT_EQ(w.peer(kAlice).last_received.load(), kNever);
  EXPECT_EQ(w.peer(kAlice).rx_bytes, 0u);
  EXPECT_EQ(w.keypair(kAlice).replay.top(), 0u);
}
void fed_but_not_counted(WorkerWorld& w) {
  EXPECT_EQ(w.peer(kAlice).last_received.load(), w.now());
  EXPECT_EQ(w.peer(kAlice).last_data_received.load(), w.now());
  EXPECT_EQ(w.peer(kAlice).rx_bytes, 0u);
}

Octets with_byte(Octets frame, std::size_t at, std::uint8_t value) {
  frame.at(at) = value;
  return frame;
}
Octets flipped(Octets frame, std::size_t from_end) {
  frame.at(frame.size() - from_end) ^= 1;
  return frame;
}

Octets alice_says(std::uint64_t counter, const Octets& inner = kHi, std::uint8_t tos = 0) {
  return outer_from(kAlice, message_from(kAlice, counter, inner), tos);
}

std::vector<Scenario> delivered() {
  const Octets six = inner6("fd10::2", "fd01::5"), six_out = inner6("fd10::2", "fd01::5").ttl(63);
  const Octets bob4 = inner4("10.10.0.3", "192.168.1.5"),
               bob4_out = inner4("10.10.0.3", "192.168.1.5").ttl(63);
  const Octets bob6 = inner6("fd10::3", "fd01::5"), bob6_out = inner6("fd10::3", "fd01::5").ttl(63);
  return {
      {.name = "v4 in v4",
       .in = {{kWan, alice_says(0)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .then =
           [](WorkerWorld& w) {
             EXPECT_EQ(w.peer(kAlice).rx_bytes, 64u + 32);
             EXPECT_EQ(w.peer(kAlice).rx_packets, 1u);
             EXPECT_EQ(w.peer(kAlice).last_received.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).last_data_received.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).unanswered_received.load(), w.now());
             EXPECT_EQ(w.worker().counters().opened_packets.get(), 1u);
             EXPECT_EQ(w.worker().counters().opened_bytes.get(), 64u);
             EXPECT_EQ(w.worker().counters().rx_packets.get(), 1u);
             EXPECT_EQ(w.worker().counters().tx_packets.get(), 1u);
             EXPECT_EQ(w.worker().counters().short_cut_to_port.get(), 1u);
           }},
      {.name = "v6 in v4",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, six))}},
       .out = {{kLan, frame_to_host(six_out)}}},
      {.name = "v4 in v6",
       .in = {{kWan, outer_from(kBob, message_from(kBob, 0, bob4))}},
       .out = {{kLan, frame_to_host(bob4_out)}}},
      {.name = "v6 in v6",
       .in = {{kWan, outer_from(kBob, message_from(kBob, 0, bob6))}},
       .out = {{kLan, frame_to_host(bob6_out)}}},
      {.name = "mixed peers and families in one burst keep their order",
       .in = {{kWan, alice_says(0)},
              {kWan, outer_from(kBob, message_from(kBob, 7, bob6))},
              {kWan, outer_from(kAlice, message_from(kAlice, 1, six))},
              {kWan, outer_from(kBob, message_from(kBob, 6, bob4))},
              {kWan, alice_says(2)}},
       .out = {{kLan, frame_to_host(kHiForwarded)},
               {kLan, frame_to_host(bob6_out)},
               {kLan, frame_to_host(six_out)},
               {kLan, frame_to_host(bob4_out)},
               {kLan, frame_to_host(kHiForwarded)}}},
      {.name = "padding is trimmed but counted",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, inner4("10.10.0.2", "192.168.1.5", 65)))}},
       .out = {{kLan, frame_to_host(inner4("10.10.0.2", "192.168.1.5", 65).ttl(63))}},
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.peer(kAlice).rx_bytes, 80u + 32); }},
      {.name = "padding beyond a multiple of 16 is trimmed too",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, kHi, 1000))}},
       .out = {{kLan, frame_to_host(kHiForwarded)}}},
      {.name = "v6 padding is trimmed",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, inner6("fd10::2", "fd01::5", 97)))}},
       .out = {{kLan, frame_to_host(inner6("fd10::2", "fd01::5", 97).ttl(63))}}},
      {.name = "ethernet padding behind the datagram",
       .in = {{kWan, alice_says(0) + Octets(6)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}}},
      {.name = "a hop with a VLAN tag gets the tag",
       .in = {{kWan, alice_says(0, inner4("10.10.0.2", "192.168.2.9"))}},
       .out = {{kLan, Packet()
                          .eth(kHostMac, kLanMac)
                          .vlan(7)
                          .ip4("10.10.0.2", "192.168.2.9")
                          .ttl(63)
                          .udp(1000, 2000)
                          .data(36)}},
       .given =
           [](WorkerWorld& w) {
             NextHop hop;
             hop.kind = HopKind::kPort;
             hop.port = kLan;
             hop.header_length = 18;
             const Octets header = Packet().eth(kHostMac, kLanMac).vlan(7);
             std::copy(header.begin(), header.end(), hop.header.begin());
             value_or_throw(w.routes4().insert(0xc0a80200, 24, w.add_hop(hop)));
           }},
      {.name = "outer frame with a VLAN tag",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .vlan(5)
                         .ip4(kAlice.endpoint, kUs4)
                         .udp(1111, 51820)
                         .data(message_from(kAlice, 0, kHi))}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .given = [](WorkerWorld& w) { w.accept_vlan(kWan, 5); }},
      {.name = "chained buffers are joined",
       .in = {{kWan, alice_says(0), 3}},
       .out = {{kLan, frame_to_host(kHiForwarded)}}},
      {.name = "v4 datagram without UDP checksum",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip4(kAlice.endpoint, kUs4)
                         .udp(1111, 51820)
                         .no_checksum()
                         .data(message_from(kAlice, 0, kHi))}},
       .out = {{kLan, frame_to_host(kHiForwarded)}}},
      {.name = "a wrong UDP checksum from the known endpoint: the tag vouches for the contents",
       .in = {{kWan, with_byte(alice_says(0), 40, 0x55)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}}},
  };
}
SCENARIOS(ReceiveDelivers, delivered);

// Neighbours of one session are judged together, each still by what is its own.
std::vector<Scenario> runs() {
  const std::uint64_t limit = ~std::uint64_t{0} - (std::uint64_t{1} << 13);
  const Frame at_another_port{kWan, Packet()
                                        .eth(kWanMac, kGatewayMac)
                                        .ip4(kAlice.endpoint, kUs4)
                                        .udp(1111, 51821)
                                        .data(message_from(kAlice, 1, kHi))};
  return {
      {.name = "within a run the port and the counter of each count",
       .in = {{kWan, alice_says(0)},
              at_another_port,
              {kWan, alice_says(2)},
              {kWan, alice_says(limit)},
              {kWan, alice_says(3)}},
       .out = std::vector<Frame>(3, {kLan, frame_to_host(kHiForwarded)}),
       .drops = {{"wrong_port", 1}, {"counter_limit", 1}}},
      {.name = "data behind a keepalive feeds the timers of data",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, {}))}, {kWan, alice_says(1)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .then =
           [](WorkerWorld& w) {
             EXPECT_EQ(w.peer(kAlice).last_data_received.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).unanswered_received.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).rx_packets, 2u);
           }},
  };
}
SCENARIOS(ReceiveRuns, runs);

std::vector<Scenario> refused() {
  const Octets hi = message_from(kAlice, 0, kHi);
  const auto wan = [](const Octets& message) { return outer_from(kAlice, message).build(); };
  const auto drop = [](const std::string& name, const Octets& frame, const std::string& reason) {
    return Scenario{.name = name, .in = {{kWan, frame}}, .drops = {{reason, 1}}, .then = untouched};
  };
  std::vector<Scenario> rows = {
      drop("no ethernet header", Octets(13), "truncated_frame"),
      drop("frame ends inside the VLAN tag", slice(Packet().eth(kWanMac, kGatewayMac).vlan(1), 0, 16),
           "truncated_frame"),
      drop("v4 header cut", slice(wan(hi), 0, 30), "truncated_frame"),
      drop("v4 total length beyond the frame", slice(wan(hi), 0, wan(hi).size() - 1), "truncated_frame"),
      drop("v6 payload length beyond the frame", slice(outer_from(kBob, hi), 0, 100), "truncated_frame"),
      drop("v4 with version 5", with_byte(wan(hi), 14, 0x55), "truncated_frame"),
      drop("other host's MAC", with_byte(wan(hi), 5, 0x77), "other_host"),
      drop("v4 header checksum", with_byte(wan(hi), 14 + 8, 63), "bad_outer_checksum"),
      drop("type 0", wan(with_byte(hi, 0, 0)), "bad_message_type"),
      drop("type 5", wan(with_byte(hi, 0, 5)), "bad_message_type"),
      drop("reserved byte 1", wan(with_byte(hi, 1, 1)), "bad_message_type"),
      drop("reserved byte 3", wan(with_byte(hi, 3, 1)), "bad_message_type"),
      drop("too short for a type", wan({4, 0, 0}), "bad_message_type"),
      drop("data one byte short of a keepalive", wan(slice(hi, 0, 31)), "bad_message_length"),
      drop("unknown index", wan(with_byte(hi, 4, 0x99)), "unknown_index"),
      drop("index zero", wan(with_byte(with_byte(hi, 4, 0), 7, 0)), "unknown_index"),
      drop("tag", flipped(wan(hi), 1), "bad_tag"),
      drop("ciphertext", flipped(wan(hi), 17), "bad_tag"),
      drop("counter bit", wan(with_byte(hi, 8, 1)), "bad_tag"),
      drop("tag of a keepalive", flipped(wan(message_from(kAlice, 0, {})), 1), "bad_tag"),
  };
  rows.push_back(
      {.name = "wrong listen port",
       .in = {{kWan,
               Packet().eth(kWanMac, kGatewayMac).ip4(kAlice.endpoint, kUs4).udp(1111, 51821).data(hi)}},
       .drops = {{"wrong_port", 1}},
       .then = untouched});
  rows.push_back({.name = "interface down",
                  .in = {{kWan, wan(hi)}},
                  .drops = {{"interface_down", 1}},
                  .given = [](WorkerWorld& w) { w.interface(kWg0).up = false; },
                  .then = untouched});
  rows.push_back({.name = "key of 180 s is expired",
                  .in = {{kWan, wan(hi)}},
                  .drops = {{"expired_key", 1}},
                  .given = [](WorkerWorld& w) { w.set_session(kAlice, {.age = std::chrono::seconds(180)}); },
                  .then = untouched});
  rows.push_back({.name = "key of 179 s is not",
                  .in = {{kWan, wan(hi)}},
                  .out = {{kLan, frame_to_host(kHiForwarded)}},
                  .given = [](WorkerWorld& w) {
                    w.set_session(kAlice, {.initiator = false, .age = std::chrono::seconds(179)});
                  }});
  rows.push_back({.name = "key born after the loop's clock reading is fresh",
                  .in = {{kWan, wan(hi)}},
                  .out = {{kLan, frame_to_host(kHiForwarded)}},
                  .given = [](WorkerWorld& w) {
                    w.keypair(kAlice).set_birthdate(w.now() + std::chrono::microseconds(1));
                  }});
  const std::uint64_t limit = ~std::uint64_t{0} - (std::uint64_t{1} << 13);
  rows.push_back({.name = "counter at REJECT_AFTER_MESSAGES",
                  .in = {{kWan, wan(message_from(kAlice, limit, kHi))}},
                  .drops = {{"counter_limit", 1}},
                  .then = untouched});
  rows.push_back({.name = "counter below REJECT_AFTER_MESSAGES",
                  .in = {{kWan, wan(message_from(kAlice, limit - 1, kHi))}},
                  .out = {{kLan, frame_to_host(kHiForwarded)}}});
  rows.push_back({.name = "chain too long for one buffer",
                  .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, kHi, 2400)), 2}},
                  .drops = {{"segmented", 1}},
                  .then = untouched});
  rows.push_back({.name = "no interface listens: for Linux, but there is no exception path",
                  .in = {{kWan, wan(hi)}},
                  .drops = {{"punt_off", 1}},
                  .given = [](WorkerWorld& w) { w.close_listen_port(51820); },
                  .then = untouched});
  return rows;
}
SCENARIOS(ReceiveRefuses, refused);

// What no session opens, while control waits for peers from before the start.
class Strays : public ::testing::Test {
 protected:
  void arrive(std::size_t count, const TestPeer& from = kAlice) {
    for (std::size_t i = 0; i < count; ++i)
      world.arrive(kWan, outer_from(from, with_byte(message_from(from, i, kHi), 4, 0x99)));
    while (world.loop()) {
    }
  }
  std::vector<WorkerWorld::Note> strays() {
    std::vector<WorkerWorld::Note> notes = world.events();
    for (const auto& note : notes) EXPECT_EQ(note.event.type, EventType::kStray);
    return notes;
  }

  WorkerWorld world;
};

TEST_F(Strays, AreReportedWithTheirAddressesWhereControlAsks) {
  arrive(1);
  EXPECT_TRUE(strays().empty()) << "it has not asked";
  world.interface(kWg0).report_strays = true;
  arrive(1);
  const auto notes = strays();
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(dataplane::to_string(notes[0].event.remote), "198.51.100.1:1111");
  EXPECT_EQ(dataplane::to_string(notes[0].event.local), kUs4 + ":51820");
  EXPECT_EQ(notes[0].event.interface_id, kWg0);
  world.advance_clock(std::chrono::seconds(1));
  arrive(1, kCarol);
  EXPECT_TRUE(strays().empty()) << "the other interface has not asked";
  EXPECT_EQ(world.drops(), (std::map<std::string, std::uint64_t>{{"unknown_index", 3}}));
}

TEST_F(Strays, AreReportedAThousandTimesASecondAtMost) {
  world.interface(kWg0).report_strays = true;
  std::size_t reported = 0;
  constexpr std::size_t kLoops = 2000, kPerLoop = 5;
  for (std::size_t i = 0; i < kLoops; ++i) {
    arrive(kPerLoop);
    reported += strays().size();
    world.advance_clock(std::chrono::microseconds(100));
  }
  EXPECT_EQ(reported, 200u) << "in 0.2 s";
  EXPECT_EQ(world.worker().counters().strays_withheld.get(), kLoops * kPerLoop - reported);
}

TEST_F(Strays, AKnownSessionIsNone) {
  world.interface(kWg0).report_strays = true;
  world.arrive(kWan, outer_from(kAlice, message_from(kAlice, 0, kHi)));
  world.loop();
  EXPECT_TRUE(strays().empty());
  EXPECT_EQ(world.transmitted(kLan).size(), 1u);
}

// A packet that fails the inner checks has still roamed, confirmed and fed the timers.
std::vector<Scenario> inner_checks() {
  const auto fed = [](const std::string& name, const Octets& plain, const std::string& reason,
                      std::uint8_t tos = 0) {
    return Scenario{.name = name,
                    .in = {{kWan, alice_says(0, plain, tos)}},
                    .drops = {{reason, 1}},
                    .events = reason == "disallowed_source" ? std::vector{EventType::kSourceMismatch}
                                                            : std::vector<EventType>{},
                    .then = fed_but_not_counted};
  };
  Octets long4 = kHi, short6 = inner6("fd10::2", "fd01::5");
  put16(long4, 2, 65);
  put16(short6, 4, 57);
  return {
      fed("version 5", with_byte(kHi, 0, 0x55), "inner_malformed"),
      fed("v4 header length 16", with_byte(kHi, 0, 0x44), "inner_malformed"),
      fed("v4 total length beyond the plaintext", long4, "inner_malformed"),
      fed("v4 total length below its header", with_byte(kHi, 3, 19), "inner_malformed"),
      fed("v4 cut", slice(kHi, 0, 16), "inner_malformed"),
      fed("v6 cut", slice(inner6("fd10::2", "fd01::5"), 0, 32), "inner_malformed"),
      fed("v6 payload length beyond the plaintext", short6, "inner_malformed"),
      fed("one byte", {0x45}, "inner_malformed"),
      fed("v4 header checksum", with_byte(kHi, 10, static_cast<std::uint8_t>(kHi[10] ^ 1)),
          "inner_malformed"),
      fed("v4 header checksum, with options", with_byte(kHi, 0, 0x46), "inner_malformed"),
      fed("source of another peer", inner4("10.10.0.3", "192.168.1.5"), "disallowed_source"),
      fed("a source that no peer has", inner4("10.10.0.9", "192.168.1.5"), "disallowed_source"),
      fed("v6 source of another peer", inner6("fd10::3", "fd01::5"), "disallowed_source"),
      fed("congestion on a packet that cannot carry it", kHi, "ecn_invalid", 3),
      {.name = "a malformed packet roams and confirms, order of events",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip4("198.51.100.77", kUs4)
                         .udp(999, 51820)
                         .data(message_from(kAlice, 0, with_byte(kHi, 0, 0x55)))}},
       .drops = {{"inner_malformed", 1}},
       .events = {EventType::kRoamed, EventType::kConfirmed},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.initiator = false, .confirmed = false}); },
       .then =
           [](WorkerWorld& w) {
             fed_but_not_counted(w);
             EXPECT_TRUE(w.keypair(kAlice).confirmed);
           }},
      {.name = "a disallowed source roams, confirms and is named",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip4("198.51.100.77", kUs4)
                         .udp(999, 51820)
                         .data(message_from(kAlice, 0, inner4("10.10.0.3", "192.168.1.5")))}},
       .drops = {{"disallowed_source", 1}},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.initiator = false, .confirmed = false}); },
       .then =
           [](WorkerWorld& w) {
             fed_but_not_counted(w);
             const auto notes = w.events();
             ASSERT_EQ(notes.size(), 3u);
             EXPECT_EQ(notes[0].event.type, EventType::kRoamed);
             EXPECT_EQ(to_string(notes[0].event.remote), "198.51.100.77:999");
             EXPECT_EQ(to_string(notes[0].event.local), "203.0.113.2:51820");
             EXPECT_EQ(notes[0].event.peer, w.peer(kAlice).ref());
             EXPECT_EQ(notes[1].event.type, EventType::kConfirmed);
             EXPECT_EQ(notes[1].event.keypair_index, kAlice.our_index);
             EXPECT_EQ(notes[2].event.type, EventType::kSourceMismatch);
             EXPECT_EQ(notes[2].event.owner, kBob.slot);
             EXPECT_EQ(to_string(notes[2].event.remote.address), "10.10.0.3");
             EXPECT_EQ(w.peer(kAlice).drop_disallowed_source, 1u);
           }},
      {.name = "a replayed packet has done nothing",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip4("198.51.100.77", kUs4)
                         .udp(999, 51820)
                         .data(message_from(kAlice, 5, kHi))}},
       .drops = {{"replayed", 1}},
       .given =
           [](WorkerWorld& w) {
             w.set_session(kAlice, {.initiator = false, .confirmed = false});
             EXPECT_TRUE(w.keypair(kAlice).replay.check_and_set(5));
           },
       .then =
           [](WorkerWorld& w) {
             EXPECT_EQ(w.peer(kAlice).last_received.load(), kNever);
             EXPECT_EQ(w.peer(kAlice).rx_bytes, 0u);
             EXPECT_FALSE(w.keypair(kAlice).confirmed);
             EXPECT_EQ(w.peer(kAlice).drop_replayed, 1u);
           }},
      {.name = "older than the window",
       .in = {{kWan, alice_says(9000)}, {kWan, alice_says(9000 - 8128)}, {kWan, alice_says(9000 - 8129)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}, {kLan, frame_to_host(kHiForwarded)}},
       .drops = {{"replayed", 1}}},
      {.name = "the same packet twice in one burst",
       .in = {{kWan, alice_says(3)}, {kWan, alice_says(3)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .drops = {{"replayed", 1}}},
      {.name = "a bad tag neither records its counter nor roams",
       .in = {{kWan, flipped(alice_says(4), 1)}, {kWan, alice_says(4)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .drops = {{"bad_tag", 1}},
       .then = [](WorkerWorld& w) { EXPECT_EQ(w.peer(kAlice).drop_bad_tag, 1u); }},
      {.name = "one mismatch event per loop, every drop counted",
       .in = {{kWan, alice_says(0, inner4("10.10.0.9", "192.168.1.5"))},
              {kWan, alice_says(1, inner4("10.10.0.9", "192.168.1.5"))},
              {kWan, alice_says(2, inner4("10.10.0.9", "192.168.1.5"))}},
       .drops = {{"disallowed_source", 3}},
       .events = {EventType::kSourceMismatch}},
  };
}
SCENARIOS(ReceiveInnerChecks, inner_checks);

std::vector<Scenario> session_events() {
  const auto from = [](const Octets& message, const std::string& host, std::uint16_t port) {
    return Packet().eth(kWanMac, kGatewayMac).ip4(host, kUs4).udp(port, 51820).data(message);
  };
  return {
      {.name = "keepalive: nothing to deliver, timers fed, 32 bytes",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, {}))}},
       .then =
           [](WorkerWorld& w) {
             EXPECT_EQ(w.peer(kAlice).rx_bytes, 32u);
             EXPECT_EQ(w.peer(kAlice).rx_packets, 1u);
             EXPECT_EQ(w.peer(kAlice).last_received.load(), w.now());
             EXPECT_EQ(w.peer(kAlice).last_data_received.load(), kNever);
             EXPECT_EQ(w.peer(kAlice).unanswered_received.load(), kNever);
             EXPECT_EQ(w.worker().counters().keepalives_received.get(), 1u);
           }},
      {.name = "a keepalive confirms and roams",
       .in = {{kWan, from(message_from(kAlice, 0, {}), "198.51.100.1", 1112)}},
       .events = {EventType::kRoamed, EventType::kConfirmed},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.initiator = false, .confirmed = false}); }},
      {.name = "confirmed once",
       .in = {{kWan, alice_says(0)}, {kWan, alice_says(1)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}, {kLan, frame_to_host(kHiForwarded)}},
       .events = {EventType::kConfirmed},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.initiator = false, .confirmed = false}); }},
      {.name = "roaming to another address and back is seen",
       .in = {{kWan, from(message_from(kAlice, 0, kHi), "198.51.100.2", 1111)},
              {kWan, from(message_from(kAlice, 1, kHi), "198.51.100.1", 1111)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}, {kLan, frame_to_host(kHiForwarded)}},
       .events = {EventType::kRoamed}},
      {.name = "one roaming event per burst from the same new place",
       .in = {{kWan, from(message_from(kAlice, 0, kHi), "198.51.100.2", 1111)},
              {kWan, from(message_from(kAlice, 1, kHi), "198.51.100.2", 1111)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}, {kLan, frame_to_host(kHiForwarded)}},
       .events = {EventType::kRoamed}},
      {.name = "two new places in one burst: the last one is told last",
       .in = {{kWan, from(message_from(kAlice, 0, kHi), "198.51.100.2", 1111)},
              {kWan, from(message_from(kAlice, 1, kHi), "198.51.100.3", 1111)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}, {kLan, frame_to_host(kHiForwarded)}},
       .events = {EventType::kRoamed, EventType::kRoamed}},
      {.name = "roaming from v4 to v6",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip6("2001:db8::77", kUs6)
                         .udp(5, 51820)
                         .data(message_from(kAlice, 0, kHi))}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .then =
           [](WorkerWorld& w) {
             const auto notes = w.events();
             ASSERT_EQ(notes.size(), 1u);
             EXPECT_EQ(to_string(notes[0].event.remote), "[2001:db8::77]:5");
             EXPECT_EQ(to_string(notes[0].event.local), "[2001:db8:1::2]:51820");
           }},
      {.name = "our other address roams too (sticky source)",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip4(kAlice.endpoint, "192.168.1.1")
                         .udp(1111, 51820)
                         .data(message_from(kAlice, 0, kHi))}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .events = {EventType::kRoamed}},
      {.name = "no endpoint yet: the first packet tells it",
       .in = {{kWan, alice_says(0)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .events = {EventType::kRoamed},
       .given = [](WorkerWorld& w) { w.remove_endpoint(kAlice); }},
      {.name = "no roaming on a wrong UDP checksum",
       .in = {{kWan, with_byte(from(message_from(kAlice, 0, kHi), "198.51.100.2", 1111), 40, 0x55)}},
       .drops = {{"bad_outer_checksum", 1}},
       .then = untouched},
      {.name = "no roaming on a v6 datagram without checksum",
       .in = {{kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip6("2001:db8::77", kUs6)
                         .udp(5, 51820)
                         .no_checksum()
                         .data(message_from(kAlice, 0, kHi))}},
       .drops = {{"bad_outer_checksum", 1}},
       .then = untouched},
      {.name = "initiator's key of 165 s asks for a new one, once",
       .in = {{kWan, alice_says(0)}, {kWan, alice_says(1)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}, {kLan, frame_to_host(kHiForwarded)}},
       .events = {EventType::kKeyFresh},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.age = std::chrono::seconds(165)}); }},
      {.name = "a keepalive asks as well",
       .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, {}))}},
       .events = {EventType::kKeyFresh},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.age = std::chrono::seconds(165)}); }},
      {.name = "164 s do not",
       .in = {{kWan, alice_says(0)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .given = [](WorkerWorld& w) { w.set_session(kAlice, {.age = std::chrono::seconds(164)}); }},
      {.name = "a responder never asks on receive",
       .in = {{kWan, alice_says(0)}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .given =
           [](WorkerWorld& w) {
             w.set_session(kAlice, {.initiator = false, .age = std::chrono::seconds(170)});
           }},
      {
          .name = "ten pings: 1280 bytes received",
          .in = std::vector<Frame>{},
          .given =
              [](WorkerWorld& w) {
                for (std::uint64_t i = 0; i < 10; ++i)
                  w.arrive(kWan, alice_says(i, inner4("10.10.0.2", "192.168.1.99", 84)));
              },
          .then =
              [](WorkerWorld& w) {
                EXPECT_EQ(w.peer(kAlice).rx_bytes, 1280u);
                EXPECT_EQ(w.peer(kAlice).rx_packets, 10u);
              },
          // 192.168.1.99 has no route of ours: Linux's, and there is no TUN.
      },
  };
}

std::vector<Scenario> session_rows() {
  std::vector<Scenario> rows = session_events();
  rows.back().drops = {{"punt_off", 10}};
  return rows;
}
SCENARIOS(ReceiveSessions, session_rows);

// RFC 6040 section 4.2, figure 4: inner field by arriving inner and outer; 0xff: drop.
// A peer that may send from everywhere still is neither us nor an unassigned address.
std::vector<Scenario> martians() {
  const auto everywhere = [](WorkerWorld& w) {
    value_or_throw(w.allowed4(kWg0).insert(0, 0, kAlice.slot));
    value_or_throw(w.allowed6(kWg0).insert({}, 0, kAlice.slot));
  };
  const auto alice_sends = [](const Octets& inner) {
    return Frame{kWan, outer_from(kAlice, message_from(kAlice, 0, inner))};
  };
  std::vector<Scenario> rows;
  const auto row = [&](const std::string& name, const Octets& inner, const std::string& reason) {
    rows.push_back({.name = name, .in = {alice_sends(inner)}, .drops = {{reason, 1}}, .given = everywhere});
  };
  for (const char* to : {"192.168.1.5", "192.168.1.1", "10.10.0.3", "8.8.8.8"}) {
    for (const char* from : {"192.168.1.1", "10.10.0.1", "203.0.113.2", "127.0.0.1", "127.255.0.9",
                             "224.0.0.5", "255.255.255.255"})
      row(std::string("from ") + from + " to " + to, inner4(from, to), "martian_inner");
  }
  for (const char* to : {"fd01::5", "fd01::1", "fd10::3", "2001:db8::8"}) {
    for (const char* from :
         {"fd01::1", "fd10::1", "2001:db8:1::2", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::1", "ff02::5"})
      row(std::string("from ") + from + " to " + to, inner6(from, to), "martian_inner");
  }
  // Of these Linux decides, which has no TUN here.
  row("class E", inner4("240.0.0.1", "192.168.1.5"), "punt_off");
  row("unspecified", inner4("0.0.0.0", "192.168.1.5"), "punt_off");
  row("unspecified v6", inner6("::", "fd01::5"), "punt_off");
  row("link-local", inner6("fe80::9", "fd01::5"), "punt_off");
  row("to a mapped address", inner6("2001:db8::9", "::ffff:192.168.1.5"), "punt_off");
  const auto passes = [&](const std::string& name, Packet inner) {
    const Octets sent = inner, aged = inner.ttl(63);
    rows.push_back(
        {.name = name, .in = {alice_sends(sent)}, .out = {{kLan, frame_to_host(aged)}}, .given = everywhere});
  };
  passes("the neighbour of one of our addresses", inner4("192.168.1.2", "192.168.1.5"));
  passes("the last address before class D", inner4("223.255.255.255", "192.168.1.5"));
  passes("nearly mapped", inner6("::fffe:7f00:1", "fd01::5"));
  passes("mapped bits behind a prefix", inner6("2001:db8::ffff:7f00:1", "fd01::5"));
  return rows;
}
SCENARIOS(ReceiveMartians, martians);

TEST(ReceiveEcn, FollowsRfc6040) {
  constexpr std::uint8_t kDrop = 0xff;
  //                       outer: not-ECT ECT(1) ECT(0) CE   (wire values 0, 1, 2, 3)
  constexpr std::uint8_t expected[4][4] = {{0, 0, 0, kDrop}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
  for (const bool v6 : {false, true}) {
    for (std::uint8_t inner = 0; inner < 4; ++inner) {
      for (std::uint8_t outer = 0; outer < 4; ++outer) {
        // DSCP of both differ: the inner one stays.
        const auto with_tos = [&](std::uint8_t tos, std::uint8_t ttl) {
          Packet p = v6 ? inner6("fd10::2", "fd01::5") : inner4("10.10.0.2", "192.168.1.5");
          return p.tos(tos).ttl(ttl).build();
        };
        const auto tos = static_cast<std::uint8_t>(0xb8 | inner);
        Scenario row{.name = "", .in = {{kWan, alice_says(0, with_tos(tos, 64), 0x28 | outer)}}};
        const std::uint8_t result = expected[inner][outer];
        if (result == kDrop) {
          row.drops = {{"ecn_invalid", 1}};
        } else {
          row.out = {{kLan, frame_to_host(with_tos(static_cast<std::uint8_t>(0xb8 | result), 63))}};
        }
        SCOPED_TRACE(testing::Message() << "v6 " << v6 << " inner " << int{inner} << " outer " << int{outer});
        play(row);
      }
    }
  }
}

// Every UDP payload length from 0 to 128 with the message type of transport data.
TEST(ReceiveLengths, EveryShortDatagramIsJudged) {
  for (std::size_t length = 0; length <= 128; ++length) {
    Octets message = message_from(kAlice, 0, pattern(128));
    message.resize(length);
    const std::string reason = length < 4    ? "bad_message_type"
                               : length < 32 ? "bad_message_length"
                                             : "bad_tag";
    SCOPED_TRACE(length);
    play(
        {.name = "", .in = {{kWan, outer_from(kAlice, message)}}, .drops = {{reason, 1}}, .then = untouched});
  }
}

// And every length of plaintext from 0 to 128, sealed well.
TEST(ReceiveLengths, EveryShortPlaintextIsJudged) {
  for (std::size_t length = 0; length <= 128; ++length) {
    Octets plain = kHi;
    plain.resize(length);
    SCOPED_TRACE(length);
    Scenario row{.name = "", .in = {{kWan, outer_from(kAlice, message_from(kAlice, 0, plain, length))}}};
    if (length == 0) {
    } else if (length < 64) {
      row.drops = {{"inner_malformed", 1}};
    } else {
      row.out = {{kLan, frame_to_host(kHiForwarded)}};
    }
    play(row);
  }
}

Octets handshake(std::uint8_t type, std::size_t length) {
  Octets m = pattern(length, 3);
  m[0] = type;
  m[1] = m[2] = m[3] = 0;
  return m;
}

Octets initiation_from(const std::string& host, std::uint16_t port) {
  return Packet().eth(kWanMac, kGatewayMac).ip4(host, kUs4).udp(port, 51820).data(handshake(1, 148));
}
Octets left_to_device(Packet frame) {
  return frame.udp(9, 51820).checksum_left_to_device().data(handshake(1, 148));
}

Octets initiation_from6(const std::string& host, std::uint16_t port) {
  return Packet().eth(kWanMac, kGatewayMac).ip6(host, kUs6).udp(port, 51820).data(handshake(1, 148));
}
Packet from_fe80(const Octets& message) {
  return Packet().eth(kWanMac, kGatewayMac).ip6("fe80::9", kUs6).udp(9, 51820).data(message);
}

std::vector<Scenario> handshakes() {
  std::vector<Scenario> rows = {
      {.name = "initiation, response and cookie reply are posted whole",
       .in = {{kWan, outer_from(kAlice, handshake(1, 148))},
              {kWan, outer_from(kBob, handshake(2, 92))},
              {kWan, outer_from(kCarol, handshake(3, 64))}},
       .then =
           [](WorkerWorld& w) {
             const auto got = w.handshakes();
             ASSERT_EQ(got.size(), 3u);
             const std::size_t sizes[] = {148, 92, 64};
             const char* remotes[] = {"198.51.100.1:1111", "[2001:db8:9::3]:3333", "198.51.100.4:4444"};
             const char* locals[] = {"203.0.113.2:51820", "[2001:db8:1::2]:51820", "203.0.113.2:51821"};
             for (std::size_t i = 0; i < 3; ++i) {
               EXPECT_EQ(got[i].length, sizes[i]);
               EXPECT_EQ(Octets(got[i].bytes.begin(), got[i].bytes.begin() + got[i].length),
                         handshake(static_cast<std::uint8_t>(i + 1), sizes[i]));
               EXPECT_EQ(to_string(got[i].remote), remotes[i]);
               EXPECT_EQ(to_string(got[i].local), locals[i]);
               EXPECT_EQ(got[i].interface_id, i == 2 ? kWg1 : kWg0);
             }
             EXPECT_EQ(w.worker().counters().handshakes_posted.get(), 3u);
           }},
      {.name = "lengths are exact",
       .in = {{kWan, outer_from(kAlice, handshake(1, 147))},
              {kWan, outer_from(kAlice, handshake(1, 149))},
              {kWan, outer_from(kAlice, handshake(2, 91))},
              {kWan, outer_from(kAlice, handshake(2, 93))},
              {kWan, outer_from(kAlice, handshake(3, 63))},
              {kWan, outer_from(kAlice, handshake(3, 65))}},
       .drops = {{"bad_message_length", 6}}},
      {.name = "a martian source gets no handshake",
       .in = {{kWan, initiation_from("198.51.100.9", 0)},
              {kWan, initiation_from("0.0.0.0", 9)},
              {kWan, initiation_from("127.0.0.1", 53)},
              {kWan, initiation_from("224.0.0.1", 9)},
              {kWan, initiation_from("255.255.255.255", 9)},
              {kWan, initiation_from("203.0.113.2", 9)},
              {kWan, initiation_from6("::", 9)},
              {kWan, initiation_from6("::1", 9)},
              {kWan, initiation_from6("ff02::1", 9)},
              {kWan, initiation_from6(kUs6, 9)},
              {kWan, initiation_from6("2001:db8::9", 0)},
              {kWan, initiation_from("198.51.100.9", 9)},
              {kWan, initiation_from6("::2", 9)}},
       .drops = {{"martian_source", 11}},
       .handshakes = 2},
      {.name = "no handshake with a wrong UDP checksum, or by v6 without one",
       .in = {{kWan, with_byte(initiation_from("198.51.100.9", 9), 14 + 20 + 1, 10)},
              {kWan, with_byte(initiation_from6("2001:db8::9", 9), 14 + 8 + 15, 10)},
              {kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip6("2001:db8::9", kUs6)
                         .udp(9, 51820)
                         .no_checksum()
                         .data(handshake(1, 148))},
              {kWan, Packet()
                         .eth(kWanMac, kGatewayMac)
                         .ip4("198.51.100.9", kUs4)
                         .udp(9, 51820)
                         .no_checksum()
                         .data(handshake(1, 148))}},
       .drops = {{"bad_outer_checksum", 3}},
       .handshakes = 1},
      {.name =
           "a handshake whose checksum a veth has left to a device is taken, with its own addresses alone",
       .in = {{kWan, left_to_device(Packet().eth(kWanMac, kGatewayMac).ip4("198.51.100.9", kUs4))},
              {kWan, left_to_device(Packet().eth(kWanMac, kGatewayMac).ip6("2001:db8::9", kUs6))},
              {kWan, with_byte(left_to_device(Packet().eth(kWanMac, kGatewayMac).ip6("2001:db8::9", kUs6)),
                               14 + 8 + 15, 10)}},
       .drops = {{"bad_outer_checksum", 1}},
       .handshakes = 2},
      {.name = "from a link-local address a handshake is for Linux, which knows the link; data is not",
       .in = {{kWan, from_fe80(handshake(1, 148))},
              {kWan, from_fe80(handshake(2, 92))},
              {kWan, from_fe80(handshake(3, 64))},
              {kWan, from_fe80(message_from(kAlice, 0, kHi))}},
       .out = {{kLan, frame_to_host(kHiForwarded)}},
       .drops = {{"punt_off", 3}},
       .events = {EventType::kRoamed}},
  };
  std::vector<Frame> flood(20, {kWan, outer_from(kAlice, handshake(1, 148))});
  flood.push_back({kWan, alice_says(0)});
  rows.push_back({.name = "beyond the loop's budget they are shed, data is not",
                  .in = flood,
                  .out = {{kLan, frame_to_host(kHiForwarded)}},
                  .drops = {{"handshake_budget", 4}},
                  .handshakes = 16});
  rows.push_back({.name = "mailbox full",
                  .in = {},
                  .drops = {{"handshake_mailbox_full", 16}},
                  .handshakes = 1024,
                  .given = [](WorkerWorld& w) {
                    for (int loop = 0; loop < 65; ++loop) {
                      for (int i = 0; i < 16; ++i) w.arrive(kWan, outer_from(kAlice, handshake(1, 148)));
                      w.loop();
                    }
                  }});
  return rows;
}
SCENARIOS(ReceiveHandshakes, handshakes);

TEST(HandshakeBudget, QuietLoopsSaveUpForAHeapNotForAFlood) {
  WorkerWorld w;
  for (int i = 0; i < 100; ++i) w.loop();
  const Octets frame = outer_from(kAlice, handshake(1, 148));
  std::vector<std::uint64_t> posted;
  for (int loop = 0; loop < 6; ++loop) {
    for (int i = 0; i < 32; ++i) w.arrive(kWan, frame);
    const auto before = w.worker().counters().handshakes_posted.get();
    w.loop();
    posted.push_back(w.worker().counters().handshakes_posted.get() - before);
  }
  EXPECT_EQ(posted, (std::vector<std::uint64_t>{32, 32, 32, 16, 16, 16}));
  EXPECT_EQ(w.drops().at("handshake_budget"), 48u);
  w.handshakes();
}

}  // namespace
}  // namespace wg::test::receive_test
