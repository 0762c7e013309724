// The handshake between two engines: keys, slots (C.4), who may send when, and what a failed one changes.
#include <gtest/gtest.h>

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
  EXPECT_EQ(t.b.host.sent[0].from, t.b_at) << "answered from the address that was addressed";
  EXPECT_EQ(t.at_b->current.load(), nullptr) << "a responder must not send before confirmation (I6)";

  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
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
  EXPECT_EQ(t.a.host.keepalives, 1) << "nothing was staged, so an empty packet confirms (C3-12)";

  t.confirm_b();
  EXPECT_EQ(t.at_b->current.load(), kb);
  EXPECT_EQ(t.b.host.releases, 1);
  EXPECT_EQ(t.b.host.keepalives, 0);
}

}  // namespace
}  // namespace wg::noise::test
