// Workers without a transmit queue of their own hand their frames over to one that has one.
#include <gtest/gtest.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include "tests/worker_world/world.h"

namespace wg::test {
namespace {

std::array<rte_mbuf*, 3> three_frames() {
  std::array<rte_mbuf*, 3> frames{};
  EXPECT_EQ(rte_pktmbuf_alloc_bulk(WorkerWorld::pool(), frames.data(), frames.size()), 0);
  return frames;
}

TEST(HandOver, FramesLeaveByTheWorkerThatHasTheQueue) {
  const unsigned before = rte_mempool_avail_count(WorkerWorld::pool());
  const RingPort ring = make_ring_port("handover0", 64, WorkerWorld::pool(), 2);
  dataplane::WorkerCounters one, two;
  std::array<rte_mbuf*, 3> frames = three_frames();
  ring.port->transmit(1, frames.data(), frames.size(), two);
  EXPECT_EQ(rte_ring_count(ring.leaving), 0U);
  ring.port->transmit_handed_over(0, one);
  EXPECT_EQ(rte_ring_count(ring.leaving), 3U);
  EXPECT_EQ(one.tx_packets.get(), 3U);
  EXPECT_EQ(ring.port->discard_handed_over(), 0U);
  std::array<void*, 3> sent{};
  ASSERT_EQ(rte_ring_dequeue_bulk(ring.leaving, sent.data(), sent.size(), nullptr), 3U);
  rte_pktmbuf_free_bulk(frames.data(), frames.size());
  EXPECT_EQ(rte_mempool_avail_count(WorkerWorld::pool()), before);
}

TEST(HandOver, FramesThatHaveNotLeftAreCountedWhenThePortGoes) {
  const unsigned before = rte_mempool_avail_count(WorkerWorld::pool());
  const RingPort ring = make_ring_port("handover1", 64, WorkerWorld::pool(), 2);
  dataplane::WorkerCounters counters;
  std::array<rte_mbuf*, 3> frames = three_frames();
  ring.port->transmit(1, frames.data(), frames.size(), counters);
  EXPECT_EQ(ring.port->discard_handed_over(), 3U);
  EXPECT_EQ(rte_mempool_avail_count(WorkerWorld::pool()), before);
}

}  // namespace
}  // namespace wg::test
