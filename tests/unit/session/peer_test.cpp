// The traffic timestamps that workers record for the lazy timers (C3-7, C3-8).
#include "dataplane/session/peer.h"

#include <gtest/gtest.h>

#include "dataplane/session/keypair.h"

namespace wg::dataplane {
namespace {

using namespace std::chrono_literals;

BootTime at(std::chrono::nanoseconds since_boot) {
  return BootTime(since_boot);
}

TEST(PeerNotes, FirstUnansweredDataIsRememberedUntilWeSend) {
  Peer p;
  p.note_received(at(10ns), true);
  p.note_received(at(20ns), true);
  EXPECT_EQ(p.unanswered_received.load(), at(10ns));
  EXPECT_EQ(p.last_data_received.load(), at(20ns));
  p.note_sent(at(30ns), false);
  p.note_received(at(40ns), true);
  EXPECT_EQ(p.unanswered_received.load(), at(40ns));
}

TEST(PeerNotes, KeepalivesReceivedAreNotData) {
  Peer p;
  p.note_received(at(10ns), false);
  EXPECT_EQ(p.unanswered_received.load(), kNever);
  EXPECT_EQ(p.last_received.load(), at(10ns));
  EXPECT_EQ(p.last_data_received.load(), kNever);
}

TEST(PeerNotes, FirstUnansweredDataSentIsRememberedUntilWeReceive) {
  Peer p;
  p.note_sent(at(10ns), true);
  p.note_sent(at(20ns), true);
  EXPECT_EQ(p.unanswered_sent.load(), at(10ns));
  p.note_sent(at(25ns), false);
  EXPECT_EQ(p.unanswered_sent.load(), at(10ns));
  p.note_received(at(30ns), false);
  p.note_sent(at(40ns), true);
  EXPECT_EQ(p.unanswered_sent.load(), at(40ns));
  EXPECT_EQ(p.last_sent.load(), at(40ns));
}

TEST(Limits, AreThePapers) {
  EXPECT_EQ(REKEY_AFTER_TIME, 120s);
  EXPECT_EQ(REJECT_AFTER_TIME, 180s);
  EXPECT_EQ(REKEY_ATTEMPT_TIME, 90s);
  EXPECT_EQ(REKEY_TIMEOUT, 5s);
  EXPECT_EQ(KEEPALIVE_TIMEOUT, 10s);
  EXPECT_EQ(REKEY_AFTER_MESSAGES, std::uint64_t{1} << 60);
  EXPECT_EQ(REJECT_AFTER_MESSAGES, 0xffffffffffffffffu - 8192u);
}

TEST(Keypair, CounterIs64BitsAndExpiryIsAt180Seconds) {
  static_assert(sizeof(Keypair::sending_counter) == 8);
  Keypair k;
  k.set_birthdate(at(1us));
  EXPECT_FALSE(k.expired(at(1us) + REJECT_AFTER_TIME - 1ns));
  EXPECT_TRUE(k.expired(at(1us) + REJECT_AFTER_TIME));
}

}  // namespace
}  // namespace wg::dataplane
