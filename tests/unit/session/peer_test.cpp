// The traffic timestamps that workers record for the lazy timers (C3-7, C3-8).
#include "dataplane/session/peer.h"

#include <gtest/gtest.h>

#include "dataplane/session/keypair.h"

namespace wg::dataplane {
namespace {

TEST(PeerNotes, FirstUnansweredDataIsRememberedUntilWeSend) {
  Peer p;
  p.note_received(10, true);
  p.note_received(20, true);
  EXPECT_EQ(p.unanswered_received.load(), 10u);
  EXPECT_EQ(p.last_data_received.load(), 20u);
  p.note_sent(30, false);
  p.note_received(40, true);
  EXPECT_EQ(p.unanswered_received.load(), 40u);
}

TEST(PeerNotes, KeepalivesReceivedAreNotData) {
  Peer p;
  p.note_received(10, false);
  EXPECT_EQ(p.unanswered_received.load(), 0u);
  EXPECT_EQ(p.last_received.load(), 10u);
  EXPECT_EQ(p.last_data_received.load(), 0u);
}

TEST(PeerNotes, FirstUnansweredDataSentIsRememberedUntilWeReceive) {
  Peer p;
  p.note_sent(10, true);
  p.note_sent(20, true);
  EXPECT_EQ(p.unanswered_sent.load(), 10u);
  p.note_sent(25, false);
  EXPECT_EQ(p.unanswered_sent.load(), 10u);
  p.note_received(30, false);
  p.note_sent(40, true);
  EXPECT_EQ(p.unanswered_sent.load(), 40u);
  EXPECT_EQ(p.last_sent.load(), 40u);
}

TEST(Limits, AreThePapers) {
  EXPECT_EQ(nanoseconds(REKEY_AFTER_TIME), 120'000'000'000u);
  EXPECT_EQ(nanoseconds(REJECT_AFTER_TIME), 180'000'000'000u);
  EXPECT_EQ(nanoseconds(REKEY_ATTEMPT_TIME), 90'000'000'000u);
  EXPECT_EQ(nanoseconds(REKEY_TIMEOUT), 5'000'000'000u);
  EXPECT_EQ(nanoseconds(KEEPALIVE_TIMEOUT), 10'000'000'000u);
  EXPECT_EQ(REKEY_AFTER_MESSAGES, std::uint64_t{1} << 60);
  EXPECT_EQ(REJECT_AFTER_MESSAGES, 0xffffffffffffffffu - 8192u);
}

TEST(Keypair, CounterIs64BitsAndExpiryIsAt180Seconds) {
  static_assert(sizeof(Keypair::sending_counter) == 8);
  Keypair k;
  k.set_birthdate(1000);
  EXPECT_FALSE(k.expired(1000 + nanoseconds(REJECT_AFTER_TIME) - 1));
  EXPECT_TRUE(k.expired(1000 + nanoseconds(REJECT_AFTER_TIME)));
}

}  // namespace
}  // namespace wg::dataplane
