// What a link should be like against what ip(8) shows of it, through random changes of an administrator.
#include "control/kernel/wanted_link.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "tests/unit/kernel/mirror_oracle.h"
#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string text;
  char part[512];
  while (pipe && fgets(part, sizeof part, pipe.get()) != nullptr) text += part;
  return text;
}

class WantedLinkTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    shell("sysctl -qw net.ipv4.ip_forward=1");
    shell("ip link add v0 type veth peer name p0 && ip link set v0 up && ip link set p0 up");
    shell("ip link add v1 type veth peer name p1 && ip link set v1 up && ip link set p1 up");
    shell("ip addr add 10.1.0.1/24 dev v1");
    netlink.emplace();
    wanted.what = "port v0";
    wanted.name = "v0";
    wanted.ifindex = ifindex_of("v0");
    wanted.mtu = 1500;
    wanted.addresses = {net("10.0.0.1/24"), net("10.2.0.1/24"), net("fd00::1/64")};
    wanted.routes = {RouteSpec::via_gateway(net("0.0.0.0/0"), ip("10.0.0.2"), wanted.ifindex),
                     RouteSpec::via_gateway(net("::/0"), ip("fd00::2"), wanted.ifindex)};
    wanted.routes[0].metric = 100;
    for (const IpPrefix& address : wanted.addresses)
      ASSERT_TRUE(netlink->add_address(wanted.ifindex, address));
    for (const RouteSpec& route : wanted.routes) ASSERT_TRUE(netlink->add_route(route));
    mirror.emplace();
  }
  std::vector<Deviation> found() {
    follow_until(*mirror, [] { return true; });
    return deviations(wanted, *mirror);
  }
  std::set<std::string> texts() {
    std::set<std::string> out;
    for (const Deviation& deviation : found()) out.insert(deviation.text);
    return out;
  }
  // The same by the words of ip(8).
  static std::set<std::string> by_ip() {
    std::set<std::string> out;
    const std::string link = output_of("ip link show v0"), addresses = output_of("ip addr show v0");
    const std::string routes = output_of("ip route show default; ip -6 route show default");
    const auto has = [](const std::string& text, const std::string& part) {
      return text.find(part) != std::string::npos;
    };
    const bool up = has(link, ",UP,") || has(link, ",UP>") || has(link, "<UP");
    if (!up) out.insert("port v0: down instead of up");
    if (!has(link, "mtu 1500 ")) {
      const auto at = link.find("mtu ") + 4;
      out.insert("port v0: MTU " + link.substr(at, link.find(' ', at) - at) + " instead of 1500");
    }
    if (!up) return out;
    if (output_of("sysctl -n net.ipv4.conf.v0.forwarding") == "0\n")
      out.insert("port v0: net.ipv4.conf.v0.forwarding is 0 instead of 1");
    for (const char* address : {"10.0.0.1/24", "10.2.0.1/24", "fd00::1/64"})
      if (!has(addresses, std::string(" ") + address + " "))
        out.insert(std::string("port v0: address ") + address + " is missing");
    const std::string lost = "port v0: default route via 10.0.0.2 metric 100 is missing";
    if (has(routes, "default via 10.1.0.9 dev v1 metric 100")) {
      out.insert(lost + ", another stands in its place (via 10.1.0.9 dev v1)");
    } else if (!has(routes, "default via 10.0.0.2 dev v0")) {
      out.insert(lost);
    }
    if (!has(routes, "default via fd00::2 dev v0"))
      out.insert("port v0: default route via fd00::2 is missing");
    return out;
  }

  WantedLink wanted;
  std::optional<NetlinkConfigure> netlink;
  std::optional<NetlinkMirror> mirror;
};

TEST_F(WantedLinkTest, SaysWhatIpSaysAndPutsItBack) {
  const std::vector<std::string> changes{
      "ip link set v0 down",
      "ip link set v0 up",
      "ip link set v0 mtu 1400",
      "ip addr del 10.0.0.1/24 dev v0",
      "ip addr del 10.2.0.1/24 dev v0",
      "ip addr flush dev v0",
      "ip -6 addr del fd00::1/64 dev v0",
      "ip route del default via 10.0.0.2",
      "ip -6 route del default via fd00::2",
      "ip route replace default via 10.1.0.9 dev v1 metric 100",
      "ip route del default via 10.1.0.9 dev v1",
      "ip route add default via 10.1.0.9 dev v1 metric 300",
      "sysctl -qw net.ipv4.conf.v0.forwarding=0",
  };
  std::mt19937 random(3);
  ASSERT_EQ(texts(), std::set<std::string>{});
  for (int round = 0; round < 60; ++round) {
    for (unsigned i = random() % 4; i > 0; --i)
      static_cast<void>(shell_works(changes[random() % changes.size()]));
    ASSERT_EQ(texts(), by_ip()) << "round " << round;
    if (round % 3 != 0) continue;
    shell_works("ip route del default via 10.1.0.9 dev v1 metric 100");
    // A link that comes up gets its addresses by the next round, and they their routes by the one after.
    for (int pass = 0; pass < 4; ++pass)
      for (const Deviation& deviation : found()) static_cast<void>(put_back(wanted, deviation, *netlink));
    // The kernel tells of an IPv6 address from a thread of its own.
    follow_until(*mirror, [&] { return deviations(wanted, *mirror).empty(); });
    ASSERT_EQ(texts(), std::set<std::string>{}) << "round " << round;
    ASSERT_EQ(by_ip(), std::set<std::string>{}) << "round " << round;
  }
}

TEST_F(WantedLinkTest, NothingThatIsThereIsPutBackOrReplaced) {
  shell("ip route replace default via 10.1.0.9 dev v1 metric 100");
  const std::vector<Deviation> lost = found();
  ASSERT_EQ(lost.size(), 1U);
  EXPECT_FALSE(lost[0].is_loss());  // it is not tried again and again
  const Expected<bool> mended = put_back(wanted, lost[0], *netlink);
  ASSERT_TRUE(mended) << mended.error().text;
  EXPECT_FALSE(*mended);
  EXPECT_NE(output_of("ip route show default").find("via 10.1.0.9"), std::string::npos);
}

TEST_F(WantedLinkTest, SysctlsAreReadAndPutBack) {
  wanted.sysctls = {{"net/ipv4/conf/v0/rp_filter", "0"},
                    {"net/ipv6/conf/v0/keep_addr_on_down", "1"},
                    {"net/ipv4/ip_forward", "1"},
                    {"net/ipv4/conf/gone/rp_filter", "0"}};
  wanted.allow_ipv6();
  shell("sysctl -qw net.ipv4.conf.v0.rp_filter=0 net.ipv6.conf.v0.keep_addr_on_down=1");
  EXPECT_TRUE(sysctl_deviations(wanted).empty());
  shell("sysctl -qw net.ipv4.conf.v1.forwarding=0");  // an operator's, which stays
  shell("sysctl -qw net.ipv4.conf.v0.rp_filter=2 net.ipv6.conf.v0.disable_ipv6=1 net.ipv4.ip_forward=0");
  const std::vector<Deviation> now = sysctl_deviations(wanted);
  ASSERT_EQ(now.size(), 3U);
  EXPECT_EQ(now[0].text, "port v0: net.ipv4.conf.v0.rp_filter is 2 instead of 0");
  EXPECT_EQ(now[1].text, "port v0: net.ipv4.ip_forward is 0 instead of 1");
  EXPECT_EQ(now[2].text, "port v0: net.ipv6.conf.v0.disable_ipv6 is 1 instead of 0");
  for (const Deviation& deviation : now) {
    EXPECT_FALSE(deviation.is_loss());
    EXPECT_TRUE(put_back(wanted, deviation, *netlink));
  }
  EXPECT_TRUE(sysctl_deviations(wanted).empty());
  EXPECT_EQ(output_of("sysctl -n net.ipv4.conf.v1.forwarding"), "0\n");
}

TEST_F(WantedLinkTest, TheWireStaysAWire) {
  shell("ip link set v1 arp off promisc on mtu 9000");
  wanted.wire = WantedWire{"v1", ifindex_of("v1"), true, 9000};
  EXPECT_EQ(texts(), std::set<std::string>{});
  shell("ip link set v1 arp on promisc off mtu 1500 down");
  const std::string wire = "port v0: its wire v1 ";
  EXPECT_EQ(texts(), (std::set<std::string>{wire + "is down", wire + "answers ARP requests by itself",
                                            wire + "is not promiscuous",
                                            wire + "has an MTU of 1500 instead of 9000"}));
  for (const Deviation& deviation : found()) EXPECT_TRUE(put_back(wanted, deviation, *netlink));
  EXPECT_EQ(texts(), std::set<std::string>{});
}

TEST_F(WantedLinkTest, AGatewayOutsideOfEverySubnetIsOnTheLink) {
  RouteSpec route = RouteSpec::via_gateway(net("0.0.0.0/0"), ip("203.0.113.1"), wanted.ifindex);
  route.metric = 7;
  EXPECT_FALSE(netlink->add_route(route));
  route.nexthops[0].on_link = true;
  EXPECT_TRUE(netlink->add_route(route));
  EXPECT_NE(output_of("ip route show default").find("via 203.0.113.1 dev v0 proto 87 metric 7 onlink"),
            std::string::npos);
}

}  // namespace
}  // namespace wg::control
