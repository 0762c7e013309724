// The clocks of stages: of one loop in several, and every packet of it.
#include <gtest/gtest.h>

#include "tests/unit/dataplane/scenario.h"

namespace wg::test {
namespace {

using namespace dataplane;

struct Timed {
  std::uint64_t classified = 0, sealed = 0, measured = 0;  // packets: by the stages' clocks, by latency
};

Timed after_loops(std::size_t loops, const WorkerOptions& options) {
  WorkerWorld w(options);
  for (std::size_t i = 0; i < loops; ++i) {
    for (int packet = 0; packet < 2; ++packet)
      w.arrive(kLan, frame_from_host(inner4("192.168.1.5", kAlice.inside4)));
    w.loop();
  }
  EXPECT_EQ(w.transmitted(kWan).size(), 2 * loops);
  const WorkerCounters& counters = w.worker().counters();
  const auto packets = [&](Stage stage) {
    return counters.stage_packets[static_cast<std::size_t>(stage)].get();
  };
  Timed timed{packets(Stage::classify), packets(Stage::seal), 0};
  for (const Counter& bucket : counters.latency.buckets) timed.measured += bucket.get();
  EXPECT_GT(counters.stage_cycles[static_cast<std::size_t>(Stage::seal)].get(), 0u);
  EXPECT_EQ(counters.busy_loops.get(), loops) << "all loops are counted";
  return timed;
}

TEST(TimedLoops, OneInSeveralHasItsStagesTimed) {
  const std::uint32_t every = WorkerOptions{}.timed_loops;
  ASSERT_GT(every, 1u);
  const Timed timed = after_loops(2 * every + 1, {});
  EXPECT_EQ(timed.classified, 2u * 3);  // the first, and one after each `every`
  EXPECT_EQ(timed.sealed, 2u * 3);
  EXPECT_EQ(timed.measured, 2u * 3);
}

TEST(TimedLoops, AllWhereAskedFor) {
  const Timed timed = after_loops(9, {.timed_loops = 1});
  EXPECT_EQ(timed.classified, 2u * 9);
  EXPECT_EQ(timed.sealed, 2u * 9);
  EXPECT_EQ(timed.measured, 2u * 9);
}

}  // namespace
}  // namespace wg::test
