// The wheel against a sorted list.
#include "control/noise/timing_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace wg::noise {
namespace {

using namespace std::chrono_literals;

using Fired = std::vector<std::uint32_t>;

std::uint64_t tick_of(BootTime time) {
  return static_cast<std::uint64_t>(time.time_since_epoch() / TimingWheel::kTick);
}

Fired advance(TimingWheel& wheel, BootTime now) {
  Fired out;
  wheel.advance(now, [&](std::uint32_t id) { out.push_back(id); });
  return out;
}

TEST(TimingWheel, FiresNeverEarlyAndWithinATick) {
  for (const std::chrono::nanoseconds after :
       {std::chrono::nanoseconds(1ns), TimingWheel::kTick, TimingWheel::kTick + 1ns,
        std::chrono::nanoseconds(5s), std::chrono::nanoseconds(540s),
        std::chrono::nanoseconds(std::int64_t{1} << 55)}) {
    const BootTime deadline{after};
    TimingWheel wheel;
    wheel.reserve_id(0);
    wheel.schedule(0, deadline);
    EXPECT_TRUE(advance(wheel, deadline - 1ns).empty()) << after.count();
    EXPECT_EQ(advance(wheel, deadline + TimingWheel::kTick), Fired{0}) << after.count();
    EXPECT_TRUE(advance(wheel, deadline + after).empty());
    EXPECT_EQ(wheel.next_deadline(), kNever);
  }
}

TEST(TimingWheel, CancelAndReplace) {
  TimingWheel wheel;
  wheel.reserve_id(1);
  wheel.schedule(0, BootTime(10 * TimingWheel::kTick));
  wheel.schedule(1, BootTime(10 * TimingWheel::kTick));
  wheel.schedule(0, BootTime(20 * TimingWheel::kTick));
  wheel.cancel(1);
  wheel.cancel(1);
  EXPECT_TRUE(advance(wheel, BootTime(19 * TimingWheel::kTick)).empty());
  EXPECT_EQ(advance(wheel, BootTime(20 * TimingWheel::kTick)), Fired{0});
}

TEST(TimingWheel, RescheduleFromWithinIsNeverLostNorEndless) {
  TimingWheel wheel;
  wheel.reserve_id(0);
  wheel.schedule(0, BootTime(TimingWheel::kTick));
  int fired = 0;
  const auto again = [&](std::uint32_t id) {
    ++fired;
    wheel.schedule(id, BootTime(1ns));  // already past: the next tick
  };
  wheel.advance(BootTime(100 * TimingWheel::kTick), again);
  EXPECT_GE(fired, 1);
  EXPECT_LE(fired, 100);
  const int before = fired;
  wheel.advance(BootTime(101 * TimingWheel::kTick), again);
  EXPECT_EQ(fired, before + 1);
}

TEST(TimingWheel, NextDeadlineIsNeverLate) {
  std::mt19937_64 random(7);
  TimingWheel wheel;
  wheel.reserve_id(0);
  BootTime now{1ns};
  for (int i = 0; i < 2000; ++i) {
    const BootTime deadline = now + std::chrono::nanoseconds(random() >> (20 + random() % 36));
    wheel.schedule(0, deadline);
    bool fired = false;
    for (int steps = 0; !fired && steps < 10; ++steps) {
      ASSERT_NE(wheel.next_deadline(), kNever);
      now = std::max(now, wheel.next_deadline());
      ASSERT_LE(now, std::max(deadline, now) + TimingWheel::kTick);
      wheel.advance(now, [&](std::uint32_t) { fired = true; });
    }
    ASSERT_TRUE(fired) << "an entry moves down at most 6 times";
    ASSERT_GE(now + TimingWheel::kTick, deadline);
  }
}

// A caller that stops after a few, with entries that come, go and move meanwhile: none is lost, none fires
// twice or early, and next_deadline() says that there is more.
TEST(TimingWheel, StopsAndGoesOnWhereItWas) {
  std::mt19937_64 random(5);
  TimingWheel wheel;
  constexpr std::uint32_t kIds = 3000;
  wheel.reserve_id(kIds - 1);
  BootTime now{std::chrono::nanoseconds(std::int64_t{1} << 40)};
  advance(wheel, now);
  std::map<std::uint32_t, BootTime> due;
  const auto schedule = [&](std::uint32_t id, BootTime deadline) {
    wheel.schedule(id, deadline);
    due[id] = deadline;
  };
  const auto some = [&] {
    return now + TimingWheel::kTick * static_cast<int>(random() % 4 == 0 ? 64 : random() % 400);
  };
  for (std::uint32_t id = 0; id < kIds; ++id) schedule(id, some());
  for (int step = 0; step < 20'000 && !due.empty(); ++step) {
    if (random() % 3 == 0) now += static_cast<int>(random() % 3) * TimingWheel::kTick;
    unsigned left = 1 + static_cast<unsigned>(random() % 5), fired = 0;
    wheel.advance(now, [&](std::uint32_t id) {
      EXPECT_TRUE(due.contains(id)) << "twice";
      EXPECT_LE(due[id], now) << "early";
      due.erase(id);
      ++fired;
      return --left != 0;
    });
    ASSERT_LE(fired, 5u);
    if (left == 0) {
      ASSERT_NE(wheel.next_deadline(), kNever);
      ASSERT_LE(wheel.next_deadline(), now);
    } else {
      for (const auto& [id, deadline] : due) ASSERT_GT(deadline + TimingWheel::kTick, now) << "late";
    }
    const auto id = static_cast<std::uint32_t>(random() % kIds);
    if (!due.contains(id)) continue;
    if (random() % 2 == 0) {
      schedule(id, some());
    } else {
      wheel.cancel(id);
      due.erase(id);
    }
  }
  EXPECT_TRUE(due.empty());
  EXPECT_EQ(wheel.next_deadline(), kNever);
}

TEST(TimingWheel, AgreesWithASortedList) {
  constexpr std::uint32_t kIds = 500;
  std::mt19937_64 random(42);
  TimingWheel wheel;
  wheel.reserve_id(kIds - 1);
  std::map<std::uint32_t, std::uint64_t> oracle;  // id -> tick
  BootTime now{12345678ns};
  advance(wheel, now);
  for (int step = 0; step < 200'000; ++step) {
    const auto id = static_cast<std::uint32_t>(random() % kIds);
    switch (random() % 8) {
      case 0:
        wheel.cancel(id);
        oracle.erase(id);
        break;
      case 1: {
        now += std::chrono::nanoseconds(random() >> (24 + random() % 30));
        const std::uint64_t tick = tick_of(now);
        std::set<std::uint32_t> expected;
        for (const auto& [other, at] : oracle) {
          if (at <= tick) expected.insert(other);
        }
        const Fired fired = advance(wheel, now);
        ASSERT_EQ(std::set<std::uint32_t>(fired.begin(), fired.end()), expected);
        ASSERT_EQ(fired.size(), expected.size());
        std::uint64_t last = 0;
        for (const auto f : fired) {
          ASSERT_GE(oracle[f], last) << "in order of time";
          last = oracle[f];
          oracle.erase(f);
        }
        break;
      }
      default: {
        const BootTime deadline = now + std::chrono::nanoseconds(random() >> (20 + random() % 36));
        wheel.schedule(id, deadline);
        oracle[id] = std::max(tick_of(deadline + TimingWheel::kTick - 1ns), tick_of(now) + 1);
      }
    }
    ASSERT_EQ(wheel.next_deadline() == kNever, oracle.empty());
  }
}

}  // namespace
}  // namespace wg::noise
