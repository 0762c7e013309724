// Next hops and neighbours are forgotten when nothing leads to them, and an index gets a new meaning only
// when no worker can meet the old one.
#include "control/publish/next_hops.h"

#include <optional>

#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

using dataplane::HopKind;

constexpr std::uint32_t kAddresses = 100'000;
constexpr PortLink kLink{dataplane::PortIndex{0}, {}};

IpAddress address(std::uint32_t number) {
  const std::uint32_t network_order = __builtin_bswap32(0x0a000000 + number);
  return IpAddress::from_v4(&network_order);
}

class NextHopsTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    shell("ip link add v0 type veth peer name w0 && ip link set v0 up && ip link set w0 up");
    shell("ip addr add 10.0.0.1/8 dev v0");
    mirror.emplace();
    ifindex = ifindex_of("v0");
    next.ports.resize(1);
    hops.emplace(*mirror, netlink.emplace(), next, quiescence);
    quiescence.online(0);
  }
  lpm::Value hold_via(std::uint32_t number) {
    const lpm::Value index = hops->via(kLink, {ifindex, address(number)}, {1500, false});
    hops->hold(index);
    return index;
  }
  // The link has gone, so that the kernel makes no entry for a neighbour that it is asked for. All namespaces
  // share its table, 1024 entries by default, and entries of a namespace that dies stay for a while: a test
  // that fills the table leaves none to the next.
  void unplug() {
    shell("ip link del v0");
    ASSERT_FALSE(netlink->request_neighbour(ifindex, address(2)));
  }
  void worker_passes() {
    quiescence.report(0);
    ASSERT_EQ(quiescence.collect(), 0u);
  }
  // Whether the kernel has an entry for 10.0.0.`number`, of any state. It is asked itself: it announces an
  // entry only when the resolution ends. Requests are acknowledged, so there is nothing to wait for.
  static bool is_asked_for(std::uint32_t number) {
    return shell_works("ip neigh show 10.0.0." + std::to_string(number) + " dev v0 nud all | grep -q .");
  }

  std::optional<NetlinkMirror> mirror;
  std::optional<NetlinkConfigure> netlink;  // made in the test's namespace
  dataplane::Snapshot next;
  dataplane::Quiescence quiescence{1};
  std::optional<NextHops> hops;
  std::uint32_t ifindex = 0;
};

TEST_F(NextHopsTest, AnIndexIsReusedOnlyAfterTheWorkersPassedTheSnapshotWithoutIt) {
  const lpm::Value first = hold_via(2);
  hops->published();
  hops->release(first);
  EXPECT_EQ(next.next_hops[first].kind, HopKind::kKernel);
  worker_passes();
  EXPECT_NE(hold_via(3), first) << "not published yet: workers still have the old meaning";
  hops->published();
  quiescence.collect();
  EXPECT_NE(hold_via(4), first) << "a worker may hold the old snapshot";
  worker_passes();
  EXPECT_EQ(hold_via(5), first);
  EXPECT_EQ(next.next_hops.size(), 3u);
}

TEST_F(NextHopsTest, AHopStaysUntilItsLastPrefixHasGone) {
  const lpm::Value first = hold_via(2);
  EXPECT_EQ(hold_via(2), first);
  hops->release(first);
  EXPECT_EQ(hops->via(kLink, {ifindex, address(2)}, {1500, false}), first);
  EXPECT_EQ(hops->neighbours(), 1u);
  hops->release(first);
  EXPECT_EQ(hops->neighbours(), 0u);
}

TEST_F(NextHopsTest, SimpleHopsAreCountedToo) {
  for (std::uint16_t mtu = 1000; mtu < 1100; ++mtu) {
    const lpm::Value index = hops->simple(HopKind::kInterface, dataplane::InterfaceId{0}, {mtu, false});
    hops->hold(index);
    EXPECT_EQ(hops->simple(HopKind::kInterface, dataplane::InterfaceId{0}, {mtu, false}), index);
    EXPECT_EQ(next.next_hops[index].mtu, mtu);
    hops->release(index);
    hops->published();
    worker_passes();
  }
  EXPECT_EQ(next.next_hops.size(), 1u);
}

TEST_F(NextHopsTest, AHundredThousandNeighboursLeaveNothingBehind) {
  const lpm::Value stays = hops->simple(HopKind::kDrop, dataplane::InterfaceId{0}, {0, false});
  hops->hold(stays);
  unplug();
  for (std::uint32_t i = 0; i < kAddresses; ++i) hold_via(i + 2);
  ASSERT_EQ(next.next_hops.size(), kAddresses + 1);
  ASSERT_EQ(hops->neighbours(), kAddresses);
  for (lpm::Value i = 0; i < kAddresses + 1; ++i) {
    if (i != stays) hops->release(i);
  }
  hops->published();
  worker_passes();
  hops->trim();
  EXPECT_EQ(hops->neighbours(), 0u);
  EXPECT_EQ(next.next_hops.size(), 1u);
  EXPECT_LT(next.next_hops.capacity(), 2000u);
  EXPECT_EQ(next.next_hops[stays].kind, HopKind::kDrop);
}

TEST_F(NextHopsTest, OneNeighbourAfterAnotherTakesOnePlace) {
  unplug();
  for (std::uint32_t i = 0; i < kAddresses; ++i) {
    hops->release(hold_via(i + 2));
    hops->published();
    worker_passes();
  }
  EXPECT_EQ(next.next_hops.size(), 1u);
}

TEST_F(NextHopsTest, WhatNothingLeadsToIsNotAskedForAgain) {
  const lpm::Value stays = hold_via(2), goes = hold_via(3);
  ASSERT_TRUE(is_asked_for(2));
  ASSERT_TRUE(is_asked_for(3));
  hops->release(goes);
  shell("ip neigh del 10.0.0.2 dev v0; ip neigh del 10.0.0.3 dev v0");
  ASSERT_FALSE(is_asked_for(2) || is_asked_for(3));
  hops->refresh();
  EXPECT_TRUE(is_asked_for(2));
  EXPECT_FALSE(is_asked_for(3));
  hops->release(stays);
}

TEST_F(NextHopsTest, APathsNeighbourIsAskedForUntilThePathIsQuiet) {
  hops->want({ifindex, address(4)});
  EXPECT_TRUE(is_asked_for(4));
  for (int round = 0; round < 4; ++round) hops->refresh();
  shell("ip neigh del 10.0.0.4 dev v0");
  ASSERT_FALSE(is_asked_for(4));
  hops->refresh();
  EXPECT_FALSE(is_asked_for(4));
}

}  // namespace
}  // namespace wg::control
