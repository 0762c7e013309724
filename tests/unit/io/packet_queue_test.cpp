// PacketQueue with a ring in ordinary memory, a socket pair and a scripted sendmmsg in the kernel's place.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <deque>
#include <random>

#include "dataplane/io/packet_socket.h"
#include "tests/unit/io/mbufs.h"
#include "tests/unit/io/packets.h"

namespace wg::dataplane {
namespace {

using namespace test;

constexpr std::size_t kMacOffset = 76;  // where the kernel puts a frame in its slot

// What sendmmsg took, and how it answers: the errno of coming messages, 0: taken.
struct Sink {
  std::vector<std::pair<VnetHeader, Octets>> messages;
  std::deque<int> answers;
  int calls = 0;
};
Sink sink;

int take_messages(int, mmsghdr* messages, unsigned count, int) {
  ++sink.calls;
  for (unsigned i = 0; i < count; ++i) {
    const int error = sink.answers.empty() ? 0 : sink.answers.front();
    if (error != 0 && i != 0) return static_cast<int>(i);
    if (!sink.answers.empty()) sink.answers.pop_front();
    if (error != 0) {
      errno = error;
      return -1;
    }
    Octets bytes;
    const msghdr& message = messages[i].msg_hdr;
    for (std::size_t p = 0; p < message.msg_iovlen; ++p) {
      const auto* from = static_cast<const std::uint8_t*>(message.msg_iov[p].iov_base);
      bytes.insert(bytes.end(), from, from + message.msg_iov[p].iov_len);
    }
    VnetHeader vnet;
    std::memcpy(&vnet, bytes.data(), sizeof vnet);
    sink.messages.emplace_back(vnet, Octets(bytes.begin() + sizeof vnet, bytes.end()));
  }
  return static_cast<int>(count);
}

Recipe frame_recipe(bool udp = false, bool v6 = false) {
  Recipe r;
  r.ethernet = true;
  r.udp = udp;
  r.v6 = v6;
  return r;
}

VnetHeader vnet_of(const Recipe& r, std::uint16_t gso_size = 0) {
  VnetHeader vnet;
  vnet.flags = VnetHeader::kNeedsChecksum;
  if (gso_size != 0) vnet.gso_type = r.udp ? VnetHeader::kUdp : r.v6 ? VnetHeader::kTcp6 : VnetHeader::kTcp4;
  vnet.header_length = static_cast<std::uint16_t>(r.header_size());
  vnet.gso_size = gso_size;
  vnet.checksum_start = static_cast<std::uint16_t>(r.l4());
  vnet.checksum_offset = r.udp ? 6 : 16;
  return vnet;
}

class PacketQueueTest : public ::testing::Test {
 protected:
  void SetUp() override {
    sink = {};
    layout_ = {1664, 5, 8448, 3};  // 15 slots, with a gap at the end of each block
    ring_.assign(layout_.bytes(), 0);
    std::array<int, 2> fds;
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds.data()), 0);
    kernel_ = FileDescriptor(fds[0]).release();
    const int size = 1 << 20;
    ::setsockopt(kernel_, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    queue_ = std::make_unique<PacketQueue>(FileDescriptor(fds[1]), ring_.data(), layout_, take_messages);
  }
  void TearDown() override { ::close(kernel_); }

  [[nodiscard]] tpacket2_hdr* slot(std::size_t i) {
    return reinterpret_cast<tpacket2_hdr*>(ring_.data() + layout_.offset_of(i));
  }
  // False: the ring is full, as the kernel would find it.
  bool arrives(const Octets& frame, const VnetHeader& vnet = {}, std::uint32_t status = 0,
               std::uint16_t tag = 0, std::uint16_t type = 0) {
    tpacket2_hdr* to = slot(head_);
    if (to->tp_status != TP_STATUS_KERNEL) return false;
    head_ = (head_ + 1) % layout_.slots();
    const std::size_t room = layout_.slot_size - kMacOffset;
    auto* at = reinterpret_cast<std::uint8_t*>(to) + kMacOffset;
    to->tp_mac = kMacOffset;
    to->tp_len = static_cast<std::uint32_t>(frame.size());
    to->tp_snaplen = static_cast<std::uint32_t>(std::min(room, frame.size()));
    to->tp_vlan_tci = tag;
    to->tp_vlan_tpid = type;
    std::memcpy(at - sizeof vnet, &vnet, sizeof vnet);
    std::memcpy(at, frame.data(), to->tp_snaplen);
    to->tp_status = TP_STATUS_USER | status;
    return true;
  }
  // Larger than a slot: the whole frame waits in the socket.
  bool arrives_beside(const Octets& frame, const VnetHeader& vnet, std::uint32_t status = 0,
                      std::uint16_t tag = 0) {
    if (!arrives(frame, vnet, status | TP_STATUS_COPY, tag)) return false;
    Octets message(sizeof vnet);
    std::memcpy(message.data(), &vnet, sizeof vnet);
    message.insert(message.end(), frame.begin(), frame.end());
    EXPECT_EQ(::send(kernel_, message.data(), message.size(), 0), static_cast<ssize_t>(message.size()));
    return true;
  }
  std::vector<Octets> receive(std::size_t n, rte_mempool* pool = nullptr) {
    std::vector<rte_mbuf*> mbufs(n);
    const std::size_t count = queue_->receive(pool != nullptr ? pool : pool_.get(), mbufs.data(), n,
                                              QueueCounters{counters_, drops_});
    EXPECT_LE(count, n);
    std::vector<Octets> frames;
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(mbufs[i]->nb_segs, 1);
      EXPECT_EQ(mbufs[i]->pkt_len, mbufs[i]->data_len);
      EXPECT_GE(rte_pktmbuf_headroom(mbufs[i]), 128);
      frames.push_back(contents(mbufs[i]));
      rte_pktmbuf_free(mbufs[i]);
    }
    return frames;
  }
  std::vector<Octets> receive_all(std::size_t n) {
    std::vector<Octets> all;
    for (auto some = receive(n); !some.empty(); some = receive(n))
      all.insert(all.end(), some.begin(), some.end());
    return all;
  }
  [[nodiscard]] std::size_t slots_of_the_kernel() {
    std::size_t n = 0;
    for (std::size_t i = 0; i < layout_.slots(); ++i) n += slot(i)->tp_status == TP_STATUS_KERNEL ? 1 : 0;
    return n;
  }

  rte_mbuf* own_datagram(const Recipe& r) {
    rte_mbuf* mbuf = pool_.filled(build_super(r));
    mbuf->tx_offload = rte_mbuf_tx_offload(r.l3(), r.l4() - r.l3(), 0, 0, 0, 0, 0);
    mbuf->ol_flags = RTE_MBUF_F_TX_UDP_CKSUM;
    return mbuf;
  }
  std::size_t transmit(std::vector<rte_mbuf*> mbufs) {
    return queue_->transmit(mbufs.data(), mbufs.size(), counters_);
  }
  std::size_t transmit_frames(const std::vector<Octets>& frames) {
    std::vector<rte_mbuf*> mbufs;
    for (const Octets& frame : frames) mbufs.push_back(pool_.filled(frame));
    return transmit(mbufs);
  }
  static std::vector<Recipe> run_of(Recipe r, std::size_t count, std::size_t payload) {
    std::vector<Recipe> run;
    r.payload = pattern(payload, 0);
    for (std::size_t i = 0; i < count; ++i, r = after(r, payload)) run.push_back(r);
    return run;
  }
  static std::vector<Octets> built(const std::vector<Recipe>& run) {
    std::vector<Octets> frames;
    for (const Recipe& r : run) frames.push_back(build(r));
    return frames;
  }
  static Recipe whole(const std::vector<Recipe>& run) {
    Recipe r = run.front();
    for (std::size_t i = 1; i < run.size(); ++i)
      r.payload.insert(r.payload.end(), run[i].payload.begin(), run[i].payload.end());
    return r;
  }

  PacketRing layout_;
  std::vector<std::uint8_t> ring_;
  std::size_t head_ = 0;
  int kernel_ = -1;
  MbufPool pool_;
  TunCounters counters_;
  DropCounters drops_;
  std::unique_ptr<PacketQueue> queue_;
};

TEST_F(PacketQueueTest, NothingWaits) {
  EXPECT_TRUE(receive(8).empty());
  EXPECT_EQ(counters_.read_errors.get(), 0u);
}

TEST_F(PacketQueueTest, FramesInOrderRoundTheRing) {
  const auto frames = built(run_of(frame_recipe(), 100, 900));
  std::vector<Octets> got;
  std::size_t offered = 0;
  while (got.size() < frames.size()) {
    while (offered < frames.size() && arrives(frames[offered])) ++offered;
    const auto some = receive(7);
    ASSERT_FALSE(some.empty());
    got.insert(got.end(), some.begin(), some.end());
  }
  EXPECT_EQ(got, frames);
  EXPECT_EQ(slots_of_the_kernel(), layout_.slots());
  EXPECT_EQ(counters_.read_packets.get(), 100u);
  EXPECT_EQ(counters_.read_bytes.get(), 100 * frames[0].size());
}

TEST_F(PacketQueueTest, ChecksumsLeftToADeviceAreCompleted) {
  for (const bool udp : {false, true}) {
    for (const bool v6 : {false, true}) {
      for (const std::size_t size : {1u, 64u, 1399u}) {
        Recipe r = frame_recipe(udp, v6);
        r.payload = pattern(size, size);
        ASSERT_TRUE(arrives(build_super(r), vnet_of(r)));
        EXPECT_EQ(receive(4), std::vector<Octets>{build(r)}) << udp << v6 << size;
      }
    }
  }
}

TEST_F(PacketQueueTest, ATagThatTheKernelTookOutIsPutBack) {
  Recipe bare = frame_recipe(true), tagged = frame_recipe(true);
  bare.payload = tagged.payload = pattern(700, 3);
  tagged.vlan = true;
  constexpr std::uint32_t kBoth = TP_STATUS_VLAN_VALID | TP_STATUS_VLAN_TPID_VALID;
  ASSERT_TRUE(arrives(build_super(bare), vnet_of(bare), kBoth, 7, 0x8100));
  ASSERT_TRUE(arrives(build(bare), {}, TP_STATUS_VLAN_VALID, 7));  // a kernel that does not tell the type
  ASSERT_TRUE(arrives(build(bare), {}, kBoth, 0xe007, 0x88a8));
  const auto got = receive(4);
  ASSERT_EQ(got.size(), 3u);
  EXPECT_EQ(got[0], build(tagged));
  EXPECT_EQ(got[1], build(tagged));
  Octets service = build(tagged);
  put16(service, 12, 0x88a8);
  put16(service, 14, 0xe007);
  EXPECT_EQ(got[2], service);
}

TEST_F(PacketQueueTest, ASuperPacketIsSplitAcrossCalls) {
  for (const bool beside : {false, true}) {
    for (const bool udp : {false, true}) {
      for (const std::size_t n : {1u, 3u, 64u}) {
        Recipe r = frame_recipe(udp);
        r.flags = 0x18;
        r.payload = pattern(beside ? 45 * 1400 + 7 : 1405, 1);
        const std::size_t size = beside ? 1400 : 200;
        auto expected = split_oracle(r, size);
        const auto vnet = vnet_of(r, static_cast<std::uint16_t>(size));
        ASSERT_TRUE(beside ? arrives_beside(build_super(r), vnet) : arrives(build_super(r), vnet));
        ASSERT_TRUE(arrives(expected[0]));
        expected.push_back(expected[0]);
        EXPECT_EQ(receive_all(n), expected) << beside << udp << n;
      }
    }
  }
  EXPECT_EQ(counters_.read_super_packets.get(), 12u);
  EXPECT_EQ(slots_of_the_kernel(), layout_.slots());
}

TEST_F(PacketQueueTest, ATaggedSuperPacketKeepsItsTagInEverySegment) {
  for (const bool beside : {false, true}) {
    Recipe bare = frame_recipe(), tagged = frame_recipe();
    bare.payload = tagged.payload = pattern(beside ? 30000 : 1300, 9);
    tagged.vlan = true;
    const auto vnet = vnet_of(bare, 300);
    ASSERT_TRUE(beside ? arrives_beside(build_super(bare), vnet, TP_STATUS_VLAN_VALID, 7)
                       : arrives(build_super(bare), vnet, TP_STATUS_VLAN_VALID, 7));
    EXPECT_EQ(receive_all(16), split_oracle(tagged, 300)) << beside;
  }
}

TEST_F(PacketQueueTest, WhatIsLostIsCounted) {
  Recipe r = frame_recipe();
  r.payload = pattern(3000, 0);
  ASSERT_TRUE(arrives(build(r)));  // the socket had no memory for the whole frame
  r.payload = pattern(100, 0);
  ASSERT_TRUE(arrives(build(r)));
  EXPECT_EQ(receive(4), std::vector<Octets>{build(r)});
  EXPECT_EQ(queue_->lost(), 1u);
  EXPECT_EQ(drops_.get(DropReason::read_truncated), 1u);
  EXPECT_EQ(counters_.read_dropped.get(), 1u);
  EXPECT_EQ(drops_.get(DropReason::read_malformed) + drops_.get(DropReason::read_too_long), 0u);
}

TEST_F(PacketQueueTest, AFrameLargerThanAnMbufIsDroppedAndCounted) {
  Recipe r = frame_recipe();
  r.payload = pattern(2500, 0);
  ASSERT_TRUE(arrives_beside(build(r), {}));
  Recipe super = r;
  super.payload = pattern(9000, 0);
  ASSERT_TRUE(arrives_beside(build_super(super), vnet_of(super, 3000)));
  r.payload = pattern(1900, 0);  // larger than a slot, but not than an mbuf
  ASSERT_TRUE(arrives_beside(build(r), {}));
  EXPECT_EQ(receive_all(4), std::vector<Octets>{build(r)});
  EXPECT_EQ(drops_.get(DropReason::read_too_long), 2u);
}

TEST_F(PacketQueueTest, RubbishIsDroppedAndCounted) {
  Recipe r = frame_recipe();
  r.payload = pattern(100, 0);
  VnetHeader beyond = vnet_of(r), unknown = vnet_of(r, 50), whole_checksum = vnet_of(r, 50);
  beyond.checksum_start = 5000;
  unknown.gso_type = 3;
  whole_checksum.flags = 0;
  for (const VnetHeader& vnet : {beyond, unknown, whole_checksum}) ASSERT_TRUE(arrives(build(r), vnet));
  ASSERT_TRUE(arrives(build(r)));
  EXPECT_EQ(receive(8), std::vector<Octets>{build(r)});
  EXPECT_EQ(drops_.get(DropReason::read_malformed), 3u);
}

TEST_F(PacketQueueTest, AnEmptyPoolLosesNothing) {
  Recipe r = frame_recipe();
  r.payload = pattern(40 * 1000, 0);
  auto expected = split_oracle(r, 1000);
  const MbufPool small(15);
  ASSERT_TRUE(arrives_beside(build_super(r), vnet_of(r, 1000)));
  ASSERT_TRUE(arrives(expected[0]));
  expected.push_back(expected[0]);
  std::vector<Octets> got;
  for (int round = 0; round < 10; ++round) {
    const auto some = receive(64, small.get());
    got.insert(got.end(), some.begin(), some.end());
  }
  EXPECT_EQ(got, expected);
  EXPECT_GE(counters_.read_no_mbuf.get(), 2u);
}

// Everything that may arrive, in random order and with random budgets, beside a list of what must come out.
TEST_F(PacketQueueTest, AnyMixComesOutInOrder) {
  std::mt19937 random(20261129);
  std::vector<Octets> expected, got;
  Recipe r = frame_recipe();
  for (int round = 0; round < 3000; ++round) {
    r = frame_recipe(random() % 2 == 0, random() % 2 == 0);
    const bool tag = random() % 3 == 0, super = random() % 3 == 0;
    r.payload = pattern(1 + random() % (super ? 20000 : 1900), round);
    Recipe out = r;
    out.vlan = tag;
    const auto size = static_cast<std::uint16_t>(1 + r.payload.size() / (1 + random() % 20));
    const bool split = super && size <= 1900;
    const std::uint32_t status = tag ? TP_STATUS_VLAN_VALID : 0;
    const Octets frame = build_super(r);
    const VnetHeader vnet = vnet_of(r, split ? size : 0);
    if (!split && frame.size() > 2000) continue;
    const bool fits = frame.size() <= layout_.slot_size - kMacOffset;
    while (!(fits ? arrives(frame, vnet, status, 7) : arrives_beside(frame, vnet, status, 7))) {
      const auto some = receive(1 + random() % 40);
      got.insert(got.end(), some.begin(), some.end());
    }
    const auto segments = split_oracle(out, split ? size : out.payload.size());
    expected.insert(expected.end(), segments.begin(), segments.end());
  }
  const auto rest = receive_all(32);
  got.insert(got.end(), rest.begin(), rest.end());
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], expected[i]) << i;
  EXPECT_EQ(slots_of_the_kernel(), layout_.slots());
  EXPECT_EQ(queue_->lost(), 0u);
}

// --- to the wire

TEST_F(PacketQueueTest, RunsLeaveAsOneSuperPacketEach) {
  Recipe other = frame_recipe();
  other.host = 2;
  const auto a = run_of(frame_recipe(), 20, 1300), b = run_of(other, 20, 700);
  std::vector<Octets> mixed;
  for (std::size_t i = 0; i < 20; ++i) mixed.insert(mixed.end(), {build(a[i]), build(b[i])});
  EXPECT_EQ(transmit_frames(mixed), 40u);
  ASSERT_EQ(sink.messages.size(), 2u);
  EXPECT_EQ(sink.messages[0].first.gso_size, 1300);
  EXPECT_EQ(sink.messages[1].first.gso_size, 700);
  EXPECT_EQ(sink.messages[0].second, build_super(whole(a)));
  EXPECT_EQ(sink.messages[1].second, build_super(whole(b)));
  EXPECT_EQ(sink.calls, 1);
  EXPECT_EQ(counters_.write_super_packets.get(), 2u);
  EXPECT_EQ(counters_.write_packets.get(), 40u);
  EXPECT_EQ(counters_.write_bytes.get(), 20 * (build(a[0]).size() + build(b[0]).size()));
}

// Datagrams to several peers take turns, so that each peer's identifications have gaps.
TEST_F(PacketQueueTest, OuterDatagramsOfOnePeerLeaveTogether) {
  for (const bool v6 : {false, true}) {
    sink = {};
    std::array<std::vector<Recipe>, 3> peers;
    std::vector<rte_mbuf*> burst;
    for (std::uint16_t i = 0; i < 30; ++i) {
      Recipe r = frame_recipe(true, v6);
      r.host = static_cast<std::uint8_t>(1 + i % 3);
      r.id = static_cast<std::uint16_t>(0xfff0 + i);
      r.fragment = 0;
      r.payload = pattern(i >= 27 ? 80 : 160, i);
      burst.push_back(own_datagram(r));
      peers[i % 3].push_back(r);
    }
    EXPECT_EQ(transmit(burst), 30u);
    ASSERT_EQ(sink.messages.size(), 3u);
    for (std::size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(sink.messages[i].second, build_super(whole(peers[i])));
      EXPECT_EQ(sink.messages[i].first.gso_type, VnetHeader::kUdp);
      EXPECT_EQ(sink.messages[i].first.gso_size, 160);
      EXPECT_EQ(sink.messages[i].first.flags, VnetHeader::kNeedsChecksum);
    }
  }
}

TEST_F(PacketQueueTest, AChecksumLeftToThePortIsLeftToTheKernel) {
  Recipe r = frame_recipe(true, true);
  r.payload = pattern(90, 0);
  EXPECT_EQ(transmit({own_datagram(r)}), 1u);
  ASSERT_EQ(sink.messages.size(), 1u);
  EXPECT_EQ(sink.messages[0].second, build_super(r));
  EXPECT_EQ(sink.messages[0].first.gso_type, VnetHeader::kNone);
  EXPECT_EQ(sink.messages[0].first.flags, VnetHeader::kNeedsChecksum);
  EXPECT_EQ(sink.messages[0].first.checksum_start, r.l4());
  EXPECT_EQ(sink.messages[0].first.checksum_offset, 6);
}

// A datagram of another host with wrong identifications or a damaged checksum leaves as it is.
TEST_F(PacketQueueTest, ForeignDatagramsAreJoinedByTheStrictRules) {
  auto run = run_of(frame_recipe(true), 4, 300);
  run[2].id = 9;
  run[3].id = 10;
  std::vector<Octets> frames = built(run);
  frames[1].back() ^= 1;
  EXPECT_EQ(transmit_frames(frames), 4u);
  ASSERT_EQ(sink.messages.size(), 3u);
  EXPECT_EQ(sink.messages[0].second, frames[0]);
  EXPECT_EQ(sink.messages[1].second, frames[1]);
  EXPECT_EQ(sink.messages[2].second, build_super(whole({run[2], run[3]})));
}

TEST_F(PacketQueueTest, AKernelThatRefusesUdpSuperPacketsIsTakenAtItsWord) {
  for (const bool own : {true, false}) {
    SetUp();
    auto run = run_of(frame_recipe(true), 10, 200);
    auto tcp = run_of(frame_recipe(), 5, 200);
    for (Recipe& r : tcp) r.host = 9;
    std::vector<rte_mbuf*> burst;
    for (const Recipe& r : run) burst.push_back(own ? own_datagram(r) : pool_.filled(build(r)));
    for (const Recipe& r : tcp) burst.push_back(pool_.filled(build(r)));
    sink.answers = {EINVAL};
    EXPECT_EQ(transmit(burst), 15u);
    ASSERT_EQ(sink.messages.size(), 11u);
    for (std::size_t i = 0; i < 10; ++i) {
      EXPECT_EQ(sink.messages[i].second, own ? build_super(run[i]) : build(run[i])) << i;
      EXPECT_EQ(sink.messages[i].first.flags, own ? VnetHeader::kNeedsChecksum : 0);
      EXPECT_EQ(sink.messages[i].first.gso_type, VnetHeader::kNone);
    }
    EXPECT_EQ(sink.messages[10].second, build_super(whole(tcp)));
    sink.messages.clear();
    EXPECT_EQ(transmit_frames(built(run)), 10u);
    EXPECT_EQ(sink.messages.size(), 10u);
    EXPECT_EQ(counters_.write_errors.get() + counters_.write_full.get(), 0u);
    ::close(kernel_);
  }
  SetUp();
}

TEST_F(PacketQueueTest, OneRefusedMessageLeavesTheOthers) {
  std::vector<Octets> frames;
  for (std::uint8_t i = 0; i < 8; ++i) {
    Recipe r = frame_recipe();
    r.host = i;
    r.payload = pattern(50, i);
    frames.push_back(build(r));
  }
  sink.answers = {0, 0, ENOBUFS, 0, EMSGSIZE, 0};
  EXPECT_EQ(transmit_frames(frames), 6u);
  EXPECT_EQ(sink.messages.size(), 6u);
  EXPECT_EQ(counters_.write_full.get(), 1u);
  EXPECT_EQ(counters_.write_errors.get(), 1u);
}

TEST_F(PacketQueueTest, AFullSocketCountsEveryPacket) {
  sink.answers = std::deque<int>(200, EAGAIN);
  std::vector<Octets> frames = built(run_of(frame_recipe(), 20, 500));
  Recipe other = frame_recipe();
  other.host = 3;
  for (const Octets& frame : built(run_of(other, 20, 500))) frames.push_back(frame);
  EXPECT_EQ(transmit_frames(frames), 0u);
  EXPECT_EQ(counters_.write_full.get(), 40u);
  EXPECT_EQ(counters_.write_errors.get(), 0u);
  EXPECT_LE(sink.calls, 2);
}

TEST_F(PacketQueueTest, ManyPacketsInOneBurst) {
  EXPECT_EQ(transmit_frames(built(run_of(frame_recipe(), 300, 600))), 300u);
  std::size_t payload = 0;
  for (const auto& [vnet, bytes] : sink.messages) payload += bytes.size() - frame_recipe().header_size();
  EXPECT_EQ(payload, 300u * 600);
}

TEST_F(PacketQueueTest, ScatteredMbufsLeaveAsTheyAre) {
  const auto frames = built(run_of(frame_recipe(), 3, 500));
  rte_mbuf* front = pool_.filled(Octets(frames[1].begin(), frames[1].begin() + 21));
  for (std::size_t at = 21; at < frames[1].size(); at += 100) {
    const auto from = frames[1].begin() + static_cast<std::ptrdiff_t>(at);
    const auto to = frames[1].begin() + static_cast<std::ptrdiff_t>(std::min(at + 100, frames[1].size()));
    ASSERT_EQ(rte_pktmbuf_chain(front, pool_.filled(Octets(from, to))), 0);
  }
  EXPECT_EQ(transmit({pool_.filled(frames[0]), front, pool_.filled(frames[2])}), 3u);
  ASSERT_EQ(sink.messages.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(sink.messages[i].second, frames[i]);
}

TEST(PacketRing, HoldsFramesOfTheMtuAndSpreadsThemOverTheCache) {
  for (const unsigned mtu : {576u, 1500u, 1600u, 4000u, 9000u, 9600u}) {
    const PacketRing ring = PacketRing::for_mtu(static_cast<std::uint16_t>(mtu));
    EXPECT_GE(ring.slot_size, kMacOffset + 18u + mtu);
    EXPECT_LE(ring.slots_per_block * ring.slot_size, ring.block_size);
    EXPECT_EQ(ring.slot_size % 128, 64u);
    EXPECT_GE(ring.slots(), 1900u) << mtu;
    EXPECT_LE(ring.bytes(), 21u << 20) << mtu;
  }
}

}  // namespace
}  // namespace wg::dataplane
