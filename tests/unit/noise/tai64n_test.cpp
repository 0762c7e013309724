#include "control/noise/tai64n.h"

#include <gtest/gtest.h>

#include "fake_host.h"

namespace wg::noise::test {
namespace {

TEST(Tai64n, FormatIsTheLabelOfTheTaiDocument) {
  // 1970-01-01 00:00:00 UTC is 2^62 + 10.
  EXPECT_EQ(hex(tai64n(0, 0)), "400000000000000a00000000");
  EXPECT_EQ(hex(tai64n(0x5a000000, 999'999'999)), "400000005a00000a3b9ac9ff");
}

constexpr std::chrono::nanoseconds kStep{kTimestampStep};

TEST(Tai64n, NanosecondsAreWhitenedTo16Milliseconds) {
  const WallTime base{1'700'000'000s};
  EXPECT_EQ(tai64n_whitened(base), tai64n_whitened(base + kStep - 1ns));
  EXPECT_LT(tai64n_whitened(base), tai64n_whitened(base + kStep));
  for (std::uint64_t ns = 0; ns < kSecond; ns += 999'983) {
    const auto stamp = tai64n_whitened(base + std::chrono::nanoseconds(ns));
    EXPECT_EQ(tai_nanoseconds(stamp) % kTimestampStep, 0u);
    EXPECT_LT(tai_nanoseconds(stamp), kSecond);
    EXPECT_EQ(tai_seconds(stamp), kTaiBase + 1'700'000'000);
  }
}

TEST(Tai64n, AClockBefore1970IsBeforeTheEpoch) {
  EXPECT_EQ(tai64n_whitened(WallTime(-1s)), tai64n_whitened(WallTime(-1s + kStep - 1ns)));
  EXPECT_EQ(tai_seconds(tai64n_whitened(WallTime(-1s))), kTaiBase - 1);
  EXPECT_EQ(tai_seconds(tai64n_whitened(WallTime(-1ns))), kTaiBase - 1);
}

TEST(Tai64n, StrictlyIncreasesWhateverTheClockDoes) {
  const WallTime base{1'700'000'000s};
  Tai64n last{};
  const std::int64_t steps[] = {0, 0, 1, -3600, 0, 86400, -86400, 1, 2, -1'000'000'000};
  std::int64_t seconds = 0;
  for (int round = 0; round < 100; ++round) {
    for (const auto step : steps) {
      seconds += step;
      const Tai64n stamp = tai_after(base + std::chrono::seconds(seconds), {}, last);
      ASSERT_GT(stamp, last);
      ASSERT_LT(tai_nanoseconds(stamp), kSecond);
      last = stamp;
    }
    seconds = 0;
  }
}

TEST(Tai64n, StaysAboveTheFloor) {
  const Tai64n floor = tai64n(2'000'000'000, 5);
  EXPECT_GT(tai_after(WallTime(1'700'000'000s), floor, {}), floor);
  EXPECT_EQ(tai_after(WallTime(2'000'000'001s), floor, {}), tai64n(2'000'000'001, 0));
}

TEST(Tai64n, NextCarriesIntoSeconds) {
  const Tai64n last = tai64n(7, static_cast<std::uint32_t>(kSecond - 1));
  EXPECT_EQ(tai_next(last), tai64n(8, 0));
}

TEST(Tai64n, DifferenceSaturates) {
  EXPECT_EQ(tai_difference(tai64n(10, 5), tai64n(7, 6)), 2'999'999'999ns);
  EXPECT_EQ(tai_difference(tai64n(7, 6), tai64n(10, 5)), -2'999'999'999ns);
  Tai64n most;
  most.fill(0xff);
  EXPECT_EQ(tai_difference(most, Tai64n{}), std::chrono::nanoseconds(INT64_MAX));
  EXPECT_EQ(tai_difference(Tai64n{}, most), -std::chrono::nanoseconds(INT64_MAX));
}

}  // namespace
}  // namespace wg::noise::test
