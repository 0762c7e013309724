// PacketSocket against the running kernel: the loopback interface of a namespace as the wire. What a UDP
// socket there sends must come out of the ring as a real wire would carry it, and what is transmitted must
// reach it.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "dataplane/io/packet_socket.h"
#include "tests/unit/io/mbufs.h"
#include "tests/unit/io/namespace.h"
#include "tests/unit/io/packets.h"

namespace wg::dataplane {
namespace {

using namespace test;
using namespace std::chrono_literals;

constexpr int kUdpSegment = 103;  // UDP_SEGMENT of linux/udp.h
constexpr std::size_t kHeaders = 14 + 20 + 8;

class PacketKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0 || !Namespace().usable()) GTEST_SKIP() << "needs root and network namespaces";
    space_.run([] { bring_up_loopback(); });
  }
  static void bring_up_loopback() {
    const FileDescriptor socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo");
    request.ifr_mtu = 1500;
    ASSERT_EQ(::ioctl(socket.get(), SIOCSIFMTU, &request), 0);
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    ASSERT_EQ(::ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
  }
  void open(std::uint16_t queues) {
    space_.run([&] {
      socket_ = std::make_unique<PacketSocket>(PacketSocketOptions{"lo", queues, 1500, true});
    });
  }
  // Sends to a port of 127.0.0.1 without a listener. Not connected, so that it gets no error.
  struct Sender {
    FileDescriptor socket;
    sockaddr_in to{};
    void send(const Octets& bytes) const {
      const auto* address = reinterpret_cast<const sockaddr*>(&to);
      ASSERT_EQ(::sendto(socket.get(), bytes.data(), bytes.size(), 0, address, sizeof to),
                static_cast<ssize_t>(bytes.size()));
    }
  };
  [[nodiscard]] Sender sender(std::uint16_t port, int segment = 0) const {
    Sender out;
    out.to = {AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {}};
    space_.run([&] {
      out.socket = FileDescriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      if (segment == 0) return;
      ASSERT_EQ(::setsockopt(out.socket.get(), IPPROTO_UDP, kUdpSegment, &segment, sizeof segment), 0);
    });
    return out;
  }
  // Frames of UDP or fragments, of all queues or one; ICMP errors about the closed port are left out.
  std::vector<Octets> frames(std::size_t queue) {
    std::vector<Octets> out;
    for (int quiet = 0; quiet < 20;) {
      std::array<rte_mbuf*, 32> burst;
      const std::size_t n = socket_->queue(queue).receive(pool_.get(), burst.data(), burst.size(),
                                                          QueueCounters{counters_, drops_});
      for (std::size_t i = 0; i < n; ++i) {
        const Octets frame = contents(burst[i]);
        if (frame.size() > 34 && frame[23] == 17) out.push_back(frame);
        rte_pktmbuf_free(burst[i]);
      }
      quiet = n == 0 ? quiet + 1 : 0;
      if (n == 0) std::this_thread::sleep_for(1ms);
    }
    return out;
  }
  static bool checksum_holds(const Octets& frame) {
    const std::size_t length = frame.size() - 34;
    const auto pseudo = ones_sum(frame, 26, 34, 17 + static_cast<std::uint32_t>(length));
    return ones_sum(frame, 34, frame.size(), pseudo) == 0xffff && ones_sum(frame, 14, 34) == 0xffff;
  }
  Namespace space_;
  MbufPool pool_;
  TunCounters counters_;
  DropCounters drops_;
  std::unique_ptr<PacketSocket> socket_;
};

TEST_F(PacketKernel, ADatagramArrivesWithItsChecksum) {
  open(1);
  const auto from = sender(9);
  for (const std::size_t size : {1u, 500u, 1472u}) {
    from.send(pattern(size, size));
    const auto got = frames(0);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(Octets(got[0].begin() + kHeaders, got[0].end()), pattern(size, size));
    EXPECT_TRUE(checksum_holds(got[0]));
  }
}

TEST_F(PacketKernel, ASuperPacketArrivesAsDatagrams) {
  open(1);
  const auto from = sender(9, 1000);
  const Octets sent = pattern(40 * 1000 + 17, 1);
  from.send(sent);
  const auto got = frames(0);
  ASSERT_EQ(got.size(), 41u);
  Octets joined;
  for (const Octets& frame : got) {
    EXPECT_TRUE(checksum_holds(frame));
    joined.insert(joined.end(), frame.begin() + kHeaders, frame.end());
  }
  EXPECT_EQ(joined, sent);
  EXPECT_EQ(counters_.read_super_packets.get(), 1u);
}

// DPDK's af_packet driver has the kernel reassemble them, and then has no room for what comes out.
TEST_F(PacketKernel, FragmentsArriveAsTheyAreAndOfOneDatagramInOneQueue) {
  open(2);
  std::size_t fragments = 0;
  for (std::uint16_t port = 9; port < 25; ++port) {
    sender(port).send(pattern(9000, port));
    std::size_t queues = 0;
    for (std::size_t q = 0; q < 2; ++q) {
      const auto got = frames(q);
      for (const Octets& frame : got) EXPECT_LE(frame.size(), 1514u);
      queues += got.empty() ? 0 : 1;
      fragments += got.size();
    }
    EXPECT_EQ(queues, 1u);
  }
  EXPECT_EQ(fragments, 16u * 7);
}

TEST_F(PacketKernel, QueuesShareTheFlowsAndEachFrameArrivesOnce) {
  open(2);
  std::vector<Sender> senders;
  for (std::uint16_t port = 9; port < 73; ++port) senders.push_back(sender(port));
  for (int round = 0; round < 3; ++round)
    for (const Sender& from : senders) from.send(pattern(100, 1));
  std::array<std::set<std::uint32_t>, 2> ports;
  std::size_t count = 0;
  for (std::size_t q = 0; q < 2; ++q) {
    for (const Octets& frame : frames(q)) {
      ports[q].insert(get16(frame, 36));
      ++count;
    }
  }
  EXPECT_EQ(count, 64u * 3);
  EXPECT_EQ(ports[0].size() + ports[1].size(), 64u);  // no flow in both
  EXPECT_GT(ports[0].size(), 8u);
  EXPECT_GT(ports[1].size(), 8u);
}

TEST_F(PacketKernel, WhatTheRingCannotHoldIsCounted) {
  open(1);
  const auto from = sender(9);
  constexpr std::size_t kSent = 20000;
  for (std::size_t i = 0; i < kSent; ++i) from.send(pattern(30, i));
  const std::size_t got = frames(0).size();
  EXPECT_LT(got, kSent);
  EXPECT_GE(got, 1500u);  // half of the slots may hold ICMP errors
  EXPECT_GE(socket_->lost(), kSent - got);
  const std::uint64_t lost = socket_->lost();
  EXPECT_EQ(socket_->lost(), lost);
}

TEST_F(PacketKernel, TransmittedDatagramsReachASocket) {
  open(1);
  FileDescriptor receiver;
  space_.run([&] {
    receiver = FileDescriptor(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    ifreq request{};
    std::strcpy(request.ifr_name, "lo:1");
    sockaddr_in at{AF_INET, 0, {htonl(0x0a0700c8)}, {}};  // the recipe's destination
    std::memcpy(&request.ifr_addr, &at, sizeof at);
    ASSERT_EQ(::ioctl(receiver.get(), SIOCSIFADDR, &request), 0);
    at.sin_port = htons(5201);
    ASSERT_EQ(::bind(receiver.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at), 0);
  });
  Recipe r;
  r.ethernet = r.udp = true;
  for (const bool own : {false, true}) {
    std::vector<rte_mbuf*> burst;
    for (std::size_t i = 0; i < 60; ++i, ++r.id) {
      r.payload = pattern(i == 59 ? 100 : 800, i);
      Octets frame = own ? build_super(r) : build(r);
      std::fill_n(frame.begin(), 12, std::uint8_t{0});  // the loopback interface's MAC address
      burst.push_back(pool_.filled(frame));
      if (!own) continue;
      burst.back()->tx_offload = rte_mbuf_tx_offload(14, 20, 0, 0, 0, 0, 0);
      burst.back()->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM;
    }
    EXPECT_EQ(socket_->queue(0).transmit(burst.data(), burst.size(), counters_), 60u);
    std::this_thread::sleep_for(20ms);
    Octets buffer(2000);
    for (std::size_t i = 0; i < 60; ++i) {
      const ssize_t got = ::recv(receiver.get(), buffer.data(), buffer.size(), 0);
      ASSERT_EQ(got, i == 59 ? 100 : 800) << i;
      ASSERT_EQ(Octets(buffer.begin(), buffer.begin() + got), pattern(static_cast<std::size_t>(got), i));
    }
  }
  EXPECT_EQ(counters_.write_errors.get() + counters_.write_full.get(), 0u);
  EXPECT_EQ(frames(0).size(), 120u) << "the loopback interface returns them, once";
}

TEST_F(PacketKernel, ErrorsSayWhatIsWrong) {
  const auto error_of = [](const std::string& name) -> std::string {
    try {
      const PacketSocket socket({name, 1, 1500, true});
    } catch (const PacketSocketError& error) {
      return error.what();
    }
    return "";
  };
  space_.run([&] {
    EXPECT_EQ(error_of("lo"), "");
    EXPECT_EQ(error_of("nosuch"), "interface nosuch: there is no network interface of that name");
    EXPECT_EQ(error_of("sixteencharsname"),
              "interface sixteencharsname: the name must have 1 to 15 characters");
    EXPECT_EQ(error_of(""), "interface : the name must have 1 to 15 characters");
  });
}

}  // namespace
}  // namespace wg::dataplane
