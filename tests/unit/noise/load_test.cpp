// Under load: the bounded queue, cookies on both messages, the order of checks, and floods (C.2).
#include <gtest/gtest.h>

#include <map>

#include "dataplane/crypto/x25519.h"
#include "fake_host.h"

namespace wg::noise::test {
namespace {

class Load : public ::testing::Test {
 protected:
  // Initiations with a valid mac1 and nothing else right, from spoofed sources.
  Buffer spoofed(std::uint32_t n) {
    Buffer m(sizeof(InitiationMessage), 0);
    m[0] = kInitiation;
    std::memcpy(m.data() + 4, &n, 4);
    repair_mac1(m, t.b.engine.public_key());
    return m;
  }
  void put_under_load() {
    for (std::uint32_t i = 0; i < 512; ++i)
      t.b.engine.queue_handshake(spoofed(i), endpoint(9, 9), t.b_at, t.now);
    while (t.b.engine.process_queued(64, t.now) > 0) {
    }
    t.b.host.sent.clear();
  }
  Buffer initiation() {
    t.a.engine.initiate(*t.at_a, t.now);
    return t.a.host.sent.back().bytes;
  }
  Buffer last_of_b() { return t.b.host.sent.back().bytes; }

  TwoEngines t;
};

TEST_F(Load, BeginsAt512QueuedAndHoldsForOneSecond) {
  for (std::uint32_t i = 0; i < 511; ++i) {
    EXPECT_EQ(t.b.engine.queue_handshake(spoofed(i), endpoint(9, 9), t.b_at, t.now), Outcome::kQueued);
  }
  EXPECT_FALSE(t.b.engine.under_load(t.now));
  t.b.engine.queue_handshake(spoofed(511), endpoint(9, 9), t.b_at, t.now);
  EXPECT_TRUE(t.b.engine.under_load(t.now));
  while (t.b.engine.process_queued(64, t.now) > 0) {
  }
  EXPECT_EQ(t.b.engine.queued(), 0u);
  t.pass(kSec - 1ns);
  EXPECT_TRUE(t.b.engine.under_load(t.now)) << "sticky (C2-2)";
  t.pass(1ns);
  EXPECT_FALSE(t.b.engine.under_load(t.now));
}

// The secrets of several messages are computed together, in every variant of X25519; each message is judged
// alone, wherever it stands.
TEST(Queue, MessagesAreJudgedOneByOne) {
  const crypto::X25519Engine& chosen = crypto::x25519_engine();
  for (const crypto::X25519Engine* engine : crypto::x25519_engines()) {
    crypto::use_x25519_engine(*engine);
    for (std::size_t place = 0; place <= 2 * kDhAtOnce; ++place) {
      TwoEngines t;
      t.a.engine.initiate(*t.at_a, t.now);
      const Buffer honest = t.a.host.sent.back().bytes;
      const auto junk = [&](std::size_t i) {
        Buffer m(sizeof(InitiationMessage), 0);
        m[0] = kInitiation;
        m[8] = i % 3 == 0 ? 0 : 9;  // an ephemeral of low order, or of full order
        if (i % 5 == 4) m = Buffer(sizeof(ResponseMessage), 0), m[0] = kResponse;
        repair_mac1(m, t.b.engine.public_key());
        return m;
      };
      std::map<Outcome, std::uint64_t> expected;
      for (std::size_t i = 0; i <= 2 * kDhAtOnce; ++i) {
        if (i == place) {
          for (int twice = 0; twice < 2; ++twice)
            ASSERT_EQ(t.b.engine.queue_handshake(honest, t.a_at, t.b_at, t.now), Outcome::kQueued);
        }
        ASSERT_EQ(t.b.engine.queue_handshake(junk(i), endpoint(9, 9), t.b_at, t.now), Outcome::kQueued);
        ++expected[i % 5 == 4   ? Outcome::kUnknownIndex
                   : i % 3 == 0 ? Outcome::kLowOrderKey
                                : Outcome::kBadInitiation];
      }
      EXPECT_EQ(t.b.engine.process_queued(3, t.now), 3u);
      EXPECT_EQ(t.b.engine.process_queued(100, t.now), 2 * kDhAtOnce);
      for (const auto& [outcome, n] : expected)
        EXPECT_EQ(t.b.engine.counters().of(outcome), n) << engine->name;
      EXPECT_EQ(t.b.engine.counters().of(Outcome::kInitiationAnswered), 1u) << engine->name << " " << place;
      EXPECT_EQ(t.b.engine.counters().of(Outcome::kTimestampNotNewer), 1u);
      EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted) << engine->name << " " << place;
    }
  }
  crypto::use_x25519_engine(chosen);
}

// A flood that the queue never shows, because each is answered before the next one comes.
TEST_F(Load, WastedDiffieHellmanIsLoadToo) {
  const auto forged = [this](std::uint32_t n) {
    Buffer m = spoofed(n);
    m[8] = 9;  // an ephemeral of full order
    repair_mac1(m, t.b.engine.public_key());
    return m;
  };
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(t.to_b(forged(i)), Outcome::kBadInitiation) << "200 a second are not";
    t.pass(kSec / 200);
  }
  t.pass(kSec);
  for (std::uint32_t i = 0; i < 256; ++i) {
    EXPECT_FALSE(t.b.engine.under_load(t.now));
    EXPECT_EQ(t.to_b(forged(i)), Outcome::kBadInitiation);
  }
  EXPECT_TRUE(t.b.engine.under_load(t.now));
  EXPECT_EQ(t.to_b(forged(1)), Outcome::kCookieReplySent);
  t.pass(kSec);
  EXPECT_FALSE(t.b.engine.under_load(t.now));
}

// One recorded message is enough for that flood, so it may not cost more than one of forgeries.
TEST_F(Load, ReplayedInitiationsAreLoadToo) {
  const Buffer recorded = initiation();
  EXPECT_EQ(t.to_b(recorded), Outcome::kInitiationAnswered);
  for (std::uint32_t i = 0; i < 256; ++i) {
    EXPECT_FALSE(t.b.engine.under_load(t.now));
    EXPECT_EQ(t.to_b(recorded), Outcome::kTimestampNotNewer);
  }
  EXPECT_TRUE(t.b.engine.under_load(t.now));
  EXPECT_EQ(t.to_b(recorded), Outcome::kCookieReplySent);
}

// ---- responses that do not authenticate, to a handshake of ours that is in flight

class RefusedResponses : public Load {
 protected:
  // The work of a host that has seen our initiation pass: its sender_index, and an ephemeral of full
  // order.
  Buffer forged(const Buffer& initiation, std::uint32_t n) {
    Buffer m(sizeof(ResponseMessage), 0);
    m[0] = kResponse;
    std::memcpy(m.data() + 4, &n, 4);
    std::memcpy(m.data() + 8, initiation.data() + 4, 4);
    m[12] = 9;
    repair_mac1(m, t.a.engine.public_key());
    return m;
  }
  Outcome receive(const Buffer& m) { return t.a.engine.on_handshake(m, endpoint(66, 6), t.a_at, t.now); }
};

TEST_F(RefusedResponses, FourPerHandshakeAreComputedWithoutACookie) {
  const Buffer m = initiation();
  for (std::uint32_t i = 0; i < 4; ++i) EXPECT_EQ(receive(forged(m, i)), Outcome::kBadResponse) << i;
  for (std::uint32_t i = 4; i < 200; ++i) {
    EXPECT_EQ(receive(forged(m, i)), Outcome::kResponseNeedsCookie) << i;
    EXPECT_EQ(t.a.host.sent.back().type(), kCookieReply);
    EXPECT_LT(t.a.host.sent.back().bytes.size(), sizeof(ResponseMessage)) << "no amplification";
  }
  EXPECT_EQ(t.a.engine.counters().of(Outcome::kBadResponse), 4u);
  EXPECT_EQ(t.a.engine.counters().of(Outcome::kResponseNeedsCookie), 196u);
  EXPECT_FALSE(t.a.engine.under_load(t.now)) << "others are not asked for cookies";

  t.run(5400 * kMs);  // the next initiation
  EXPECT_EQ(t.a.engine.counters().sent(kInitiation), 2u);
  EXPECT_EQ(receive(forged(m, 1)), Outcome::kUnknownIndex);
  EXPECT_EQ(receive(forged(t.a.host.sent.back().bytes, 1)), Outcome::kBadResponse) << "counted from zero";
}

TEST_F(RefusedResponses, AreLoadToo) {
  const Buffer m = initiation();
  for (std::uint32_t i = 0; i < 256; ++i) {
    EXPECT_FALSE(t.a.engine.under_load(t.now)) << i;
    receive(forged(m, i));
  }
  EXPECT_TRUE(t.a.engine.under_load(t.now));
  EXPECT_EQ(receive(forged(m, 256)), Outcome::kCookieReplySent);
  t.pass(kSec);
  EXPECT_FALSE(t.a.engine.under_load(t.now));
}

// Those that cost a Diffie-Hellman count by themselves: many peers have a handshake in flight at once.
TEST_F(RefusedResponses, OfSeveralHandshakesAddUp) {
  EngineOptions options;
  options.wasted_at = 8;
  TwoEngines few(options);
  std::vector<Peer*> silent;
  for (std::uint8_t n = 0; n < 4; ++n) {
    PublicKey key;
    few.a.random.fill(key);
    silent.push_back(&few.a.new_slot());
    few.a.engine.add_peer(*silent.back(), key, few.now);
    few.a.engine.set_endpoint(*silent.back(), endpoint(n, 9), few.now);
  }
  for (std::uint32_t n = 0; n < 4; ++n) {
    EXPECT_FALSE(few.a.engine.under_load(few.now)) << n;
    few.a.engine.initiate(*silent[n], few.now);
    const Buffer m = few.a.host.sent.back().bytes;
    for (std::uint32_t i = 0; i < 2; ++i) {
      Buffer response = forged(m, i);
      repair_mac1(response, few.a.engine.public_key());
      EXPECT_EQ(few.a.engine.on_handshake(response, endpoint(66, 6), few.a_at, few.now),
                Outcome::kBadResponse);
    }
  }
  EXPECT_TRUE(few.a.engine.under_load(few.now));
}

// Forged responses that come first cost the responder one retry, as under load.
TEST_F(RefusedResponses, HonestResponderGetsInWithACookie) {
  Buffer m = initiation();
  for (std::uint32_t i = 0; i < 10; ++i) receive(forged(m, i));
  EXPECT_EQ(t.to_b(m), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.to_a(last_of_b()), Outcome::kResponseNeedsCookie);
  EXPECT_EQ(t.to_b(t.a.host.sent.back().bytes), Outcome::kCookieAccepted);

  t.run(5400 * kMs);
  m = t.a.host.sent.back().bytes;
  for (std::uint32_t i = 0; i < 10; ++i) receive(forged(m, i));
  EXPECT_EQ(t.to_b(m), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.to_a(last_of_b()), Outcome::kResponseAccepted);
}

TEST_F(Load, OneInterfaceUnderLoadDoesNotPutAnotherThere) {
  put_under_load();
  EXPECT_TRUE(t.b.engine.under_load(t.now));
  EXPECT_FALSE(t.a.engine.under_load(t.now));
}

TEST_F(Load, InitiationGetsACookieTheNextOneCarriesMac2) {
  put_under_load();
  const Buffer first = initiation();
  const auto last_received = t.at_b->last_received.load();
  EXPECT_EQ(t.to_b(first), Outcome::kCookieReplySent);
  EXPECT_EQ(t.b.host.sent.back().tos, 0) << "C5-9";
  EXPECT_EQ(t.b.host.sent.back().to, t.a_at);
  EXPECT_LT(last_of_b().size(), first.size()) << "no amplification (I4)";
  EXPECT_EQ(t.at_b->last_received.load(), last_received);

  const auto sent = t.a.host.sent.size();
  const auto rx = t.at_a->received().bytes;
  const int changes = t.a.host.endpoint_changes;
  EXPECT_EQ(t.a.engine.on_handshake(last_of_b(), endpoint(77, 7), t.a_at, t.now), Outcome::kCookieAccepted);
  EXPECT_EQ(t.a.host.sent.size(), sent) << "no immediate resend (C1-10)";
  EXPECT_EQ(t.at_a->received().bytes, rx);
  EXPECT_EQ(t.a.host.endpoint_changes, changes) << "never roams (C5-5)";
  EXPECT_EQ(t.status_a().remote, t.b_at);
  EXPECT_EQ(t.at_a->last_received.load(), kNever) << "no timer is touched";
  EXPECT_TRUE(t.status_a().has_cookie);

  t.run(5400 * kMs);  // the retransmission
  EXPECT_EQ(t.a.engine.counters().sent(kInitiation), 2u);
  put_under_load();
  EXPECT_EQ(t.to_b(t.a.host.sent.back().bytes), Outcome::kInitiationAnswered) << "within one retry";
}

TEST_F(Load, ResponsesGetCookiesToo) {
  const Buffer first = initiation();
  EXPECT_EQ(t.to_b(first), Outcome::kInitiationAnswered);
  const Buffer response = last_of_b();
  for (std::uint32_t i = 0; i < 512; ++i) {
    Buffer m = spoofed(i);
    repair_mac1(m, t.a.engine.public_key());
    t.a.engine.queue_handshake(m, endpoint(9, 9), t.a_at, t.now);
  }
  while (t.a.engine.process_queued(64, t.now) > 0) {
  }
  EXPECT_EQ(t.to_a(response), Outcome::kCookieReplySent) << "C2-4";
  EXPECT_EQ(t.to_b(t.a.host.sent.back().bytes), Outcome::kCookieAccepted)
      << "found by the index of the session the response began";
  EXPECT_TRUE(t.status_b().has_cookie);
  EXPECT_LT(t.a.host.sent.back().bytes.size(), response.size());
}

TEST_F(Load, ValidMac2BeyondTheRateIsSilence) {
  put_under_load();
  t.to_b(initiation());
  t.to_a(last_of_b());
  t.b.host.sent.clear();
  int answered = 0;
  int limited = 0;
  for (int i = 0; i < 20; ++i) {
    // Each with a valid cookie: what a captured address can do at most.
    t.pass(5 * kSec);
    put_under_load();
    const Buffer m = initiation();
    Buffer replayed = m;
    for (int k = 0; k < 10; ++k) {
      const Outcome outcome = t.to_b(replayed);
      answered += outcome == Outcome::kInitiationAnswered ? 1 : 0;
      limited += outcome == Outcome::kRateLimited ? 1 : 0;
    }
  }
  EXPECT_EQ(answered, 20);
  EXPECT_EQ(limited, 100) << "five of ten pass the bucket, nothing is sent for the rest (C2-3)";
  EXPECT_EQ(t.b.engine.counters().sent(kCookieReply), t.b.engine.counters().of(Outcome::kCookieReplySent));
}

// A source with a cookie floods: beyond its rate it neither occupies the queue nor has its mac2 computed, and
// keeps no host behind the same address from asking for a cookie.
TEST_F(Load, SourceBeyondItsRateIsNotQueued) {
  put_under_load();
  t.to_b(initiation());
  t.to_a(last_of_b());
  t.pass(5 * kSec);
  put_under_load();
  const Buffer cookied = initiation();
  const auto queue = [&](const Buffer& m, const Endpoint& from) {
    const Outcome outcome = t.b.engine.queue_handshake(m, from, t.b_at, t.now);
    t.b.engine.process_queued(1, t.now);
    return outcome;
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(queue(cookied, t.a_at), Outcome::kQueued) << i;
  EXPECT_EQ(t.b.engine.counters().of(Outcome::kRateLimited), 0u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(queue(cookied, t.a_at), Outcome::kRateLimited);
  const auto cookies = t.b.engine.counters().sent(kCookieReply);
  EXPECT_EQ(queue(spoofed(1), t.a_at), Outcome::kQueued);
  EXPECT_EQ(t.b.engine.counters().sent(kCookieReply), cookies + 1);
  EXPECT_EQ(queue(cookied, endpoint(77, 7)), Outcome::kQueued) << "another address has its own rate";
  t.pass(kSec / 20);
  EXPECT_EQ(queue(cookied, t.a_at), Outcome::kQueued);
  EXPECT_EQ(queue(cookied, t.a_at), Outcome::kRateLimited);
}

TEST_F(Load, WithoutLoadMac2IsNotLookedAtAndTheLimiterNotAsked) {
  for (int i = 0; i < 50; ++i) {
    Buffer m = initiation();
    m[140] ^= 0xff;  // a wrong mac2
    EXPECT_EQ(t.to_b(m), Outcome::kInitiationAnswered);
    t.pass(5 * kSec);
  }
  Buffer old = initiation();
  EXPECT_EQ(t.to_b(old), Outcome::kInitiationAnswered);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(t.to_b(old), Outcome::kTimestampNotNewer);
}

TEST_F(Load, ValidCookiePassesThePeersGate) {
  put_under_load();
  t.to_b(initiation());
  t.to_a(last_of_b());
  t.pass(5 * kSec);
  put_under_load();
  EXPECT_EQ(t.to_b(initiation()), Outcome::kInitiationAnswered);
  // Another authentic one 1 ms later, as a peer that restarted would send.
  const Now soon{t.now.boot + kMs, t.now.wall + kSec};
  t.a.engine.down(soon);
  t.a.engine.up(soon);
  t.a.engine.initiate(*t.at_a, soon);
  EXPECT_EQ(t.b.engine.on_handshake(t.a.host.sent.back().bytes, t.a_at, t.b_at, soon),
            Outcome::kInitiationAnswered)
      << "the source's bucket is the only limit then";
}

// ---- spoofed cookie replies

TEST_F(Load, CookieRepliesToNothingOrForgedAreCountedWithoutEffect) {
  CookieReplyMessage r{};
  r.header = header_of(kCookieReply);
  EXPECT_EQ(t.to_a({bytes_of(r).begin(), bytes_of(r).end()}), Outcome::kUnexpectedCookie);
  const Buffer m = initiation();
  std::memcpy(r.receiver_index.data(), m.data() + 4, 4);
  EXPECT_EQ(t.to_a({bytes_of(r).begin(), bytes_of(r).end()}), Outcome::kBadCookie);
  EXPECT_EQ(t.a.engine.counters().of(Outcome::kBadCookie), 1u);
  EXPECT_FALSE(t.status_a().has_cookie);
  EXPECT_EQ(t.to_b(m), Outcome::kInitiationAnswered);
  EXPECT_EQ(t.deliver_last_to_a(), Outcome::kResponseAccepted);
}

TEST_F(Load, SecondCookieForTheSameMac1IsRefused) {
  put_under_load();
  const Buffer m = initiation();
  t.to_b(m);
  const Buffer cookie = last_of_b();
  EXPECT_EQ(t.to_a(cookie), Outcome::kCookieAccepted);
  EXPECT_EQ(t.to_a(cookie), Outcome::kUnexpectedCookie) << "consumed once";
}

// ---- the queue

TEST_F(Load, JunkNeverEntersTheQueue) {
  for (std::uint32_t i = 0; i < 10'000; ++i) {
    Buffer m = spoofed(i);
    m.back() = 1;
    m[60] ^= 1;
    EXPECT_EQ(t.b.engine.queue_handshake(m, endpoint(9, 9), t.b_at, t.now), Outcome::kBadMac1);
  }
  EXPECT_EQ(t.b.engine.queued(), 0u);
  EXPECT_FALSE(t.b.engine.under_load(t.now)) << "junk cannot make us ask honest peers for cookies";
  EXPECT_TRUE(t.b.host.sent.empty());
}

TEST_F(Load, QueueIsBoundedAndMemoryFlat) {
  for (std::uint32_t i = 0; i < 4096; ++i) {
    EXPECT_EQ(t.b.engine.queue_handshake(spoofed(i), endpoint(9, 9), t.b_at, t.now), Outcome::kQueued);
  }
  const auto memory = t.b.engine.memory_bytes();
  for (std::uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(t.b.engine.queue_handshake(spoofed(i), endpoint(9, 9), t.b_at, t.now), Outcome::kQueueFull);
  }
  EXPECT_EQ(t.b.engine.memory_bytes(), memory);
  EXPECT_EQ(t.b.engine.process_queued(100, t.now), 100u) << "the budget is kept";
  EXPECT_EQ(t.b.engine.queued(), 3996u);
}

TEST_F(Load, HonestPeerGetsInDuringAFloodWithinTwoRetries) {
  bool up = false;
  t.a.engine.initiate(*t.at_a, t.now);
  std::size_t carried = 0;
  for (int tick = 0; tick < 1200 && !up; ++tick) {  // 12 s
    for (std::uint32_t i = 0; i < 900; ++i) {       // 90 000 spoofed per second, more than are processed
      t.b.engine.queue_handshake(spoofed(i), endpoint(static_cast<std::uint8_t>(i), 9), t.b_at, t.now);
    }
    t.b.host.sent.clear();
    for (; carried < t.a.host.sent.size(); ++carried) {
      t.b.engine.queue_handshake(t.a.host.sent[carried].bytes, t.a_at, t.b_at, t.now);
    }
    t.b.engine.process_queued(1000, t.now);
    for (const auto& m : t.b.host.sent) {
      if (m.to == t.a_at) up = up || t.to_a(m.bytes) == Outcome::kResponseAccepted;
    }
    t.run(10 * kMs, 10 * kMs);
  }
  EXPECT_TRUE(up);
  EXPECT_LE(t.a.engine.counters().sent(kInitiation), 3u);
  EXPECT_EQ(t.b.engine.counters().sent(kResponse), 1u) << "no DH was spent on the flood's answers";
}

// A message with a valid cookie overtakes a full queue of messages without.
TEST_F(Load, CookiedMessagesAreServedFirst) {
  put_under_load();
  t.to_b(initiation());
  t.to_a(last_of_b());
  t.pass(5 * kSec);
  for (std::uint32_t i = 0; i < 4096; ++i)
    t.b.engine.queue_handshake(spoofed(i), endpoint(9, 9), t.b_at, t.now);
  EXPECT_EQ(t.b.engine.queue_handshake(initiation(), t.a_at, t.b_at, t.now), Outcome::kQueued);
  EXPECT_EQ(t.b.engine.process_queued(1, t.now), 1u);
  EXPECT_EQ(t.b.engine.counters().of(Outcome::kInitiationAnswered), 1u);
}

TEST_F(Load, DownEmptiesTheQueue) {
  t.b.engine.queue_handshake(initiation(), t.a_at, t.b_at, t.now);
  t.b.engine.down(t.now);
  EXPECT_EQ(t.b.engine.queued(), 0u);
  EXPECT_EQ(t.b.engine.counters().of(Outcome::kInterfaceDown), 1u) << "nothing ends uncounted";
  t.b.engine.up(t.now);
  EXPECT_EQ(t.b.engine.process_queued(10, t.now), 0u);
}

}  // namespace
}  // namespace wg::noise::test
