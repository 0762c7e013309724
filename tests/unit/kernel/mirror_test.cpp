#include "control/kernel/netlink_mirror.h"

#include <linux/neighbour.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "control/kernel/sysctl.h"
#include "tests/unit/kernel/mirror_oracle.h"
#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Mirror : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    for (const char* pair : {"v0 type veth peer name w0", "v1 type veth peer name w1"}) {
      shell(std::string("ip link add ") + pair);
    }
    shell("for l in v0 v1 w0 w1; do ip link set $l up; done");
    shell("ip addr add 10.0.0.1/24 dev v0 && ip addr add 10.1.0.1/24 dev v1");
    shell("ip -6 addr add fd00::1/64 dev v0 nodad && ip -6 addr add fd01::1/64 dev v1 nodad");
    mirror.emplace();
    v0 = ifindex_of("v0");
    v1 = ifindex_of("v1");
  }
  // Runs the command and returns the changes that it brought.
  std::vector<Change> changes_of(const std::string& command) {
    follow_until(*mirror, [] { return true; });
    static_cast<void>(mirror->take_changes());
    shell(command);
    follow_until(*mirror, [] { return true; });
    return mirror->take_changes();
  }
  static bool has_route(const std::vector<Change>& changes, const std::string& prefix,
                        std::uint32_t table = 254) {
    return std::any_of(changes.begin(), changes.end(), [&](const Change& change) {
      const auto* route = std::get_if<RouteChanged>(&change);
      return route && route->prefix == net(prefix) && route->table == table;
    });
  }
  template <class T>
  static bool has(const std::vector<Change>& changes) {
    return std::any_of(changes.begin(), changes.end(),
                       [](const Change& change) { return std::holds_alternative<T>(change); });
  }
  std::optional<NetlinkMirror> mirror;
  std::uint32_t v0 = 0, v1 = 0;
};

TEST_F(Mirror, SeesTheStateFromBeforeItsStart) {
  ASSERT_NE(mirror->link("v0"), nullptr);
  EXPECT_EQ(mirror->link("v0")->ifindex, v0);
  EXPECT_EQ(mirror->link("v0")->kind, "veth");
  EXPECT_EQ(mirror->link("v0")->parent, ifindex_of("w0"));
  EXPECT_TRUE(mirror->link("v0")->up);
  EXPECT_TRUE(mirror->link("v0")->mac.has_value());
  EXPECT_TRUE(mirror->link("lo")->loopback);
  EXPECT_EQ(mirror->link("nowhere"), nullptr);
  EXPECT_TRUE(mirror->is_local(ip("10.1.0.1")));
  EXPECT_TRUE(mirror->is_local(ip("fd01::1")));
  EXPECT_FALSE(mirror->is_local(ip("10.1.0.2")));
  EXPECT_EQ(mirror->best(RT_TABLE_MAIN, net("10.0.0.0/24")).ifindex, v0);
  EXPECT_EQ(mirror->best(RT_TABLE_LOCAL, net("10.0.0.1/32")).type, RTN_LOCAL);
  EXPECT_TRUE(mirror->rules_are_default(false));
  EXPECT_TRUE(mirror->rules_are_default(true));
  EXPECT_FALSE(has<Resynced>(mirror->take_changes()));
}

TEST_F(Mirror, FollowsAddedChangedAndRemovedLinks) {
  auto changes = changes_of("ip link add p0 type veth peer name p1");
  EXPECT_TRUE(has<LinkChanged>(changes));
  ASSERT_NE(mirror->link("p0"), nullptr);
  EXPECT_FALSE(mirror->link("p0")->up);
  changes_of("ip link set p0 mtu 1400 address 02:00:00:00:00:55 up");
  EXPECT_EQ(mirror->link("p0")->mtu, 1400u);
  EXPECT_EQ(to_string(*mirror->link("p0")->mac), "02:00:00:00:00:55");
  EXPECT_TRUE(mirror->link("p0")->up);
  EXPECT_FALSE(mirror->link("p0")->carrier);  // the other end is down
  changes_of("ip link set p1 up");
  EXPECT_TRUE(follow_until(*mirror, [&] { return mirror->link("p0")->carrier; }));
  changes_of("ip link set p0 down && ip link set p0 name renamed");
  EXPECT_EQ(mirror->link("p0"), nullptr);
  ASSERT_NE(mirror->link("renamed"), nullptr);
  changes = changes_of("ip link del renamed");
  EXPECT_TRUE(has<LinkChanged>(changes));
  EXPECT_EQ(mirror->link("renamed"), nullptr);
  EXPECT_EQ(mirror->link("p1"), nullptr);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

TEST_F(Mirror, TunLinksNeedNoNeighbours) {
  shell("ip tuntap add mode tun t0 && ip link set t0 up && ip route add 10.9.0.0/16 dev t0");
  follow_until(*mirror, [&] { return mirror->link("t0") && mirror->link("t0")->up; });
  const auto resolved = mirror->resolve(ip("10.9.1.1"));
  EXPECT_EQ(resolved.ifindex, ifindex_of("t0"));
  EXPECT_EQ(resolved.neighbour, NeighbourState::kNotNeeded);
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).neighbour, NeighbourState::kNotNeeded);
}

TEST_F(Mirror, OneRouteIsOneChange) {
  const auto changes = changes_of("ip route add 10.9.0.0/16 via 10.0.0.2 mtu 1300 metric 7");
  EXPECT_EQ(std::count_if(changes.begin(), changes.end(),
                          [](const Change& change) {
                            const auto* route = std::get_if<RouteChanged>(&change);
                            return route != nullptr &&
                                   !route->prefix.address.v6;  // IPv6 may still be settling
                          }),
            1);
  EXPECT_TRUE(has_route(changes, "10.9.0.0/16"));
  auto best = mirror->best(254, net("10.9.0.0/16"));
  EXPECT_EQ(best.gateway, ip("10.0.0.2"));
  EXPECT_EQ(best.mtu, 1300u);
  EXPECT_EQ(best.neighbour, NeighbourState::kUnresolved);
  EXPECT_TRUE(has_route(changes_of("ip route replace 10.9.0.0/16 via 10.1.0.2 metric 7"), "10.9.0.0/16"));
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).ifindex, v1);
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).mtu, 1500u);
  changes_of("ip route add 10.9.0.0/16 via 10.0.0.9 metric 3");
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).gateway, ip("10.0.0.9"));
  EXPECT_TRUE(has_route(changes_of("ip route del 10.9.0.0/16 metric 3"), "10.9.0.0/16"));
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).gateway, ip("10.1.0.2"));
  changes_of("ip route del 10.9.0.0/16");
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).type, RTN_UNSPEC);
  EXPECT_TRUE(has_route(changes_of("ip route add blackhole 10.9.0.0/16 table 77"), "10.9.0.0/16", 77));
  EXPECT_EQ(mirror->best(77, net("10.9.0.0/16")).type, RTN_BLACKHOLE);
}

TEST_F(Mirror, RepeatsSilentRemovalsWithTheLink) {
  shell(
      "ip route add 10.9.0.0/16 via 10.0.0.2; ip route add 10.8.0.0/16 nexthop via 10.0.0.2 nexthop via "
      "10.1.0.2");
  shell(
      "ip -6 route add fd09::/16 via fd00::2; ip -6 route add fd08::/16 nexthop via fd00::2 nexthop via "
      "fd01::2");
  auto changes = changes_of("ip link set v0 down");
  EXPECT_TRUE(has_route(changes, "10.9.0.0/16"));
  EXPECT_TRUE(has_route(changes, "10.8.0.0/16"));
  EXPECT_TRUE(has_route(changes, "fd09::/16"));
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).type, RTN_UNSPEC);
  EXPECT_EQ(mirror->best(254, net("10.8.0.0/16")).ifindex, v1);
  EXPECT_EQ(mirror->best(254, net("fd08::/16")).ifindex, v1);
  EXPECT_EQ(mirror->resolve(ip("10.0.0.1")).type, RTN_LOCAL);  // an address outlives its link's being up
  EXPECT_EQ(follow_until_fresh(*mirror), "");
  changes = changes_of("ip link set v0 up");
  EXPECT_TRUE(has_route(changes, "10.8.0.0/16"));
  EXPECT_TRUE(has_route(changes, "10.0.0.0/24"));
  EXPECT_EQ(mirror->best(254, net("10.8.0.0/16")).ifindex, v0);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
  changes = changes_of("ip link del v1");
  EXPECT_EQ(mirror->best(254, net("10.8.0.0/16")).type, RTN_UNSPEC);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

TEST_F(Mirror, Ipv6RoutesRemovedWithoutNoticeWhenSoConfigured) {
  ASSERT_TRUE(write_sysctl("net/ipv6/route/skip_notify_on_dev_down", "1"));
  shell(
      "ip -6 route add fd09::/16 via fd00::2; ip -6 route add fd08::/16 nexthop via fd00::2 nexthop via "
      "fd01::2");
  changes_of("ip link set v0 down");
  EXPECT_EQ(mirror->best(254, net("fd09::/16")).type, RTN_UNSPEC);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
  changes_of("ip link set v1 down");
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

TEST_F(Mirror, PreferredSourcesVanishWithTheirAddress) {
  shell("ip addr add 10.0.5.5/32 dev v1 && ip -6 addr add fd05::5/128 dev v0 nodad");
  shell(
      "ip route add 10.9.0.0/16 via 10.0.0.2 src 10.0.5.5; ip -6 route add fd09::/16 via fd00::2 src "
      "fd05::5");
  follow_until(*mirror, [] { return true; });
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1")).source, ip("10.0.5.5"));
  EXPECT_EQ(mirror->resolve(ip("fd09::1")).source, ip("fd05::5"));
  changes_of("ip addr del 10.0.5.5/32 dev v1 && ip -6 addr del fd05::5/128 dev v0");
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).type, RTN_UNSPEC);
  EXPECT_EQ(mirror->resolve(ip("fd09::1")).source, ip("fd00::1"));
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

TEST_F(Mirror, RoutesWithoutCarrierFollowTheSysctl) {
  shell("ip route add 10.9.0.0/16 via 10.0.0.2 metric 1; ip route add 10.9.0.0/16 via 10.1.0.2 metric 2");
  changes_of("ip link set w0 down");
  ASSERT_TRUE(follow_until(*mirror, [&] { return !mirror->link(v0)->carrier; }));
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1")).ifindex, v0);
  EXPECT_EQ(disagreement(*mirror, ip("10.9.0.1")), "");
  shell("ip link set w0 up");
  ASSERT_TRUE(follow_until(*mirror, [&] { return mirror->link(v0)->carrier; }));
  ASSERT_TRUE(write_sysctl("net/ipv4/conf/v0/ignore_routes_with_linkdown", "1"));
  static_cast<void>(mirror->take_changes());
  shell("ip link set w0 down");
  ASSERT_TRUE(follow_until(*mirror, [&] { return !mirror->link(v0)->carrier; }));
  EXPECT_TRUE(has_route(mirror->take_changes(), "10.9.0.0/16"));
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1")).ifindex, v1);
  EXPECT_EQ(disagreement(*mirror, ip("10.9.0.1")), "");
  shell("ip link set w0 up");
  ASSERT_TRUE(follow_until(*mirror, [&] { return mirror->link(v0)->carrier; }));
  EXPECT_TRUE(has_route(mirror->take_changes(), "10.9.0.0/16"));
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1")).ifindex, v0);
}

// Between IPv6 routes of one prefix and metric the kernel chooses, also for a destination within it.
TEST_F(Mirror, EqualIpv6RoutesAreTheKernels) {
  changes_of("ip -6 addr add fd77::1/64 dev v0 nodad");
  EXPECT_FALSE(mirror->resolve(ip("fd77::2")).unsure);
  changes_of("ip -6 addr add fd77::7/64 dev v1 nodad");
  EXPECT_TRUE(mirror->resolve(ip("fd77::2")).unsure);
  // A work queue of the kernel adds the route of the address itself.
  EXPECT_TRUE(follow_until(*mirror, [&] { return !mirror->resolve(ip("fd77::7")).unsure; }));
  changes_of("ip -6 addr del fd77::7/64 dev v1");
  EXPECT_FALSE(mirror->resolve(ip("fd77::2")).unsure);
}

// Between IPv4 default routes of one metric it does, too; elsewhere the first one holds.
TEST_F(Mirror, EqualIpv4DefaultRoutesAreTheKernels) {
  changes_of("ip route add default via 10.0.0.2; ip route append default via 10.1.0.2 metric 5");
  EXPECT_FALSE(mirror->resolve(ip("8.8.8.8")).unsure);
  changes_of("ip route append default via 10.1.0.2");
  EXPECT_TRUE(mirror->resolve(ip("8.8.8.8")).unsure);
  changes_of("ip route add 10.9.0.0/16 via 10.0.0.2; ip route append 10.9.0.0/16 via 10.1.0.2");
  EXPECT_FALSE(mirror->resolve(ip("10.9.0.1")).unsure);
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1")).ifindex, v0);
  changes_of("ip route del default via 10.1.0.2 metric 0");
  EXPECT_FALSE(mirror->resolve(ip("8.8.8.8")).unsure);
}

TEST_F(Mirror, RulesMarksAndTables) {
  shell("ip route add default via 10.0.0.2; ip route add default via 10.1.0.2 table 51820");
  shell("ip rule add not fwmark 51820 table 51820; ip rule add table main suppress_prefixlength 0");
  const auto changes = changes_of("ip rule add to 192.0.2.0/24 prohibit");
  EXPECT_TRUE(has<RulesChanged>(changes));
  EXPECT_FALSE(mirror->rules_are_default(false));
  EXPECT_FALSE(mirror->resolve(ip("8.8.8.8")).unsure);
  EXPECT_TRUE(mirror->rules_are_default(true));
  EXPECT_EQ(mirror->resolve(ip("8.8.8.8")).ifindex, v1);
  EXPECT_EQ(mirror->resolve(ip("8.8.8.8"), {51820, 0}).ifindex, v0);
  EXPECT_EQ(mirror->resolve(ip("192.0.2.1"), {51820, 0}).type, RTN_PROHIBIT);
  for (const char* to : {"8.8.8.8", "192.0.2.1", "10.0.0.7", "10.1.0.1"}) {
    EXPECT_EQ(disagreement(*mirror, ip(to)), "");
    EXPECT_EQ(disagreement(*mirror, ip(to), {51820, 0}), "");
    EXPECT_EQ(disagreement(*mirror, ip(to), {7, 0}), "");
  }
  changes_of("ip rule add pref 5 goto 32766; ip rule add pref 3 from 10.7.0.0/16 blackhole");
  EXPECT_FALSE(mirror->resolve(ip("8.8.8.8")).unsure);  // it follows the source, and this one has none yet
  EXPECT_EQ(mirror->resolve(ip("8.8.8.8")).ifindex, v0);
  EXPECT_EQ(disagreement(*mirror, ip("8.8.8.8")), "");
  EXPECT_EQ(follow_until_fresh(*mirror), "");
  changes_of("ip rule del pref 5; ip rule del pref 3; ip rule del to 192.0.2.0/24 prohibit");
  EXPECT_EQ(disagreement(*mirror, ip("192.0.2.1")), "");
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

// Rules by what a datagram of this machine has: source, protocol, ports. Beside the kernel's own answers.
TEST_F(Mirror, RulesOfDatagrams) {
  shell("ip route add default via 10.0.0.2; ip route add default via 10.1.0.2 table 77");
  shell("ip -6 route add default via fd00::2; ip -6 route add default via fd01::2 table 77");
  const char* const rules[] = {"from 10.1.0.1 table 77",
                               "from 10.1.0.0/24 ipproto udp table 77",
                               "ipproto udp dport 51820 table 77",
                               "ipproto udp sport 100-200 table 77",
                               "not from 10.1.0.1 table 77",
                               "iif lo table 77",
                               "iif v0 table 77",
                               "oif v1 table 77",
                               "from 10.1.0.1 blackhole"};
  for (const std::string rule : rules) {
    changes_of("ip rule add pref 5 " + rule);
    for (const std::string source : {"", "10.0.0.1", "10.1.0.1"}) {
      for (const UdpPort port : {UdpPort{51820}, UdpPort{150}}) {
        ResolveKey key;
        if (!source.empty()) key.source = ip(source);
        key.protocol = 17;
        key.source_port = key.destination_port = port;
        EXPECT_EQ(disagreement(*mirror, ip("8.8.8.8"), key), "") << rule << " source " << source;
        EXPECT_FALSE(mirror->resolve(ip("8.8.8.8"), key).unsure) << rule;
      }
    }
    changes_of("ip rule del pref 5");
  }
  changes_of("ip -6 rule add pref 5 from fd01::1 table 77");
  ResolveKey key;
  key.source = ip("fd01::1");
  EXPECT_EQ(disagreement(*mirror, ip("2001:db8::1"), key), "");
  EXPECT_EQ(mirror->resolve(ip("2001:db8::1"), key).ifindex, v1);
  EXPECT_EQ(mirror->resolve(ip("2001:db8::1")).ifindex, v0);
  for (const std::string rule : {"tos 0x10 table 77", "uidrange 0-0 table 77"}) {
    changes_of("ip rule add pref 5 " + rule);
    EXPECT_TRUE(mirror->resolve(ip("8.8.8.8")).unsure) << rule;
    changes_of("ip rule del pref 5");
  }
  EXPECT_FALSE(mirror->resolve(ip("8.8.8.8")).unsure);
}

TEST_F(Mirror, NexthopObjects) {
  if (!shell_works("ip nexthop add id 1 via 10.0.0.2 dev v0"))
    GTEST_SKIP() << "this kernel has no nexthop objects";
  shell(
      "ip nexthop add id 2 via 10.1.0.2 dev v1; ip nexthop add id 3 group 1/2; ip nexthop add id 4 "
      "blackhole");
  shell("ip route add 10.7.0.0/16 nhid 1; ip route add 10.8.0.0/16 nhid 3; ip route add 10.9.0.0/16 nhid 4");
  shell("ip nexthop add id 6 via fd00::2 dev v0; ip -6 route add fd07::/16 nhid 6");
  follow_until(*mirror, [] { return true; });
  EXPECT_EQ(mirror->resolve(ip("10.7.0.1")).gateway, ip("10.0.0.2"));
  EXPECT_EQ(mirror->resolve(ip("10.8.0.1")).ifindex, v0);
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1")).type, RTN_BLACKHOLE);
  EXPECT_EQ(mirror->resolve(ip("fd07::1")).gateway, ip("fd00::2"));
  auto changes = changes_of("ip nexthop replace id 1 via 10.0.0.3 dev v0");
  EXPECT_TRUE(has_route(changes, "10.7.0.0/16"));
  EXPECT_TRUE(has_route(changes, "10.8.0.0/16"));
  EXPECT_EQ(mirror->resolve(ip("10.7.0.1")).gateway, ip("10.0.0.3"));
  EXPECT_EQ(disagreement(*mirror, ip("10.7.0.1")), "");
  EXPECT_EQ(follow_until_fresh(*mirror), "");
  changes = changes_of("ip link set v0 down");
  EXPECT_TRUE(has_route(changes, "10.7.0.0/16"));
  EXPECT_EQ(mirror->resolve(ip("10.8.0.1")).ifindex, v1);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
  changes = changes_of("ip nexthop del id 2");
  EXPECT_EQ(mirror->resolve(ip("10.8.0.1")).type, RTN_UNSPEC);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

TEST_F(Mirror, VirtualRoutingDomains) {
  if (!shell_works("ip link add red type vrf table 500")) GTEST_SKIP() << "this kernel has no VRF devices";
  shell("ip link set red up && ip link set v1 master red");
  shell("ip -6 addr add fd01::1/64 dev v1 nodad; ip route add 10.9.0.0/16 via 10.1.0.2 vrf red");
  follow_until(*mirror, [] { return true; });
  const auto red = ifindex_of("red");
  EXPECT_EQ(mirror->state().links().table_of_vrf(red), 500u);
  EXPECT_EQ(mirror->vrf_of_link(v1), red);
  EXPECT_EQ(mirror->vrf_of_link(v0), 0u);
  EXPECT_TRUE(mirror->rules_are_default(false));
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1")).type, RTN_UNSPEC);
  EXPECT_EQ(mirror->resolve(ip("10.9.0.1"), {0, red}).ifindex, v1);
  EXPECT_EQ(mirror->resolve(ip("10.1.0.1"), {0, red}).type, RTN_LOCAL);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

TEST_F(Mirror, VlanLinks) {
  if (!shell_works("ip link add link v0 name v0.7 type vlan id 7"))
    GTEST_SKIP() << "this kernel has no VLAN devices";
  follow_until(*mirror, [&] { return mirror->link("v0.7") != nullptr; });
  EXPECT_EQ(mirror->link("v0.7")->vlan_id, 7);
  EXPECT_EQ(mirror->link("v0.7")->parent, v0);
}

TEST_F(Mirror, AnOverflowIsNoticedAndRepaired) {
  MirrorOptions tiny;
  tiny.receive_buffer = 4096;
  NetlinkMirror small(tiny);
  shell(
      "for i in $(seq 0 1999); do echo route add 10.200.$((i / 256)).$((i % 256))/32 dev v0; done | ip "
      "-batch -");
  follow_until(small, [&] { return small.resyncs() > 0; });
  EXPECT_GT(small.resyncs(), 0u);
  const auto changes = small.take_changes();
  ASSERT_FALSE(changes.empty());
  EXPECT_TRUE(std::holds_alternative<Resynced>(changes.front()));
  EXPECT_EQ(small.resolve(ip("10.200.7.1")).prefix.length, 32);
  EXPECT_EQ(follow_until_fresh(small), "");
}

TEST_F(Mirror, OneCallIsBounded) {
  MirrorOptions bounded;
  bounded.steps_per_process = 100;
  NetlinkMirror slow(bounded);
  shell(
      "for i in $(seq 0 999); do echo route add 10.200.$((i / 256)).$((i % 256))/32 dev v0; done | ip -batch "
      "-");
  EXPECT_TRUE(slow.process());
  const std::size_t first = slow.take_changes().size();
  EXPECT_GT(first, 0u);
  EXPECT_LE(first, 100u);
  EXPECT_EQ(follow_until_fresh(slow), "");
}

TEST_F(Mirror, OneCallEndsInTimeAndTheRestStaysReadable) {
  shell(
      "for i in $(seq 0 999); do echo route add 10.201.$((i / 256)).$((i % 256))/32 dev v0; done | ip -batch "
      "-");
  NetlinkMirror& late = *mirror;
  EXPECT_TRUE(late.has_unread());
  std::size_t first = 0;
  for (int calls = 0; calls < 64 && first == 0; ++calls) {
    late.process(Clock::now());
    first = late.take_changes().size();
  }
  EXPECT_EQ(first, 1u) << "even when the time is over, a message";
  EXPECT_TRUE(late.has_unread());
  EXPECT_EQ(follow_until_fresh(late), "");
  EXPECT_FALSE(late.has_unread());
}

TEST_F(Mirror, TenThousandRoutesInTime) {
  constexpr std::size_t kRoutes = 10000;
  std::vector<RouteSpec> routes;
  for (std::uint32_t i = 0; i < kRoutes; ++i) {
    const std::uint8_t bytes[4] = {11, 0, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)};
    routes.push_back(RouteSpec::via_gateway({IpAddress::from_v4(bytes), 32}, ip("10.0.0.2"), v0));
  }
  NetlinkConfigure configure;
  ASSERT_EQ(configure.change_routes(RouteVerb::kAdd, routes).done, kRoutes);
  auto start = Clock::now();
  std::size_t changes = 0;
  while (mirror->process()) {
    for (const Change& change : mirror->take_changes()) {
      const auto* route = std::get_if<RouteChanged>(&change);
      changes += route != nullptr && route->prefix.address.bytes[0] == 11 ? 1 : 0;
    }
  }
  const double follow = seconds_since(start);
  EXPECT_EQ(changes, kRoutes);
  start = Clock::now();
  NetlinkMirror fresh;
  const double dump = seconds_since(start);
  start = Clock::now();
  for (const RouteSpec& route : routes) ASSERT_EQ(fresh.resolve(route.prefix.address).prefix.length, 32);
  const double resolve = seconds_since(start);
  std::printf("mirror routes=%zu follow_us=%.2f dump_us=%.2f resolve_us=%.2f (each)\n", kRoutes,
              follow * 1e6 / kRoutes, dump * 1e6 / kRoutes, resolve * 1e6 / kRoutes);
  EXPECT_LT(dump, 1.0);
  EXPECT_EQ(difference(*mirror, fresh), "");
}

// Neighbours that really answer, in a second namespace.
class MirrorNeighbours : public Mirror {
 protected:
  void SetUp() override {
    Mirror::SetUp();
    if (IsSkipped()) return;
    name = "linegate_kernel_" + std::to_string(getpid());
    shell("ip netns add " + name + " && ip link set w0 netns " + name);
    shell("ip -n " + name + " link set w0 address 02:00:00:00:00:77 up");
    shell("ip -n " + name + " addr add 10.0.0.2/24 dev w0 && ip -n " + name +
          " -6 addr add fd00::2/64 dev w0 nodad");
    for (const char* family : {"ipv4", "ipv6"}) {
      ASSERT_TRUE(write_sysctl(std::string("net/") + family + "/neigh/v0/retrans_time_ms", "50"));
    }
    ASSERT_TRUE(follow_until(*mirror, [&] { return mirror->link(v0)->carrier; }));
  }
  void TearDown() override {
    if (!name.empty()) shell("ip netns del " + name);
  }
  std::string name;
};

TEST_F(MirrorNeighbours, AreResolvedOnDemand) {
  NetlinkConfigure configure;
  for (const char* there : {"10.0.0.2", "fd00::2"}) {
    EXPECT_EQ(mirror->resolve(ip(there)).neighbour, NeighbourState::kUnresolved);
    static_cast<void>(mirror->take_changes());
    EXPECT_TRUE(configure.request_neighbour(v0, ip(there)));
    EXPECT_TRUE(follow_until(*mirror, [&] {
      return mirror->resolve(ip(there)).neighbour == NeighbourState::kUsable;
    })) << there;
    EXPECT_EQ(to_string(mirror->resolve(ip(there)).mac), "02:00:00:00:00:77");
    EXPECT_TRUE(has<NeighbourChanged>(mirror->take_changes()));
  }
  for (const char* absent : {"10.0.0.66", "fd00::66"}) {
    EXPECT_TRUE(configure.request_neighbour(v0, ip(absent)));
    EXPECT_TRUE(follow_until(*mirror, [&] {
      return mirror->resolve(ip(absent)).neighbour == NeighbourState::kFailed;
    })) << absent;
  }
  EXPECT_TRUE(configure.set_neighbour(v0, ip("10.0.0.9"), {2, 0, 0, 0, 0, 9}));
  EXPECT_TRUE(configure.add_route(RouteSpec::via_gateway(net("10.9.0.0/16"), ip("10.0.0.9"), v0)));
  EXPECT_TRUE(
      follow_until(*mirror, [&] { return mirror->best(254, net("10.9.0.0/16")).type == RTN_UNICAST; }));
  EXPECT_EQ(mirror->best(254, net("10.9.0.0/16")).neighbour, NeighbourState::kUsable);
  EXPECT_TRUE(configure.remove_neighbour(v0, ip("10.0.0.9")));
  EXPECT_TRUE(follow_until(*mirror, [&] {
    return mirror->best(254, net("10.9.0.0/16")).neighbour == NeighbourState::kUnresolved;
  }));
  shell("ip link set v0 down");
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

}  // namespace
}  // namespace wg::control
