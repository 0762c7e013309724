#include "control/log_limit.h"

#include <gtest/gtest.h>

namespace wg::control {
namespace {

using std::chrono::seconds;

TEST(LogLimit, FiveLinesThenOneAMinuteThatSaysHowManyWereWithheld) {
  LogLimit limit;
  const LogLimit::Clock::time_point start{seconds{1000}};
  const std::size_t before = log_lines_limited();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(limit.take(start), 0U) << i;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(limit.take(start + seconds{59}), std::nullopt);
  EXPECT_EQ(limit.take(start + seconds{60}), 1000U);
  EXPECT_EQ(limit.take(start + seconds{61}), std::nullopt);
  EXPECT_EQ(limit.take(start + seconds{120}), 1U);
  EXPECT_EQ(log_lines_limited() - before, 1001U);
}

TEST(LogLimit, AQuietPeerEarnsFiveLinesAgainAndNoMore) {
  LogLimit limit;
  LogLimit::Clock::time_point now{seconds{1000}};
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(limit.take(now)) << i;
    EXPECT_FALSE(limit.take(now));
    now += std::chrono::hours{24};
  }
}

}  // namespace
}  // namespace wg::control
