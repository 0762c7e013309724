// A program as the inner side of wg0: what its ring gets and gives, through the real worker.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "dataplane/io/program_ring.h"
#include "tests/unit/dataplane/scenario.h"

namespace wg::test {
namespace {

using namespace dataplane;

constexpr std::uint32_t kSlots = 64;
const std::string kProgram = "10.10.0.1";

// The program's end, as short as it can be: it neither sleeps nor checks.
class ProgramEnd {
 public:
  explicit ProgramEnd(ProgramRing& ring) : descriptors_(ring.take_descriptors()), bytes_(ring.bytes()) {
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
  std::uint8_t* ring(std::uint32_t way) { return memory_ + ring_offset(0, way, kSlots, 2048); }
  std::uint32_t& length_at(std::uint32_t way, std::uint32_t position) {
    return reinterpret_cast<std::uint32_t*>(ring(way) + RING_LENGTHS_OFFSET)[position % kSlots];
  }
  std::uint8_t* packet_at(std::uint32_t way, std::uint32_t position) {
    return ring(way) + ring_slots_offset(kSlots) + std::size_t{position % kSlots} * 2048;
  }

  std::vector<FileDescriptor> descriptors_;
  std::size_t bytes_;
  std::uint8_t* memory_;
};

class ProgramInside : public ::testing::Test {
 protected:
  ProgramInside() {
    RingOptions options;
    options.slots = kSlots;
    options.sources.add(*parse_ip_address(kProgram), 32);
    ring_ = *ProgramRing::create(options);
    program_ = std::make_unique<ProgramEnd>(*ring_);
    EXPECT_TRUE(ring_->seal().has_value());
    world_.interface(kWg0).ring = ring_.get();
    world_.interface(kWg0).short_cut = false;
    world_.snapshot().rings = {kWg0};
  }
  void from_alice(std::uint64_t counter, const Octets& inner) {
    world_.arrive(kWan, outer_from(kAlice, message_from(kAlice, counter, inner)));
  }
  void TearDown() override { EXPECT_EQ(world_.missing_buffers(), 0u); }
  using Drops = std::map<std::string, std::uint64_t>;

  std::unique_ptr<ProgramRing> ring_;
  std::unique_ptr<ProgramEnd> program_;
  WorkerWorld world_;
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

}  // namespace
}  // namespace wg::test
