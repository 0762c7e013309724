#include "control/kernel/announcer.h"

#include <algorithm>
#include <cstddef>

#include "control/kernel/netlink_configure.h"
#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr MacAddress kMac{2, 0, 0, 0, 0, 0x77};

TEST(Announcement, OfAnIpv4AddressIsAGratuitousArpRequest) {
  const Bytes expected{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,   0,   0, 0, 0, 0x77, 8, 6,  // Ethernet
                       0,    1,    8,    0,    6,    4,    0,   1,                         // request
                       2,    0,    0,    0,    0,    0x77, 192, 168, 1, 1,                 // sender
                       0,    0,    0,    0,    0,    0,    192, 168, 1, 1};                // target
  Bytes frame = frame_of({1, kMac, ip("192.168.1.1")});
  ASSERT_EQ(frame.size(), 60u);
  EXPECT_TRUE(std::all_of(frame.begin() + static_cast<std::ptrdiff_t>(expected.size()), frame.end(),
                          [](std::uint8_t byte) { return byte == 0; }));
  frame.resize(expected.size());
  EXPECT_EQ(frame, expected);
}

// The ones' complement sum over addresses, length, next header and message is all ones.
std::uint32_t folded_sum(const Bytes& frame) {
  std::uint32_t sum = 32 + 58;
  for (std::size_t i = 14 + 8; i < 14 + 40 + 32; i += 2) sum += frame[i] << 8 | frame[i + 1];
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

TEST(Announcement, OfAnIpv6AddressIsAnUnsolicitedAdvertisement) {
  for (const bool router : {false, true}) {
    const Bytes frame = frame_of({1, kMac, ip("fd01::1"), router});
    ASSERT_EQ(frame.size(), 14u + 40 + 32);
    EXPECT_EQ(Bytes(frame.begin(), frame.begin() + 6), (Bytes{0x33, 0x33, 0, 0, 0, 1}));
    EXPECT_EQ(frame[14 + 7], 255) << "the hop limit that receivers demand";
    EXPECT_EQ(frame[54], 136);
    EXPECT_EQ(frame[58], router ? 0xa0 : 0x20) << "override, and whether it is a router";
    EXPECT_EQ(frame[62], 0xfd);
    EXPECT_EQ(frame[62 + 15], 1);
    EXPECT_EQ(Bytes(frame.end() - 8, frame.end()), (Bytes{2, 1, 2, 0, 0, 0, 0, 0x77}));
    EXPECT_EQ(folded_sum(frame), 0xffffu);
  }
}

class AnnouncerTest : public NamespaceTest {};

// Linux takes both for what they are: the other end's entries get the new MAC address.
TEST_F(AnnouncerTest, NeighboursBelieveIt) {
  shell("ip link add v0 type veth peer name w0 && ip link set v0 up && ip link set w0 up");
  shell("ip addr add 10.0.0.2/24 dev w0 && ip -6 addr add fd00::2/64 dev w0 nodad");
  shell("ip neigh add 10.0.0.1 lladdr 02:00:00:00:00:01 dev w0 nud reachable");
  shell("ip neigh add fd00::1 lladdr 02:00:00:00:00:01 dev w0 nud reachable");
  Announcer announcer;
  const std::uint32_t v0 = ifindex_of("v0");
  EXPECT_TRUE(announcer.announce({v0, kMac, ip("10.0.0.1")}));
  EXPECT_TRUE(announcer.announce({v0, kMac, ip("fd00::1"), true}));
  EXPECT_TRUE(
      shell_works("for i in $(seq 30); do ip neigh show 10.0.0.1 | grep 02:00:00:00:00:77 && exit; sleep "
                  "0.1; done; exit 1"));
  EXPECT_TRUE(
      shell_works("for i in $(seq 30); do ip neigh show fd00::1 | grep 02:00:00:00:00:77 && exit; sleep 0.1; "
                  "done; exit 1"));
}

TEST_F(AnnouncerTest, ALinkThatHasGoneIsAnError) {
  Announcer announcer;
  const Expected<> sent = announcer.announce({4711, kMac, ip("10.0.0.1")});
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.error().text.rfind("announcing 10.0.0.1: ", 0), 0u) << sent.error().text;
}

TEST_F(AnnouncerTest, FiltersAreWhatALinkListensToBesideItsOwnAddress) {
  shell("ip link add v0 type veth peer name w0 && ip link set v0 up");
  NetlinkConfigure netlink;
  EXPECT_FALSE(netlink.link_filters().unicast.contains(ifindex_of("v0")));
  if (!shell_works("ip link add m0 link v0 address 00:00:5e:00:01:07 type macvlan && ip link set m0 up"))
    GTEST_SKIP() << "this kernel has no macvlan";
  const auto filters = netlink.link_filters().unicast;
  ASSERT_TRUE(filters.contains(ifindex_of("v0")));
  EXPECT_EQ(filters.at(ifindex_of("v0")), (std::vector<MacAddress>{{0, 0, 0x5e, 0, 1, 7}}));
  shell("ip link del m0");
  EXPECT_FALSE(netlink.link_filters().unicast.contains(ifindex_of("v0")));
}

TEST_F(AnnouncerTest, GroupsAreThoseOfTheLinksIpAddresses) {
  shell("ip link add v0 type veth peer name w0 && ip link set v0 up && ip addr add 10.0.0.1/24 dev v0");
  NetlinkConfigure netlink;
  const auto groups_of = [&](const char* name) { return netlink.link_filters().groups[ifindex_of(name)]; };
  const MacAddress all_hosts{0x01, 0x00, 0x5e, 0x00, 0x00, 0x01}, solicited{0x33, 0x33, 0xff, 0, 0, 0x77};
  const auto holds = [&](const MacAddress& mac) {
    const auto groups = groups_of("v0");
    return std::find(groups.begin(), groups.end(), mac) != groups.end();
  };
  EXPECT_TRUE(holds(all_hosts));
  EXPECT_FALSE(holds(solicited));
  if (!shell_works("ip addr add fd00::77/64 dev v0 nodad")) GTEST_SKIP() << "this kernel has no IPv6";
  EXPECT_TRUE(holds(solicited));
  shell("ip addr del fd00::77/64 dev v0");
  EXPECT_FALSE(holds(solicited));
}

}  // namespace
}  // namespace wg::control
