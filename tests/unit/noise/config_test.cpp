// Changing a running interface: keys, peers, up and down, what survives a restart, and what it all weighs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <set>
#include <vector>

#include "control/noise/engine_state.h"
#include "control/noise/secret.h"
#include "control/noise/unclaimed_timestamps.h"
#include "fake_host.h"

namespace wg::noise::test {
namespace {

// ---- private key (C4-10)

TEST(PrivateKey, IsClampedAndReadBackClamped) {
  TwoEngines t;
  Key raw;
  raw.fill(0xff);
  t.a.engine.set_private_key(raw, t.now);
  Key expected = raw;
  clamp(expected);
  EXPECT_EQ(t.a.engine.private_key(), expected);
  EXPECT_EQ(t.a.engine.public_key(), derive_public(expected));
}

TEST(PrivateKey, SameKeyAgainIsNoOperation) {
  TwoEngines t;
  t.handshake();
  const Keypair* const current = t.at_a->current.load();
  const auto events = t.a.host.events.size();
  t.a.engine.set_private_key(t.a.key, t.now);  // unclamped form of the same key
  t.a.engine.set_private_key(t.a.engine.private_key(), t.now);
  EXPECT_EQ(t.at_a->current.load(), current);
  EXPECT_TRUE(current->sending_valid.load());
  EXPECT_EQ(t.a.host.events.size(), events);
}

TEST(PrivateKey, ChangeStopsSendingKeepsReceivingAndAllowsAHandshakeAtOnce) {
  TwoEngines t;
  t.handshake();
  const Keypair* const current = t.at_a->current.load();
  t.a.host.staged[t.at_a] = 1;
  const auto before = t.a.engine.counters().sent(kInitiation);
  t.a.engine.set_private_key(Key{7}, t.now);
  EXPECT_FALSE(current->sending_valid.load());
  EXPECT_EQ(t.a.table.find(current->local_index), current) << "receiving stays";
  EXPECT_EQ(t.a.engine.counters().sent(kInitiation), before + 1) << "within the 5 s of the last one";

  t.b.engine.add_peer(t.b.new_slot(), t.a.engine.public_key(), t.now);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kInitiationAnswered) << "with the new identity";
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
}

TEST(PrivateKey, ChangeInvalidatesTheNextSessionToo) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  const auto next = load_le32(message_as<ResponseMessage>(t.b.host.sent.back().bytes).sender_index);
  t.b.engine.set_private_key(Key{7}, t.now);
  EXPECT_FALSE(t.b.table.find(next)->sending_valid.load());
}

TEST(PrivateKey, ChangeForgetsTheHandshakeInFlight) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  t.a.engine.set_private_key(Key{7}, t.now);
  Buffer response = t.b.host.sent.back().bytes;
  repair_mac1(response, t.a.engine.public_key());
  EXPECT_EQ(t.to_a(response), Outcome::kUnknownIndex);
}

TEST(PrivateKey, PacketsStagedBeforeTheFirstKeyAreSent) {
  TwoEngines t;
  t.a.engine.set_private_key(std::nullopt, t.now);
  t.a.host.staged[t.at_a] = 1;
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  EXPECT_EQ(t.a.engine.counters().sent(kInitiation), 0u);
  t.run(5 * kSec);
  t.a.engine.set_private_key(t.a.key, t.now);
  EXPECT_EQ(t.a.engine.counters().sent(kInitiation), 1u);
}

TEST(PrivateKey, OwnKeyAsPeerIsIgnoredAndRemovedWhenItBecomesOurs) {
  TwoEngines t;
  EXPECT_EQ(t.a.engine.add_peer(t.a.new_slot(), t.a.engine.public_key(), t.now), AddPeerResult::kOwnKey);
  EXPECT_EQ(t.a.engine.peer_count(), 1u);
  EXPECT_EQ(t.a.engine.set_private_key(t.b.key, t.now), t.at_a);
  EXPECT_EQ(t.a.engine.peer_count(), 0u);
  EXPECT_EQ(t.a.engine.find_peer(t.b.engine.public_key()), nullptr);
}

// ---- peers

TEST(Peers, DuplicateIsRefusedRemovedIsForgottenSlotIsReusable) {
  TwoEngines t;
  EXPECT_EQ(t.a.engine.add_peer(t.a.new_slot(), t.b.engine.public_key(), t.now), AddPeerResult::kDuplicate);
  t.handshake();
  const auto old = t.at_a->ref();
  t.a.engine.remove_peer(*t.at_a);
  t.a.engine.remove_peer(*t.at_a);
  EXPECT_EQ(t.a.engine.peer_count(), 0u);
  EXPECT_EQ(t.a.table.size(), 0u);
  EXPECT_FALSE(t.a.host.remote.known()) << "its path is unpublished";
  t.at_a->generation.fetch_add(1);
  EXPECT_EQ(t.a.engine.add_peer(*t.at_a, PublicKey{9, 9}, t.now), AddPeerResult::kAdded);
  t.a.engine.set_endpoint(*t.at_a, t.b_at, t.now);
  const auto sent = t.a.host.sent.size();
  t.a.engine.on_need_handshake(old, t.now);
  EXPECT_EQ(t.a.host.sent.size(), sent) << "a message about the peer that was there before";
}

TEST(Peers, RemovalDuringAHandshakeInFlight) {
  TwoEngines t;
  t.a.engine.initiate(*t.at_a, t.now);
  t.deliver_last_to_b();
  t.a.engine.remove_peer(*t.at_a);
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kUnknownIndex);
  t.run(30 * kSec);
  EXPECT_EQ(t.a.engine.counters().sent(kInitiation), 1u);
}

TEST(Peers, NoEndpointIsNamedAndTheEndpointStartsTheHandshake) {
  TwoEngines t;
  t.b.host.staged[t.at_b] = 1;
  t.b.engine.on_need_handshake(t.at_b->ref(), t.now);
  EXPECT_EQ(t.b.host.seen(PeerEventKind::kNoEndpoint), 1);
  EXPECT_TRUE(t.b.host.sent.empty());
  t.b.engine.set_endpoint(*t.at_b, t.a_at, t.now);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 1u);
  EXPECT_EQ(t.b.host.sent.back().to, t.a_at);
}

TEST(Peers, SameEndpointAgainIsNoOperation) {
  TwoEngines t;
  t.handshake();
  const int changes = t.a.host.endpoint_changes;
  t.a.engine.set_endpoint(*t.at_a, t.b_at, t.now);
  EXPECT_EQ(t.a.host.endpoint_changes, changes);
  EXPECT_EQ(t.status_a().local, t.a_at) << "the sticky source stays";
}

TEST(Peers, RepeatedEventsAreCountedNotPiled) {
  PeerEventRing ring;
  for (int i = 0; i < 100; ++i) ring.push({BootTime(i * kSec), i, {}, PeerEventKind::kInitiationSent, 1});
  ASSERT_EQ(ring.list().size(), 1u);
  EXPECT_EQ(ring.list()[0].count, 100);
  EXPECT_EQ(ring.list()[0].detail, 99);
  for (int i = 0; i < 30; ++i) {
    ring.push({BootTime(1s), i, {}, i % 2 == 0 ? PeerEventKind::kRoamed : PeerEventKind::kGaveUp, 1});
  }
  EXPECT_EQ(ring.list().size(), PeerEventRing::kCapacity);
  EXPECT_EQ(ring.list().back().detail, 29);
  EXPECT_EQ(ring.list().front().detail, 18);
}

// ---- down and up (C5-13)

TEST(UpDown, DownWipesSessionsAndTimersKeepsTimestampsAndEndpoints) {
  TwoEngines t;
  t.handshake();
  const Buffer old = t.a.host.sent.front().bytes;
  t.b.host.staged[t.at_b] = 1;
  t.b.engine.down(t.now);
  EXPECT_EQ(t.at_b->current.load(), nullptr);
  EXPECT_EQ(t.b.table.size(), 0u);
  EXPECT_EQ(t.b.host.staged[t.at_b], 0);
  EXPECT_EQ(t.b.engine.next_deadline(), kNever);
  t.run(20 * kSec);
  t.b.engine.up(t.now);
  EXPECT_EQ(t.to_b(old), Outcome::kTimestampNotNewer) << "C2-8";
  EXPECT_EQ(t.status_b().remote, t.a_at);
  t.b.engine.initiate(*t.at_b, t.now);
  EXPECT_EQ(t.b.engine.counters().sent(kInitiation), 1u);
}

TEST(UpDown, NothingIsSentWhileDown) {
  TwoEngines t;
  t.a.engine.down(t.now);
  t.a.engine.initiate(*t.at_a, t.now);
  t.a.engine.set_keepalive(*t.at_a, 1s, t.now);
  t.a.engine.on_need_handshake(t.at_a->ref(), t.now);
  t.run(100 * kSec);
  EXPECT_TRUE(t.a.host.sent.empty());
  EXPECT_EQ(t.a.host.keepalives, 0);
}

// ---- restart safety

TEST(Restart, FloorKeepsOurStampsIncreasingAfterAClockStepBack) {
  TwoEngines t;
  t.handshake();
  const auto stored = t.a.engine.export_timestamps();

  Side again(t.now, 1);
  Now past{t.now.boot + 6 * kSec, t.now.wall - 86400 * kSec};
  again.engine.set_private_key(again.key, past);
  again.engine.up(past);
  Peer& peer = again.new_slot();
  again.engine.add_peer(peer, t.b.engine.public_key(), past);
  EXPECT_TRUE(again.engine.import_timestamps(stored));
  again.engine.set_endpoint(peer, t.b_at, past);
  again.engine.initiate(peer, past);
  EXPECT_EQ(again.host.seen(PeerEventKind::kClockBehind), 1);
  t.pass(6 * kSec);
  EXPECT_EQ(t.to_b(again.host.sent.back().bytes), Outcome::kInitiationAnswered);
  again.host.collect();
}

TEST(Restart, PeersTimestampsSurviveSoAReplayIsRefused) {
  TwoEngines t;
  t.handshake();
  const Buffer old = t.a.host.sent.front().bytes;
  EXPECT_TRUE(t.b.engine.timestamps_changed());
  const auto stored = t.b.engine.export_timestamps();
  EXPECT_FALSE(t.b.engine.timestamps_changed());

  Side again(t.now, 2);
  again.engine.set_private_key(again.key, t.now);
  again.engine.up(t.now);
  again.engine.add_peer(again.new_slot(), t.a.engine.public_key(), t.now);
  EXPECT_TRUE(again.engine.import_timestamps(stored));
  EXPECT_EQ(again.engine.on_handshake(old, t.a_at, t.b_at, t.now), Outcome::kTimestampNotNewer);
  EXPECT_TRUE(again.host.sent.empty());
}

TEST(Restart, ImportOnlyRaisesAndRefusesDamage) {
  TwoEngines t;
  const auto empty = t.b.engine.export_timestamps();
  t.handshake();
  const auto full = t.b.engine.export_timestamps();
  EXPECT_GT(full.size(), empty.size());
  EXPECT_TRUE(t.b.engine.import_timestamps(empty));
  EXPECT_EQ(t.b.engine.export_timestamps(), full) << "nothing was lowered";
  for (std::size_t i = 0; i < full.size(); ++i) {
    auto bad = full;
    bad[i] ^= 1;
    EXPECT_FALSE(t.b.engine.import_timestamps(bad)) << i;
    EXPECT_FALSE(t.b.engine.import_timestamps(Bytes(full).first(i))) << i;
  }
}

// Peers of `wg set`, and those that are enabled later, come after the state file was read.
TEST(Restart, TimestampIsThereForAPeerThatIsAddedLater) {
  TwoEngines t;
  t.handshake();
  const Buffer recorded = t.a.host.sent.front().bytes;
  const auto stored = t.b.engine.export_timestamps();
  Side again(t.now, 2);
  again.engine.set_private_key(again.key, t.now);
  again.engine.up(t.now);
  ASSERT_TRUE(again.engine.import_timestamps(stored));
  EXPECT_EQ(again.engine.export_timestamps(), stored) << "the next file still has it";
  Peer& peer = again.new_slot();
  again.engine.add_peer(peer, t.a.engine.public_key(), t.now);
  EXPECT_EQ(again.engine.export_timestamps(), stored) << "once, at the peer";
  EXPECT_EQ(again.engine.on_handshake(recorded, endpoint(66, 6), t.b_at, t.now), Outcome::kTimestampNotNewer);
  EXPECT_FALSE(again.engine.peer_status(peer, t.now).remote.known()) << "a replay moves no endpoint";
  EXPECT_TRUE(again.host.sent.empty());
}

TEST(Restart, TimestampOutlivesTheRemovalOfItsPeer) {
  TwoEngines t;
  t.handshake();
  const Buffer recorded = t.a.host.sent.front().bytes;
  const auto stored = t.b.engine.export_timestamps();
  t.b.engine.remove_peer(*t.at_b);
  t.b.host.collect();
  EXPECT_EQ(t.b.engine.export_timestamps(), stored);
  t.pass(kSec);
  t.at_b = &t.b.new_slot();
  t.b.engine.add_peer(*t.at_b, t.a.engine.public_key(), t.now);
  EXPECT_EQ(t.to_b(recorded), Outcome::kTimestampNotNewer);
  t.pass(5 * kSec);
  t.a.engine.initiate(*t.at_a, t.now);
  EXPECT_EQ(t.deliver_last_to_b(), Outcome::kInitiationAnswered) << "a newer one is welcome";
}

class Unclaimed : public ::testing::Test {
 protected:
  static PublicKey key(std::uint32_t n) {
    PublicKey out{};
    std::memcpy(out.data(), &n, sizeof n);
    return out;
  }
  static Tai64n stamp(std::uint32_t n) { return tai64n(1 + n, 0); }
  [[nodiscard]] std::size_t size() const { return timestamps.records().size(); }

  static constexpr std::uint32_t kMax = UnclaimedTimestamps::kMax;
  UnclaimedTimestamps timestamps;
};

TEST_F(Unclaimed, RemovedPeersKeepAtMostTheNewest) {
  for (std::uint32_t n = 0; n < kMax + 10; ++n) timestamps.keep({key(n), stamp(n)});
  EXPECT_EQ(size(), std::size_t{kMax});
  EXPECT_EQ(timestamps.take(key(9)), Tai64n{}) << "the oldest is forgotten";
  EXPECT_EQ(timestamps.take(key(10)), stamp(10));
  EXPECT_EQ(timestamps.take(key(kMax + 9)), stamp(kMax + 9));
  EXPECT_EQ(size(), std::size_t{kMax} - 2);
}

// The file is read before the peers are added, so all of them are unclaimed for a moment.
TEST_F(Unclaimed, FileWithMorePeersIsReadWhole) {
  for (std::uint32_t n = 0; n < kMax + 10; ++n) timestamps.restore({key(n), stamp(n)});
  EXPECT_EQ(size(), std::size_t{kMax} + 10);
  EXPECT_EQ(timestamps.take(key(0)), stamp(0));
  timestamps.keep({key(kMax + 10), stamp(1)});
  EXPECT_EQ(size(), std::size_t{kMax} + 9) << "a removal makes it no larger";
  timestamps.trim();
  EXPECT_EQ(size(), std::size_t{kMax});
}

TEST_F(Unclaimed, IsOnlyRaisedAndTakenOnce) {
  timestamps.restore({key(1), stamp(7)});
  timestamps.restore({key(1), stamp(3)});
  EXPECT_EQ(size(), 1u);
  EXPECT_EQ(timestamps.take(key(1)), stamp(7));
  EXPECT_EQ(timestamps.take(key(1)), Tai64n{});
  timestamps.keep({key(2), Tai64n{}});
  EXPECT_EQ(size(), 0u) << "a peer without a handshake leaves nothing";
}

// ---- indices

// A generator that returns the same 32-bit value until the test changes it.
class RepeatingRandom final : public Random {
 public:
  void fill(std::span<std::uint8_t> out) override {
    if (out.size() == 4 && repeats > 0) {
      --repeats;
      std::fill(out.begin(), out.end(), std::uint8_t{0x42});
      return;
    }
    real.fill(out);
  }
  SeededRandom real{77};
  int repeats = 0;
};

TEST(Indices, CollisionsAreRedrawn) {
  TwoEngines t;
  RepeatingRandom random;
  FakeHost host;
  host.now = &t.now;
  {
    Engine engine(host, t.a.table, random);
    engine.set_private_key(Key{5}, t.now);
    engine.up(t.now);
    for (std::uint8_t i = 1; i <= 3; ++i) {
      Peer& peer = t.a.new_slot();
      engine.add_peer(peer, derive_public(Key{64, i}), t.now);
      engine.set_endpoint(peer, t.b_at, t.now);
      random.repeats = 5;
      engine.initiate(peer, t.now);
    }
    std::set<std::uint32_t> indices;
    for (const auto& m : host.sent)
      indices.insert(load_le32(message_as<InitiationMessage>(m.bytes).sender_index));
    EXPECT_EQ(indices.size(), 3u);
    EXPECT_EQ(indices.count(0x42424242), 1u);
  }
  host.collect();
}

TEST(Indices, LookUniform) {
  TwoEngines t;
  std::array<int, 32> ones{};
  constexpr int kDraws = 400;
  for (int i = 0; i < kDraws; ++i) {
    t.a.engine.initiate(*t.at_a, t.now);
    const auto index = load_le32(message_as<InitiationMessage>(t.a.host.sent.back().bytes).sender_index);
    for (unsigned b = 0; b < 32; ++b) ones[b] += static_cast<int>(index >> b & 1);
    t.pass(5 * kSec);
  }
  for (const int n : ones) EXPECT_NEAR(n, kDraws / 2, 6 * 10) << "six sigma";
}

// ---- memory

TEST(Memory, IdlePeerWithinTwoKilobytesLivePeerWithinSix) {
  constexpr std::size_t kPeers = 4096;
  TwoEngines t;
  const std::size_t empty = t.a.engine.memory_bytes() + t.a.table.memory_bytes();
  SeededRandom random(9);
  std::vector<PublicKey> keys;
  for (std::size_t i = 0; i < kPeers; ++i) {
    PublicKey key;
    random.fill(key);
    ASSERT_EQ(t.a.engine.add_peer(t.a.new_slot(), key, t.now), AddPeerResult::kAdded);
    keys.push_back(key);
  }
  const std::size_t idle =
      (t.a.engine.memory_bytes() + t.a.table.memory_bytes() - empty) / kPeers + sizeof(Peer);
  EXPECT_LE(idle, 2048u);
  RecordProperty("idle_bytes", static_cast<int>(idle));
  // A session with all three slots in use, the most a peer can hold.
  const std::size_t live = idle + 3 * (sizeof(Keypair) + 64 + sizeof(void*)) + sizeof(Handshake);
  EXPECT_LE(live, 6144u);
  std::printf("memory idle_peer=%zu live_peer_most=%zu peer_state=%zu keypair=%zu\n", idle, live,
              sizeof(PeerState), sizeof(Keypair));
}

TEST(Memory, HandshakesLiveOnlyWhileInFlight) {
  TwoEngines t;
  t.handshake();
  const auto memory = t.a.engine.memory_bytes();
  for (int i = 0; i < 200; ++i) {
    t.pass(6 * kSec);
    t.handshake();
    t.a.host.collect();
    t.b.host.collect();
  }
  EXPECT_EQ(t.a.engine.memory_bytes(), memory);
  EXPECT_LE(t.a.table.size(), 3u);
  EXPECT_LE(t.b.table.size(), 3u);
}

// ---- the secret arena

TEST(SecretArena, WipesOnFreeAndReuses) {
  SecretArena<Secret> arena;
  Secret* const first = arena.create();
  first->bytes.fill(0xaa);
  arena.destroy(first);
  EXPECT_TRUE(is_zero({reinterpret_cast<const std::uint8_t*>(first), sizeof *first}));
  EXPECT_EQ(arena.create(), first);
  EXPECT_EQ(arena.live(), 1u);
}

TEST(SecretArena, ManyObjectsAreDistinctAndAligned) {
  SecretArena<Keypair> arena;
  std::set<Keypair*> all;
  for (int i = 0; i < 500; ++i) all.insert(arena.create());
  EXPECT_EQ(all.size(), 500u);
  for (Keypair* const k : all) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(k) % alignof(Keypair), 0u);
    arena.destroy(k);
  }
  EXPECT_EQ(arena.live(), 0u);
}

TEST(SecretArena, PagesAreLeftOutOfCoreDumps) {
  SecretPages pages(64 * 1024);
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  const auto address = reinterpret_cast<std::uintptr_t>(pages.data());
  bool inside = false;
  std::string flags;
  while (std::getline(smaps, line)) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &from, &to) == 2) inside = from <= address && address < to;
    if (inside && line.rfind("VmFlags:", 0) == 0) flags = line;
  }
  EXPECT_NE(flags.find(" dd"), std::string::npos) << "not dumped: " << flags;
  EXPECT_NE(flags.find(" wf"), std::string::npos) << "wiped on fork: " << flags;
#ifndef __SANITIZE_ADDRESS__  // AddressSanitizer turns mlock() into nothing
  EXPECT_EQ(flags.find(" lo") != std::string::npos, pages.locked()) << flags;
#endif
}

}  // namespace
}  // namespace wg::noise::test
