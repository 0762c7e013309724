// Slots that are used again: what a worker with an old command reads, and what a new peer finds.
#include "dataplane/session/peer_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace wg::dataplane {
namespace {

using namespace std::chrono_literals;

TEST(PeerTable, AReusedSlotHasNothingOfThePeerBefore) {
  PeerTable table(1);
  Peer* first = table.add(InterfaceId{3});
  ASSERT_NE(first, nullptr);
  const PeerRef old = first->ref();
  first->note_received(BootTime{10ns}, true);
  first->note_sent(BootTime{20ns}, true);
  first->rx_bytes = first->rx_packets = first->tx_bytes = first->tx_packets = 5;
  first->mtu = 1400;
  first->requested = kRequestHandshake;
  first->count_handshake_received(148);
  first->count_handshake_sent(92);
  first->drop_replayed = first->drop_no_endpoint = 7;
  EXPECT_EQ(table.add(InterfaceId{3}), nullptr) << "full";
  table.remove(*first);
  EXPECT_EQ(table.find(old), nullptr);
  Peer* second = table.add(InterfaceId{4});
  ASSERT_EQ(second, first);
  EXPECT_EQ(table.find(old), nullptr);
  EXPECT_EQ(table.find(second->ref()), second);
  EXPECT_EQ(second->interface_id, InterfaceId{4});
  EXPECT_EQ(second->received().bytes + second->received().packets, 0U);
  EXPECT_EQ(second->sent().bytes + second->sent().packets, 0U);
  EXPECT_EQ(second->mtu, 0);
  EXPECT_EQ(second->requested, 0U);
  for (const auto* time : {&second->last_received, &second->last_sent, &second->last_data_received,
                           &second->last_data_sent, &second->unanswered_received, &second->unanswered_sent})
    EXPECT_EQ(time->load(), kNever);
  EXPECT_EQ(second->drop_replayed + second->drop_no_endpoint, 0U);
}

// For ThreadSanitizer, which reports a slot that is constructed again beside the reader.
TEST(PeerTable, AnOldCommandMayLookWhileASlotIsUsedAgain) {
  PeerTable table(1);
  const PeerRef old = table.add(InterfaceId{1})->ref();
  table.remove(table.at(old.slot));
  std::atomic<bool> stop{false};
  std::atomic<std::size_t> found{0};
  std::thread reader([&] {
    while (!stop) found += table.find(old) != nullptr ? 1 : 0;
  });
  for (int i = 0; i < 10'000; ++i) table.remove(*table.add(InterfaceId{1}));
  stop = true;
  reader.join();
  EXPECT_EQ(found, 0U);
}

}  // namespace
}  // namespace wg::dataplane
