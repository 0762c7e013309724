// The first minutes after a start: peers whose endpoints are known from before it get initiations, paced and
// the latest heard first; transport data without a session asks for one.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <map>

#include "control/noise/noise.h"
#include "fake_host.h"

namespace wg::noise::test {
namespace {

// The gateway `side`, just started, and the engines of peers that it may have known.
class JustStarted : public ::testing::Test {
 protected:
  JustStarted() {
    side.engine.set_private_key(side.key, now);
    side.engine.up(now);
  }
  ~JustStarted() override { side.host.collect(); }

  static Endpoint place(std::size_t number) {
    const std::uint8_t address[] = {10, static_cast<std::uint8_t>(number >> 16),
                                    static_cast<std::uint8_t>(number >> 8),
                                    static_cast<std::uint8_t>(number)};
    return {IpAddress::from_v4(address), dataplane::UdpPort{51820}, 0};
  }
  Peer& add(std::size_t number) {
    Key key{};
    SeededRandom(1000 + number).fill(key);
    Peer& peer = side.new_slot();
    EXPECT_EQ(side.engine.add_peer(peer, make_identity(clamped(key)).static_key.public_key, now),
              AddPeerResult::kAdded);
    return peer;
  }
  static Key clamped(Key key) {
    clamp(key);
    return key;
  }
  Peer& add_known(std::size_t number, std::uint64_t heard) {
    Peer& peer = add(number);
    side.engine.restore_endpoint(peer, place(number), {}, WallTime(std::chrono::seconds(heard)), now);
    return peer;
  }
  void run(std::chrono::nanoseconds duration, std::chrono::nanoseconds step = kMs) {
    for (const BootTime end = now.boot + duration; now.boot < end;) {
      now.boot += step;
      now.wall += step;
      side.engine.advance(now);
    }
  }
  [[nodiscard]] std::vector<Endpoint> addressed() const {
    std::vector<Endpoint> to;
    for (const SentMessage& message : side.host.sent) to.push_back(message.to);
    return to;
  }

  Now now{BootTime(1000 * kSec), WallTime(1'700'000'000 * kSec)};
  Side side{now, 1};
};

TEST_F(JustStarted, ThoseKnownGetAnInitiationTheLatestFirstAndTheOthersSilence) {
  add_known(1, 100);
  add_known(2, 300);
  Peer& unknown = add(3);
  side.engine.set_endpoint(unknown, place(3), now);
  add_known(4, 200);
  EXPECT_TRUE(side.host.sent.empty()) << "nothing before the plan is carried out";
  EXPECT_LE(side.engine.next_deadline(), now.boot) << "but then at once";
  EXPECT_NE(side.engine.next_deadline(), kNever);
  side.engine.advance(now);
  EXPECT_EQ(addressed(), (std::vector<Endpoint>{place(2), place(4), place(1)}));
  EXPECT_EQ(side.host.seen(PeerEventKind::kEndpointRestored), 3);
}

TEST_F(JustStarted, AKeepaliveDoesNotOvertakeNorDouble) {
  for (std::size_t i = 0; i < 100; ++i) {
    Peer& peer = add_known(i, i);
    side.engine.set_keepalive(peer, 25s, now);
  }
  EXPECT_TRUE(side.host.sent.empty());
  run(kSec);
  ASSERT_EQ(side.host.sent.size(), 100u);
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(side.host.sent[i].to, place(99 - i));
}

TEST_F(JustStarted, TheLatestHeardGoBeforePersistentKeepalivesOfOthers) {
  for (std::size_t i = 0; i < 60; ++i) {
    Peer& peer = add(i);
    side.engine.set_endpoint(peer, place(i), now);
    side.engine.set_keepalive(peer, 25s, now);
  }
  const std::size_t at_once = side.host.sent.size();
  EXPECT_EQ(at_once, 32u);
  add_known(100, 1);
  run(10 * kMs);
  ASSERT_GT(side.host.sent.size(), at_once);
  EXPECT_EQ(side.host.sent[at_once].to, place(100));
}

TEST_F(JustStarted, WhoWasFasterIsNotAsked) {
  Peer& peer = add_known(7, 1);
  Key key{};
  SeededRandom(1007).fill(key);
  Side remote(now, 2);
  remote.engine.set_private_key(key, now);
  remote.engine.up(now);
  Peer& us = remote.new_slot();
  remote.engine.add_peer(us, side.engine.public_key(), now);
  remote.engine.set_endpoint(us, endpoint(1, 51820), now);
  remote.engine.initiate(us, now);
  ASSERT_EQ(side.engine.on_handshake(remote.host.sent.front().bytes, place(7), endpoint(1, 51820), now),
            Outcome::kInitiationAnswered);
  run(kSec);
  EXPECT_EQ(side.engine.counters().sent(kInitiation), 0u);
  side.engine.remove_peer(peer);
  remote.host.collect();
}

TEST_F(JustStarted, WhileDownNothingIsRestored) {
  side.engine.down(now);
  add_known(1, 1);
  side.engine.up(now);
  run(kSec);
  EXPECT_TRUE(side.host.sent.empty());
}

TEST_F(JustStarted, AStrayAsksOnceInFiveSecondsAndNeverBesideASession) {
  Peer& peer = add(1);
  EXPECT_FALSE(side.engine.on_stray(peer, now)) << "no endpoint";
  side.engine.set_endpoint(peer, place(1), now);
  EXPECT_TRUE(side.engine.on_stray(peer, now));
  const std::size_t sent = side.engine.counters().sent(kInitiation);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_FALSE(side.engine.on_stray(peer, now));
    run(4 * kMs, 4 * kMs);
  }
  EXPECT_EQ(side.engine.counters().sent(kInitiation), sent);

  TwoEngines t;
  t.handshake();
  t.pass(20 * kSec);
  const std::size_t before = t.a.engine.counters().sent(kInitiation);
  EXPECT_FALSE(t.a.engine.on_stray(*t.at_a, t.now));
  EXPECT_EQ(t.a.engine.counters().sent(kInitiation), before);
}

TEST_F(JustStarted, HeardPeersAreListedInStepsWhileOthersComeAndGo) {
  std::map<Key, Endpoint> wanted;
  std::vector<Peer*> peers;
  for (std::size_t i = 0; i < 50; ++i) {
    Peer& peer = *peers.emplace_back(&add(i));
    side.engine.set_endpoint(peer, place(i), now);
    if (i % 3 == 0) peer.note_received(now.boot, true);               // heard of
    if (i % 3 == 1) peer.note_received(now.boot - 181 * kSec, true);  // too long ago
  }
  std::vector<HeardPeer> heard;
  std::size_t from = 0, steps = 0;
  do {
    from = side.engine.heard_peers(from, 7, now.boot - 180 * kSec, heard);
    if (++steps == 3) side.engine.remove_peer(*peers[48]);  // not reached yet
  } while (from != 0);
  EXPECT_EQ(steps, 8u);
  ASSERT_EQ(heard.size(), 16u);
  for (std::size_t i = 0; i < heard.size(); ++i) {
    EXPECT_EQ(heard[i].remote, place(3 * i));
    EXPECT_EQ(heard[i].heard, now.boot);
  }
  EXPECT_EQ(side.engine.heard_peers(1000, 7, kNever, heard), 0u) << "beyond the end";
}

// Not only after a start: timers that are due together are a few milliseconds of work at a time.
TEST_F(JustStarted, ThousandsOfInitiationsDueAtOnceAreSentInSteps) {
  constexpr std::size_t kPeers = 3000;
  for (std::size_t i = 0; i < kPeers; ++i) {
    Peer& peer = add(i);
    side.engine.set_endpoint(peer, place(i), now);
    side.engine.initiate(peer, now);
  }
  ASSERT_EQ(side.engine.counters().sent(kInitiation), kPeers);
  now.boot += 6 * kSec;  // all are due again
  now.wall += 6 * kSec;
  std::size_t calls = 0, most = 0;
  for (; side.engine.next_deadline() <= now.boot && calls < kPeers; ++calls) {
    const std::size_t sent = side.engine.counters().sent(kInitiation);
    side.engine.advance(now);
    most = std::max(most, side.engine.counters().sent(kInitiation) - sent);
  }
  std::printf("timers peers=%zu calls=%zu most_initiations_a_call=%zu\n", kPeers, calls, most);
  EXPECT_EQ(side.engine.counters().sent(kInitiation), 2 * kPeers);
  EXPECT_LE(most, 16u);
}

// 1000 peers that answer at once. Real time on a core is added to the simulated time of the pace, so the
// figure is one of this machine.
TEST_F(JustStarted, AThousandPeersAreBackWithinThreeSeconds) {
  constexpr std::size_t kPeers = 1000;
  std::vector<std::unique_ptr<Side>> remotes;
  for (std::size_t i = 0; i < kPeers; ++i) {
    Key key{};
    SeededRandom(1000 + i).fill(key);
    Side& remote = *remotes.emplace_back(std::make_unique<Side>(now, 5000 + i));
    remote.engine.set_private_key(key, now);
    remote.engine.up(now);
    remote.engine.add_peer(remote.new_slot(), side.engine.public_key(), now);
    add_known(i, i);
  }
  const BootTime started = now.boot;
  std::size_t answered = 0, back = 0;
  std::chrono::nanoseconds ours{0};
  while (back < kPeers && now.boot - started < 10 * kSec) {
    const auto begun = std::chrono::steady_clock::now();
    run(kMs);
    ours += std::chrono::steady_clock::now() - begun;
    for (; answered < side.host.sent.size(); ++answered) {
      const SentMessage message = side.host.sent[answered];
      const std::size_t number = message.to.address.v4_host_order() & 0xffffff;
      Side& remote = *remotes.at(number);
      remote.engine.on_handshake(message.bytes, endpoint(1, 51820), message.to, now);
      ASSERT_FALSE(remote.host.sent.empty());
      const auto accepting = std::chrono::steady_clock::now();
      ASSERT_EQ(side.engine.on_handshake(remote.host.sent.back().bytes, message.to, endpoint(1, 51820), now),
                Outcome::kResponseAccepted);
      ours += std::chrono::steady_clock::now() - accepting;
      ++back;
    }
  }
  const double paced = std::chrono::duration<double>(now.boot - started).count();
  const double computed = std::chrono::duration<double>(ours).count();
  std::printf("restart peers=%zu paced_s=%.2f computed_s=%.2f\n", back, paced, computed);
  EXPECT_EQ(back, kPeers);
  EXPECT_LE(paced + computed, 3.0);
  for (const auto& remote : remotes) remote->host.collect();
}

}  // namespace
}  // namespace wg::noise::test
