// mac1, mac2 and cookies by themselves (C1-7 to C1-10).
#include "control/noise/cookie.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "fake_host.h"

namespace wg::noise::test {
namespace {

class Cookies : public ::testing::Test {
 protected:
  Cookies() : random(5), checker(random) {
    random.fill(receiver);
    checker.set_public_key(receiver);
    jar.set_public_key(receiver);
    message.assign(sizeof(InitiationMessage), 0x33);
    message[0] = kInitiation;
    source = endpoint(1, 1000);
  }
  CookieReplyMessage reply() { return checker.create_reply(message, source, now); }

  SeededRandom random;
  CookieChecker checker;
  CookieJar jar;
  PublicKey receiver{};
  Buffer message;
  Endpoint source;
  BootTime now{1000 * kSec};
};

TEST_F(Cookies, Mac1IsForTheReceiverAlone) {
  jar.add_macs(message, now);
  EXPECT_TRUE(checker.mac1_valid(message));
  CookieJar other;
  other.set_public_key(PublicKey{1});
  other.add_macs(message, now);
  EXPECT_FALSE(checker.mac1_valid(message));
}

TEST_F(Cookies, Mac2IsZeroWithoutACookieAndNeverValid) {
  jar.add_macs(message, now);
  EXPECT_TRUE(is_zero(macs_of(message).mac2));
  EXPECT_FALSE(checker.mac2_valid(message, source, now));
}

TEST_F(Cookies, ReplyGivesMac2ForThisAddressAndPort) {
  jar.add_macs(message, now);
  EXPECT_FALSE(jar.consume_reply(reply(), now).has_value());
  jar.add_macs(message, now);
  EXPECT_TRUE(checker.mac1_valid(message));
  EXPECT_TRUE(checker.mac2_valid(message, source, now));
  EXPECT_FALSE(checker.mac2_valid(message, endpoint(2, 1000), now)) << "another address";
  EXPECT_FALSE(checker.mac2_valid(message, endpoint(1, 1001), now)) << "another port (C1-8)";
  Buffer changed = message;
  changed[20] ^= 1;
  EXPECT_FALSE(checker.mac2_valid(changed, source, now));
  changed = message;
  changed[message.size() - 32] ^= 1;
  EXPECT_FALSE(checker.mac2_valid(changed, source, now)) << "mac2 covers mac1 (C1-9)";
}

TEST_F(Cookies, Ipv6SourcesUseAll128Bits) {
  source = endpoint6(1, 1, 1000);
  jar.add_macs(message, now);
  EXPECT_FALSE(jar.consume_reply(reply(), now).has_value());
  jar.add_macs(message, now);
  EXPECT_TRUE(checker.mac2_valid(message, source, now));
  EXPECT_FALSE(checker.mac2_valid(message, endpoint6(1, 2, 1000), now));
}

TEST_F(Cookies, SecretRotatesEvery120SecondsAndSendersStopAt115) {
  jar.add_macs(message, now);
  EXPECT_FALSE(jar.consume_reply(reply(), now).has_value());
  now += 115 * kSec - 1ns;
  jar.add_macs(message, now);
  EXPECT_TRUE(checker.mac2_valid(message, source, now));
  EXPECT_TRUE(jar.has_cookie(now));
  const Buffer with_cookie = message;
  now += 1ns;
  jar.add_macs(message, now);
  EXPECT_TRUE(is_zero(macs_of(message).mac2));
  EXPECT_FALSE(jar.has_cookie(now));
  EXPECT_TRUE(checker.mac2_valid(with_cookie, source, now + 5 * kSec - 1ns));
  EXPECT_FALSE(checker.mac2_valid(with_cookie, source, now + 5 * kSec)) << "another secret";
}

TEST_F(Cookies, ReplyIsAcceptedOncePerMac1) {
  jar.add_macs(message, now);
  const auto first = reply();
  EXPECT_FALSE(jar.consume_reply(first, now).has_value());
  EXPECT_EQ(jar.consume_reply(first, now), CookieJar::BadReply::kUnexpected);
  EXPECT_EQ(jar.consume_reply(reply(), now), CookieJar::BadReply::kUnexpected);
}

TEST_F(Cookies, ReplyToAnEarlierMac1OrForgedChangesNothing) {
  EXPECT_EQ(jar.consume_reply(CookieReplyMessage{}, now), CookieJar::BadReply::kUnexpected) << "nothing sent";
  jar.add_macs(message, now);
  const auto stale = reply();
  message[30] ^= 1;
  jar.add_macs(message, now);
  EXPECT_EQ(jar.consume_reply(stale, now), CookieJar::BadReply::kUnauthentic);
  auto forged = reply();
  for (std::size_t i = 8; i < sizeof forged; ++i) {
    reinterpret_cast<std::uint8_t*>(&forged)[i] ^= 1;
    EXPECT_EQ(jar.consume_reply(forged, now), CookieJar::BadReply::kUnauthentic) << i;
    reinterpret_cast<std::uint8_t*>(&forged)[i] ^= 1;
  }
  EXPECT_FALSE(jar.has_cookie(now));
  EXPECT_FALSE(jar.consume_reply(forged, now).has_value()) << "the real one still counts";
}

TEST_F(Cookies, ReplyIsAddressedToTheSendersIndexAndNoncesDiffer) {
  for (std::size_t i = 0; i < 4; ++i) message[4 + i] = static_cast<std::uint8_t>(0xa0 + i);
  jar.add_macs(message, now);
  const auto one = reply();
  const auto two = reply();
  EXPECT_EQ(hex(one.header.type), "03000000");
  EXPECT_EQ(hex(one.receiver_index), "a0a1a2a3");
  EXPECT_NE(one.nonce, two.nonce);
}

// The cookie is a secret of the two sides: its holder can pose as this source.
TEST_F(Cookies, AreWipedWithTheirPeer) {
  alignas(CookieJar) std::array<std::uint8_t, sizeof(CookieJar)> place{};
  auto* const held = new (place.data()) CookieJar;
  held->set_public_key(receiver);
  held->add_macs(message, now);
  const auto r = reply();
  EXPECT_FALSE(held->consume_reply(r, now).has_value());
  Mac cookie;
  ASSERT_TRUE(
      xopen(cookie.data(), derive_cookie_key(receiver), r.nonce, r.sealed_cookie, macs_of(message).mac1));
  const auto found = [&] {
    return std::search(place.begin(), place.end(), cookie.begin(), cookie.end()) != place.end();
  };
  EXPECT_TRUE(found());
  std::destroy_at(held);
  EXPECT_FALSE(found());
}

// The reply opens with XChaCha20-Poly1305, key HASH("cookie--" || public key), mac1 as additional data.
TEST_F(Cookies, ReplyIsBuiltAsThePaperSays) {
  jar.add_macs(message, now);
  const auto r = reply();
  Buffer label{'c', 'o', 'o', 'k', 'i', 'e', '-', '-'};
  label.insert(label.end(), receiver.begin(), receiver.end());
  Mac cookie;
  EXPECT_TRUE(xopen(cookie.data(), hash(label), r.nonce, r.sealed_cookie, macs_of(message).mac1));
}

}  // namespace
}  // namespace wg::noise::test
