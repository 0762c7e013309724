// The replay window: the cases of the kernel's self-test, a set as oracle, and the limits.
#include "dataplane/session/replay_window.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <set>
#include <thread>
#include <vector>

namespace wg::dataplane {
namespace {

constexpr std::uint64_t kWindow = ReplayWindow::kWindow;
constexpr std::uint64_t kLimit = kWindow + 1;  // counters n..n-kWindow are inside: the counter starts at 0

class Replay : public ::testing::Test {
 protected:
  void restart() { window = std::make_unique<ReplayWindow>(); }
  bool take(std::uint64_t counter) { return window->check_and_set(counter); }
  std::unique_ptr<ReplayWindow> window = std::make_unique<ReplayWindow>();
};

// The single steps of the kernel's selftest/counter.c.
TEST_F(Replay, KernelSelfTestSteps) {
  const struct {
    std::uint64_t counter;
    bool accepted;
  } steps[] = {
      /*  1 */ {0, true},
      /*  2 */ {1, true},
      /*  3 */ {1, false},
      /*  4 */ {9, true},
      /*  5 */ {8, true},
      /*  6 */ {7, true},
      /*  7 */ {7, false},
      /*  8 */ {kLimit, true},
      /*  9 */ {kLimit - 1, true},
      /* 10 */ {kLimit - 1, false},
      /* 11 */ {kLimit - 2, true},
      /* 12 */ {2, true},
      /* 13 */ {2, false},
      /* 14 */ {kLimit + 16, true},
      /* 15 */ {3, false},
      /* 16 */ {kLimit + 16, false},
      /* 17 */ {kLimit * 4, true},
      /* 18 */ {kLimit * 4 - (kLimit - 1), true},
      /* 19 */ {10, false},
      /* 20 */ {kLimit * 4 - kLimit, false},
      /* 21 */ {kLimit * 4 - (kLimit + 1), false},
      /* 22 */ {kLimit * 4 - (kLimit - 2), true},
      /* 23 */ {kLimit * 4 + 1 - kLimit, false},
      /* 24 */ {0, false},
      /* 25 */ {REJECT_AFTER_MESSAGES, false},
      /* 26 */ {REJECT_AFTER_MESSAGES - 1, true},
      /* 27 */ {REJECT_AFTER_MESSAGES, false},
      /* 28 */ {REJECT_AFTER_MESSAGES - 1, false},
      /* 29 */ {REJECT_AFTER_MESSAGES - 2, true},
      /* 30 */ {REJECT_AFTER_MESSAGES + 1, false},
      /* 31 */ {REJECT_AFTER_MESSAGES + 2, false},
      /* 32 */ {REJECT_AFTER_MESSAGES - 2, false},
      /* 33 */ {REJECT_AFTER_MESSAGES - 3, true},
      /* 34 */ {0, false},
  };
  int n = 0;
  for (const auto& step : steps) {
    ++n;
    EXPECT_EQ(take(step.counter), step.accepted) << "step " << n << " counter " << step.counter;
  }
}

// ... and its six series.
TEST_F(Replay, KernelSelfTestSeries) {
  for (std::uint64_t i = 1; i <= kWindow; ++i) ASSERT_TRUE(take(i));
  EXPECT_TRUE(take(0));
  EXPECT_FALSE(take(0));

  restart();
  for (std::uint64_t i = 2; i <= kWindow + 1; ++i) ASSERT_TRUE(take(i));
  EXPECT_TRUE(take(1));
  EXPECT_FALSE(take(0));

  restart();
  for (std::uint64_t i = kWindow + 1; i-- > 0;) ASSERT_TRUE(take(i));

  restart();
  for (std::uint64_t i = kWindow + 2; i-- > 1;) ASSERT_TRUE(take(i));
  EXPECT_FALSE(take(0));

  restart();
  for (std::uint64_t i = kWindow + 1; i-- > 1;) ASSERT_TRUE(take(i));
  EXPECT_TRUE(take(kWindow + 1));
  EXPECT_FALSE(take(0));

  restart();
  for (std::uint64_t i = kWindow + 1; i-- > 1;) ASSERT_TRUE(take(i));
  EXPECT_TRUE(take(0));
  EXPECT_TRUE(take(kWindow + 1));
}

// The oracle remembers everything ever accepted.
class Oracle {
 public:
  bool take(std::uint64_t counter) {
    if (counter >= REJECT_AFTER_MESSAGES) return false;
    if (!seen_.empty() && counter < *seen_.rbegin() && *seen_.rbegin() - counter > kWindow) return false;
    return seen_.insert(counter).second;
  }

 private:
  std::set<std::uint64_t> seen_;
};

TEST_F(Replay, AgreesWithASetForRandomOrders) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    std::mt19937_64 random(seed);
    restart();
    Oracle oracle;
    std::uint64_t base = seed % 3 == 0 ? REJECT_AFTER_MESSAGES - 60'000 : random() % 100'000;
    for (int i = 0; i < 20'000; ++i) {
      if (random() % 4 == 0) base += random() % (random() % 50 == 0 ? 10'000 : 8);
      const std::uint64_t spread = random() % 16 == 0 ? 2 * kWindow : 64;
      const std::uint64_t back = random() % spread;
      const std::uint64_t counter = back > base ? 0 : base - back;
      ASSERT_EQ(take(counter), oracle.take(counter)) << "seed " << seed << " step " << i << " " << counter;
    }
  }
}

TEST_F(Replay, EveryJumpClearsExactlyWhatItPasses) {
  for (std::uint64_t jump = 1; jump < 3 * ReplayWindow::kBits; jump += 61) {
    restart();
    Oracle oracle;
    for (std::uint64_t i = 0; i < 200; ++i) ASSERT_EQ(take(i), oracle.take(i));
    ASSERT_EQ(take(199 + jump), oracle.take(199 + jump));
    for (std::uint64_t i = 0; i < 200 + jump; ++i) ASSERT_EQ(take(i), oracle.take(i)) << jump << " " << i;
  }
}

TEST_F(Replay, LimitsPlusMinusTwo) {
  for (std::uint64_t delta = 0; delta <= 2; ++delta) {
    restart();
    EXPECT_FALSE(take(REJECT_AFTER_MESSAGES + delta)) << delta;
    EXPECT_EQ(window->top(), 0u) << "and moves nothing";
  }
  restart();
  EXPECT_TRUE(take(REJECT_AFTER_MESSAGES - 2));
  EXPECT_TRUE(take(REJECT_AFTER_MESSAGES - 1));
  EXPECT_TRUE(take(REJECT_AFTER_MESSAGES - 1 - kWindow));
  EXPECT_FALSE(take(REJECT_AFTER_MESSAGES - 2 - kWindow));
  EXPECT_FALSE(take(~std::uint64_t{0}));
}

TEST_F(Replay, TopIsHighestPlusOne) {
  EXPECT_EQ(window->top(), 0u);
  (void)take(41);
  EXPECT_EQ(window->top(), 42u);
  (void)take(7);
  EXPECT_EQ(window->top(), 42u);
}

TEST_F(Replay, RunGivesTheSameVerdictsAsSingles) {
  std::mt19937_64 random(3);
  ReplayWindow singles;
  for (int round = 0; round < 500; ++round) {
    std::vector<std::uint64_t> counters(1 + random() % 64);
    for (auto& c : counters) c = static_cast<std::uint64_t>(round) * 20 + random() % 100;
    const auto accepted = std::make_unique<bool[]>(counters.size());
    window->check_and_set_run(
        counters.size(), [&](std::size_t i) { return counters[i]; }, accepted.get());
    for (std::size_t i = 0; i < counters.size(); ++i) {
      ASSERT_EQ(accepted[i], singles.check_and_set(counters[i]));
    }
  }
}

// What never came of the counters that were passed over.
TEST_F(Replay, MissingCountsGapsAndWhatFillsThem) {
  EXPECT_EQ(window->missing(), 0u);
  for (std::uint64_t counter = 0; counter < 100; ++counter) ASSERT_TRUE(take(counter));
  EXPECT_EQ(window->missing(), 0u);
  ASSERT_TRUE(take(110));
  EXPECT_EQ(window->missing(), 10u);
  ASSERT_TRUE(take(105));
  ASSERT_FALSE(take(105));
  EXPECT_EQ(window->missing(), 9u);
  EXPECT_EQ(window->late(), 1u);
  restart();
  ASSERT_TRUE(take(3));
  EXPECT_EQ(window->missing(), 3u) << "the first ones were lost";
}

TEST_F(Replay, AJumpIsNoLoss) {
  ASSERT_TRUE(take(0));
  ASSERT_TRUE(take(std::uint64_t{1} << 39));  // a sender that goes on in another range
  EXPECT_EQ(window->missing(), 0u);
  ASSERT_TRUE(take((std::uint64_t{1} << 39) - 1));
  EXPECT_EQ(window->missing(), 0u) << "never below zero";
  restart();
  ASSERT_TRUE(take(0));
  ASSERT_TRUE(take(ReplayWindow::kJump));  // the largest step that counts
  EXPECT_EQ(window->missing(), ReplayWindow::kLargestGap);
  ASSERT_TRUE(take(2 * ReplayWindow::kJump + 1));  // one more
  EXPECT_EQ(window->missing(), ReplayWindow::kLargestGap);
  ASSERT_TRUE(take(2 * ReplayWindow::kJump + 12));
  EXPECT_EQ(window->missing(), ReplayWindow::kLargestGap + 10);
}

// Runs in order, at every place of a block, with gaps before them up to more than the window, and broken
// ones: one message missing, repeated or not authentic.
TEST_F(Replay, RunInOrderGivesTheSameVerdictsAsSingles) {
  std::mt19937_64 random(4);
  ReplayWindow singles;
  std::uint64_t next = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint64_t> counters(1 + random() % 64);
    const std::uint64_t gap = random() % 8 == 0 ? random() % (2 * ReplayWindow::kBits) : random() % 3;
    for (std::size_t i = 0; i < counters.size(); ++i) counters[i] = next + gap + i;
    next = counters.back() + 1;
    std::uint64_t& broken = counters[random() % counters.size()];
    if (random() % 4 == 0) broken = random() % 2 == 0 ? ReplayWindow::kRefused : broken - random() % 70;
    const auto accepted = std::make_unique<bool[]>(counters.size());
    const bool sole = random() % 2 == 0;
    window->check_and_set_run(
        counters.size(), [&](std::size_t i) { return counters[i]; }, accepted.get(), sole);
    for (std::size_t i = 0; i < counters.size(); ++i)
      ASSERT_EQ(accepted[i], singles.check_and_set(counters[i])) << round << ": " << counters[i];
    ASSERT_EQ(window->top(), singles.top());
    ASSERT_EQ(window->missing(), singles.missing());
    ASSERT_EQ(window->late(), singles.late());
  }
}

TEST(ReplayThreads, EachCounterIsAcceptedOnceAmongAll) {
  constexpr std::uint64_t kCounters = 6000;
  ReplayWindow window;
  std::vector<std::atomic<int>> accepted(kCounters);
  const auto race = [&] {
    for (std::uint64_t i = 0; i < kCounters; ++i) {
      if (window.check_and_set(i)) accepted[i].fetch_add(1);
    }
  };
  std::thread one(race);
  std::thread two(race);
  one.join();
  two.join();
  for (const auto& n : accepted) ASSERT_LE(n.load(), 1);
  int total = 0;
  for (const auto& n : accepted) total += n.load();
  EXPECT_GE(total, static_cast<int>(kCounters) - 1) << "all fit into the window";
}

}  // namespace
}  // namespace wg::dataplane
