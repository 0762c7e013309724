// Every line of C.3 with a virtual clock. The wheel's tick is about 1 ms, so "at" means within two of them.
#include <gtest/gtest.h>

#include <set>

#include "fake_host.h"

namespace wg::noise::test {
namespace {

constexpr std::chrono::nanoseconds kSlack = 12 * kMs;  // run()'s step of 10 ms and a tick

class Timers : public ::testing::Test {
 protected:
  void run(std::chrono::nanoseconds duration) { t.run(duration, 10 * kMs); }
  [[nodiscard]] std::size_t initiations() const { return t.a.engine.counters().sent(kInitiation); }
  void data_received_at_a() { t.at_a->note_received(t.now.boot, true); }
  void data_sent_by_a() { t.at_a->note_sent(t.now.boot, true); }
  // Forgets what the handshake did to the counters of the fake host.
  void establish() {
    t.handshake();
    t.a.host.keepalives = t.b.host.keepalives = 0;
    t.a.host.events.clear();
    base = initiations();
  }

  TwoEngines t;
  std::size_t base = 0;
};

// ---- retransmission (C3-1, C3-2, C3-3)

TEST_F(Timers, RetransmitsTwentyTimesWithJitterThenGivesUp) {
  t.a.host.staged[t.at_a] = 5;
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  std::vector<BootTime> at{t.now.boot};
  while (t.a.host.seen(PeerEventKind::kGaveUp) == 0 && at.size() < 30) {
    const auto before = initiations();
    run(10 * kMs);
    if (initiations() > before) at.push_back(t.now.boot);
    EXPECT_EQ(t.a.host.staged[t.at_a], t.a.host.seen(PeerEventKind::kGaveUp) == 0 ? 5 : 0);
  }
  EXPECT_EQ(at.size(), 20u);
  EXPECT_EQ(initiations(), 20u);
  EXPECT_EQ(t.a.host.staged[t.at_a], 0) << "staged packets survive until then, no longer";
  std::chrono::nanoseconds least = std::chrono::nanoseconds::max();
  std::chrono::nanoseconds most{0};
  for (std::size_t i = 1; i < at.size(); ++i) {
    least = std::min(least, at[i] - at[i - 1]);
    most = std::max(most, at[i] - at[i - 1]);
  }
  EXPECT_GE(least, 5 * kSec);
  EXPECT_LE(most, 5 * kSec + 333'333'333ns + kSlack);
  EXPECT_GT(most - least, 50 * kMs) << "jitter";
  run(200 * kSec);
  EXPECT_EQ(initiations(), 20u) << "and is quiet";
}

TEST_F(Timers, JitterIsDrawnEachTimeAndDiffersBetweenEngines) {
  t.b.engine.set_endpoint(*t.at_b, t.a_at, t.now);
  t.a.engine.initiate(*t.at_a, t.now);
  t.b.engine.initiate(*t.at_b, t.now);
  std::vector<BootTime> a;
  std::vector<BootTime> b;
  for (int i = 0; i < 2000; ++i) {
    const auto na = initiations();
    const auto nb = t.b.engine.counters().sent(kInitiation);
    run(10 * kMs);
    if (initiations() > na) a.push_back(t.now.boot);
    if (t.b.engine.counters().sent(kInitiation) > nb) b.push_back(t.now.boot);
  }
  ASSERT_GE(a.size(), 3u);
  EXPECT_NE(a, b) << "a fleet must not shake hands in step";
}

TEST_F(Timers, AtMostOneInitiationPerFiveSecondsWhoeverAsks) {
  for (int i = 0; i < 499; ++i) {
    t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
    t.a.engine.initiate(*t.at_a, t.now);
    run(10 * kMs);
  }
  EXPECT_EQ(initiations(), 1u);
}

TEST_F(Timers, NonRetryTriggerStartsCountingAgain) {
  t.a.engine.initiate(*t.at_a, t.now);
  run(80 * kSec);
  const auto before = initiations();
  EXPECT_GE(before, 15u);
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  run(95 * kSec);
  EXPECT_GE(initiations(), before + 17);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kGaveUp), 0);
  run(30 * kSec);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kGaveUp), 1);
}

TEST_F(Timers, RetryClearsTheStickySource) {
  t.handshake();
  t.b.engine.set_endpoint(*t.at_b, t.a_at, t.now);
  t.b.engine.on_roamed(t.at_b->ref(), t.a_at, endpoint(8, 8), t.now);
  t.pass(6 * kSec);
  t.b.engine.initiate(*t.at_b, t.now);
  EXPECT_EQ(t.b.host.sent.back().from, endpoint(8, 8));
  run(6 * kSec);
  EXPECT_EQ(t.b.host.sent.back().type(), kInitiation);
  EXPECT_EQ(t.b.host.sent.back().from, Endpoint{}) << "C3-4";
  EXPECT_EQ(t.status_b().local, Endpoint{});
}

TEST_F(Timers, ResponderDoesNotInitiateWithinFiveSecondsOfItsResponse) {
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  t.b.host.staged[t.at_b] = 1;
  t.b.engine.on_need_handshake(t.at_b->ref(), t.now);
  run(5 * kSec - 20 * kMs);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 0u) << "C3-3";
  run(40 * kMs);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 1u)
      << "but it does when the session was never confirmed";
}

TEST_F(Timers, CompletionStopsRetransmission) {
  t.handshake();
  run(60 * kSec);
  EXPECT_EQ(initiations(), 1u);
  EXPECT_EQ(t.status_a().attempts, 0u);
}

// ---- rekeying (C3-5, C3-6)

TEST_F(Timers, InitiatorRekeysOnSendAfter120SecondsResponderNever) {
  establish();
  t.pass(120 * kSec - 1ns);
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  EXPECT_EQ(initiations(), base) << "a stale request: the session is fine";
  t.pass(1ns);
  t.b.engine.on_need_handshake(t.at_b->ref(), t.now);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 0u);
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  EXPECT_EQ(initiations(), base + 1);
}

TEST_F(Timers, EitherRoleRekeysByMessages) {
  establish();
  t.pass(6 * kSec);
  t.at_b->current.load()->sending_counter.store(REKEY_AFTER_MESSAGES);
  t.b.engine.on_need_handshake(t.at_b->ref(), t.now);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 0u);
  t.at_b->current.load()->sending_counter.store(REKEY_AFTER_MESSAGES + 1);
  t.b.engine.on_need_handshake(t.at_b->ref(), t.now);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 1u);
}

TEST_F(Timers, KeyFreshAt165SecondsOnceAndOnlyTheInitiator) {
  establish();
  t.pass(165 * kSec - 1ns);
  t.a.engine.on_key_fresh(t.at_a->ref(), t.now);
  EXPECT_EQ(initiations(), base);
  t.pass(1ns);
  t.b.engine.on_key_fresh(t.at_b->ref(), t.now);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 0u);
  t.a.engine.on_key_fresh(t.at_a->ref(), t.now);
  EXPECT_EQ(initiations(), base + 1);
  t.pass(6 * kSec);
  t.a.engine.on_key_fresh(t.at_a->ref(), t.now);
  EXPECT_EQ(initiations(), base + 1) << "once per session";
  t.handshake();
  t.pass(166 * kSec);
  t.a.engine.on_key_fresh(t.at_a->ref(), t.now);
  EXPECT_EQ(initiations(), base + 3) << "a new session may again";
}

// ---- passive keepalive (C3-7)

TEST_F(Timers, PassiveKeepaliveTenSecondsAfterTheFirstData) {
  establish();
  run(kSec);
  const BootTime first = t.now.boot;
  data_received_at_a();
  for (int i = 0; i < 5; ++i) {
    run(kSec);
    data_received_at_a();  // does not push it back
  }
  while (t.a.host.keepalives == 0 && t.now.boot < first + 30 * kSec) run(10 * kMs);
  EXPECT_GE(t.now.boot, first + 10 * kSec);
  EXPECT_LE(t.now.boot, first + 10 * kSec + kSlack);
  run(9 * kSec);
  EXPECT_EQ(t.a.host.keepalives, 1);
  run(kSec + kSlack);
  EXPECT_EQ(t.a.host.keepalives, 2) << "data came while it was due: need_another";
  run(60 * kSec);
  EXPECT_EQ(t.a.host.keepalives, 2) << "a keepalive never causes another";
}

TEST_F(Timers, SinglePacketWantsASingleKeepalive) {
  establish();
  run(kSec);
  data_received_at_a();
  run(60 * kSec);
  EXPECT_EQ(t.a.host.keepalives, 1);
}

TEST_F(Timers, SendingAnythingCancelsThePassiveKeepalive) {
  establish();
  run(kSec);
  data_received_at_a();
  run(9 * kSec);
  data_sent_by_a();
  t.at_a->note_received(t.now.boot + 1ns, false);  // and it is answered, so no new handshake either
  run(40 * kSec);
  EXPECT_EQ(t.a.host.keepalives, 0);
}

TEST_F(Timers, KeepalivesDoNotCauseKeepalives) {
  establish();
  for (int i = 0; i < 20; ++i) {
    run(kSec);
    t.at_a->note_received(t.now.boot, false);
  }
  run(20 * kSec);
  EXPECT_EQ(t.a.host.keepalives, 0) << "ping-pong";
}

TEST_F(Timers, SteadyReceivingWithoutSendingKeepsAliveEveryTenSeconds) {
  establish();
  for (int i = 0; i < 1000; ++i) {
    run(100 * kMs);
    data_received_at_a();
  }
  EXPECT_GE(t.a.host.keepalives, 9);
  EXPECT_LE(t.a.host.keepalives, 10);
}

// ---- new handshake after silence (C3-8)

TEST_F(Timers, NewHandshakeFifteenSecondsAfterUnansweredData) {
  establish();
  run(6 * kSec);
  const BootTime first = t.now.boot;
  data_sent_by_a();
  while (initiations() == base && t.now.boot < first + 40 * kSec) {
    run(10 * kMs);
    data_sent_by_a();  // not pushed back
  }
  EXPECT_GE(t.now.boot, first + 15 * kSec);
  EXPECT_LE(t.now.boot, first + 15 * kSec + 333'333'333ns + kSlack);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kUnresponsive), 1);
}

TEST_F(Timers, AnyAuthenticatedPacketCancelsTheNewHandshake) {
  establish();
  run(6 * kSec);
  data_sent_by_a();
  run(14 * kSec);
  t.at_a->note_received(t.now.boot, false);
  run(100 * kSec);
  EXPECT_EQ(initiations(), base);
}

TEST_F(Timers, KeepalivesSentDoNotArmTheNewHandshake) {
  establish();
  run(6 * kSec);
  t.at_a->note_sent(t.now.boot, false);
  run(100 * kSec);
  EXPECT_EQ(initiations(), base);
}

TEST_F(Timers, DeadPeerClearsTheStickySource) {
  establish();
  run(6 * kSec);
  EXPECT_NE(t.status_a().local, Endpoint{});
  data_sent_by_a();
  run(16 * kSec);
  EXPECT_EQ(t.status_a().local, Endpoint{}) << "C3-4";
}

// ---- persistent keepalive (C3-9)

TEST_F(Timers, PersistentKeepaliveSendsAtOnceThenEveryInterval) {
  establish();
  run(6 * kSec);
  t.a.engine.set_keepalive(*t.at_a, 25s, t.now);
  EXPECT_EQ(t.a.host.keepalives, 1) << "from 0 to n";
  t.a.engine.set_keepalive(*t.at_a, 20s, t.now);
  EXPECT_EQ(t.a.host.keepalives, 1) << "from n to m is no reason";
  run(20 * kSec + kSlack);
  EXPECT_EQ(t.a.host.keepalives, 2);
  run(20 * kSec + kSlack);
  EXPECT_EQ(t.a.host.keepalives, 3);
  t.a.engine.set_keepalive(*t.at_a, 0s, t.now);
  run(60 * kSec);
  EXPECT_EQ(t.a.host.keepalives, 3);
}

TEST_F(Timers, PersistentKeepaliveIsPushedBackByTrafficEitherWay) {
  establish();
  run(6 * kSec);
  t.a.engine.set_keepalive(*t.at_a, 5s, t.now);
  for (int i = 0; i < 20; ++i) {
    run(4 * kSec);
    if (i % 2 == 0) {
      t.at_a->note_received(t.now.boot, false);
    } else {
      t.at_a->note_sent(t.now.boot, false);
    }
  }
  EXPECT_EQ(t.a.host.keepalives, 1) << "only the first, at switching on";
}

TEST_F(Timers, PersistentKeepaliveWithoutASessionShakesHandsForEver) {
  t.a.engine.set_keepalive(*t.at_a, 25s, t.now);
  EXPECT_EQ(initiations(), 1u);
  run(400 * kSec);
  EXPECT_GE(t.a.host.seen(PeerEventKind::kGaveUp), 3);
  EXPECT_EQ(t.a.host.keepalives, 0);
}

TEST_F(Timers, UpSendsThePersistentKeepalive) {
  TwoEngines u;
  u.a.engine.down(u.now);
  u.a.engine.set_keepalive(*u.at_a, 25s, u.now);
  EXPECT_EQ(u.a.engine.counters().sent(kInitiation), 0u);
  u.a.engine.up(u.now);
  EXPECT_EQ(u.a.engine.counters().sent(kInitiation), 1u);
}

// ---- persistent keepalives of many peers at once

class ManyStarts : public ::testing::Test {
 protected:
  static constexpr std::size_t kPeers = 2000;
  static constexpr std::size_t kAtOnce = 32;

  ManyStarts() {
    for (std::size_t i = 0; i < kPeers; ++i) peers.push_back(add(static_cast<std::uint16_t>(i + 1)));
  }
  ~ManyStarts() override { side.host.collect(); }

  Peer* add(std::uint16_t number) {
    Peer& peer = side.new_slot();
    peer.generation.store(number);
    Key key;
    side.random.fill(key);
    side.engine.add_peer(peer, key, now);
    side.engine.set_endpoint(peer, endpoint(9, number), now);
    return &peer;
  }
  void switch_on() {
    for (Peer* const peer : peers) side.engine.set_keepalive(*peer, 25s, now);
  }
  [[nodiscard]] std::size_t initiations() const { return side.engine.counters().sent(kInitiation); }
  void pass(std::chrono::nanoseconds duration) {
    now.boot += duration;
    now.wall += duration;
  }
  void all_follow() {
    while (side.engine.follow_some(now)) {
    }
  }
  // Sleeps until the engine's next deadline, as the control thread does.
  void sleep_and_advance() {
    const BootTime due = side.engine.next_deadline();
    ASSERT_NE(due, kNever);
    if (due > now.boot) pass(due - now.boot);
    side.engine.advance(now);
  }

  Now now{BootTime(1000 * kSec), WallTime(1'700'000'000 * kSec)};
  Side side{now, 7};
  bool up = (side.engine.set_private_key(side.key, now), side.engine.up(now), true);
  std::vector<Peer*> peers;
};

TEST_F(ManyStarts, LeaveOneByOneAndSoonEnough) {
  switch_on();
  EXPECT_EQ(initiations(), kAtOnce) << "the first do not wait";
  const BootTime from = now.boot;
  std::size_t looks = 0;
  for (; initiations() < kPeers && looks < 2 * kPeers; ++looks) {
    const std::size_t before = initiations();
    sleep_and_advance();
    EXPECT_LE(initiations() - before, kAtOnce);
    EXPECT_LE(initiations(), kAtOnce + static_cast<std::size_t>((now.boot - from) / 400us))
        << "after " << (now.boot - from).count();
  }
  EXPECT_EQ(initiations(), kPeers);
  EXPECT_LE(now.boot - from, kPeers * kMs / 2) << "10 000 in 5 s";
  EXPECT_LE(looks, kPeers) << "a look each time one may leave, not more";
  std::set<dataplane::UdpPort> reached;
  for (const SentMessage& message : side.host.sent) reached.insert(message.to.port);
  EXPECT_EQ(reached.size(), kPeers) << "each peer once";
}

TEST_F(ManyStarts, DoNotHeapUpWhileTheControlThreadIsBusy) {
  switch_on();
  pass(kSec);
  side.engine.advance(now);
  EXPECT_LE(initiations(), 2 * kAtOnce);
}

TEST_F(ManyStarts, FollowNoKeepaliveBeforeTheirFirst) {
  for (Peer* const peer : peers) side.engine.set_keepalive(*peer, 1s, now);
  pass(kSec + 2 * kMs);  // the interval is over for all that wait
  side.engine.advance(now);
  EXPECT_LE(initiations(), 2 * kAtOnce);
}

TEST_F(ManyStarts, DataDoesNotWait) {
  switch_on();
  const std::size_t before = initiations();
  side.engine.on_need_handshake(peers.back()->ref(), now);
  EXPECT_EQ(initiations(), before + 1);
}

TEST_F(ManyStarts, AreForgottenWhenSwitchedOffRemovedOrDown) {
  switch_on();
  for (std::size_t i = kAtOnce; i < kPeers; ++i) {
    if (i % 2 == 0) {
      side.engine.set_keepalive(*peers[i], 0s, now);
    } else if (i != kPeers - 1) {
      side.engine.remove_peer(*peers[i]);
    }
  }
  pass(kMs);
  side.engine.advance(now);
  EXPECT_EQ(initiations(), kAtOnce + 1) << "only the last is left, and none is in front of it any more";
  side.engine.set_keepalive(*peers[kAtOnce], 25s, now);
  switch_on();
  side.engine.down(now);
  const std::size_t before = initiations();
  pass(10 * kSec);
  all_follow();
  side.engine.advance(now);
  EXPECT_EQ(initiations(), before);
  EXPECT_EQ(side.engine.next_deadline(), kNever);
  side.engine.up(now);
  all_follow();
  EXPECT_EQ(initiations(), before + kAtOnce);
}

TEST_F(ManyStarts, WithoutAnEndpointHoldUpNoOther) {
  for (Peer* const peer : peers) side.engine.set_endpoint(*peer, {}, now);
  switch_on();
  Peer* const one = add(5000);
  side.engine.set_keepalive(*one, 25s, now);
  EXPECT_EQ(initiations(), 1u);
}

// ---- key wipe (C3-10)

TEST_F(Timers, KeysAreWiped540SecondsAfterTheLastSession) {
  establish();
  const std::uint32_t index = t.at_a->current.load()->local_index;
  run(539 * kSec);
  EXPECT_NE(t.a.table.find(index), nullptr);
  run(2 * kSec);
  EXPECT_EQ(t.a.table.find(index), nullptr);
  EXPECT_EQ(t.at_a->current.load(), nullptr);
  EXPECT_EQ(t.a.table.size(), 0u);
  EXPECT_EQ(t.b.table.size(), 0u);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kExpired), 1);
}

TEST_F(Timers, UnconfirmedSessionIsWipedToo) {
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  EXPECT_EQ(t.b.table.size(), 1u);
  run(541 * kSec);
  EXPECT_EQ(t.b.table.size(), 0u);
}

TEST_F(Timers, GivingUpArmsTheWipeOfTheHandshake) {
  t.a.engine.initiate(*t.at_a, t.now);
  run(110 * kSec);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kGaveUp), 1);
  EXPECT_EQ(t.a.table.size(), 1u);
  run(545 * kSec);
  EXPECT_EQ(t.a.table.size(), 0u) << "no ephemeral key lives for ever";
}

TEST_F(Timers, ANewSessionPushesTheWipeBack) {
  establish();
  run(100 * kSec);
  t.handshake();
  run(500 * kSec);
  EXPECT_NE(t.at_a->current.load(), nullptr);
}

// ---- clocks (C3-13)

TEST_F(Timers, WallClockJumpsAreToldAndHarmless) {
  establish();
  run(kSec);
  t.now.wall -= 3600 * kSec;
  run(kSec);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kClockJumped), 1);
  t.now.wall += 7200 * kSec;
  run(kSec);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kClockJumped), 2);
  EXPECT_TRUE(t.status_a().has_session);
}

TEST_F(Timers, SteppedBackClockDoesNotLockUsOut) {
  t.handshake();
  t.now.wall -= 3600 * kSec;
  t.pass(6 * kSec);
  t.a.engine.initiate(*t.at_a, t.now);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kInitiationAnswered) << "stamps go on increasing";
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kClockBehind), 1);
}

TEST_F(Timers, BootTimeReadingsMayCross) {
  establish();
  Now earlier = t.now;
  earlier.boot -= kSec;
  t.a.engine.advance(earlier);
  t.a.engine.on_need_handshake(t.at_a->ref(), earlier);
  EXPECT_EQ(initiations(), base);
  EXPECT_TRUE(t.a.engine.peer_status(*t.at_a, earlier).has_session);
}

// ---- requests of the workers are answered

TEST_F(Timers, RequestBitsAreClearedWhenASessionComesOrARetryIsDue) {
  t.at_a->requested.store(dataplane::kRequestHandshake);
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  EXPECT_EQ(t.at_a->requested.load(), dataplane::kRequestHandshake) << "under way";
  run(6 * kSec);
  EXPECT_EQ(t.at_a->requested.load(), 0u) << "the next packet may ask again";
  t.at_a->requested.store(dataplane::kRequestHandshake | dataplane::kRequestKeyFresh);
  t.deliver_last_to_b();
  t.deliver_last_to_a();
  EXPECT_EQ(t.at_a->requested.load(), 0u);
}

// A worker raises it with the news of a move, which is still on its way: lowering it would send answers to
// the old place, and pull the peer back there.
TEST_F(Timers, NothingOfTheEngineLowersTheRequestOfAMove) {
  const std::uint32_t all = dataplane::kHandshakeRequests | dataplane::kRequestRoaming;
  const auto lowers_only_its_own = [&](const char* what, const auto& action) {
    t.at_a->requested.store(all);
    action();
    EXPECT_EQ(t.at_a->requested.load(), dataplane::kRequestRoaming) << what;
  };
  lowers_only_its_own("a session", [&] { t.handshake(); });
  lowers_only_its_own("a new private key", [&] { t.a.engine.set_private_key(Key{7}, t.now); });
  lowers_only_its_own("down", [&] { t.a.engine.down(t.now); });
  lowers_only_its_own("up", [&] { t.a.engine.up(t.now); });
}

TEST_F(Timers, RefusedRequestsAreClearedWithinASecond) {
  t.a.engine.set_private_key(std::nullopt, t.now);
  t.at_a->requested.store(dataplane::kRequestHandshake);
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kNoPrivateKey), 1);
  run(kSec + kSlack);
  EXPECT_EQ(t.at_a->requested.load(), 0u);
}

TEST_F(Timers, RequestThatCrossedASessionReleasesWhatWasStaged) {
  establish();
  t.a.host.staged[t.at_a] = 1;
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  EXPECT_EQ(t.a.host.staged[t.at_a], 0);
  EXPECT_EQ(initiations(), base);
}

TEST_F(Timers, NextDeadlineIsNeverWhenNothingIsPending) {
  EXPECT_EQ(t.a.engine.next_deadline(), kNever);
  t.a.engine.initiate(*t.at_a, t.now);
  EXPECT_NE(t.a.engine.next_deadline(), kNever);
  EXPECT_LE(t.a.engine.next_deadline(), t.now.boot + 6 * kSec);
}

// The daemon sleeps until next_deadline(): the same happens as with a clock that ticks all the time.
TEST_F(Timers, SleepingUntilNextDeadlineLosesNothing) {
  t.a.engine.initiate(*t.at_a, t.now);
  int wakes = 0;
  while (t.a.host.seen(PeerEventKind::kGaveUp) == 0 && wakes < 2000) {
    const BootTime next = t.a.engine.next_deadline();
    ASSERT_NE(next, kNever);
    t.pass(next > t.now.boot ? next - t.now.boot : kMs);
    t.a.engine.advance(t.now);
    ++wakes;
  }
  EXPECT_EQ(initiations(), 20u);
  EXPECT_LT(wakes, 200);
}

}  // namespace
}  // namespace wg::noise::test
