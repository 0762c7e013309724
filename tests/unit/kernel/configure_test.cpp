#include "control/kernel/netlink_configure.h"

#include <chrono>
#include <cstdio>

#include "control/kernel/sysctl.h"
#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

class Configure : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    netlink.emplace();
    shell("ip link add v0 type veth peer name v1");
    v0 = ifindex_of("v0");
  }
  std::optional<NetlinkConfigure> netlink;
  std::uint32_t v0 = 0;
};

TEST_F(Configure, FindsLinksAndChangesThem) {
  EXPECT_EQ(netlink->ifindex("v0"), v0);
  EXPECT_FALSE(netlink->ifindex("nowhere"));
  EXPECT_FALSE(netlink->ifindex(""));
  EXPECT_FALSE(netlink->ifindex("a-name-longer-than-any"));
  const MacAddress mac = {2, 0, 0x5e, 0x10, 0, 1};
  EXPECT_TRUE(netlink->set_mac(v0, mac));
  EXPECT_TRUE(netlink->set_mtu(v0, 1420));
  EXPECT_TRUE(netlink->set_up(v0, true));
  auto link = netlink->find_link(v0);
  ASSERT_TRUE(link);
  EXPECT_EQ(link->mac, mac);
  EXPECT_EQ(link->mtu, 1420u);
  EXPECT_TRUE(link->up);
  EXPECT_TRUE(netlink->set_noarp(v0, true));
  EXPECT_TRUE(netlink->set_promiscuous(v0, true));
  EXPECT_TRUE(shell_works("ip link show v0 | grep NOARP | grep PROMISC"));
  EXPECT_TRUE(netlink->set_noarp(v0, false));
  EXPECT_TRUE(netlink->set_promiscuous(v0, false));
  EXPECT_FALSE(shell_works("ip link show v0 | grep -e NOARP -e PROMISC"));
  EXPECT_TRUE(netlink->set_up(v0, false));
  EXPECT_TRUE(netlink->rename_link(v0, "wan.5"));
  EXPECT_EQ(netlink->find_link(v0)->name, "wan.5");
  EXPECT_TRUE(netlink->delete_link(v0));
  EXPECT_FALSE(netlink->find_link(v0));
}

TEST_F(Configure, ErrorsAreSentences) {
  EXPECT_TRUE(netlink->add_address(v0, net("10.0.0.1/24")));
  const auto twice = netlink->add_address(v0, net("10.0.0.1/24"));
  EXPECT_EQ(twice.error().code, EEXIST);
  EXPECT_EQ(twice.error().text.substr(0, 38), "adding 10.0.0.1/24 to v0: File exists ") << twice.error().text;
  const auto gone = netlink->set_up(9999, true);
  EXPECT_EQ(gone.error().code, ENODEV);
  EXPECT_EQ(gone.error().text, "setting up interface 9999: No such device") << gone.error().text;
  const auto mtu = netlink->set_mtu(v0, 10);
  EXPECT_EQ(mtu.error().code, EINVAL);
  EXPECT_EQ(netlink->remove_address(v0, net("10.0.0.7/24")).error().code, EADDRNOTAVAIL);
  const auto route = netlink->add_route(RouteSpec::via_gateway(net("10.9.0.0/16"), ip("10.77.0.1"), v0));
  ASSERT_FALSE(route);
  EXPECT_EQ(route.error().text.substr(0, 45), "adding route 10.9.0.0/16 via 10.77.0.1 dev v0")
      << route.error().text;
}

TEST_F(Configure, AddsAndRemovesAddresses) {
  EXPECT_TRUE(netlink->set_up(v0, true));
  EXPECT_TRUE(netlink->add_address(v0, net("10.0.0.1/24")));
  AddressOptions bare;
  bare.noprefixroute = true;
  EXPECT_TRUE(netlink->add_address(v0, net("10.1.0.1/16"), bare));
  EXPECT_TRUE(netlink->add_address(v0, net("fd00::1/64")));
  EXPECT_TRUE(shell_works("ip -4 route show | grep 10.0.0.0/24"));
  EXPECT_FALSE(shell_works("ip -4 route show | grep 10.1.0.0/16"));
  EXPECT_FALSE(shell_works("ip -6 addr show dev v0 | grep fd00::1 | grep tentative"));
  const auto have = netlink->addresses(v0);
  EXPECT_NE(std::find(have.begin(), have.end(), net("10.1.0.1/16")), have.end());
  EXPECT_NE(std::find(have.begin(), have.end(), net("fd00::1/64")), have.end());
  EXPECT_TRUE(netlink->remove_address(v0, net("10.1.0.1/16")));
  EXPECT_TRUE(netlink->remove_address(v0, net("fd00::1/64")));
  EXPECT_FALSE(shell_works("ip addr show dev v0 | grep -e 10.1.0.1 -e fd00::1"));
}

TEST_F(Configure, RoutesOfEveryKind) {
  EXPECT_TRUE(netlink->set_up(v0, true));
  EXPECT_TRUE(netlink->add_address(v0, net("10.0.0.1/24")));
  EXPECT_TRUE(netlink->add_address(v0, net("fd00::1/64")));
  auto simple = RouteSpec::via_device(net("10.2.3.4/16"), v0);
  EXPECT_TRUE(netlink->add_route(simple));
  EXPECT_EQ(netlink->add_route(simple).error().code, EEXIST);
  simple.mtu = 1300;
  EXPECT_TRUE(netlink->replace_route(simple));
  EXPECT_TRUE(shell_works("ip route show proto 87 | grep '10.2.0.0/16 dev v0' | grep 'mtu 1300'"));
  auto table = RouteSpec::via_gateway(net("10.3.0.0/16"), ip("10.0.0.2"), v0);
  table.table = 1234;
  table.metric = 50;
  EXPECT_TRUE(netlink->add_route(table));
  EXPECT_TRUE(shell_works("ip route show table 1234 | grep 'via 10.0.0.2' | grep 'metric 50'"));
  RouteSpec multipath;
  multipath.prefix = net("10.4.0.0/16");
  multipath.nexthops = {{v0, ip("10.0.0.3")}, {v0, ip("fd00::9")}};
  EXPECT_TRUE(netlink->add_route(multipath));
  EXPECT_TRUE(shell_works("ip route show 10.4.0.0/16 | grep 'via inet6 fd00::9'"));
  RouteSpec hole;
  hole.prefix = net("fd09::/16");
  hole.type = RTN_BLACKHOLE;
  EXPECT_TRUE(netlink->add_route(hole));
  EXPECT_TRUE(shell_works("ip -6 route show type blackhole | grep fd09::/16"));
  EXPECT_TRUE(netlink->add_route(RouteSpec::via_device(net("::/0"), v0)));
  shell("ip route add 10.50.0.0/16 dev v0");
  EXPECT_TRUE(netlink->remove_route(hole));
  EXPECT_EQ(netlink->remove_route(hole).error().code, ESRCH);
  const auto removed = netlink->remove_routes(kRouteProtocol);
  EXPECT_EQ(removed.done, 4u) << removed.first_failure.error().text;
  EXPECT_EQ(removed.failed, 0u) << removed.first_failure.error().text;
  EXPECT_FALSE(shell_works("ip route show table all proto 87 | grep ."));
  EXPECT_TRUE(shell_works("ip route show | grep 10.50.0.0/16"));
}

TEST_F(Configure, TooManyNexthopsAreRefused) {
  RouteSpec wide = RouteSpec::via_device(net("10.4.0.0/16"), v0);
  wide.nexthops.resize(33, {v0, ip("10.0.0.3")});
  EXPECT_EQ(netlink->add_route(wide).error().code, E2BIG);
}

TEST_F(Configure, ManyRoutesInBatches) {
  EXPECT_TRUE(netlink->set_up(v0, true));
  std::vector<RouteSpec> routes;
  for (std::uint32_t i = 0; i < 130560; ++i) {
    const std::uint8_t bytes[4] = {10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                                   static_cast<std::uint8_t>(i)};
    routes.push_back(RouteSpec::via_device({IpAddress::from_v4(bytes), 32}, v0));
  }
  const auto start = std::chrono::steady_clock::now();
  const auto added = netlink->change_routes(RouteVerb::kAdd, routes);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("routes added=%zu seconds=%.2f\n", added.done, took.count());
  EXPECT_EQ(added.done, routes.size()) << added.first_failure.error().text;
  EXPECT_LT(took.count(), 10.0);
  // Refusals are counted one by one and the rest still goes in: 1000 repeats and one new.
  std::vector<RouteSpec> mixed(routes.begin(), routes.begin() + 1000);
  mixed.push_back(RouteSpec::via_device(net("11.0.0.0/8"), v0));
  const auto again = netlink->change_routes(RouteVerb::kAdd, mixed);
  EXPECT_EQ(again.done, 1u);
  EXPECT_EQ(again.failed, 1000u);
  EXPECT_EQ(again.first_failure.error().text, "adding route 10.0.0.0/32 dev v0: File exists");
  EXPECT_EQ(netlink->remove_routes(kRouteProtocol, 9999).done, 0u);
  EXPECT_EQ(netlink->remove_routes(kRouteProtocol, v0).done, routes.size() + 1);
}

TEST_F(Configure, NeighboursAreSetAndRequested) {
  EXPECT_TRUE(netlink->set_up(v0, true));
  EXPECT_TRUE(netlink->set_up(ifindex_of("v1"), true));
  EXPECT_TRUE(netlink->add_address(v0, net("10.0.0.1/24")));
  EXPECT_TRUE(netlink->set_neighbour(v0, ip("10.0.0.2"), {2, 0, 0, 0, 0, 9}));
  EXPECT_TRUE(shell_works("ip neigh show dev v0 | grep '10.0.0.2 lladdr 02:00:00:00:00:09 PERMANENT'"));
  EXPECT_TRUE(netlink->request_neighbour(v0, ip("10.0.0.3")));
  EXPECT_TRUE(shell_works("ip neigh show dev v0 | grep -e '10.0.0.3.*INCOMPLETE' -e '10.0.0.3.*FAILED'"));
  EXPECT_TRUE(netlink->remove_neighbour(v0, ip("10.0.0.2")));
  EXPECT_FALSE(shell_works("ip neigh show dev v0 | grep 10.0.0.2"));
}

TEST_F(Configure, Sysctls) {
  EXPECT_TRUE(set_ipv6_disabled("v0", true));
  EXPECT_EQ(read_sysctl("net/ipv6/conf/v0/disable_ipv6").value(), "1");
  EXPECT_TRUE(set_forwarding("all", IpVersion::kV4, Switch::kOn));
  EXPECT_EQ(read_sysctl("net/ipv4/ip_forward").value(), "1");
  EXPECT_TRUE(set_rp_filter("v0", 2));
  EXPECT_EQ(read_sysctl("net/ipv4/conf/v0/rp_filter").value(), "2");
  EXPECT_TRUE(set_accept_dad("v0", 0));
  EXPECT_EQ(read_sysctl("net/ipv6/conf/v0/accept_dad").value(), "0");
  EXPECT_TRUE(set_addr_gen_mode("v0", 1));
  EXPECT_EQ(set_rp_filter("../all", 0).error().code, EINVAL);
  const auto missing = set_rp_filter("nowhere", 0);
  EXPECT_EQ(missing.error().text,
            "writing 0 to /proc/sys/net/ipv4/conf/nowhere/rp_filter: No such file or directory");
  EXPECT_EQ(read_sysctl("net/ipv4/none").error().code, ENOENT);
}

TEST_F(Configure, ForwardingIsSwitchedOnForNoLinkThatWasOff) {
  shell("sysctl -qw net.ipv4.ip_forward=0; ip link add on0 type veth peer name off0");
  EXPECT_TRUE(set_forwarding("on0", IpVersion::kV4, Switch::kOn));
  EXPECT_TRUE(enable_ipv4_forwarding());
  EXPECT_EQ(read_sysctl("net/ipv4/ip_forward"), "1");
  EXPECT_EQ(read_sysctl("net/ipv4/conf/on0/forwarding"), "1");
  EXPECT_EQ(read_sysctl("net/ipv4/conf/off0/forwarding"), "0");
  shell("ip link add new0 type veth peer name new1");
  EXPECT_EQ(read_sysctl("net/ipv4/conf/new0/forwarding"), "1");
  EXPECT_TRUE(enable_ipv4_forwarding());
  EXPECT_EQ(read_sysctl("net/ipv4/conf/off0/forwarding"), "0") << "the second time as well";
}

TEST(Prefixes, ParseAndContain) {
  EXPECT_FALSE(parse_ip_prefix("10.0.0.0/33"));
  EXPECT_FALSE(parse_ip_prefix("10.0.0.0/"));
  EXPECT_FALSE(parse_ip_prefix("10.0.0.0/8x"));
  EXPECT_FALSE(parse_ip_prefix(""));
  const auto prefix = parse_ip_prefix("fd00::1/127");
  ASSERT_TRUE(prefix);
  EXPECT_TRUE(prefix->contains(ip("fd00::")));
  EXPECT_FALSE(prefix->contains(ip("fd00::2")));
  EXPECT_EQ(to_string(prefix->network()), "fd00::/127");
  EXPECT_FALSE(net("0.0.0.0/0").contains(ip("::")));
  EXPECT_TRUE(net("10.0.0.0/7").contains(ip("11.255.0.0")));
  EXPECT_FALSE(net("10.0.0.0/7").contains(ip("12.0.0.0")));
}

}  // namespace
}  // namespace wg::control
