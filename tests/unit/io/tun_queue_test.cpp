// TunQueue with a socket pair in the kernel's place: budgets, exhaustion, drops and their counters.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/io/tun.h"
#include "tests/unit/io/mbufs.h"
#include "tests/unit/io/packets.h"

namespace wg::dataplane {
namespace {

using namespace test;

constexpr TunOffloads kAll{true, true, true};

class Queue : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> fds;
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds.data()), 0);
    kernel_ = fds[0];
    const int size = 1 << 20;
    ::setsockopt(kernel_, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    queue_ = std::make_unique<TunQueue>(fds[1], Framing::kIp, kAll);
  }
  void TearDown() override { ::close(kernel_); }

  void offer(const VnetHeader& vnet, const Octets& packet) const {
    Octets message(sizeof vnet);
    std::memcpy(message.data(), &vnet, sizeof vnet);
    message.insert(message.end(), packet.begin(), packet.end());
    ASSERT_EQ(::send(kernel_, message.data(), message.size(), 0), static_cast<ssize_t>(message.size()));
  }
  // The data written to the kernel: vnet header and packet.
  [[nodiscard]] std::vector<std::pair<VnetHeader, Octets>> accepted() const {
    std::vector<std::pair<VnetHeader, Octets>> messages;
    Octets buffer(70000);
    for (ssize_t got = 0; (got = ::recv(kernel_, buffer.data(), buffer.size(), 0)) > 0;) {
      VnetHeader vnet;
      std::memcpy(&vnet, buffer.data(), sizeof vnet);
      messages.emplace_back(vnet, Octets(buffer.begin() + sizeof vnet, buffer.begin() + got));
    }
    return messages;
  }
  std::vector<Octets> read(std::size_t n) {
    std::vector<rte_mbuf*> mbufs(n);
    const std::size_t count =
        queue_->read_burst(pool_.get(), mbufs.data(), n, QueueCounters{counters_, drops_});
    std::vector<Octets> packets;
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(mbufs[i]->nb_segs, 1);
      EXPECT_EQ(mbufs[i]->pkt_len, mbufs[i]->data_len);
      EXPECT_GE(rte_pktmbuf_headroom(mbufs[i]), 128);
      packets.push_back(contents(mbufs[i]));
      rte_pktmbuf_free(mbufs[i]);
    }
    return packets;
  }
  std::size_t write(const std::vector<Octets>& packets) {
    std::vector<rte_mbuf*> mbufs;
    for (const Octets& p : packets) mbufs.push_back(pool_.filled(p));
    return queue_->write_burst(mbufs.data(), mbufs.size(), counters_);
  }
  static VnetHeader super_header(const Recipe& r, std::uint16_t gso_size) {
    return {
        VnetHeader::kNeedsChecksum, VnetHeader::kTcp4, 0, gso_size, static_cast<std::uint16_t>(r.l4()), 16};
  }
  static std::vector<Octets> run_of(Recipe r, std::size_t count, std::size_t payload) {
    std::vector<Octets> packets;
    r.payload = pattern(payload, 0);
    for (std::size_t i = 0; i < count; ++i, r = after(r, payload)) packets.push_back(build(r));
    return packets;
  }

  int kernel_ = -1;
  MbufPool pool_;
  TunCounters counters_;
  DropCounters drops_;
  std::unique_ptr<TunQueue> queue_;
};

TEST_F(Queue, NothingToRead) {
  EXPECT_TRUE(read(8).empty());
  EXPECT_EQ(counters_.read_errors.get(), 0u);
}

TEST_F(Queue, PacketsAsTheyAre) {
  const auto packets = run_of(Recipe{}, 5, 1400);
  for (const Octets& p : packets) offer({}, p);
  EXPECT_EQ(read(3), std::vector<Octets>(packets.begin(), packets.begin() + 3));
  EXPECT_EQ(read(3), std::vector<Octets>(packets.begin() + 3, packets.end()));
  EXPECT_EQ(counters_.read_packets.get(), 5u);
  EXPECT_EQ(counters_.read_bytes.get(), 5 * packets[0].size());
}

TEST_F(Queue, PartialChecksumsAreCompleted) {
  Recipe r;
  r.payload = pattern(99, 0);
  VnetHeader vnet = super_header(r, 0);
  vnet.gso_type = VnetHeader::kNone;
  offer(vnet, build_super(r));
  EXPECT_EQ(read(1), std::vector<Octets>{build(r)});
  vnet.checksum_start = 2000;
  offer(vnet, build_super(r));
  EXPECT_TRUE(read(1).empty());
  EXPECT_EQ(drops_.get(DropReason::read_malformed), 1u);
}

TEST_F(Queue, ASuperPacketIsKeptAcrossCalls) {
  Recipe r;
  r.flags = 0x18;
  r.payload = pattern(45 * 1400 + 7, 0);
  const auto expected = split_oracle(r, 1400);
  for (const std::size_t n : {1u, 7u, 46u, 64u}) {
    offer(super_header(r, 1400), build_super(r));
    offer({}, expected[0]);
    std::vector<Octets> got;
    while (true) {
      const auto some = read(n);
      EXPECT_LE(some.size(), n);
      if (some.empty()) break;
      got.insert(got.end(), some.begin(), some.end());
      EXPECT_EQ(queue_->read_pending(), got.size() < 46);
    }
    ASSERT_EQ(got.size(), 47u);
    EXPECT_EQ(got.back(), expected[0]);
    got.pop_back();
    EXPECT_EQ(got, expected);
  }
}

TEST_F(Queue, AnEmptyPoolLosesNothing) {
  Recipe r;
  r.payload = pattern(40 * 1000, 0);
  const auto expected = split_oracle(r, 1000);
  const MbufPool small(15);
  offer(super_header(r, 1000), build_super(r));
  offer({}, expected[0]);
  std::vector<Octets> got;
  for (int round = 0; round < 10; ++round) {
    std::array<rte_mbuf*, 64> mbufs;
    const std::size_t count =
        queue_->read_burst(small.get(), mbufs.data(), mbufs.size(), QueueCounters{counters_, drops_});
    EXPECT_LE(count, 15u);
    for (std::size_t i = 0; i < count; ++i) got.push_back(contents(mbufs[i]));
    rte_pktmbuf_free_bulk(mbufs.data(), static_cast<unsigned>(count));
  }
  ASSERT_EQ(got.size(), 41u);
  got.pop_back();
  EXPECT_EQ(got, expected);
  EXPECT_GE(counters_.read_no_mbuf.get(), 2u);
}

TEST_F(Queue, TooLongForAnMbufIsDroppedAndCounted) {
  Recipe r;
  r.payload = pattern(2100, 0);
  offer({}, build(r));
  Recipe super = r;
  super.payload = pattern(9000, 0);
  offer(super_header(super, 3000), build_super(super));
  r.payload = pattern(100, 0);
  offer({}, build(r));
  EXPECT_EQ(read(4), std::vector<Octets>{build(r)});
  EXPECT_EQ(drops_.get(DropReason::read_too_long), 2u);
  EXPECT_FALSE(queue_->read_pending());
}

TEST_F(Queue, RubbishIsDroppedAndCounted) {
  Recipe r;
  r.payload = pattern(100, 0);
  offer({}, {});
  offer({0, VnetHeader::kTcp4, 0, 50, 20, 16}, build(r));
  offer({VnetHeader::kNeedsChecksum, 3, 0, 50, 20, 16}, build(r));
  EXPECT_TRUE(read(8).empty());
  EXPECT_EQ(drops_.get(DropReason::read_malformed), 3u);
}

TEST_F(Queue, WritesOneSuperPacketPerRun) {
  Recipe other;
  other.host = 2;
  const auto a = run_of(Recipe{}, 20, 1300), b = run_of(other, 20, 700);
  std::vector<Octets> mixed;
  for (std::size_t i = 0; i < 20; ++i) mixed.insert(mixed.end(), {a[i], b[i]});
  EXPECT_EQ(write(mixed), 40u);
  const auto written = accepted();
  ASSERT_EQ(written.size(), 2u);
  EXPECT_EQ(written[0].first.gso_size, 1300);
  EXPECT_EQ(written[1].first.gso_size, 700);
  for (std::size_t flow = 0; flow < 2; ++flow) {
    Recipe whole = flow == 0 ? Recipe{} : other;
    for (const Octets& p : flow == 0 ? a : b)
      whole.payload.insert(whole.payload.end(), p.begin() + static_cast<std::ptrdiff_t>(whole.header_size()),
                           p.end());
    EXPECT_EQ(written[flow].second, build_super(whole));
  }
  EXPECT_EQ(counters_.write_calls.get(), 2u);
  EXPECT_EQ(counters_.write_super_packets.get(), 2u);
  EXPECT_EQ(counters_.write_packets.get(), 40u);
  EXPECT_EQ(counters_.write_bytes.get(), 20 * (a[0].size() + b[0].size()));
}

TEST_F(Queue, ManyPacketsInOneBurst) {
  EXPECT_EQ(write(run_of(Recipe{}, 300, 600)), 300u);
  std::size_t payload = 0;
  for (const auto& [vnet, bytes] : accepted()) payload += bytes.size() - Recipe{}.header_size();
  EXPECT_EQ(payload, 300u * 600);
}

TEST_F(Queue, ScatteredAndSharedMbufsAreLeftAlone) {
  const auto run = run_of(Recipe{}, 4, 500);
  rte_mbuf* front = pool_.filled(Octets(run[1].begin(), run[1].begin() + 11));
  ASSERT_EQ(rte_pktmbuf_chain(front, pool_.filled(Octets(run[1].begin() + 11, run[1].end()))), 0);
  rte_mbuf* shared = pool_.filled(run[2]);
  rte_mbuf_refcnt_update(shared, 1);
  std::array<rte_mbuf*, 4> burst{pool_.filled(run[0]), front, shared, pool_.filled(run[3])};
  EXPECT_EQ(queue_->write_burst(burst.data(), burst.size(), counters_), 4u);
  const auto written = accepted();
  ASSERT_EQ(written.size(), 4u);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(written[i].second, run[i]);
  EXPECT_EQ(contents(shared), run[2]);
  rte_pktmbuf_free(shared);
}

TEST_F(Queue, AFullQueueDropsCountsAndReturns) {
  const int small = 1;  // the kernel rounds up
  ::setsockopt(queue_->fd(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  Recipe apart;
  apart.fragment = 0x2000;
  std::size_t written = 0;
  for (int i = 0; i < 20; ++i) written += write(run_of(apart, 16, 1000));
  EXPECT_GT(written, 0u);
  EXPECT_LT(written, 320u);
  EXPECT_EQ(counters_.write_packets.get(), written);
  EXPECT_EQ(counters_.write_full.get(), 320 - written);
  EXPECT_EQ(counters_.write_errors.get(), 0u);
  EXPECT_EQ(accepted().size(), written);
}

TEST_F(Queue, ARefusedSuperPacketCountsEveryPacket) {
  ::close(kernel_);
  kernel_ = -1;
  ::signal(SIGPIPE, SIG_IGN);
  EXPECT_EQ(write(run_of(Recipe{}, 10, 100)), 0u);
  EXPECT_EQ(counters_.write_errors.get(), 10u);
}

TEST_F(Queue, WithoutVnetHeadersEveryPacketIsItsOwn) {
  std::array<int, 2> fds;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds.data()), 0);
  TunQueue plain(fds[1], Framing::kIp, {});
  const auto run = run_of(Recipe{}, 3, 100);
  std::array<rte_mbuf*, 3> burst;
  for (std::size_t i = 0; i < 3; ++i) burst[i] = pool_.filled(run[i]);
  EXPECT_EQ(plain.write_burst(burst.data(), 3, counters_), 3u);
  for (const Octets& expected : run) {
    Octets buffer(4096);
    buffer.resize(static_cast<std::size_t>(::recv(fds[0], buffer.data(), buffer.size(), 0)));
    EXPECT_EQ(buffer, expected);
    ::send(fds[0], buffer.data(), buffer.size(), 0);
  }
  EXPECT_EQ(plain.read_burst(pool_.get(), burst.data(), 3, QueueCounters{counters_, drops_}), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(contents(burst[i]), run[i]);
  rte_pktmbuf_free_bulk(burst.data(), 3);
  ::close(fds[0]);
}

}  // namespace
}  // namespace wg::dataplane
