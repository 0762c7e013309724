// A new private key, up and down of an interface whose peers follow in slices: every order of changes ends
// where it would if all peers followed at once.
#include "control/noise/whole_changes.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control/noise/start_queue.h"
#include "fake_host.h"

namespace wg::noise::test {
namespace {

constexpr std::size_t kAtOnce = 1'000'000;

EngineOptions in_slices_of(std::size_t peers) {
  EngineOptions options;
  options.peers_per_slice = peers;
  return options;
}

std::uint64_t initiations(const Side& side) {
  return side.engine.counters().sent(kInitiation);
}

// ---- one peer that the walk does not reach: it follows before anything else happens to it

struct Unreached : TwoEngines {
  Unreached() : TwoEngines(in_slices_of(0)) { handshake(); }
  // b knows a by its new key too.
  void change_key() {
    a.engine.set_private_key(Key{7}, now);
    b.engine.add_peer(b.new_slot(), a.engine.public_key(), now);
  }
  void stage() {  // as the daemon does
    a.engine.follow(at_a->ref(), now);
    a.host.staged[at_a] = 1;
    a.engine.on_need_handshake(at_a->ref(), now);
  }
};

TEST(WholeChanges, APeerFollowsANewKeyBeforeItsNextHandshake) {
  Unreached t;
  const Keypair* const old = t.at_a->current.load();
  t.change_key();
  EXPECT_TRUE(old->sending_valid.load()) << "not reached yet";
  EXPECT_TRUE(t.a.engine.follow_some(t.now)) << "slices of no peer";
  t.stage();
  EXPECT_FALSE(old->sending_valid.load());
  EXPECT_EQ(t.a.table.find(old->local_index), old) << "receiving stays";
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kInitiationAnswered) << "with the new identity";
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
}

TEST(WholeChanges, AnAnswerToAHandshakeOfTheOldKeyIsRefusedAtOnce) {
  Unreached t;
  t.pass(6 * kSec);
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  t.a.engine.set_private_key(Key{7}, t.now);
  Buffer response = t.b.host.sent.back().bytes;
  repair_mac1(response, t.a.engine.public_key());
  EXPECT_EQ(t.to_a(response), Outcome::kUnknownIndex);
}

TEST(WholeChanges, AnInitiationMeetsAPeerThatHasFollowed) {
  Unreached t;
  const Keypair* const old = t.at_a->current.load();
  t.change_key();
  t.b.host.sent.clear();
  Peer& new_a = *t.b.slots.back();
  t.b.engine.set_endpoint(new_a, t.a_at, t.now);
  t.b.engine.initiate(new_a, t.now);
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kInitiationAnswered);
  EXPECT_FALSE(old->sending_valid.load());
}

TEST(WholeChanges, DownAndUpAgainLeaveNoSession) {
  Unreached t;
  const auto index = t.at_a->current.load()->local_index;
  const auto sent = initiations(t.a);
  t.a.engine.down(t.now);
  t.a.engine.up(t.now);
  EXPECT_TRUE(t.a.engine.follow_some(t.now)) << "the owner keeps the workers out until then";
  t.stage();
  EXPECT_EQ(t.at_a->current.load(), nullptr);
  EXPECT_EQ(t.a.table.find(index), nullptr);
  EXPECT_EQ(initiations(t.a), sent + 1) << "no timer of before stands in the way";
  EXPECT_EQ(t.a.host.staged[t.at_a], 1) << "staged after down";
}

TEST(WholeChanges, NothingIsSentByTimersOfBeforeDown) {
  Unreached t;
  t.pass(6 * kSec);
  t.a.engine.initiate(*t.at_a, t.now);
  const auto sent = t.a.host.sent.size();
  t.a.engine.down(t.now);
  t.run(30 * kSec);
  EXPECT_EQ(t.a.host.sent.size(), sent);
  EXPECT_EQ(t.at_a->current.load(), nullptr) << "its timer came before the walk";
  EXPECT_EQ(t.a.table.size(), 0u);
}

TEST(WholeChanges, StatusIsThatAfterTheChangeAndSendsNothing) {
  Unreached t;
  t.a.host.staged[t.at_a] = 1;
  const auto sent = t.a.host.sent.size();
  t.change_key();
  EXPECT_EQ(t.a.engine.peer_events(*t.at_a).back().kind, PeerEventKind::kPrivateKeyChanged);
  EXPECT_EQ(t.a.host.sent.size(), sent);
  t.a.engine.down(t.now);
  EXPECT_FALSE(t.status_a().has_session);
  EXPECT_EQ(t.a.host.sent.size(), sent);
}

TEST(WholeChanges, ConfirmationOfASessionThatWentDownIsIgnored) {
  Unreached t;
  t.pass(6 * kSec);
  t.b.engine.initiate(*t.at_b, t.now);
  t.deliver_last_to_a();
  const auto next = t.at_a->next.load()->local_index;
  t.a.engine.down(t.now);
  t.a.engine.on_confirmed(next, t.now);
  EXPECT_EQ(t.at_a->current.load(), nullptr);
  EXPECT_EQ(t.a.table.size(), 0u);
}

TEST(WholeChanges, APeerGoesAndAnotherComesDuringTheWalk) {
  Unreached t;
  t.a.engine.set_private_key(Key{7}, t.now);
  t.a.engine.remove_peer(*t.at_a);
  t.at_a->generation.fetch_add(1);
  ASSERT_EQ(t.a.engine.add_peer(*t.at_a, t.b.engine.public_key(), t.now), AddPeerResult::kAdded);
  EXPECT_TRUE(t.a.engine.peer_events(*t.at_a).empty()) << "it came after the change";
}

TEST(WholeChanges, AnEngineThatGoesDuringTheWalkLeavesNothing) {
  Now now{BootTime(1000 * kSec), WallTime(1'700'000'000 * kSec)};
  TwoEngines t(in_slices_of(0));
  t.handshake();
  FakeHost host;
  host.now = &now;
  SeededRandom random(9);
  dataplane::KeypairTable table(16, [](const std::function<void()>& free) { free(); });
  std::vector<Peer> slots(20);
  {
    Engine engine(host, table, random, in_slices_of(1));
    engine.set_private_key(Key{5}, now);
    engine.up(now);
    for (std::uint32_t i = 0; i < slots.size(); ++i) {
      slots[i].slot = i;
      engine.add_peer(slots[i], PublicKey{9, static_cast<std::uint8_t>(i)}, now);
      engine.set_endpoint(slots[i], endpoint(2, 1), now);
      engine.initiate(slots[i], now);
    }
    ASSERT_NE(table.size(), 0u);
    engine.set_private_key(Key{6}, now);
    engine.down(now);
    EXPECT_TRUE(engine.follow_some(now));
  }
  host.collect();
  EXPECT_EQ(table.size(), 0u);
}

// ---- many peers

class ManyPeers {
 public:
  ManyPeers(std::size_t peers, EngineOptions options) : side(now, 3, options) {
    side.engine.set_private_key(side.key, now);
    side.engine.up(now);
    for (std::size_t i = 0; i < peers; ++i) {
      Peer& peer = side.new_slot();
      side.engine.add_peer(
          peer, PublicKey{9, static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)}, now);
      side.engine.set_endpoint(peer, endpoint(2, static_cast<std::uint16_t>(1 + i)), now);
    }
  }
  ~ManyPeers() { side.host.collect(); }
  void pass(std::chrono::nanoseconds duration) {
    now.boot += duration;
    now.wall += duration;
  }
  [[nodiscard]] std::size_t finish() {
    std::size_t slices = 1;
    while (side.engine.follow_some(now)) ++slices;
    return slices;
  }

  Now now{BootTime(1000 * kSec), WallTime(1'700'000'000 * kSec)};
  Side side;
};

TEST(WholeChanges, EachSliceHasABoundAndEveryPeerItsTurn) {
  ManyPeers many(1000, in_slices_of(100));
  many.side.engine.set_private_key(Key{7}, many.now);
  EXPECT_EQ(many.side.host.seen(PeerEventKind::kPrivateKeyChanged), 100);
  EXPECT_LE(many.side.engine.next_deadline(), many.now.boot) << "there is more";
  many.side.engine.advance(many.now);
  EXPECT_EQ(many.side.host.seen(PeerEventKind::kPrivateKeyChanged), 200);
  EXPECT_EQ(many.finish(), 8u);
  EXPECT_EQ(many.side.host.seen(PeerEventKind::kPrivateKeyChanged), 1000);
  EXPECT_EQ(many.side.engine.next_deadline(), kNever);
}

TEST(WholeChanges, ALaterChangeBeginsTheWalkAgain) {
  ManyPeers many(1000, in_slices_of(100));
  many.side.engine.set_private_key(Key{7}, many.now);
  while (many.side.host.seen(PeerEventKind::kPrivateKeyChanged) < 600) many.side.engine.advance(many.now);
  many.side.engine.set_private_key(Key{8}, many.now);
  static_cast<void>(many.finish());
  EXPECT_EQ(many.side.host.seen(PeerEventKind::kPrivateKeyChanged), 1600)
      << "those that had followed once more, the others once";
}

// As many initiations at once as a start sends, then one an interval; none waits longer than its place.
TEST(WholeChanges, PeersWithDataStartAtAPace) {
  constexpr std::size_t kPeers = 200;
  ManyPeers many(kPeers, in_slices_of(100));
  for (const auto& slot : many.side.slots) many.side.host.staged[slot.get()] = 1;
  many.side.engine.set_private_key(Key{7}, many.now);
  EXPECT_LE(initiations(many.side), 8u) << "of a slice";
  static_cast<void>(many.finish());
  EXPECT_EQ(initiations(many.side), StartQueue::kAtOnce);
  for (std::size_t i = StartQueue::kAtOnce; i < kPeers; ++i) {
    many.pass(StartQueue::kInterval);
    many.side.engine.advance(many.now);
  }
  EXPECT_EQ(initiations(many.side), kPeers);
  std::set<std::uint16_t> to;
  for (const SentMessage& m : many.side.host.sent) to.insert(dataplane::number_of(m.to.port));
  EXPECT_EQ(to.size(), kPeers) << "each once";
}

TEST(WholeChanges, AfterUpPeersWithDataGoBeforePersistentKeepalives) {
  constexpr std::size_t kPeers = 200;
  ManyPeers many(kPeers, in_slices_of(1000));
  many.side.engine.down(many.now);
  for (const auto& slot : many.side.slots) many.side.engine.set_keepalive(*slot, 25s, many.now);
  Peer& last = *many.side.slots.back();
  many.side.host.staged[&last] = 1;
  many.pass(kSec);
  many.side.engine.up(many.now);
  static_cast<void>(many.finish());
  ASSERT_EQ(initiations(many.side), StartQueue::kAtOnce);
  many.pass(StartQueue::kInterval);
  many.side.engine.advance(many.now);
  EXPECT_EQ(many.side.host.sent.back().to, endpoint(2, kPeers));
}

TEST(WholeChanges, AKeyInTheMiddleOfTheStartKeepsTheTurns) {
  constexpr std::size_t kPeers = 100;
  ManyPeers many(kPeers, in_slices_of(1));
  for (const auto& slot : many.side.slots) many.side.engine.set_keepalive(*slot, 25s, many.now);
  for (const auto& slot : many.side.slots) many.side.host.staged[slot.get()] = 1;
  many.side.engine.set_private_key(Key{7}, many.now);
  for (int i = 0; i < 400; ++i) {
    many.pass(StartQueue::kInterval);
    many.side.engine.advance(many.now);
  }
  for (std::size_t i = 0; i < kPeers; ++i) {
    const PeerSession status = many.side.engine.peer_status(*many.side.slots[i], many.now);
    EXPECT_TRUE(status.handshake_in_flight) << i;
    EXPECT_EQ(many.side.engine.peer_events(*many.side.slots[i]).back().kind, PeerEventKind::kInitiationSent)
        << i;
  }
}

// ---- any order of changes and events, beside an engine whose peers follow each change at once. Without
// persistent keepalives: after up and a new key at once the one that waits for its slice starts with the new
// key, and the other has started with the old one.

constexpr std::size_t kRemotes = 6;
const Key kHubKeys[] = {Key{7}, Key{8}, Key{9}};

class Hub {
 public:
  Hub(Now& clock, EngineOptions options) : now(clock), side(clock, 1, options) {
    side.engine.set_private_key(kHubKeys[0], now);
    side.engine.up(now);
    for (std::size_t i = 0; i < kRemotes; ++i) {
      remotes.push_back(std::make_unique<Side>(now, 100 + i));
      Side& remote = *remotes.back();
      remote.engine.set_private_key(remote.key, now);
      remote.engine.up(now);
      for (Key key : kHubKeys) {
        clamp(key);
        remote.engine.add_peer(remote.new_slot(), derive_public(key), now);
        remote.engine.set_endpoint(*remote.slots.back(), endpoint(1, 1), now);
      }
      add(i);
    }
  }
  ~Hub() {
    side.host.collect();
    for (const auto& remote : remotes) remote->host.collect();
  }

  void add(std::size_t i) {
    if (peers.contains(i)) return;
    peers[i] = &side.new_slot();
    side.engine.add_peer(*peers[i], remotes[i]->engine.public_key(), now);
    side.engine.set_endpoint(*peers[i], at(i), now);
  }
  void remove(std::size_t i) {
    if (!peers.contains(i)) return;
    side.engine.remove_peer(*peers[i]);
    side.host.staged.erase(peers[i]);
    peers.erase(i);
  }
  void stage(std::size_t i) {
    if (!peers.contains(i)) return;
    side.engine.follow(peers[i]->ref(), now);
    if (const Keypair* const current = peers[i]->current.load();
        current != nullptr && current->sending_valid.load() && !current->expired(now.boot))
      return;  // sent
    side.host.staged[peers[i]] = 1;
    side.engine.on_need_handshake(peers[i]->ref(), now);
  }
  void initiate(std::size_t i) {
    if (peers.contains(i)) side.engine.initiate(*peers[i], now);
  }
  void initiate_from(std::size_t i, std::size_t key) {
    Side& remote = *remotes[i];
    remote.engine.initiate(*remote.slots[key], now);
    give(remote.host,
         [&](const SentMessage& m) { side.engine.on_handshake(m.bytes, at(i), endpoint(1, 1), now); });
  }
  void confirm(std::size_t i) {
    if (!peers.contains(i)) return;
    side.engine.follow(peers[i]->ref(), now);
    if (const Keypair* const next = peers[i]->next.load()) side.engine.on_confirmed(next->local_index, now);
  }
  // The last message to each remote arrives, and what it answers.
  void deliver() {
    std::map<std::size_t, SentMessage> last;
    for (SentMessage& m : side.host.sent) last[dataplane::number_of(m.to.port)] = std::move(m);
    side.host.sent.clear();
    for (const auto& [i, m] : last) {
      remotes[i]->engine.on_handshake(m.bytes, endpoint(1, 1), at(i), now);
      give(remotes[i]->host, [&, i = i](const SentMessage& answer) {
        side.engine.on_handshake(answer.bytes, at(i), endpoint(1, 1), now);
      });
    }
    side.host.collect();
  }
  void advance() {
    for (int i = 0; i < 100; ++i) side.engine.advance(now);
    for (const auto& remote : remotes) remote->engine.advance(now), remote->host.sent.clear();
  }
  void finish() {
    while (side.engine.follow_some(now)) {
    }
  }
  // What can be seen of it once all peers have followed.
  std::string seen() {
    std::string out = "sessions " + std::to_string(side.table.size()) + "\n";
    for (const auto& [i, peer] : peers) {
      const PeerSession status = side.engine.peer_status(*peer, now);
      const Keypair* const current = peer->current.load();
      const bool sends = current != nullptr && current->sending_valid.load();
      out += std::to_string(i) + (status.remote.known() ? " remote" : "") +
             (status.has_session ? " session" : "") + (sends ? " sends" : "") +
             (status.i_am_initiator ? " initiator" : "") +
             (status.session_unconfirmed ? " unconfirmed" : "") +
             (status.handshake_in_flight ? " in_flight" : "") + " staged " +
             std::to_string(side.host.staged[peer]) + " requested " + std::to_string(peer->requested.load()) +
             "\n";
    }
    return out;
  }

  Now& now;
  Side side;
  std::vector<std::unique_ptr<Side>> remotes;
  std::map<std::size_t, Peer*> peers;

 private:
  static Endpoint at(std::size_t i) { return endpoint(2, static_cast<std::uint16_t>(i)); }
  template <class Give>
  static void give(FakeHost& from, const Give& take) {
    const std::vector<SentMessage> sent = std::exchange(from.sent, {});
    for (const SentMessage& m : sent) take(m);
  }
};

struct Orders : testing::TestWithParam<unsigned> {
  template <class Use>
  void both(const Use& use) {
    use(at_once);
    at_once.finish();
    use(in_slices);
  }
  void one_step() {
    const std::size_t i = below(kRemotes), key = below(3);
    switch (below(12)) {
      case 0:
      case 1:
        return both([&](Hub& h) { h.side.engine.set_private_key(kHubKeys[key], now); });
      case 2:
        return both([&](Hub& h) {
          h.side.engine.set_private_key(key == 0 ? std::nullopt : std::optional(kHubKeys[key]), now);
        });
      case 3:
        return both([&](Hub& h) { h.side.engine.down(now); });
      case 4:
      case 5:
        return both([&](Hub& h) { h.side.engine.up(now); });
      case 6:
        return both([&](Hub& h) { h.stage(i); });
      case 7:
        return both([&](Hub& h) { h.initiate(i); });
      case 8:
        return both([&](Hub& h) { h.initiate_from(i, key); });
      case 9:
        return both([&](Hub& h) { h.confirm(i); });
      case 10:
        return in_slices.side.engine.advance(now);  // another slice
      default:
        return both([&](Hub& h) { key == 0 ? h.remove(i) : h.add(i); });
    }
  }
  std::size_t below(std::size_t n) { return random() % n; }

  std::mt19937 random{GetParam()};
  Now now{BootTime(1000 * kSec), WallTime(1'700'000'000 * kSec)};
  Hub at_once{now, in_slices_of(kAtOnce)}, in_slices{now, in_slices_of(GetParam() % 3)};
};

TEST_P(Orders, EndWhereTheyWouldAtOnce) {
  for (int checks = 0; checks < 100; ++checks) {
    for (std::size_t steps = 1 + below(8); steps != 0; --steps) one_step();
    if (GetParam() % 3 != 0) in_slices.finish();  // slices of no peer never come to an end
    for (Hub* hub : {&at_once, &in_slices}) {
      for (const auto& [i, peer] : hub->peers) hub->side.engine.follow(peer->ref(), now);
      hub->deliver();
    }
    ASSERT_EQ(in_slices.seen(), at_once.seen()) << "seed " << GetParam() << ", check " << checks;
    now.boot += 7 * kSec;
    now.wall += 7 * kSec;
    for (Hub* hub : {&at_once, &in_slices}) {
      hub->advance();
      hub->deliver();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(WholeChanges, Orders, testing::Range(1u, 31u));

}  // namespace
}  // namespace wg::noise::test
