// Rates of peers from two reads of their counters, and what a sweep over very many costs.
#include "control/gateway/peer_rates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <vector>

namespace wg::control {
namespace {

using namespace std::chrono_literals;
using dataplane::InterfaceId;
using dataplane::Peer;
using dataplane::PeerTable;

struct RatesTest : testing::Test {
  Peer& add() {
    ++count;
    return *table.add(InterfaceId{1});
  }
  // A whole sweep, at one moment.
  void sweep(PeerRates::Clock::time_point at) {
    while (rates.read_slice(at)) {
    }
  }
  static void receive(Peer& peer, std::uint64_t bytes, std::uint64_t packets) {
    peer.rx_bytes += bytes;
    peer.rx_packets += packets;
  }

  PeerTable table{200'000};
  std::size_t count = 0;
  EventLoop loop;
  PeerRates rates{loop, table, [this] { return count; }};
  PeerRates::Clock::time_point begin = PeerRates::Clock::now();
};

TEST_F(RatesTest, AreTheDifferenceOfTwoReadsByTheTimeBetweenThem) {
  Peer& quiet = add();
  Peer& busy = add();
  receive(busy, 1000, 10);
  sweep(begin);
  EXPECT_FALSE(rates.ready());
  EXPECT_EQ(rates.moving(), 0U) << "what was before the first read is no rate";
  receive(busy, 3000, 6);
  busy.tx_bytes += 100;
  busy.tx_packets += 1;
  busy.drop_replayed += 4;
  sweep(begin + 2s);
  ASSERT_TRUE(rates.ready());
  EXPECT_EQ(rates.peers(), 2U);
  EXPECT_EQ(rates.moving(), 1U);
  EXPECT_DOUBLE_EQ(rates.sum().rx_bytes, 1500);
  const auto found = rates.busiest(RateOrder::kTransfer, 10);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found[0].slot, busy.slot);
  EXPECT_EQ(found[1].slot, quiet.slot);
  EXPECT_DOUBLE_EQ(found[0].rate.rx_bytes, 1500);
  EXPECT_DOUBLE_EQ(found[0].rate.tx_bytes, 50);
  EXPECT_DOUBLE_EQ(found[0].rate.rx_packets, 3);
  EXPECT_DOUBLE_EQ(found[0].rate.tx_packets, 0.5);
  EXPECT_DOUBLE_EQ(found[0].rate.drops, 2);
}

TEST_F(RatesTest, EachOrderPutsAnotherPeerFirst) {
  Peer* peers[] = {&add(), &add(), &add(), &add()};
  sweep(begin);
  receive(*peers[0], 9000, 1);
  peers[1]->tx_bytes += 8000;
  peers[1]->tx_packets += 1;
  receive(*peers[2], 100, 100);
  peers[3]->drop_bad_tag += 5;
  sweep(begin + 1s);
  const std::pair<RateOrder, std::size_t> rows[] = {{RateOrder::kTransfer, 0},
                                                    {RateOrder::kRx, 0},
                                                    {RateOrder::kTx, 1},
                                                    {RateOrder::kPackets, 2},
                                                    {RateOrder::kDrops, 3}};
  for (const auto& [order, first] : rows) {
    const auto found = rates.busiest(order, 1);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].slot, peers[first]->slot) << static_cast<int>(order);
  }
}

TEST_F(RatesTest, ASlotThatIsUsedAgainStartsFromZero) {
  Peer& first = add();
  receive(first, 1'000'000, 1000);
  sweep(begin);
  sweep(begin + 1s);
  table.remove(first);
  EXPECT_TRUE(rates.busiest(RateOrder::kRx, 10).empty()) << "a peer that is gone is not told";
  Peer& second = *table.add(InterfaceId{1});
  ASSERT_EQ(&second, &first);
  receive(second, 500, 5);
  sweep(begin + 2s);
  ASSERT_EQ(rates.busiest(RateOrder::kRx, 10).size(), 1U);
  EXPECT_EQ(rates.busiest(RateOrder::kRx, 10)[0].rate.rx_bytes, 0) << "its counters are no difference yet";
  receive(second, 500, 5);
  sweep(begin + 3s);
  EXPECT_DOUBLE_EQ(rates.busiest(RateOrder::kRx, 10)[0].rate.rx_bytes, 500);
}

TEST_F(RatesTest, CountersOfPacketsMayWrap) {
  Peer& peer = add();
  peer.rx_packets = 0xffff'fffe;
  sweep(begin);
  receive(peer, 100, 4);
  sweep(begin + 1s);
  EXPECT_DOUBLE_EQ(rates.busiest(RateOrder::kPackets, 1)[0].rate.rx_packets, 4);
}

TEST_F(RatesTest, WithFreeSlotsEveryPeerIsMet) {
  std::vector<Peer*> peers;
  for (int i = 0; i < 3000; ++i) peers.push_back(&add());
  for (int i = 0; i < 2000; ++i) {
    table.remove(*peers[static_cast<std::size_t>(i)]);
    --count;
  }
  sweep(begin);
  for (std::size_t i = 2000; i < 3000; ++i) receive(*peers[i], 10, 1);
  sweep(begin + 1s);
  EXPECT_EQ(rates.peers(), 1000U);
  EXPECT_EQ(rates.moving(), 1000U);
}

TEST_F(RatesTest, NothingIsReadWithoutRequests) {
  add();
  rates.ask();
  const auto until = PeerRates::Clock::now() + 1500ms;
  while (PeerRates::Clock::now() < until) loop.run_once(50ms);
  EXPECT_TRUE(rates.ready());
  rates.ask(PeerRates::Clock::now() - PeerRates::kPatience - 1s);  // the last question was long ago
  loop.run_once(1100ms);
  loop.run_once(100ms);
  EXPECT_FALSE(rates.ready());
  EXPECT_TRUE(rates.busiest(RateOrder::kRx, 10).empty());
}

std::chrono::nanoseconds core_time() {
  timespec at{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec);
}

// At most 15 ms of the control thread a second with 100 000 peers: a sweep and an answer. A slice is what one
// round may have to bear.
TEST_F(RatesTest, CostLittleWithVeryManyPeers) {
  for (int i = 0; i < 100'000; ++i) add();
  sweep(begin);
  std::vector<double> whole, slices;
  for (int round = 1; round <= 7; ++round) {
    for (std::uint32_t slot = 0; slot < 100'000; slot += 3) receive(table.at(slot), slot, 1);
    const auto before = core_time();
    for (bool more = true; more;) {
      const auto from = core_time();
      more = rates.read_slice(begin + std::chrono::seconds(round));
      slices.push_back(std::chrono::duration<double, std::milli>(core_time() - from).count());
    }
    const auto found = rates.busiest(RateOrder::kTransfer, 20);
    whole.push_back(std::chrono::duration<double, std::milli>(core_time() - before).count());
    ASSERT_EQ(found.size(), 20U);
    EXPECT_EQ(found[0].slot, 99'999U);
  }
  std::sort(whole.begin(), whole.end());
  std::sort(slices.begin(), slices.end());
  std::printf("100000 peers: %.2f ms a second (median of 7), largest %.2f; a slice %.3f ms (median)\n",
              whole[3], whole.back(), slices[slices.size() / 2]);
  EXPECT_EQ(rates.peers(), 100'000U);
  EXPECT_LT(whole[3], 15);
  EXPECT_LT(slices[slices.size() / 2], 1);
}

}  // namespace
}  // namespace wg::control
