// Packets that wait for a session (C5-8), beside a plain list.
#include "control/staging.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <map>
#include <random>

namespace wg::control {
namespace {

Staging::Packet packet(std::size_t size, std::uint8_t mark) {
  return Staging::Packet(size, mark);
}

TEST(Staging, TheOldestOf129Goes) {
  dataplane::DropCounters drops;
  Staging staging(drops);
  for (std::uint8_t i = 0; i < 129; ++i) EXPECT_TRUE(staging.push(7, packet(100, i)));
  EXPECT_EQ(staging.count(7), 128u);
  EXPECT_EQ(drops.get(dataplane::DropReason::staged_dropped), 1u);
  EXPECT_EQ(staging.bytes(), 128 * (100 + Staging::kPacketOverhead) + Staging::kPeerOverhead);
  const auto taken = staging.take(7);
  ASSERT_EQ(taken.size(), 128u);
  for (std::size_t i = 0; i < taken.size(); ++i)
    EXPECT_EQ(taken[i].front(), i + 1) << "in order, without the first";
  EXPECT_EQ(staging.count(7), 0u);
  EXPECT_EQ(staging.bytes(), 0u);
}

// The limit of 64 MB for all peers: a peer with packets drops its own oldest, a new peer gets no space.
TEST(Staging, TheTotalIsBoundedAndNonePaysForAnother) {
  dataplane::DropCounters drops;
  Staging staging(drops);
  std::uint32_t peers = 0;
  for (; staging.bytes() + 65 * 9100 <= Staging::kTotalBytes; ++peers) {
    for (std::uint8_t i = 0; i < 64; ++i) ASSERT_TRUE(staging.push(peers, packet(9000, i)));
  }
  while (staging.bytes() + 9100 <= Staging::kTotalBytes) ASSERT_TRUE(staging.push(0, packet(9000, 99)));
  const std::size_t first = staging.count(0);
  EXPECT_FALSE(staging.push(peers, packet(9000, 1)));
  EXPECT_EQ(staging.count(peers), 0u);
  EXPECT_TRUE(staging.push(0, packet(9000, 100)));
  EXPECT_EQ(staging.count(0), first);
  EXPECT_EQ(staging.take(0).back().front(), 100);
  EXPECT_EQ(staging.count(1), 64u);
  EXPECT_LE(staging.bytes(), Staging::kTotalBytes);
}

// One small packet to each of very many idle peers: memory stays near the total, whatever they weigh.
TEST(Staging, ASweepOverIdlePeersIsBounded) {
  const auto allocated = [] { return mallinfo2().uordblks; };
  dataplane::DropCounters drops;
  Staging staging(drops);
  const std::size_t before = allocated();
  for (std::uint32_t peer = 0; peer < 300'000; ++peer) static_cast<void>(staging.push(peer, packet(28, 1)));
  EXPECT_LT(allocated() - before, Staging::kTotalBytes * 5 / 4);
  EXPECT_LE(staging.bytes(), Staging::kTotalBytes);
}

TEST(Staging, AgreesWithAListForRandomWork) {
  dataplane::DropCounters drops;
  Staging staging(drops);
  std::map<std::uint32_t, std::deque<Staging::Packet>> list;
  std::mt19937 random(1);
  std::uint64_t dropped = 0;
  for (int step = 0; step < 20'000; ++step) {
    const auto peer = static_cast<std::uint32_t>(random() % 5);
    if (random() % 300 == 0) {
      EXPECT_EQ(staging.take(peer), list[peer]);
      list[peer].clear();
    } else if (random() % 300 == 0) {
      staging.drop(peer);
      dropped += list[peer].size();
      list[peer].clear();
    } else {
      list[peer].push_back(packet(1 + random() % 1500, static_cast<std::uint8_t>(step)));
      EXPECT_TRUE(staging.push(peer, list[peer].back()));
      if (list[peer].size() > Staging::kPerPeer) list[peer].pop_front(), ++dropped;
    }
    std::size_t bytes = 0, queues = 0;
    for (const auto& [slot, packets] : list) {
      EXPECT_EQ(staging.count(slot), packets.size());
      for (const auto& p : packets) bytes += p.size() + Staging::kPacketOverhead;
      queues += packets.empty() ? 0 : 1;
    }
    ASSERT_EQ(staging.bytes(), bytes + queues * Staging::kPeerOverhead);
    ASSERT_EQ(drops.get(dataplane::DropReason::staged_dropped), dropped);
  }
}

}  // namespace
}  // namespace wg::control
