// Who sends its first packet when: those heard of latest first, then the others in order, at a bounded pace.
#include "control/noise/start_queue.h"

#include <gtest/gtest.h>

#include <vector>

#include "control/noise/clock_watch.h"

namespace wg::noise {
namespace {

constexpr BootTime kStart = 1'000'000'000;

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
  queue.push_heard(peer(2), 20);
  queue.push(peer(3));
  queue.push_heard(peer(4), 40);
  queue.push_heard(peer(5), 30);
  EXPECT_EQ(slots_in_order(queue), (std::vector<std::uint32_t>{4, 5, 2, 1, 3}));
}

TEST(StartQueue, SomeTurnsAtOnceThenOneAnInterval) {
  StartQueue queue;
  queue.push(peer(1));
  for (std::size_t i = 0; i < StartQueue::kAtOnce; ++i) EXPECT_TRUE(queue.take_turn(kStart)) << i;
  EXPECT_FALSE(queue.take_turn(kStart));
  const BootTime next = queue.next_turn();
  EXPECT_EQ(next, kStart + StartQueue::kInterval);
  EXPECT_FALSE(queue.take_turn(next - 1));
  EXPECT_TRUE(queue.take_turn(next));
  EXPECT_FALSE(queue.take_turn(next)) << "one an interval";
}

TEST(StartQueue, ALongSilenceSavesUpNoMoreThanSomeTurns) {
  StartQueue queue;
  const BootTime later = kStart + 3600 * kStart;
  ASSERT_TRUE(queue.take_turn(kStart));
  std::size_t turns = 0;
  while (queue.take_turn(later)) ++turns;
  EXPECT_EQ(turns, StartQueue::kAtOnce);
}

TEST(StartQueue, NoTurnIsDueWithoutAPeer) {
  StartQueue queue;
  EXPECT_EQ(queue.next_turn(), 0u);
  queue.push(peer(1));
  EXPECT_NE(queue.next_turn(), 0u) << "0 would mean never";
  EXPECT_LE(queue.next_turn(), kStart);
  queue.clear();
  EXPECT_EQ(queue.next_turn(), 0u);
}

TEST(ClockWatch, ReportsStepsOfTheWallClockAlone) {
  ClockWatch watch;
  const auto at = [](BootTime boot, std::int64_t step) {
    return Now{boot, 1'700'000'000'000'000'000u + boot + static_cast<std::uint64_t>(step)};
  };
  constexpr std::int64_t kStep = ClockWatch::kReported;
  EXPECT_EQ(watch.jump(at(kStart, 0)), std::nullopt) << "the first look";
  EXPECT_EQ(watch.jump(at(50 * kStart, 0)), std::nullopt) << "time alone is no step";
  EXPECT_EQ(watch.jump(at(51 * kStart, kStep - 1)), std::nullopt);
  EXPECT_EQ(watch.jump(at(52 * kStart, kStep)), kStep);
  EXPECT_EQ(watch.jump(at(53 * kStart, kStep)), std::nullopt) << "once";
  EXPECT_EQ(watch.jump(at(54 * kStart, -kStep)), -2 * kStep);
}

}  // namespace
}  // namespace wg::noise
