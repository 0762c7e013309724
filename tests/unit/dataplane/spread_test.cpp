// One peer's bursts over several workers: whatever the order in which the crypto is done, what leaves is what
// one worker alone would have sent, byte for byte and in order.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/unit/dataplane/scenario.h"

namespace wg::test {
namespace {

using namespace dataplane;

constexpr std::size_t kWireRoom = 192;  // of the wire's 255

// Traffic of one peer in one direction: the n-th frame that arrives and the frame it has to leave as.
struct Stream {
  dataplane::PortIndex in, out;
  std::function<Octets(std::size_t n)> arrives, leaves;
};

Octets numbered(const std::string& from, const std::string& to, std::size_t n, std::uint8_t ttl) {
  return Packet().ip4(from, to).ttl(ttl).udp(1, 2).data(pattern(20 + n * 37 % 1300, n)).build();
}

Stream sending() {
  return {kLan, kWan,
          [](std::size_t n) { return frame_from_host(numbered("192.168.1.5", kAlice.inside4, n, 64)); },
          [](std::size_t n) {
            const Octets inner = numbered("192.168.1.5", kAlice.inside4, n, 63);
            return Octets(outer_to(kAlice, message_to(kAlice, n, inner), static_cast<std::uint16_t>(n + 1)));
          }};
}

Stream receiving() {
  return {kWan, kLan,
          [](std::size_t n) {
            return Octets(
                outer_from(kAlice, message_from(kAlice, n, numbered(kAlice.inside4, "192.168.1.5", n, 64))));
          },
          [](std::size_t n) { return frame_to_host(numbered(kAlice.inside4, "192.168.1.5", n, 63)); }};
}

// Peer to peer: opened for one, sealed for the other, both spread.
Stream hairpin() {
  return {kWan, kWan,
          [](std::size_t n) {
            return Octets(
                outer_from(kAlice, message_from(kAlice, n, numbered(kAlice.inside4, kBob.inside4, n, 64))));
          },
          [](std::size_t n) {
            return Octets(outer_to(kBob, message_to(kBob, n, numbered(kAlice.inside4, kBob.inside4, n, 63))));
          }};
}

struct SpreadCase {
  std::string name;
  Stream (*stream)();
};

class Spread : public ::testing::TestWithParam<SpreadCase> {
 protected:
  const Stream stream_ = GetParam().stream();
  std::size_t sent_ = 0, received_ = 0;

  void arrive(WorkerWorld& w, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) w.arrive(stream_.in, stream_.arrives(sent_++));
  }
  void collect(WorkerWorld& w) {
    for (const Octets& frame : w.transmitted(stream_.out)) {
      ASSERT_EQ(hex(frame), hex(stream_.leaves(received_))) << "frame " << received_;
      ++received_;
    }
  }
};

// Worker 1 shows that it has time; then the owner leaves it bursts as long as its own polls are full.
TEST_P(Spread, TheOwnerPollsOnWhileAnotherWorkerHasItsBurst) {
  WorkerWorld w({}, 2);
  w.loop(1);
  arrive(w, 3 * kPollBurst);
  w.loop();
  collect(w);
  EXPECT_EQ(received_, 0u) << "the first burst waits for worker 1";
  EXPECT_TRUE(w.loop(1));
  EXPECT_EQ(w.worker(1).counters().helped_bursts.get(), 1u);
  for (int i = 0; i < 8; ++i) w.loop();
  collect(w);
  EXPECT_EQ(received_, sent_);
  EXPECT_GE(w.worker().counters().spread_bursts.get(), 3u);
  EXPECT_TRUE(w.drops().empty());
  EXPECT_EQ(w.missing_buffers(), 0u);
}

TEST_P(Spread, ABurstThatNoWorkerTakesIsDoneByItsOwner) {
  WorkerWorld w({}, 2);
  w.loop(1);  // has time, and is never run again
  arrive(w, 6 * kPollBurst + 5);
  for (int i = 0; i < 40; ++i) w.loop();
  collect(w);
  EXPECT_EQ(received_, sent_);
  EXPECT_EQ(w.worker(1).counters().helped_bursts.get(), 0u);
  EXPECT_EQ(w.missing_buffers(), 0u);
}

TEST_P(Spread, NothingIsHandedOverWithoutABacklogOrWithoutATeam) {
  WorkerOptions alone;
  alone.spread = false;
  for (const bool off : {false, true}) {
    WorkerWorld w(off ? alone : WorkerOptions{}, 2);
    sent_ = received_ = 0;
    w.loop(1);
    const std::size_t burst = off ? kPollBurst : kPollBurst - 1;
    for (int i = 0; i < 4; ++i) {
      arrive(w, burst);
      w.loop();
      collect(w);
      EXPECT_EQ(received_, sent_) << "done at once";
    }
    EXPECT_EQ(w.worker().counters().spread_bursts.get(), 0u);
  }
}

TEST(SpreadOfSmallPackets, IsNotWorthItsHandOver) {
  WorkerWorld w({}, 2);
  w.loop(1);
  for (std::size_t i = 0; i < 3 * kPollBurst; ++i)
    w.arrive(kLan, frame_from_host(inner4("192.168.1.5", kAlice.inside4, 64)));
  for (int i = 0; i < 3; ++i) w.loop();
  EXPECT_EQ(w.transmitted(kWan).size(), 3 * kPollBurst);
  EXPECT_EQ(w.worker().counters().spread_bursts.get(), 0u);
}

// Objects that a burst in flight refers to must not be freed, because its owner is not quiescent.
TEST_P(Spread, ABurstInFlightHoldsBackReclamation) {
  WorkerWorld w({}, 2);
  w.loop();
  w.loop(1);
  w.quiescence().offline(1);
  arrive(w, kPollBurst + 1);
  w.loop();
  const std::uint64_t ticket = w.quiescence().ticket();
  EXPECT_FALSE(w.quiescence().passed(ticket));
  w.loop();  // looks at the wire once more and finishes what it can
  EXPECT_FALSE(w.quiescence().passed(ticket)) << "finished in this loop at the earliest";
  for (int i = 0; i < 4; ++i) w.loop();
  EXPECT_TRUE(w.quiescence().passed(ticket));
  collect(w);
  EXPECT_EQ(received_, sent_);
}

// A helper off its core for milliseconds: the owner does without until 100 ms later.
TEST_P(Spread, AStallCostsTheTeamItsTrustForAWhile) {
  WorkerWorld w({}, 2);
  w.loop(1);
  arrive(w, kPollBurst);
  w.loop();  // handed over, and no worker takes it
  std::this_thread::sleep_for(std::chrono::milliseconds(4));
  w.loop();  // nothing arrives any more: the owner does it after all
  collect(w);
  EXPECT_EQ(received_, sent_);
  EXPECT_EQ(w.worker().counters().spread_stalls.get(), 1u);
  const auto spread = [&w] { return w.worker().counters().spread_bursts.get(); };
  const std::uint64_t before = spread();
  for (const auto& [pause, handed] : {std::pair(99, false), std::pair(2, true)}) {
    w.advance_clock(std::chrono::milliseconds(pause));
    arrive(w, kPollBurst);
    for (int i = 0; i < 3; ++i) w.loop();
    EXPECT_EQ(spread() > before, handed) << pause;
  }
  collect(w);
  EXPECT_EQ(received_, sent_);
}

// Three helpers and the owner on as many cores as there are (here perhaps two): preempted anywhere.
TEST_P(Spread, OrderAndNoLossWithMoreWorkersThanCores) {
  using Clock = std::chrono::steady_clock;
  WorkerWorld w({}, 4);
  std::vector<std::thread> helpers;
  for (std::size_t id = 1; id < 4; ++id) {
    helpers.emplace_back([&w, id] {
      run_on_any_core();
      w.worker(id).run();
    });
  }
  const auto helped = [&w] {
    std::uint64_t sum = 0;
    for (std::size_t id = 1; id < 4; ++id) sum += w.worker(id).counters().helped_bursts.get();
    return sum;
  };
  auto last = Clock::now();
  const auto end = last + std::chrono::seconds(20);
  constexpr std::size_t kPackets = 20'000, kHelped = 5;
  while ((sent_ < kPackets || helped() < kHelped) && Clock::now() < end && !HasFatalFailure()) {
    while (sent_ - received_ < kWireRoom) arrive(w, kPollBurst);
    w.advance_clock(Clock::now() - last);  // stalls are forgiven in time
    last = Clock::now();
    for (int i = 0; i < 8; ++i) w.loop();
    collect(w);
  }
  while (received_ < sent_ && Clock::now() < end && !HasFatalFailure()) {
    w.loop();
    collect(w);
  }
  for (std::size_t id = 1; id < 4; ++id) w.worker(id).stop();
  for (std::thread& helper : helpers) helper.join();
  EXPECT_EQ(received_, sent_);
  EXPECT_GE(sent_, kPackets);
  EXPECT_GE(helped(), kHelped) << "the other workers took no part";
  EXPECT_TRUE(w.drops().empty());
  EXPECT_EQ(w.missing_buffers(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Directions, Spread,
                         ::testing::Values(SpreadCase{"send", sending}, SpreadCase{"receive", receiving},
                                           SpreadCase{"hairpin", hairpin}),
                         [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace wg::test
