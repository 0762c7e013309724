// When drops were seen: first, the spell they belong to, last.
#include "control/gateway/drop_times.h"

#include <gtest/gtest.h>

namespace wg::control {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kReason = 7;

struct DropTimesTest : testing::Test {
  void count_at(std::chrono::seconds second, std::uint64_t count) {
    counts[kReason] = count;
    times.note(counts, BootTime{second});
  }
  [[nodiscard]] const DropTimes::Times& seen() const { return times.of(kReason); }

  DropTimes times;
  DropCounts counts{};
};

TEST_F(DropTimesTest, NothingIsSeenOfACountThatDoesNotMove) {
  for (int second = 1; second < 5; ++second) count_at(std::chrono::seconds{second}, 0);
  EXPECT_EQ(seen().first, kNever);
  EXPECT_EQ(seen().began, kNever);
  EXPECT_EQ(seen().last, kNever);
}

TEST_F(DropTimesTest, ASpellEndsWithAMinuteOfQuiet) {
  count_at(10s, 1);
  count_at(11s, 1);
  count_at(69s, 2);  // 59 s later: the same spell
  EXPECT_EQ(seen().first, BootTime{10s});
  EXPECT_EQ(seen().began, BootTime{10s});
  EXPECT_EQ(seen().last, BootTime{69s});
  count_at(129s, 3);  // 60 s later
  EXPECT_EQ(seen().first, BootTime{10s});
  EXPECT_EQ(seen().began, BootTime{129s});
  EXPECT_EQ(seen().last, BootTime{129s});
  EXPECT_EQ(times.of(kReason + 1).first, kNever) << "each reason alone";
}

}  // namespace
}  // namespace wg::control
