// The token bucket of C2-5 with a virtual clock.
#include "control/noise/ratelimiter.h"

#include <gtest/gtest.h>

#include "fake_host.h"

namespace wg::noise::test {
namespace {

class Limiter : public ::testing::Test {
 protected:
  static IpAddress v4(std::uint32_t n) {
    const std::uint8_t b[] = {static_cast<std::uint8_t>(n >> 24), static_cast<std::uint8_t>(n >> 16),
                              static_cast<std::uint8_t>(n >> 8), static_cast<std::uint8_t>(n)};
    return IpAddress::from_v4(b);
  }
  int allowed(const IpAddress& source, int tries) {
    int n = 0;
    for (int i = 0; i < tries; ++i) n += limiter.allow(source, now) ? 1 : 0;
    return n;
  }

  SeededRandom random{1};
  RateLimiter limiter{random};
  BootTime now{1000 * kSec};
};

TEST_F(Limiter, BurstOfFiveThenTwentyPerSecond) {
  EXPECT_EQ(allowed(v4(1), 100), 5);
  now += 50 * kMs - 1ns;
  EXPECT_EQ(allowed(v4(1), 10), 0);
  now += 1ns;
  EXPECT_EQ(allowed(v4(1), 10), 1);
  int n = 0;
  for (int i = 0; i < 1000; ++i) {
    now += 10 * kMs;
    n += allowed(v4(1), 3);
  }
  EXPECT_NEAR(n, 200, 1);
  now += 10 * kSec;
  EXPECT_EQ(allowed(v4(1), 100), 5) << "no more than the burst is saved up";
}

TEST_F(Limiter, OneSourceDoesNotSpendAnothersTokens) {
  EXPECT_EQ(allowed(v4(1), 100), 5);
  EXPECT_EQ(allowed(v4(2), 100), 5);
}

TEST_F(Limiter, Ipv6IsLimitedPerSlash64) {
  EXPECT_EQ(allowed(endpoint6(1, 1, 1).address, 4), 4);
  EXPECT_EQ(allowed(endpoint6(1, 200, 1).address, 4), 1) << "same /64";
  EXPECT_EQ(allowed(endpoint6(2, 1, 1).address, 4), 4) << "another /64";
}

TEST_F(Limiter, TheSameBitsInBothFamiliesAreTwoSources) {
  IpAddress six;
  six.v6 = true;
  six.bytes[0] = 9;
  IpAddress four;
  four.bytes[0] = 9;
  EXPECT_EQ(allowed(six, 10), 5);
  EXPECT_EQ(allowed(four, 10), 5);
}

TEST_F(Limiter, BoundedFullRefusesAndSweptAfterASecond) {
  for (std::uint32_t i = 0; i < RateLimiter::kMaxSources; ++i) ASSERT_TRUE(limiter.allow(v4(i), now));
  EXPECT_FALSE(limiter.allow(v4(0xffffffff), now)) << "full";
  EXPECT_TRUE(limiter.allow(v4(7), now)) << "known sources go on";
  EXPECT_EQ(limiter.sources(), RateLimiter::kMaxSources);
  const auto memory = limiter.memory_bytes();
  for (int i = 0; i < 1000; ++i) (void)limiter.allow(v4(0xf0000000u + static_cast<unsigned>(i)), now);
  EXPECT_EQ(limiter.memory_bytes(), memory);
  now += kSec;
  EXPECT_FALSE(limiter.allow(v4(0xffffffff), now)) << "idle for exactly a second is not idle";
  now += kSec + 1ns;
  limiter.sweep(now);  // without any insertion: past bug, a table that stayed full
  EXPECT_EQ(limiter.sources(), 0u);
}

TEST_F(Limiter, ClockReadingsMayCross) {
  EXPECT_EQ(allowed(v4(1), 100), 5);
  now -= kSec;
  EXPECT_EQ(allowed(v4(1), 100), 0);
}

}  // namespace
}  // namespace wg::noise::test
