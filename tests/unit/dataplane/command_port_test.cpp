// Commands of the control thread reach the worker of their key; what finds no room is counted and given back.
#include "control/command_port.h"

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include "tests/worker_world/world.h"

namespace wg::test {
namespace {

using control::CommandPort;
using control::PacketPtr;
using dataplane::Command;
using dataplane::CommandType;

constexpr auto kFull = DropReason::command_mailbox_full;

PacketPtr packet_of(std::uint8_t mark) {
  PacketPtr packet = control::allocate_packet(WorkerWorld::pool());
  auto* data = reinterpret_cast<std::uint8_t*>(rte_pktmbuf_append(packet.get(), 60));
  std::fill_n(data, 60, mark);
  return packet;
}

Command frame_for(dataplane::PortIndex port) {
  Command command{};
  command.type = CommandType::kSendFrame;
  command.port = port;
  return command;
}

unsigned free_buffers() {
  return rte_mempool_avail_count(WorkerWorld::pool());
}

TEST(CommandPort, PostsInOrderToTheWorkerOfTheKey) {
  WorkerWorld w({}, 2);
  dataplane::DropCounters drops;
  const CommandPort port(w.workers(), drops);
  for (std::uint8_t mark = 1; mark <= 3; ++mark)
    ASSERT_TRUE(port.post(4, frame_for(kLan), packet_of(mark), kFull));
  ASSERT_TRUE(port.post(5, frame_for(kLan), packet_of(9), kFull));
  EXPECT_EQ(w.worker(1).mailboxes().commands.size(), 1u);
  w.loop();
  const auto frames = w.transmitted(kLan);
  ASSERT_EQ(frames.size(), 3u);
  for (std::uint8_t i = 0; i < 3; ++i) EXPECT_EQ(frames[i][0], i + 1);
  w.worker(1).mailboxes().commands.drain(1, [](const Command& command) { PacketPtr packet(command.packet); });
  EXPECT_EQ(w.missing_buffers(), 0u);
  EXPECT_EQ(drops.get(kFull), 0u);
}

TEST(CommandPort, CountsAndFreesWhatAFullMailboxRefuses) {
  WorkerWorld w;
  dataplane::DropCounters drops;
  const CommandPort port(w.workers(), drops);
  auto& commands = w.worker().mailboxes().commands;
  Command keepalive{};
  keepalive.type = CommandType::kKeepalive;
  for (std::size_t i = 0; i < commands.capacity(); ++i) ASSERT_TRUE(port.post(0, keepalive, nullptr, kFull));
  const unsigned before = free_buffers();
  EXPECT_FALSE(port.post(0, frame_for(kLan), packet_of(1), DropReason::socket_full));
  EXPECT_EQ(free_buffers(), before);
  EXPECT_FALSE(port.post(0, keepalive, nullptr, kFull));
  EXPECT_EQ(drops.get(DropReason::socket_full), 1u);
  EXPECT_EQ(drops.get(kFull), 1u);
  EXPECT_EQ(commands.size(), commands.capacity());
}

TEST(CommandPort, KeepsHalfOfAMailboxForEstablishedPeers) {
  WorkerWorld w;
  dataplane::DropCounters drops;
  const CommandPort port(w.workers(), drops);
  const std::size_t half = w.worker().mailboxes().commands.capacity() / 2;
  Command keepalive{};
  keepalive.type = CommandType::kKeepalive;
  for (std::size_t i = 0; i < half; ++i) {
    EXPECT_TRUE(port.has_room_for_unknown_hosts(0));
    ASSERT_TRUE(port.post(0, keepalive, nullptr, kFull));
  }
  EXPECT_FALSE(port.has_room_for_unknown_hosts(0));
  EXPECT_TRUE(port.post(0, keepalive, nullptr, kFull));
}

}  // namespace
}  // namespace wg::test
