// The handshake between two engines: keys, slots (C.4), who may send when, and what a refused message
// changes.
#include <gtest/gtest.h>

#include <algorithm>

#include "control/noise/cookie.h"
#include "fake_host.h"

namespace wg::noise::test {
namespace {

TEST(Handshake, GivesBothSidesTheSameKeysCrossed) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  ASSERT_EQ(t.a.host.sent.size(), 1u);
  EXPECT_EQ(t.a.host.sent[0].bytes.size(), 148u);
  EXPECT_EQ(t.a.host.sent[0].tos, kHandshakeTos);
  EXPECT_EQ(t.a.host.sent[0].to, t.b_at);

  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kInitiationAnswered);
  ASSERT_EQ(t.b.host.sent.size(), 1u);
  EXPECT_EQ(t.b.host.sent[0].bytes.size(), 92u);
  EXPECT_EQ(t.b.host.sent[0].tos, kHandshakeTos);
  EXPECT_EQ(t.b.host.sent[0].to, t.a_at);
  EXPECT_EQ(t.b.host.sent[0].from, t.b_at) << "answered from the address that was addressed (C5-6)";
  EXPECT_EQ(t.at_b->current.load(), nullptr) << "a responder must not send before confirmation (I6)";
  EXPECT_TRUE(t.status_b().session_unconfirmed);
  EXPECT_EQ(t.status_b().last_handshake, std::nullopt) << "not complete before the first data (C3-11)";

  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
  EXPECT_EQ(t.status_a().last_handshake, t.now.wall);
  const Keypair* const ka = t.at_a->current.load();
  ASSERT_NE(ka, nullptr);
  const Keypair* const kb = t.b.table.find(ka->remote_index);
  ASSERT_NE(kb, nullptr);
  EXPECT_EQ(ka->sending_key, kb->receiving_key);
  EXPECT_EQ(ka->receiving_key, kb->sending_key);
  EXPECT_NE(ka->sending_key, ka->receiving_key);
  EXPECT_EQ(kb->remote_index, ka->local_index);
  EXPECT_TRUE(ka->i_am_initiator);
  EXPECT_FALSE(kb->i_am_initiator);
  EXPECT_FALSE(kb->confirmed.load());
  EXPECT_EQ(t.a.host.keepalives, 1) << "nothing was staged, so an empty packet confirms (C3-12)";

  t.pass(3 * kMs);
  t.confirm_b();
  EXPECT_EQ(t.at_b->current.load(), kb);
  EXPECT_EQ(t.b.host.releases, 1);
  EXPECT_EQ(t.b.host.keepalives, 0);
  EXPECT_EQ(t.status_b().last_handshake, t.now.wall);
  EXPECT_EQ(t.b.host.seen(PeerEventKind::kSessionUp), 1);
}

TEST(Handshake, StagedPacketsConfirmInsteadOfAKeepalive) {
  TwoEngines t;
  t.a.host.staged[t.at_a] = 3;
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  t.deliver_last_to_b();
  t.deliver_last_to_a();
  EXPECT_EQ(t.a.host.keepalives, 0);
  EXPECT_EQ(t.a.host.staged[t.at_a], 0);
}

// C5-12: one initiation and one response, counted at both ends.
TEST(Handshake, CountsItsBytes) {
  TwoEngines t;
  t.handshake();
  EXPECT_EQ(t.at_a->sent().bytes, 148u);
  EXPECT_EQ(t.at_a->received().bytes, 92u);
  EXPECT_EQ(t.at_b->received().bytes, 148u);
  EXPECT_EQ(t.at_b->sent().bytes, 92u);
}

TEST(Handshake, PresharedKeyMustAgreeAndTakesEffectAtTheNextHandshake) {
  TwoEngines t;
  PresharedKey psk{};
  psk[0] = 1;
  t.handshake();
  const Keypair* const before = t.at_a->current.load();
  t.a.engine.set_preshared_key(*t.at_a, psk, t.now);
  EXPECT_EQ(t.at_a->current.load(), before) << "a running session is not touched";
  EXPECT_TRUE(before->sending_valid.load());

  t.pass(6 * kSec);
  t.a.engine.initiate(*t.at_a, t.now);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kBadResponse);
  EXPECT_EQ(t.status_a().last_refusal, Outcome::kBadResponse);
  EXPECT_EQ(t.a.host.seen(PeerEventKind::kResponseRefused), 1);
  EXPECT_EQ(t.at_a->current.load(), before);

  t.b.engine.set_preshared_key(*t.at_b, psk, t.now);
  t.pass(6 * kSec);
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
}

TEST(Handshake, ReplayedInitiationIsSilentlyRefusedAndNamed) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  const Buffer first = t.a.host.sent.back().bytes;
  t.deliver_last_to_b();
  t.pass(kSec);
  const auto sent = t.b.host.sent.size();
  EXPECT_EQ(t.b.engine.on_handshake(first, endpoint(9, 9), t.b_at, t.now), Outcome::kTimestampNotNewer);
  EXPECT_EQ(t.b.host.sent.size(), sent) << "silence (C2-1)";
  EXPECT_EQ(t.status_b().remote, t.a_at) << "a replay does not move the endpoint";
  EXPECT_EQ(t.status_b().last_refusal, Outcome::kTimestampNotNewer);
  EXPECT_EQ(t.b.engine.peer_events(*t.at_b).back().kind, PeerEventKind::kTimestampNotNewer);
}

// The event contains the difference: "timestamp older by 3600 s".
TEST(Handshake, ClockSteppedBackIsNamedWithItsAmount) {
  TwoEngines t;
  t.handshake();
  Side again(t.now, 1);  // a restarts without its floor, and its clock went back an hour
  Now past = t.now;
  past.wall -= 3600 * kSec;
  again.engine.set_private_key(again.key, past);
  again.engine.up(past);
  Peer& peer = again.new_slot();
  again.engine.add_peer(peer, t.b.engine.public_key(), past);
  again.engine.set_endpoint(peer, t.b_at, past);
  t.pass(kSec);
  again.engine.initiate(peer, past);
  EXPECT_EQ(t.to_b(again.host.sent.back().bytes), Outcome::kTimestampNotNewer);
  EXPECT_NEAR(static_cast<double>(t.b.engine.peer_events(*t.at_b).back().detail), 3600e9, 1e9);

  t.b.engine.reset_timestamp(*t.at_b);  // the operator's way out
  EXPECT_EQ(t.to_b(again.host.sent.back().bytes), Outcome::kInitiationAnswered);
  again.host.collect();
}

TEST(Handshake, ReplayAfterOurRestartNeverDisplacesACurrentSession) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  const Buffer old = t.a.host.sent.back().bytes;
  t.deliver_last_to_b();
  t.deliver_last_to_a();
  t.confirm_b();
  t.b.engine.reset_timestamp(*t.at_b);  // as after a restart that lost the stamps (C6-1)
  const Keypair* const current = t.at_b->current.load();
  t.pass(kSec);
  EXPECT_EQ(t.to_b(old), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.at_b->current.load(), current) << "only `next` is touched";
}

TEST(Handshake, FiftyInitiationsPerSecondPerPeer) {
  TwoEngines t;
  const auto initiation_stamped = [&](WallTime wall) {
    Side fresh(t.now, 1);
    const Now at{t.now.boot, wall};
    fresh.engine.set_private_key(t.a.key, at);
    fresh.engine.up(at);
    Peer& peer = fresh.new_slot();
    fresh.engine.add_peer(peer, t.b.engine.public_key(), at);
    fresh.engine.set_endpoint(peer, t.b_at, at);
    fresh.engine.initiate(peer, at);
    fresh.host.collect();
    return fresh.host.sent.back().bytes;
  };
  EXPECT_EQ(t.to_b(initiation_stamped(t.now.wall)), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.to_b(initiation_stamped(t.now.wall + kSec)), Outcome::kInitiationFlood);
  t.pass(20 * kMs - 1ns);
  EXPECT_EQ(t.to_b(initiation_stamped(t.now.wall + kSec)), Outcome::kInitiationFlood);
  t.pass(1ns);
  EXPECT_EQ(t.to_b(initiation_stamped(t.now.wall + kSec)), Outcome::kInitiationAnswered);
}

// CVE-2021-46873: a stamp from a clock far ahead is accepted, as the protocol demands, but it is told; an
// operator may choose to refuse.
TEST(Handshake, TimestampFarAheadIsTold) {
  for (const bool allow : {true, false}) {
    EngineOptions options;
    options.allow_big_future_timestamps = allow;
    TwoEngines t(options);
    const Now ahead{t.now.boot, t.now.wall + 10 * 86400 * kSec};
    t.a.engine.initiate(*t.at_a, ahead);
    EXPECT_EQ(t.deliver_last_to_b(), allow ? Outcome::kInitiationAnswered : Outcome::kTimestampAhead);
    EXPECT_EQ(t.b.host.seen(PeerEventKind::kTimestampAhead), 1);
  }
}

TEST(Handshake, LateReplayedAndForeignResponsesAreRefused) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  const Buffer late = t.b.host.sent.back().bytes;
  t.pass(5 * kSec);
  t.a.engine.initiate(*t.at_a, t.now);  // a new attempt forgets the first
  EXPECT_EQ(t.to_a(late), Outcome::kUnknownIndex);
  t.deliver_last_to_b();
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
  const Keypair* const current = t.at_a->current.load();
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kUnknownIndex) << "the index is used up";
  EXPECT_EQ(t.at_a->current.load(), current);
}

TEST(Handshake, ForgedResponseLeavesTheRealOneUsable) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  Buffer forged = t.b.host.sent.back().bytes;
  forged[50] ^= 1;
  repair_mac1(forged, t.a.engine.public_key());
  EXPECT_EQ(t.to_a(forged), Outcome::kBadResponse);
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
}

// ---- what never is answered

TEST(Handshake, ExactLengthsOnly) {
  TwoEngines t;
  for (std::size_t length = 0; length <= 200; ++length) {
    for (std::uint8_t type = 0; type <= 5; ++type) {
      if (length == handshake_length(type) && length != 0) continue;
      Buffer m(length, 0);
      if (length > 0) m[0] = type;
      const Outcome outcome = t.to_b(m);
      const bool handshake = length >= 4 && type >= 1 && type <= 3;
      EXPECT_EQ(outcome, handshake ? Outcome::kBadLength : Outcome::kBadType) << length << " " << int{type};
    }
  }
  EXPECT_TRUE(t.b.host.sent.empty());
}

TEST(Handshake, ReservedBytesMustBeZero) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  for (std::size_t i = 1; i < 4; ++i) {
    Buffer m = t.a.host.sent.back().bytes;
    m[i] = 1;
    EXPECT_EQ(t.to_b(m), Outcome::kBadType);
  }
}

TEST(Handshake, BadMac1IsSilence) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  const Buffer good = t.a.host.sent.back().bytes;
  for (std::size_t i = 4; i < 132; ++i) {
    Buffer m = good;
    m[i] ^= 0x10;
    EXPECT_EQ(t.to_b(m), Outcome::kBadMac1) << i;
  }
  Buffer mac2 = good;
  mac2[140] = 1;
  EXPECT_EQ(t.to_b(mac2), Outcome::kInitiationAnswered) << "mac2 is not looked at without load (C2-3)";
  EXPECT_EQ(t.b.engine.counters().of(Outcome::kBadMac1), 128u);
  EXPECT_EQ(t.b.host.sent.size(), 1u);
}

TEST(Handshake, UnknownPeerIsSilenceAndNamed) {
  TwoEngines t;
  t.b.engine.remove_peer(*t.at_b);
  const std::size_t memory = t.b.engine.memory_bytes();
  t.a.engine.initiate(*t.at_a, t.now);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kUnknownPeer);
  EXPECT_TRUE(t.b.host.sent.empty());
  EXPECT_EQ(t.b.engine.memory_bytes(), memory) << "no allocation before authentication (I5)";
  ASSERT_FALSE(t.b.engine.counters().refused().empty());
  EXPECT_EQ(t.b.engine.counters().refused().back().claimed, t.a.engine.public_key());
  EXPECT_EQ(t.b.engine.counters().refused().back().remote, t.a_at);
}

TEST(Handshake, DownOrKeylessAnswersNothing) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  t.b.engine.down(t.now);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kInterfaceDown);
  t.b.engine.up(t.now);
  t.b.engine.set_private_key(std::nullopt, t.now);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kNoPrivateKey);
  EXPECT_TRUE(t.b.host.sent.empty());
}

TEST(Handshake, LowOrderPeerIsAcceptedInConfigurationButNeverSpokenTo) {
  TwoEngines t;
  for (const PublicKey& low : {PublicKey{}, PublicKey{1}}) {
    Peer& peer = t.a.new_slot();
    EXPECT_EQ(t.a.engine.add_peer(peer, low, t.now), AddPeerResult::kAdded);
    t.a.engine.set_endpoint(peer, t.b_at, t.now);
    t.a.host.staged[&peer] = 1;
    t.a.engine.on_need_handshake(peer.ref(), t.now);
    t.a.engine.set_keepalive(peer, 1s, t.now);
    t.run(30 * kSec);
    EXPECT_TRUE(t.a.host.sent.empty()) << "nothing is ever sent (C1-5)";
    EXPECT_GE(t.a.host.seen(PeerEventKind::kLowOrderKey), 1);
    t.a.engine.remove_peer(peer);  // past bug: removal of such a peer hung
  }
}

// ---- key slots (C4-1)

struct Slots {
  explicit Slots(TwoEngines& t) : t_(t) {}
  void initiate_from_a() {
    t_.pass(6 * kSec);
    t_.a.engine.initiate(*t_.at_a, t_.now);
    t_.deliver_last_to_b();
  }
  TwoEngines& t_;
};

TEST(KeySlots, ResponderReceivesWithNextAndGoesOnSendingWithCurrent) {
  TwoEngines t;
  t.handshake();
  Keypair* const first = t.at_b->current.load();
  Slots(t).initiate_from_a();
  EXPECT_EQ(t.at_b->current.load(), first) << "C4-2";
  EXPECT_EQ(t.b.table.find(first->local_index), first);
  t.deliver_last_to_a();
  const std::uint32_t next_index = t.at_a->current.load()->remote_index;
  EXPECT_NE(t.b.table.find(next_index), nullptr);
  t.confirm_b();
  EXPECT_EQ(t.at_b->current.load()->local_index, next_index);
  EXPECT_EQ(t.b.table.find(first->local_index), first) << "the old current is now previous";
}

TEST(KeySlots, NewResponderSessionDropsOldNextAndPrevious) {
  TwoEngines t;
  t.handshake();
  const std::uint32_t first = t.at_b->current.load()->local_index;
  Slots slots(t);
  slots.initiate_from_a();
  t.deliver_last_to_a();
  t.confirm_b();  // previous = first, current = second
  const std::uint32_t second = t.at_b->current.load()->local_index;
  slots.initiate_from_a();  // next = third: previous goes
  EXPECT_EQ(t.b.table.find(first), nullptr);
  EXPECT_NE(t.b.table.find(second), nullptr);
  const auto third = load_le32(message_as<ResponseMessage>(t.b.host.sent.back().bytes).sender_index);
  EXPECT_NE(t.b.table.find(third), nullptr);
  slots.initiate_from_a();  // next = fourth: third goes
  EXPECT_EQ(t.b.table.find(third), nullptr);
  EXPECT_NE(t.b.table.find(second), nullptr);
}

TEST(KeySlots, InitiatorKeepsTheOldCurrentAsPrevious) {
  TwoEngines t;
  t.handshake();
  const std::uint32_t first = t.at_a->current.load()->local_index;
  t.pass(6 * kSec);
  t.handshake();
  const std::uint32_t second = t.at_a->current.load()->local_index;
  EXPECT_NE(first, second);
  EXPECT_NE(t.a.table.find(first), nullptr);
  t.pass(6 * kSec);
  t.handshake();
  EXPECT_EQ(t.a.table.find(first), nullptr);
  EXPECT_NE(t.a.table.find(second), nullptr);
}

TEST(KeySlots, InitiatorWithPendingNextMakesItPreviousAndDropsCurrent) {
  TwoEngines t;
  t.handshake();
  const std::uint32_t first = t.at_b->current.load()->local_index;
  Slots(t).initiate_from_a();  // b has next
  const auto next = load_le32(message_as<ResponseMessage>(t.b.host.sent.back().bytes).sender_index);
  t.pass(6 * kSec);
  t.b.engine.initiate(*t.at_b, t.now);
  EXPECT_EQ(t.to_a(t.b.host.sent.back().bytes), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.to_b(t.a.host.sent.back().bytes), Outcome::kResponseAccepted);
  EXPECT_EQ(t.b.table.find(first), nullptr) << "old current dropped";
  EXPECT_NE(t.b.table.find(next), nullptr) << "old next is previous";
  EXPECT_TRUE(t.at_b->current.load()->i_am_initiator);
  EXPECT_FALSE(t.status_b().session_unconfirmed);
}

TEST(KeySlots, BothInitiateAtOnceAndBothSessionsWork) {
  TwoEngines t;
  t.b.engine.set_endpoint(*t.at_b, t.a_at, t.now);
  t.a.engine.initiate(*t.at_a, t.now);
  t.b.engine.initiate(*t.at_b, t.now);
  const Buffer from_a = t.a.host.sent.back().bytes;
  const Buffer from_b = t.b.host.sent.back().bytes;
  EXPECT_EQ(t.to_b(from_a), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.to_a(from_b), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kResponseAccepted);
  const Keypair* const ka = t.at_a->current.load();
  const Keypair* const kb = t.at_b->current.load();
  ASSERT_NE(ka, nullptr);
  ASSERT_NE(kb, nullptr);
  EXPECT_NE(t.b.table.find(ka->remote_index), nullptr) << "b can open what a sends";
  EXPECT_NE(t.a.table.find(kb->remote_index), nullptr) << "a can open what b sends";
}

TEST(KeySlots, ConfirmationOfASupersededSessionIsIgnored) {
  TwoEngines t;
  Slots slots(t);
  slots.initiate_from_a();
  const auto old_next = load_le32(message_as<ResponseMessage>(t.b.host.sent.back().bytes).sender_index);
  slots.initiate_from_a();
  t.b.engine.on_confirmed(old_next, t.now);
  EXPECT_EQ(t.at_b->current.load(), nullptr);
  t.b.engine.on_confirmed(12345, t.now);
  EXPECT_EQ(t.at_b->current.load(), nullptr);
}

TEST(KeySlots, KeypairsAreUnpublishedFirstAndFreedByTheHost) {
  TwoEngines t;
  t.handshake();
  const Keypair* const keypair = t.at_a->current.load();
  const std::uint32_t index = keypair->local_index;
  t.a.host.collect();
  t.a.engine.remove_peer(*t.at_a);
  EXPECT_EQ(t.at_a->current.load(), nullptr);
  EXPECT_EQ(t.a.table.find(index), nullptr);
  ASSERT_EQ(t.a.host.retired.size(), 1u) << "freed only when the workers are quiescent (C4-8)";
  EXPECT_FALSE(std::all_of(keypair->sending_key.begin(), keypair->sending_key.end(),
                           [](std::uint8_t b) { return b == 0; }));
  t.a.host.collect();
}

TEST(KeySlots, RetiredKeypairsOutliveTheEngine) {
  TwoEngines t;
  t.handshake();
  FakeHost& host = t.a.host;
  SeededRandom random(1);
  const std::size_t waiting = host.retired.size();
  {
    auto engine = std::make_unique<Engine>(host, t.a.table, random);
    engine->set_private_key(t.b.key, t.now);
    engine->up(t.now);
    Peer& peer = t.a.new_slot();
    engine->add_peer(peer, t.a.engine.public_key(), t.now);
    t.pass(6 * kSec);
    t.a.engine.initiate(*t.at_a, t.now);
    EXPECT_EQ(engine->on_handshake(host.sent.back().bytes, t.a_at, t.b_at, t.now),
              Outcome::kInitiationAnswered);
  }
  EXPECT_EQ(host.retired.size(), waiting + 1);
  host.collect();  // must not touch freed memory
}

// ---- roaming (C5-5)

TEST(Roaming, InitiationAndResponseMoveTheEndpointCookieRepliesDoNot) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  EXPECT_EQ(t.b.engine.on_handshake(t.a.host.sent.back().bytes, endpoint(7, 700), endpoint(8, 800), t.now),
            Outcome::kInitiationAnswered);
  EXPECT_EQ(t.status_b().remote, endpoint(7, 700));
  EXPECT_EQ(t.b.host.sent.back().to, endpoint(7, 700));
  EXPECT_EQ(t.b.host.sent.back().from, endpoint(8, 800));
  EXPECT_EQ(t.b.host.remote, endpoint(7, 700)) << "the path is rebuilt";
  EXPECT_EQ(t.a.engine.on_handshake(t.b.host.sent.back().bytes, endpoint(5, 500), endpoint(6, 600), t.now),
            Outcome::kResponseAccepted);
  EXPECT_EQ(t.status_a().remote, endpoint(5, 500));
  EXPECT_EQ(t.status_a().local, endpoint(6, 600));
}

TEST(Roaming, DataMovesTheEndpointThroughTheWorkersMailbox) {
  TwoEngines t;
  t.handshake();
  const int changes = t.b.host.endpoint_changes;
  t.b.engine.on_roamed(t.at_b->ref(), endpoint(7, 700), t.b_at, t.now);
  EXPECT_EQ(t.status_b().remote, endpoint(7, 700));
  EXPECT_EQ(t.b.host.endpoint_changes, changes + 1);
  EXPECT_EQ(t.b.host.seen(PeerEventKind::kRoamed), 2) << "the first handshake and this";
  t.b.engine.on_roamed(t.at_b->ref(), endpoint(7, 700), t.b_at, t.now);
  EXPECT_EQ(t.b.host.endpoint_changes, changes + 1) << "no change, no work";
  t.b.engine.on_roamed({t.at_b->slot, 99}, endpoint(1, 1), t.b_at, t.now);
  EXPECT_EQ(t.status_b().remote, endpoint(7, 700)) << "a stale reference is ignored";
}

TEST(Roaming, ListenPortChangeForgetsSourcesOnly) {
  TwoEngines t;
  t.handshake();
  const Keypair* const current = t.at_b->current.load();
  t.b.engine.clear_source(*t.at_b);
  EXPECT_EQ(t.status_b().local, Endpoint{});
  EXPECT_EQ(t.status_b().remote, t.a_at);
  EXPECT_EQ(t.at_b->current.load(), current) << "C5-14";
}

// The secrets of both sides are those of the messages that were sent.
TEST(Secrets, AreToldToTheTapBeforeTheMessageLeaves) {
  TwoEngines t;
  PresharedKey psk{};
  psk.fill(7);
  t.a.engine.set_preshared_key(*t.at_a, psk, t.now);
  t.b.engine.set_preshared_key(*t.at_b, psk, t.now);
  std::vector<HandshakeSecrets> told;
  const auto tap = [&](Side& side) {
    side.engine.tap_secrets([&told, &side](const HandshakeSecrets& secrets) {
      told.push_back(secrets);
      EXPECT_TRUE(side.host.sent.empty());
    });
  };
  tap(t.a), tap(t.b);
  t.handshake();
  ASSERT_EQ(told.size(), 2U);
  const auto public_of = [](const Key& key) { return derive_public(key); };
  const auto initiation = message_as<InitiationMessage>(t.a.host.sent[0].bytes);
  const auto response = message_as<ResponseMessage>(t.b.host.sent[0].bytes);
  EXPECT_EQ(public_of(told[0].own_ephemeral), initiation.ephemeral);
  EXPECT_EQ(public_of(told[1].own_ephemeral), response.ephemeral);
  EXPECT_EQ(told[0].own_static, t.a.engine.private_key());
  EXPECT_EQ(told[1].own_static, t.b.engine.private_key());
  EXPECT_EQ(told[0].peer, t.b.engine.public_key());
  EXPECT_EQ(told[1].peer, t.a.engine.public_key());
  EXPECT_EQ(told[0].preshared_key, psk);
  EXPECT_EQ(told[1].preshared_key, psk);
  t.a.engine.tap_secrets({});
  t.b.engine.tap_secrets({});
  t.pass(6 * kSec);
  t.handshake();
  EXPECT_EQ(told.size(), 2U) << "no tap is called any more";
}

// What refuses a message says where it came from; a history does not grow by the sources that replays have.
TEST(Refused, TellsTheSourceButKeepsOneEntry) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  const Buffer initiation = t.a.host.sent.back().bytes;
  t.deliver_last_to_b();
  t.b.host.events.clear();
  for (std::uint8_t host = 10; host < 15; ++host)
    EXPECT_EQ(t.b.engine.on_handshake(initiation, endpoint(host, 1000), t.b_at, t.now),
              Outcome::kTimestampNotNewer);
  ASSERT_EQ(t.b.host.events.size(), 5U);
  EXPECT_EQ(t.b.host.events[4].remote, endpoint(14, 1000));
  const auto history = t.b.engine.peer_events(*t.at_b);
  EXPECT_EQ(history.back().kind, PeerEventKind::kTimestampNotNewer);
  EXPECT_EQ(history.back().count, 5U);
  EXPECT_FALSE(history.back().remote.known());
}

TEST(Refused, MessagesOfUnknownPeersAreReportedToTheHost) {
  TwoEngines t;
  Side unknown(t.now, 3);
  unknown.engine.set_private_key(unknown.key, t.now);
  unknown.engine.up(t.now);
  Peer& at_unknown = unknown.new_slot();
  unknown.engine.add_peer(at_unknown, t.b.engine.public_key(), t.now);
  unknown.engine.set_endpoint(at_unknown, t.b_at, t.now);
  unknown.engine.initiate(at_unknown, t.now);
  Buffer message = unknown.host.sent.back().bytes;
  EXPECT_EQ(t.to_b(message), Outcome::kUnknownPeer);
  ASSERT_EQ(t.b.host.refusals.size(), 1U);
  EXPECT_EQ(t.b.host.refusals[0].claimed, unknown.engine.public_key());
  EXPECT_EQ(t.b.host.refusals[0].remote, t.a_at);
  message[100] ^= 1;
  EXPECT_EQ(t.to_b(message), Outcome::kBadMac1);
  ASSERT_EQ(t.b.host.refusals.size(), 2U);
  EXPECT_EQ(t.b.host.refusals[1].outcome, Outcome::kBadMac1);
  unknown.host.collect();
}

}  // namespace
}  // namespace wg::noise::test
