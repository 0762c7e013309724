// The sockets of an interface move from port to port: a port that is in use already is left alone, one that
// is taken changes nothing, and datagrams are read on the one that is left.
#include "control/interface/listen_socket.h"

#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <vector>

namespace wg::control {
namespace {

using namespace std::chrono_literals;

class ListenSocketTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(sender_.open({}));
    socket_.on_datagram([this](const ReceivedDatagram& datagram) { heard_.push_back(datagram.local.port); });
    ASSERT_TRUE(socket_.open());
  }
  // The ports on which a datagram to `port` was read.
  std::vector<UdpPort> heard_of_one_to(UdpPort port) {
    heard_.clear();
    const std::array<std::uint8_t, 4> bytes{1, 2, 3, 4};
    Datagram datagram;
    datagram.bytes = bytes;
    datagram.to = {*dataplane::parse_ip_address("127.0.0.1"), port, 0};
    EXPECT_TRUE(sender_.send(datagram).sent());
    for (int i = 0; i < 5 && heard_.empty(); ++i) loop_.run_once(20ms);
    return heard_;
  }
  // A free one: it was drawn, and given back.
  static UdpPort free_port() {
    UdpSocket socket;
    EXPECT_TRUE(socket.open({}));
    return socket.port();
  }

  EventLoop loop_;
  UdpSocket sender_;
  ListenSocket socket_{loop_, kAnyPort, 0};
  std::vector<UdpPort> heard_;
};

TEST_F(ListenSocketTest, ThePortInUseIsLeftAlone) {
  const UdpPort drawn = socket_.port();
  ASSERT_NE(drawn, kAnyPort);
  for (const UdpPort same : {kAnyPort, drawn, drawn}) {
    const Expected<bool> moved = socket_.set_port(same);
    ASSERT_TRUE(moved) << moved.error().text;
    EXPECT_FALSE(*moved);
    EXPECT_EQ(socket_.port(), drawn);
  }
  EXPECT_EQ(heard_of_one_to(drawn), std::vector{drawn});
}

TEST_F(ListenSocketTest, ATakenPortChangesNothing) {
  const UdpPort before = socket_.port();
  UdpSocket other;
  ASSERT_TRUE(other.open({}));
  const Expected<bool> moved = socket_.set_port(other.port());
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, EADDRINUSE);
  EXPECT_EQ(socket_.port(), before);
  EXPECT_EQ(heard_of_one_to(before), std::vector{before});
}

TEST_F(ListenSocketTest, DatagramsAreReadOnTheNewPortAlone) {
  const UdpPort before = socket_.port(), after = free_port();
  const Expected<bool> moved = socket_.set_port(after);
  ASSERT_TRUE(moved) << moved.error().text;
  EXPECT_TRUE(*moved);
  EXPECT_EQ(heard_of_one_to(after), std::vector{after});
  EXPECT_EQ(heard_of_one_to(before), std::vector<UdpPort>{});
}

TEST_F(ListenSocketTest, WhileClosedThePortIsTheConfiguredOne) {
  const UdpPort wanted = free_port();
  socket_.close();
  const Expected<bool> moved = socket_.set_port(wanted);
  ASSERT_TRUE(moved);
  EXPECT_FALSE(*moved);
  EXPECT_EQ(socket_.port(), wanted);
  ASSERT_TRUE(socket_.open());
  EXPECT_EQ(heard_of_one_to(wanted), std::vector{wanted});
}

}  // namespace
}  // namespace wg::control
