// A program at an interface, as its inner side or beside its peers: what its ring gets and gives, through the
// real worker.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <set>

#include "dataplane/io/program_ring.h"
#include "dataplane/io/segmentation.h"
#include "tests/unit/dataplane/scenario.h"

namespace wg::test::program_test {
namespace {

using namespace dataplane;

constexpr std::uint32_t kSlots = 64;
const std::string kProgram = "10.10.0.1";

// The program's end, as short as it can be: it neither sleeps nor checks.
class ProgramEnd {
 public:
  explicit ProgramEnd(ProgramRing& ring)
      : descriptors_(ring.take_descriptors()), bytes_(ring.bytes()), slot_bytes_(ring.slot_bytes()) {
    memory_ = static_cast<std::uint8_t*>(
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptors_[0].get(), 0));
  }
  ~ProgramEnd() { munmap(memory_, bytes_); }
  ProgramEnd(const ProgramEnd&) = delete;
  ProgramEnd& operator=(const ProgramEnd&) = delete;

  void send(const Octets& packet, std::uint32_t length) {
    ring_words& words = words_of(RING_FROM_PROGRAM);
    std::memcpy(packet_at(RING_FROM_PROGRAM, words.produced), packet.data(), packet.size());
    length_at(RING_FROM_PROGRAM, words.produced) = length;
    ring_store(&words.produced, words.produced + 1);
  }
  void send(const Octets& packet) { send(packet, static_cast<std::uint32_t>(packet.size())); }
  // Empty: nothing has come.
  Octets receive() {
    ring_words& words = words_of(RING_TO_PROGRAM);
    if (ring_load(&words.produced) == words.consumed) return {};
    const std::uint8_t* const packet = packet_at(RING_TO_PROGRAM, words.consumed);
    const Octets copy(packet, packet + length_at(RING_TO_PROGRAM, words.consumed));
    ring_store(&words.consumed, words.consumed + 1);
    return copy;
  }
  ring_words& words_of(std::uint32_t way) { return *reinterpret_cast<ring_words*>(ring(way)); }

 private:
  std::uint8_t* ring(std::uint32_t way) { return memory_ + ring_offset(0, way, kSlots, slot_bytes_); }
  std::uint32_t& length_at(std::uint32_t way, std::uint32_t position) {
    return reinterpret_cast<std::uint32_t*>(ring(way) + RING_LENGTHS_OFFSET)[position % kSlots];
  }
  std::uint8_t* packet_at(std::uint32_t way, std::uint32_t position) {
    return ring(way) + ring_slots_offset(kSlots) + std::size_t{position % kSlots} * slot_bytes_;
  }

  std::vector<FileDescriptor> descriptors_;
  std::size_t bytes_;
  std::uint32_t slot_bytes_;
  std::uint8_t* memory_;
};

class ProgramTest : public ::testing::Test {
 protected:
  // A program at the interface; `wanted` with the usual slots.
  ProgramTest(InterfaceId id, RingOptions wanted) {
    wanted.slots = kSlots;
    ring_ = *ProgramRing::create(wanted);
    program_ = std::make_unique<ProgramEnd>(*ring_);
    EXPECT_TRUE(ring_->seal().has_value());
    world_.interface(id).ring = ring_.get();
    if (!wanted.routed) world_.interface(id).short_cut = false;
    world_.snapshot().rings = {id};
  }
  void from(const TestPeer& peer, std::uint64_t counter, const Octets& inner) {
    world_.arrive(kWan, outer_from(peer, message_from(peer, counter, inner)));
  }
  void from_alice(std::uint64_t counter, const Octets& inner) { from(kAlice, counter, inner); }
  void TearDown() override { EXPECT_EQ(world_.missing_buffers(), 0u); }
  using Drops = std::map<std::string, std::uint64_t>;

  std::unique_ptr<ProgramRing> ring_;
  std::unique_ptr<ProgramEnd> program_;
  WorkerWorld world_;
};

RingOptions inner_side() {
  RingOptions options;
  options.sources.add(*parse_ip_address(kProgram), 32);
  return options;
}

class ProgramInside : public ProgramTest {
 protected:
  ProgramInside() : ProgramTest(kWg0, inner_side()) {}
};

TEST_F(ProgramInside, GetsWhatPeersSend) {
  const Octets first = inner4("10.10.0.2", kProgram, 70), other = inner4("10.10.0.2", "192.168.1.5");
  const Octets to_bob = inner4("10.10.0.2", "10.10.0.3");
  from_alice(0, first);
  from_alice(1, other);
  from_alice(2, to_bob);
  world_.loop();
  EXPECT_EQ(hex(program_->receive()), hex(first));
  EXPECT_EQ(hex(program_->receive()), hex(other)) << "no short cut past the program";
  EXPECT_EQ(hex(program_->receive()), hex(to_bob)) << "and none between peers";
  EXPECT_TRUE(program_->receive().empty());
  EXPECT_TRUE(world_.drops().empty());
  EXPECT_EQ(world_.worker().counters().to_program.get(), 3u);
}

TEST_F(ProgramInside, SendsToPeers) {
  const Octets inner = inner4(kProgram, "10.10.0.2", 70);
  program_->send(inner);
  EXPECT_TRUE(world_.loop());
  const auto got = world_.transmitted(kWan);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(hex(got[0]), hex(outer_to(kAlice, message_to(kAlice, 0, inner))));
  EXPECT_EQ(world_.worker().counters().from_program.get(), 1u);
  EXPECT_TRUE(world_.drops().empty());
}

TEST_F(ProgramInside, IsToldThatThereIsNoPeer) {
  const Octets inner = inner4(kProgram, "10.10.0.99", 70);
  program_->send(inner);
  world_.loop();
  const Octets answer = Packet().ip4(kProgram, kProgram).tos(0xc0).icmp4(3, 1).data(inner).build();
  EXPECT_EQ(hex(program_->receive()), hex(answer));
  EXPECT_EQ(world_.drops(), (Drops{{"no_peer", 1}}));
}

TEST_F(ProgramInside, CannotSendFromElsewhere) {
  world_.watch_everything();
  program_->send(inner4("10.10.0.3", "10.10.0.2"));
  program_->send(inner6("fd10::3", "fd10::2"));
  world_.loop();
  EXPECT_TRUE(world_.transmitted(kWan).empty());
  expect_told(world_, {{"ring_source", 2}});
}

TEST_F(ProgramInside, OnlyWholePacketsPass) {
  const Octets good = inner4(kProgram, "10.10.0.2", 70);
  Octets broken = good;
  broken[10] ^= 1;  // header checksum
  world_.watch_everything();
  program_->send(broken);
  program_->send(good, 69);
  program_->send(good, 71);
  program_->send(good, 5);
  program_->send(good, 0xffffffff);
  program_->send(Octets(70, 0));
  program_->send(good);
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 1u) << "the last one passes";
  expect_told(world_, {{"ring_bad_packet", 6}});
  EXPECT_EQ(ring_->fault(), RingFault::kNone);
}

TEST_F(ProgramInside, AFullRingDropsTheNewest) {
  world_.watch_everything();
  for (std::uint64_t i = 0; i < kSlots + 6; ++i) {
    from_alice(i, inner4("10.10.0.2", kProgram, 64));
    if (i % 16 == 15) world_.loop();
  }
  world_.loop();
  expect_told(world_, {{"ring_full", 6}});
  for (std::uint32_t i = 0; i < kSlots; ++i) EXPECT_FALSE(program_->receive().empty());
  EXPECT_TRUE(program_->receive().empty());
}

TEST_F(ProgramInside, ThatBreaksTheRulesIsReportedAndGetsNoMore) {
  program_->words_of(RING_FROM_PROGRAM).produced = kSlots + 1;
  world_.loop();
  EXPECT_EQ(ring_->fault(), RingFault::kProducedTooMuch);
  program_->words_of(RING_TO_PROGRAM).consumed = 5;
  from_alice(0, inner4("10.10.0.2", kProgram));
  world_.loop();
  EXPECT_EQ(world_.drops(), (Drops{{"ring_full", 1}}));
  EXPECT_TRUE(world_.transmitted(kWan).empty());
}

// The buffers come from packets of a peer, whose marks they still have.
TEST_F(ProgramInside, WhatIsDroppedIsNoPacketOfBefore) {
  world_.watch_everything();
  for (std::uint64_t i = 0; i < 4; ++i) from_alice(i, inner4("10.10.0.99", kProgram));
  world_.loop();
  EXPECT_FALSE(world_.seen().empty());
  program_->send(inner4("10.10.0.3", "10.10.0.2"));
  world_.loop();
  const auto seen = world_.seen();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].record.point, WatchPoint::from_program);
  EXPECT_EQ(seen[1].record.point, WatchPoint::dropped);
  EXPECT_EQ(seen[1].record.id, seen[0].record.id);
  EXPECT_EQ(seen[1].record.peer, kNoPeer) << "not the peer whose packet was in the buffer before";
}

TEST_F(ProgramInside, OneBurstALoopIsItsShare) {
  for (int i = 0; i < 40; ++i) program_->send(inner4(kProgram, "10.10.0.2"));
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 32u);
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 8u);
}

TEST_F(ProgramInside, AnInterfaceThatIsDownLeavesTheRingAlone) {
  world_.interface(kWg0).up = false;
  program_->send(inner4(kProgram, "10.10.0.2"));
  world_.loop();
  EXPECT_TRUE(world_.transmitted(kWan).empty());
  EXPECT_TRUE(world_.drops().empty());
}

// ---------------------------------------------------------------- beside the peers

const std::string kHost = "10.20.0.7", kHost6 = "fd20::7";

RingOptions beside_peers() {
  RingOptions options;
  options.routed = true;
  options.sources.add(*parse_ip_address(kHost), 32);
  options.sources.add(*parse_ip_address(kHost6), 128);
  options.sources.add(*parse_ip_address("10.10.0.1"), 32);  // ours: it may not all the same
  return options;
}

// The program is a host behind wg1, beside carol.
class ProgramBeside : public ProgramTest {
 protected:
  ProgramBeside() : ProgramTest(kWg1, beside_peers()) {}
};

TEST_F(ProgramBeside, GetsWhatIsRoutedToItsAddresses) {
  world_.arrive(kLan, frame_from_host(inner4("192.168.1.5", kHost, 70)));
  world_.arrive(kLan, frame_from_host(inner6("fd01::5", kHost6, 70)));
  from(kAlice, 0, inner4("10.10.0.2", kHost, 71));
  from(kCarol, 0, inner4("10.20.0.2", kHost, 72));
  world_.loop();
  // All packets of the LAN's port are before those of the WAN's, or behind them.
  std::multiset<std::string> got;
  for (Octets packet = program_->receive(); !packet.empty(); packet = program_->receive())
    got.insert(hex(packet));
  EXPECT_EQ(got,
            (std::multiset<std::string>{
                hex(inner4("192.168.1.5", kHost, 70).ttl(63)), hex(inner6("fd01::5", kHost6, 70).ttl(63)),
                hex(inner4("10.10.0.2", kHost, 71).ttl(63)), hex(inner4("10.20.0.2", kHost, 72).ttl(63))}));
  EXPECT_TRUE(world_.drops().empty());
  EXPECT_TRUE(world_.transmitted(kWan).empty());
  EXPECT_EQ(world_.worker().counters().to_program.get(), 4u);
}

TEST_F(ProgramBeside, LeavesPeersTheirs) {
  world_.arrive(kLan, frame_from_host(inner4("192.168.1.5", "10.20.0.2")));
  world_.arrive(kLan, frame_from_host(inner4("192.168.1.5", kHost)));
  world_.arrive(kLan, frame_from_host(inner4("192.168.1.5", "10.10.0.2")));
  from(kCarol, 0, inner4("10.20.0.2", "192.168.1.5"));
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 2u);
  EXPECT_EQ(world_.transmitted(kLan).size(), 1u);
  EXPECT_EQ(hex(program_->receive()), hex(inner4("192.168.1.5", kHost).ttl(63)));
  EXPECT_TRUE(program_->receive().empty());
  EXPECT_TRUE(world_.drops().empty());
}

TEST_F(ProgramBeside, IsRoutedToPortsPeersAndItself) {
  program_->send(inner4(kHost, "192.168.1.5", 70));
  program_->send(inner6(kHost6, "fd01::5", 70));
  program_->send(inner4(kHost, "10.10.0.2", 71));
  program_->send(inner4(kHost, "10.20.0.2", 72));
  program_->send(inner4(kHost, kHost, 73));
  world_.loop();
  const auto lan = world_.transmitted(kLan);
  ASSERT_EQ(lan.size(), 2u);
  EXPECT_EQ(hex(lan[0]), hex(frame_to_host(inner4(kHost, "192.168.1.5", 70).ttl(63))));
  EXPECT_EQ(hex(lan[1]), hex(frame_to_host(inner6(kHost6, "fd01::5", 70).ttl(63))));
  const auto wan = world_.transmitted(kWan);
  ASSERT_EQ(wan.size(), 2u);
  EXPECT_EQ(hex(wan[0]),
            hex(outer_to(kAlice, message_to(kAlice, 0, inner4(kHost, "10.10.0.2", 71).ttl(63)))));
  EXPECT_EQ(hex(wan[1]),
            hex(outer_to(kCarol, message_to(kCarol, 0, inner4(kHost, "10.20.0.2", 72).ttl(63)), 2)));
  EXPECT_EQ(hex(program_->receive()), hex(inner4(kHost, kHost, 73).ttl(63)));
  EXPECT_TRUE(world_.drops().empty());
}

TEST_F(ProgramBeside, ReachesAnotherProgram) {
  RingOptions options;
  options.slots = kSlots;
  options.routed = true;
  options.sources.add(*parse_ip_address("10.10.0.7"), 32);
  const auto ring = *ProgramRing::create(options);
  ProgramEnd other(*ring);
  ASSERT_TRUE(ring->seal().has_value());
  world_.interface(kWg0).ring = ring.get();
  world_.snapshot().rings = {kWg0, kWg1};
  program_->send(inner4(kHost, "10.10.0.7", 70));
  other.send(inner4("10.10.0.7", kHost, 71));
  world_.loop();
  EXPECT_EQ(hex(other.receive()), hex(inner4(kHost, "10.10.0.7", 70).ttl(63)));
  EXPECT_EQ(hex(program_->receive()), hex(inner4("10.10.0.7", kHost, 71).ttl(63)));
  EXPECT_TRUE(world_.drops().empty());
  world_.interface(kWg0).ring = nullptr;
  world_.snapshot().rings = {kWg1};
}

// As for what comes out of a tunnel: with forwarding off, beyond the TTL or the MTU, without a route.
TEST_F(ProgramBeside, LeavesToLinuxWhatLinuxDecides) {
  program_->send(inner4(kHost, "8.8.8.8"));
  program_->send(inner4(kHost, "192.168.1.5").ttl(1));
  world_.loop();
  EXPECT_EQ(world_.drops(), (Drops{{"punt_off", 2}})) << "this world has no TUNs";
  world_.interface(kWg1).linux_forwards = {false, true};
  program_->send(inner4(kHost, "192.168.1.5"));
  world_.loop();
  world_.interface(kWg1).linux_forwards = {true, true};
  world_.interface(kWg1).short_cut = false;
  program_->send(inner4(kHost, "192.168.1.5"));
  world_.arrive(kLan, frame_from_host(inner4("192.168.1.5", kHost)));
  world_.loop();
  EXPECT_EQ(world_.drops(), (Drops{{"punt_off", 5}}));
  EXPECT_TRUE(world_.transmitted(kLan).empty());
  EXPECT_TRUE(program_->receive().empty());
}

TEST_F(ProgramBeside, HasNoOtherSources) {
  world_.watch_everything();
  program_->send(inner4("10.20.0.2", "192.168.1.5"));  // carol's
  program_->send(inner4("192.168.1.77", "10.10.0.2"));
  program_->send(inner6("fd20::2", "fd01::5"));
  program_->send(inner4("10.10.0.1", "192.168.1.5"));  // ours
  world_.loop();
  EXPECT_TRUE(world_.transmitted(kLan).empty());
  EXPECT_TRUE(world_.transmitted(kWan).empty());
  expect_told(world_, {{"ring_source", 3}, {"martian_inner", 1}});
}

TEST_F(ProgramBeside, LeavesToLinuxWhatNoHostMaySend) {
  const std::string groups[] = {"224.0.0.1", "239.1.2.3", "255.255.255.255",
                                "127.0.0.1", "0.0.0.0",   "240.0.0.1"};
  for (const std::string& to : groups) program_->send(inner4(kHost, to));
  for (const char* to : {"ff02::1", "::1", "::", "fe80::1", "::ffff:192.0.2.1"})
    program_->send(inner6(kHost6, to));
  program_->send(inner4(kHost, "192.168.1.5").ttl(0));
  program_->send(inner6(kHost6, "fd01::5").ttl(0));
  program_->send(inner4(kHost, "192.168.1.5", 1600));  // larger than the way
  program_->send(inner4(kHost, "10.10.0.2", 1600));
  world_.loop();
  EXPECT_EQ(world_.drops(), (Drops{{"punt_off", 15}})) << "this world has no TUNs";
  EXPECT_TRUE(world_.transmitted(kLan).empty());
  EXPECT_TRUE(world_.transmitted(kWan).empty());
}

TEST_F(ProgramBeside, TheTtlEndsALoop) {
  program_->send(inner4(kHost, kHost).ttl(64));
  int ways = 0;
  for (; ways < 100; ++ways) {
    world_.loop();
    const Octets packet = program_->receive();
    if (packet.empty()) break;
    program_->send(packet);
  }
  EXPECT_EQ(ways, 63);
  EXPECT_EQ(world_.drops(), (Drops{{"punt_off", 1}})) << "Linux answers the last one";
}

// A peer that may send from everywhere may not from there, on the program's interface.
TEST_F(ProgramBeside, ItsSourcesAreItsAlone) {
  value_or_throw(world_.allowed4(kWg1).insert(0, 0, kCarol.slot));
  from(kCarol, 0, inner4(kHost, "192.168.1.5"));
  from(kCarol, 1, inner4("10.20.0.8", "192.168.1.5"));
  world_.loop();
  const auto lan = world_.transmitted(kLan);
  ASSERT_EQ(lan.size(), 1u);
  EXPECT_EQ(hex(lan[0]), hex(frame_to_host(inner4("10.20.0.8", "192.168.1.5").ttl(63))));
  EXPECT_EQ(world_.drops(), (Drops{{"disallowed_source", 1}}));
}

TEST_F(ProgramBeside, GetsTheErrorsAboutWhatItSends) {
  program_->send(inner4(kHost, "10.20.0.99", 70));
  world_.loop();
  EXPECT_EQ(world_.drops(), (Drops{{"no_peer", 1}}));
  const Octets answer = Packet()
                            .ip4("10.20.0.1", kHost)
                            .tos(0xc0)
                            .icmp4(3, 1)
                            .data(inner4(kHost, "10.20.0.99", 70).ttl(63))
                            .build();
  EXPECT_EQ(hex(program_->receive()), hex(answer));
}

TEST_F(ProgramBeside, OneBurstALoopIsItsShare) {
  for (int i = 0; i < 40; ++i) program_->send(inner4(kHost, "192.168.1.5"));
  world_.loop();
  EXPECT_EQ(world_.transmitted(kLan).size(), 32u);
  world_.loop();
  EXPECT_EQ(world_.transmitted(kLan).size(), 8u);
}

RingOptions with_all_sources() {
  RingOptions options;
  options.routed = true;
  options.sources.add(*parse_ip_address("0.0.0.0"), 0);
  options.sources.add(*parse_ip_address("::"), 0);
  return options;
}

// Every address is its own, but for those that no host has.
class ProgramWithAllSources : public ProgramTest {
 protected:
  ProgramWithAllSources() : ProgramTest(kWg1, with_all_sources()) {}
};

TEST_F(ProgramWithAllSources, HasNoMartianOnes) {
  world_.watch_everything();
  for (const char* from : {"10.10.0.1", "127.0.0.1", "224.0.0.1", "255.255.255.255"})
    program_->send(inner4(from, "192.168.1.5"));
  for (const char* from : {"::1", "ff02::1", "::ffff:192.0.2.1"}) program_->send(inner6(from, "fd01::5"));
  program_->send(inner4("10.10.0.3", "192.168.1.5"));
  world_.loop();
  EXPECT_EQ(world_.transmitted(kLan).size(), 1u) << "a peer's address passes: the program was opened with it";
  EXPECT_TRUE(world_.transmitted(kWan).empty());
  expect_told(world_, {{"martian_inner", 7}});
}

// ---------------------------------------------------------------- super-packets

Octets octets_of(const VnetHeader& header) {
  Octets bytes(sizeof header);
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

constexpr std::size_t kTcpHeaders = 40, kPayload = 500;

// Segment i of a TCP connection, as it is on a wire. `flags` beside ACK.
Octets segment(const std::string& from, const std::string& to, std::size_t i, std::size_t payload = kPayload,
               std::uint8_t flags = 0) {
  return Packet()
      .ip4(from, to)
      .id(static_cast<std::uint16_t>(7 + i))
      .dont_fragment()
      .tcp(4000, 5000, static_cast<std::uint8_t>(0x10 | flags))
      .sequence(static_cast<std::uint32_t>(1000 + i * kPayload))
      .data(pattern(payload, i));
}

// n segments as one packet, with the sum of the pseudo header in the checksum's field; the last one is
// shorter.
Octets super_packet(const std::string& from, const std::string& to, std::size_t n, std::size_t last) {
  Octets payload;
  for (std::size_t i = 0; i < n; ++i) payload = payload + pattern(i + 1 < n ? kPayload : last, i);
  const VnetHeader header{VnetHeader::kNeedsChecksum, VnetHeader::kTcp4, kTcpHeaders, kPayload, 20, 16};
  return octets_of(header) + Packet()
                                 .ip4(from, to)
                                 .id(7)
                                 .dont_fragment()
                                 .tcp(4000, 5000, 0x18)
                                 .sequence(1000)
                                 .checksum_left_to_device()
                                 .data(payload)
                                 .build();
}

RingOptions with_super_packets(bool join_udp) {
  RingOptions options = inner_side();
  options.offloads = true;
  options.join_udp = join_udp;
  return options;
}

class ProgramOfSuperPackets : public ProgramTest {
 protected:
  explicit ProgramOfSuperPackets(bool join_udp = false) : ProgramTest(kWg0, with_super_packets(join_udp)) {}
};

TEST_F(ProgramOfSuperPackets, SendsOneThatIsSplit) {
  program_->send(super_packet(kProgram, "10.10.0.2", 3, 77));
  world_.loop();
  const auto wan = world_.transmitted(kWan);
  ASSERT_EQ(wan.size(), 3u);
  const std::size_t payloads[] = {kPayload, kPayload, 77};
  for (std::size_t i = 0; i < 3; ++i) {
    const Octets inner = segment(kProgram, "10.10.0.2", i, payloads[i], i == 2 ? 0x08 : 0);
    EXPECT_EQ(hex(wan[i]),
              hex(outer_to(kAlice, message_to(kAlice, i, inner), static_cast<std::uint16_t>(i + 1))));
  }
  EXPECT_TRUE(world_.drops().empty());
  EXPECT_EQ(world_.worker().counters().from_program.get(), 3u);
  EXPECT_EQ(world_.worker().counters().from_program_super_packets.get(), 1u);
  EXPECT_EQ(world_.worker().counters().from_program_split.get(), 3u);
}

TEST_F(ProgramOfSuperPackets, GetsWhatIsOfOneConnectionAsOne) {
  for (std::size_t i = 0; i < 3; ++i)
    from_alice(i, segment("10.10.0.2", kProgram, i, i == 2 ? 77 : kPayload, i == 2 ? 0x08 : 0));
  from_alice(3, inner4("10.10.0.2", kProgram, 70));
  from_alice(4, inner4("10.10.0.2", kProgram, 70));
  world_.loop();
  EXPECT_EQ(hex(program_->receive()), hex(super_packet("10.10.0.2", kProgram, 3, 77)));
  // UDP alone: the program has not said that it takes super-packets of UDP.
  const Octets alone = octets_of({}) + inner4("10.10.0.2", kProgram, 70).build();
  EXPECT_EQ(hex(program_->receive()), hex(alone));
  EXPECT_EQ(hex(program_->receive()), hex(alone));
  EXPECT_TRUE(program_->receive().empty());
  EXPECT_EQ(world_.worker().counters().to_program.get(), 5u);
  EXPECT_EQ(world_.worker().counters().to_program_super_packets.get(), 1u);
  EXPECT_EQ(world_.worker().counters().to_program_joined.get(), 3u);
  EXPECT_TRUE(world_.drops().empty());
}

TEST_F(ProgramOfSuperPackets, LeavesAChecksumToTheGateway) {
  const VnetHeader header{VnetHeader::kNeedsChecksum, VnetHeader::kNone, 0, 0, 20, 6};
  program_->send(octets_of(header) +
                 Packet().ip4(kProgram, "10.10.0.2").udp(1, 2).checksum_left_to_device().data(50).build());
  program_->send(octets_of({}) + inner4(kProgram, "10.10.0.2").build());
  world_.loop();
  const auto wan = world_.transmitted(kWan);
  ASSERT_EQ(wan.size(), 2u);
  const Octets complete = Packet().ip4(kProgram, "10.10.0.2").udp(1, 2).data(50);
  EXPECT_EQ(hex(wan[0]), hex(outer_to(kAlice, message_to(kAlice, 0, complete))));
}

// A slot of many packets takes no more of a loop than as many slots, and no worker sleeps beside its rest.
TEST_F(ProgramOfSuperPackets, OneBurstALoopIsItsShare) {
  program_->send(super_packet(kProgram, "10.10.0.2", 40, 77));
  program_->send(octets_of({}) + inner4(kProgram, "10.10.0.2").build());
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 32u);
  EXPECT_FALSE(ring_->queue(0).prepare_sleep());
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 9u);
  EXPECT_EQ(world_.worker().counters().from_program_super_packets.get(), 1u);
  EXPECT_EQ(world_.worker().counters().from_program_split.get(), 40u);
  EXPECT_TRUE(ring_->queue(0).prepare_sleep());
  ring_->queue(0).awake();
}

// What is left of it has no buffers yet.
TEST_F(ProgramOfSuperPackets, EndsWithinOne) {
  program_->send(super_packet(kProgram, "10.10.0.2", 40, 77));
  world_.loop();
  world_.interface(kWg0).ring = nullptr;
  world_.snapshot().rings = {};
  ring_.reset();
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 32u);
  EXPECT_TRUE(world_.drops().empty());
}

TEST_F(ProgramOfSuperPackets, HeadersThatCannotBeAreDropped) {
  const Octets whole = super_packet(kProgram, "10.10.0.2", 3, 77);
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Octets bytes = whole;
    bytes[at] = value;
    return bytes;
  };
  world_.watch_everything();
  program_->send(with(1, 2));                                  // no kind
  program_->send(with(1, VnetHeader::kTcp6));                  // of another family
  program_->send(with(4, 0), static_cast<std::uint32_t>(29));  // shorter than its headers
  program_->send(whole, 0xffffffff);
  program_->send(whole, 9);
  Octets no_size = with(4, 0);
  no_size[5] = 0;
  program_->send(no_size);  // segments of nothing
  const VnetHeader outside{VnetHeader::kNeedsChecksum, VnetHeader::kNone, 0, 0, 60000, 6};
  program_->send(octets_of(outside) + inner4(kProgram, "10.10.0.2").build());
  Octets large = with(4, 0xff);  // segments larger than a buffer
  large[5] = 0xff;
  program_->send(large + Octets(8000));
  program_->send(octets_of({}) + inner4(kProgram, "10.10.0.2").build());
  world_.loop();
  EXPECT_EQ(world_.transmitted(kWan).size(), 1u) << "the last one passes";
  expect_told(world_, {{"ring_bad_packet", 8}});
  EXPECT_EQ(ring_->fault(), RingFault::kNone);
}

TEST_F(ProgramOfSuperPackets, EverySegmentsSourceIsChecked) {
  program_->send(super_packet("10.10.0.3", "10.10.0.2", 3, 77));
  world_.loop();
  EXPECT_EQ(world_.drops(), (std::map<std::string, std::uint64_t>{{"ring_source", 3}}));
}

TEST_F(ProgramOfSuperPackets, AFullRingDropsTheNewest) {
  std::uint64_t counter = 0;
  for (std::size_t round = 0; round < kSlots + 2; ++round) {
    for (std::size_t i = 0; i < 2; ++i) from_alice(counter++, segment("10.10.0.2", kProgram, i));
    world_.loop();
  }
  EXPECT_EQ(world_.drops(), (std::map<std::string, std::uint64_t>{{"ring_full", 4}}));
  for (std::uint32_t i = 0; i < kSlots; ++i)
    EXPECT_EQ(program_->receive().size(), 10 + kTcpHeaders + 2 * kPayload);
  EXPECT_TRUE(program_->receive().empty());
}

class ProgramThatJoinsUdp : public ProgramOfSuperPackets {
 protected:
  ProgramThatJoinsUdp() : ProgramOfSuperPackets(true) {}
};

TEST_F(ProgramThatJoinsUdp, GetsDatagramsAsOne) {
  for (std::size_t i = 0; i < 3; ++i)
    from_alice(i, Packet().ip4("10.10.0.2", kProgram).id(static_cast<std::uint16_t>(i)).udp(1, 2).data(300));
  world_.loop();
  const Octets got = program_->receive();
  ASSERT_EQ(got.size(), 10u + 28 + 900);
  EXPECT_EQ(got[1], VnetHeader::kUdp);
  EXPECT_EQ(slice(got, 38, got.size()), pattern(300) + pattern(300) + pattern(300));
}

}  // namespace
}  // namespace wg::test::program_test
