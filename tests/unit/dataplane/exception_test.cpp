// The exception path: a real TUN and TAP in a network namespace of the test's own; a packet socket plays
// Linux on their far ends. Skipped where such a namespace cannot be made.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <thread>

#include "dataplane/io/program_ring.h"
#include "dataplane/io/tun.h"
#include "tests/unit/dataplane/scenario.h"

namespace wg::test {
namespace {

using namespace dataplane;

// The kernel's side of an interface: the packets that it receives and sends.
class FarEnd {
 public:
  explicit FarEnd(const std::string& name)
      : fd_(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
    if (fd_ < 0 || bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error(std::string("packet socket: ") + std::strerror(errno));
  }
  ~FarEnd() { close(fd_); }
  FarEnd(const FarEnd&) = delete;
  FarEnd& operator=(const FarEnd&) = delete;

  void send(const Octets& bytes) {
    ASSERT_EQ(::send(fd_, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  // The next packet that came from us; empty when none comes.
  Octets receive() {
    Octets bytes(65536);
    for (;;) {
      pollfd p{fd_, POLLIN, 0};
      if (poll(&p, 1, 200) != 1) return {};
      sockaddr_ll from{};
      socklen_t size = sizeof from;
      const ssize_t n =
          recvfrom(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      if (n <= 0) return {};
      if (from.sll_pkttype == PACKET_OUTGOING) continue;
      bytes.resize(static_cast<std::size_t>(n));
      return bytes;
    }
  }

 private:
  int fd_;
};

void set_up(const std::string& name, bool up) {
  std::ofstream("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6") << "1";
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = static_cast<short>(up ? IFF_UP : 0);
  ASSERT_EQ(ioctl(fd, SIOCSIFFLAGS, &request), 0) << std::strerror(errno);
  close(fd);
}

void set_mtu(const std::string& name, int mtu) {
  const int fd = socket(AF_INET, SOCK_DGRAM, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_mtu = mtu;
  ASSERT_EQ(ioctl(fd, SIOCSIFMTU, &request), 0) << std::strerror(errno);
  close(fd);
}

class ExceptionPath : public ::testing::Test {
 protected:
  void SetUp() override {
    // The network namespace of this thread only: EAL and the other tests keep theirs.
    if (unshare(CLONE_NEWNET) != 0) GTEST_SKIP() << "no network namespace: " << std::strerror(errno);
    try {
      TunOptions tun, tap;
      tun.name = "tun0";
      tap.name = "tap0";
      tun_ = std::make_unique<TunDevice>(tun);
      tap_ = std::make_unique<TapDevice>(tap, MacAddress{2, 0, 0, 0, 3, 3});
    } catch (const TunError& error) {
      GTEST_SKIP() << error.what();
    }
    set_up("tun0", true);
    set_up("tap0", true);
    linux_tun_ = std::make_unique<FarEnd>("tun0");
    linux_tap_ = std::make_unique<FarEnd>("tap0");
    world_.interface(kWg0).tun = tun_.get();
    world_.port(kLan).tap = tap_.get();
  }
  // Idle loops poll the exception queues.
  void idle() {
    for (int i = 0; i < 4; ++i) world_.loop();
  }

  std::unique_ptr<TunDevice> tun_;
  std::unique_ptr<TapDevice> tap_;
  std::unique_ptr<FarEnd> linux_tun_, linux_tap_;
  WorkerWorld world_;
};

Octets from_alice(std::uint64_t counter, const Octets& inner) {
  return outer_from(kAlice, message_from(kAlice, counter, inner));
}

TEST_F(ExceptionPath, DecryptedPacketsForLinuxLeaveThroughTheTun) {
  const Octets inner = inner4("10.10.0.2", "8.8.8.8", 70);
  world_.arrive(kWan, from_alice(0, inner));
  world_.loop();
  EXPECT_EQ(hex(linux_tun_->receive()), hex(inner));
  EXPECT_EQ(world_.worker().counters().to_tun.get(), 1u);
  EXPECT_TRUE(world_.drops().empty());
  EXPECT_EQ(world_.missing_buffers(), 0u);
}

TEST_F(ExceptionPath, LinuxSendsThroughTheTun) {
  const Octets inner = inner4("10.10.0.1", "10.10.0.2", 70);
  linux_tun_->send(inner);
  idle();
  const auto got = world_.transmitted(kWan);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(hex(got[0]), hex(outer_to(kAlice, message_to(kAlice, 0, inner))));
  EXPECT_EQ(world_.worker().counters().from_tun.get(), 1u);
  EXPECT_EQ(world_.missing_buffers(), 0u);
}

TEST_F(ExceptionPath, LinuxIsToldThatThereIsNoPeer) {
  const Octets inner = inner4("10.10.0.1", "10.10.0.99", 70);
  linux_tun_->send(inner);
  idle();
  const Octets answer = Packet().ip4("10.10.0.1", "10.10.0.1").tos(0xc0).icmp4(3, 1).data(inner).build();
  EXPECT_EQ(hex(linux_tun_->receive()), hex(answer));
  EXPECT_EQ(world_.drops(), (std::map<std::string, std::uint64_t>{{"no_peer", 1}}));
  EXPECT_EQ(world_.missing_buffers(), 0u);
}

TEST_F(ExceptionPath, WhatIsReadAndDoesNotFitABufferHasAReason) {
  set_mtu("tun0", 9000);
  linux_tun_->send(inner4("10.10.0.1", "10.10.0.2", 8000));
  const Octets inner = inner4("10.10.0.1", "10.10.0.2", 70);
  linux_tun_->send(inner);
  idle();
  EXPECT_EQ(world_.transmitted(kWan).size(), 1u) << "the next one passes";
  EXPECT_EQ(world_.drops(), (std::map<std::string, std::uint64_t>{{"read_too_long", 1}}));
  EXPECT_EQ(world_.worker().counters().exception.read_dropped.get(), 1u);
  EXPECT_EQ(world_.missing_buffers(), 0u);
}

TEST_F(ExceptionPath, ArpPassesBothWays) {
  const Octets question = Packet().eth(Octets(6, 0xff), kHostMac).data(46).build();
  world_.arrive(kLan, question);
  world_.loop();
  EXPECT_EQ(hex(linux_tap_->receive()), hex(question));
  const Octets answer = Packet().eth(kHostMac, kLanMac).data(46).build();
  linux_tap_->send(answer);
  idle();
  const auto got = world_.transmitted(kLan);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(hex(got[0]), hex(answer));
  EXPECT_EQ(world_.worker().counters().to_tap.get(), 1u);
  EXPECT_EQ(world_.worker().counters().from_tap.get(), 1u);
  EXPECT_EQ(world_.missing_buffers(), 0u);
}

TEST_F(ExceptionPath, AFloodForLinuxIsBoundedPerLoop) {
  WorkerWorld bounded({.punt_budget = 3});
  bounded.watch_everything();
  bounded.interface(kWg0).tun = tun_.get();
  bounded.port(kLan).tap = tap_.get();
  for (std::uint64_t i = 0; i < 5; ++i)
    bounded.arrive(kWan, from_alice(i, inner4("10.10.0.2", "8.8.8.8", 70)));
  bounded.arrive(kWan, from_alice(5, inner4("10.10.0.2", "192.168.1.5")));
  bounded.arrive(kLan, Packet().eth(Octets(6, 0xff), kHostMac).data(46));
  bounded.loop();
  expect_told(bounded, {{"punt_budget", 3}});
  EXPECT_EQ(bounded.worker().counters().to_tun.get(), 3u);
  EXPECT_EQ(bounded.transmitted(kLan).size(), 1u);
  EXPECT_EQ(bounded.missing_buffers(), 0u);
}

TEST_F(ExceptionPath, LinuxHasNoBusinessWhereAProgramIsTheInnerSide) {
  const auto ring = *ProgramRing::create({});
  world_.interface(kWg0).ring = ring.get();
  world_.watch_everything();
  linux_tun_->send(inner4("10.10.0.1", "10.10.0.2", 70));
  idle();
  EXPECT_TRUE(world_.transmitted(kWan).empty());
  expect_told(world_, {{"program_inside", 1}});
  EXPECT_EQ(world_.missing_buffers(), 0u);
}

TEST_F(ExceptionPath, WhatLinuxDoesNotTakeIsCounted) {
  set_up("tun0", false);
  world_.watch_everything();
  world_.arrive(kWan, from_alice(0, inner4("10.10.0.2", "8.8.8.8", 70)));
  world_.loop();
  expect_told(world_, {{"punt_full", 1}});
  EXPECT_EQ(world_.missing_buffers(), 0u);
}

}  // namespace
}  // namespace wg::test
