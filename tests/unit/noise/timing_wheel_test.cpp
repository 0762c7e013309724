// The wheel against a sorted list.
#include "control/noise/timing_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace wg::noise {
namespace {

using Fired = std::vector<std::uint32_t>;

Fired advance(TimingWheel& wheel, BootTime now) {
  Fired out;
  wheel.advance(now, [&](std::uint32_t id) { out.push_back(id); });
  return out;
}

TEST(TimingWheel, FiresNeverEarlyAndWithinATick) {
  for (const BootTime deadline : {BootTime{1}, TimingWheel::kTick, TimingWheel::kTick + 1,
                                  BootTime{5'000'000'000}, BootTime{540'000'000'000}, BootTime{1} << 55}) {
    TimingWheel wheel;
    wheel.reserve_id(0);
    wheel.schedule(0, deadline);
    EXPECT_TRUE(advance(wheel, deadline - 1).empty()) << deadline;
    EXPECT_EQ(advance(wheel, deadline + TimingWheel::kTick), Fired{0}) << deadline;
    EXPECT_TRUE(advance(wheel, deadline * 2).empty());
    EXPECT_EQ(wheel.next_deadline(), 0u);
  }
}

TEST(TimingWheel, CancelAndReplace) {
  TimingWheel wheel;
  wheel.reserve_id(1);
  wheel.schedule(0, 10 * TimingWheel::kTick);
  wheel.schedule(1, 10 * TimingWheel::kTick);
  wheel.schedule(0, 20 * TimingWheel::kTick);
  wheel.cancel(1);
  wheel.cancel(1);
  EXPECT_TRUE(advance(wheel, 19 * TimingWheel::kTick).empty());
  EXPECT_EQ(advance(wheel, 20 * TimingWheel::kTick), Fired{0});
}

TEST(TimingWheel, RescheduleFromWithinIsNeverLostNorEndless) {
  TimingWheel wheel;
  wheel.reserve_id(0);
  wheel.schedule(0, TimingWheel::kTick);
  int fired = 0;
  const auto again = [&](std::uint32_t id) {
    ++fired;
    wheel.schedule(id, 1);  // already past: the next tick
  };
  wheel.advance(100 * TimingWheel::kTick, again);
  EXPECT_GE(fired, 1);
  EXPECT_LE(fired, 100);
  const int before = fired;
  wheel.advance(101 * TimingWheel::kTick, again);
  EXPECT_EQ(fired, before + 1);
}

TEST(TimingWheel, NextDeadlineIsNeverLate) {
  std::mt19937_64 random(7);
  TimingWheel wheel;
  wheel.reserve_id(0);
  BootTime now = 1;
  for (int i = 0; i < 2000; ++i) {
    const BootTime deadline = now + (random() >> (20 + random() % 36));
    wheel.schedule(0, deadline);
    bool fired = false;
    for (int steps = 0; !fired && steps < 10; ++steps) {
      ASSERT_NE(wheel.next_deadline(), 0u);
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
  BootTime now = BootTime{1} << 40;
  advance(wheel, now);
  std::map<std::uint32_t, BootTime> due;
  const auto schedule = [&](std::uint32_t id, BootTime deadline) {
    wheel.schedule(id, deadline);
    due[id] = deadline;
  };
  const auto some = [&] { return now + (random() % 4 == 0 ? 64 : random() % 400) * TimingWheel::kTick; };
  for (std::uint32_t id = 0; id < kIds; ++id) schedule(id, some());
  for (int step = 0; step < 20'000 && !due.empty(); ++step) {
    if (random() % 3 == 0) now += random() % 3 * TimingWheel::kTick;
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
      ASSERT_NE(wheel.next_deadline(), 0u);
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
  EXPECT_EQ(wheel.next_deadline(), 0u);
}

TEST(TimingWheel, AgreesWithASortedList) {
  constexpr std::uint32_t kIds = 500;
  std::mt19937_64 random(42);
  TimingWheel wheel;
  wheel.reserve_id(kIds - 1);
  std::map<std::uint32_t, std::uint64_t> oracle;  // id -> tick
  BootTime now = 12345678;
  advance(wheel, now);
  for (int step = 0; step < 200'000; ++step) {
    const auto id = static_cast<std::uint32_t>(random() % kIds);
    switch (random() % 8) {
      case 0:
        wheel.cancel(id);
        oracle.erase(id);
        break;
      case 1: {
        now += random() >> (24 + random() % 30);
        const std::uint64_t tick = now >> TimingWheel::kTickShift;
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
        const BootTime deadline = now + (random() >> (20 + random() % 36));
        wheel.schedule(id, deadline);
        oracle[id] = std::max((deadline + TimingWheel::kTick - 1) >> TimingWheel::kTickShift,
                              (now >> TimingWheel::kTickShift) + 1);
      }
    }
    ASSERT_EQ(wheel.next_deadline() == 0, oracle.empty());
  }
}

}  // namespace
}  // namespace wg::noise
