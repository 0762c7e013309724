// Who sends its first packet when: those heard of latest first, then the others in order, at a bounded pace.
#include "control/noise/start_queue.h"

#include <gtest/gtest.h>

#include <vector>

#include "control/noise/clock_watch.h"

namespace wg::noise {
namespace {

using namespace std::chrono_literals;

constexpr BootTime kStart{1s};

WallTime at(std::chrono::nanoseconds since_1970) {
  return WallTime(since_1970);
}

PeerRef peer(std::uint32_t slot) {
  return {slot, 1};
}

std::vector<std::uint32_t> slots_in_order(StartQueue& queue) {
  std::vector<std::uint32_t> slots;
  for (; !queue.empty(); queue.pop()) slots.push_back(queue.front().slot);
  return slots;
}

TEST(StartQueue, ThoseHeardOfLatestGoFirst) {
  StartQueue queue;
  queue.push(peer(1));
  queue.push_heard(peer(2), at(20ns));
  queue.push(peer(3));
  queue.push_heard(peer(4), at(40ns));
  queue.push_heard(peer(5), at(30ns));
  EXPECT_EQ(slots_in_order(queue), (std::vector<std::uint32_t>{4, 5, 2, 1, 3}));
}

TEST(StartQueue, SomeTurnsAtOnceThenOneAnInterval) {
  StartQueue queue;
  queue.push(peer(1));
  for (std::size_t i = 0; i < StartQueue::kAtOnce; ++i) EXPECT_TRUE(queue.take_turn(kStart)) << i;
  EXPECT_FALSE(queue.take_turn(kStart));
  const BootTime next = queue.next_turn();
  EXPECT_EQ(next, kStart + StartQueue::kInterval);
  EXPECT_FALSE(queue.take_turn(next - 1ns));
  EXPECT_TRUE(queue.take_turn(next));
  EXPECT_FALSE(queue.take_turn(next)) << "one an interval";
}

TEST(StartQueue, ALongSilenceSavesUpNoMoreThanSomeTurns) {
  StartQueue queue;
  const BootTime later = kStart + 1h;
  ASSERT_TRUE(queue.take_turn(kStart));
  std::size_t turns = 0;
  while (queue.take_turn(later)) ++turns;
  EXPECT_EQ(turns, StartQueue::kAtOnce);
}

TEST(StartQueue, NoTurnIsDueWithoutAPeer) {
  StartQueue queue;
  EXPECT_EQ(queue.next_turn(), kNever);
  queue.push(peer(1));
  EXPECT_NE(queue.next_turn(), kNever);
  EXPECT_LE(queue.next_turn(), kStart);
  queue.clear();
  EXPECT_EQ(queue.next_turn(), kNever);
}

TEST(ClockWatch, ReportsStepsOfTheWallClockAlone) {
  ClockWatch watch;
  const auto jump = [&watch](std::chrono::nanoseconds boot, std::chrono::nanoseconds step) {
    return watch.jump({BootTime(boot), WallTime(1'700'000'000s + boot + step)});
  };
  constexpr std::chrono::nanoseconds kStep = ClockWatch::kReported;
  EXPECT_EQ(jump(1s, 0s), std::nullopt) << "the first look";
  EXPECT_EQ(jump(50s, 0s), std::nullopt) << "time alone is no step";
  EXPECT_EQ(jump(51s, kStep - 1ns), std::nullopt);
  EXPECT_EQ(jump(52s, kStep), kStep);
  EXPECT_EQ(jump(53s, kStep), std::nullopt) << "once";
  EXPECT_EQ(jump(54s, -kStep), -2 * kStep);
}

}  // namespace
}  // namespace wg::noise
