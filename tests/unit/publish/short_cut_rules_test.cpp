// Which packets the workers may route: with real routes, rules and switches of Linux in a namespace.
#include "control/publish/short_cut_rules.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "control/publish/publisher.h"
#include "tests/unit/kernel/mirror_oracle.h"
#include "tests/unit/kernel/namespace_test.h"
#include "tests/unit/publish/shared_dataplane.h"

namespace wg::control {
namespace {

using dataplane::HopKind;

// A port v0 (10.0.0.1/24, fd00::1/64) and a WireGuard interface t0, both forwarding. A packet to 10.9.5.5 or
// fd09::5 goes via 10.0.0.2 or fd00::2, whose MAC address is known.
class ShortCutTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    for (const std::string name : {"v0", "v1"}) {
      shell("ip link add " + name + " type veth peer name p" + name + " && ip link set " + name +
            " up && ip link set p" + name + " up");
    }
    shell("ip tuntap add t0 mode tun && ip link set t0 up");
    shell("ip addr add 10.0.0.1/24 dev v0 && ip addr add 10.1.0.1/24 dev v1");
    shell("ip -6 addr add fd00::1/64 dev v0 nodad && ip -6 addr add fd01::1/64 dev v1 nodad");
    for (const char* neighbour : {"10.0.0.2", "10.0.0.3", "fd00::2", "fd00::3"})
      shell(std::string("ip neigh add ") + neighbour + " lladdr 02:00:00:00:00:02 nud permanent dev v0");
    shell("ip route add 10.9.0.0/16 via 10.0.0.2 && ip -6 route add fd09::/64 via fd00::2");
    mirror.emplace();
    publisher.emplace(dataplane, *mirror, netlink.emplace());
    dataplane::PortView port;
    port.port = reinterpret_cast<dataplane::Port*>(&never_read);  // only compared with null
    publisher->add_port(port, ifindex_of("v0"));
    publisher->add_interface({}, ifindex_of("t0"));
    publish();
  }
  void TearDown() override {
    publisher.reset();
    dataplane.quiescence().collect();
  }
  void publish() {
    follow_until(*mirror, [] { return true; });
    publisher->on_changes(mirror->take_changes());
    static_cast<void>(publisher->take_routes_changed());
    static_cast<void>(publisher->take_changed_neighbours());
    publisher->flush();
  }
  HopKind hop_of(const std::string& destination) {
    const dataplane::NextHop* hop = publisher->next_hop_for(ip(destination));
    return hop == nullptr ? HopKind::kKernel : hop->kind;
  }
  [[nodiscard]] const dataplane::PortView& port() const { return dataplane.current()->ports.front(); }

  dataplane::Dataplane& dataplane = shared_dataplane();
  std::optional<NetlinkMirror> mirror;
  std::optional<NetlinkConfigure> netlink;  // made in the test's namespace
  std::optional<Publisher> publisher;
  std::max_align_t never_read{};
};

struct Row {
  std::string name;
  std::string commands;
  std::string destination;
  HopKind expected;
};

class ShortCutRow : public ShortCutTest, public ::testing::WithParamInterface<Row> {};

TEST_P(ShortCutRow, IsPublishedAsLinuxWouldDecide) {
  const Row& row = GetParam();
  ASSERT_EQ(hop_of("10.9.5.5"), HopKind::kPort);
  ASSERT_EQ(hop_of("fd09::5"), HopKind::kPort);
  if (!shell_works(row.commands)) GTEST_SKIP() << "this kernel does not know: " << row.commands;
  publish();
  EXPECT_EQ(hop_of(row.destination), row.expected);
  // The same from a dump.
  mirror->resync();
  publish();
  EXPECT_EQ(hop_of(row.destination), row.expected);
}

constexpr HopKind kLinux = HopKind::kKernel, kPort = HopKind::kPort;

std::vector<Row> rows() {
  const std::string to = "ip route replace 10.9.0.0/16 via 10.0.0.2 ";
  const std::string to6 = "ip -6 route replace fd09::/64 via fd00::2 ";
  const std::string more = "ip route add 10.9.5.0/24 ";
  return {
      {"nothing more", "true", "10.9.5.5", kPort},
      {"metrics of local sockets", to + "advmss 1200 hoplimit 9 window 5000 rto_min 300ms", "10.9.5.5",
       kPort},
      {"an MTU", to + "mtu 1300", "10.9.5.5", kPort},
      {"a locked MTU", to + "mtu lock 1300", "10.9.5.5", kLinux},
      {"a preferred source", to + "src 10.1.0.1", "10.9.5.5", kPort},
      {"an on-link gateway",
       "ip neigh add 10.77.0.1 lladdr 02:00:00:00:00:09 nud permanent dev v0; " + more +
           "via 10.77.0.1 dev v0 onlink",
       "10.9.5.5", kPort},
      {"an IPv6 gateway", more + "via inet6 fd00::3 dev v0", "10.9.5.5", kPort},
      {"a realm", to + "realm 5", "10.9.5.5", kLinux},
      {"an encapsulation in IPv6",
       "ip -6 route replace fd09::/64 encap seg6 mode encap segs fd01::2 via fd00::2 "
       "dev v0",
       "fd09::5", kLinux},
      {"an encapsulation in IPv4",
       "ip route replace 10.9.0.0/16 encap ip id 7 dst 10.0.0.9 via 10.0.0.2 dev v0", "10.9.5.5", kLinux},
      {"a route for a TOS", "ip route add 10.9.0.0/16 tos 0x10 via 10.0.0.3", "10.9.5.5", kLinux},
      {"a longer route for a TOS", more + "tos 0x10 via 10.0.0.3", "10.9.5.5", kLinux},
      {"a route for a TOS elsewhere", "ip route add 10.8.0.0/16 tos 0x10 via 10.0.0.3", "10.9.5.5", kPort},
      {"a worse metric beside it", "ip route add 10.9.0.0/16 via 10.0.0.3 metric 7 realm 5", "10.9.5.5",
       kPort},
      {"several nexthops", "ip route replace 10.9.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3",
       "10.9.5.5", kLinux},
      {"several nexthops, one of them down",
       "ip route replace 10.9.0.0/16 nexthop via 10.0.0.2 nexthop via 10.1.0.2; ip link set v1 down",
       "10.9.5.5", kPort},
      {"several nexthops of IPv6", "ip -6 route replace fd09::/64 nexthop via fd00::2 nexthop via fd00::3",
       "fd09::5", kLinux},
      {"a nexthop object", "ip nexthop add id 1 via 10.0.0.2 dev v0 && " + more + "nhid 1", "10.9.5.5",
       kPort},
      {"a group of nexthop objects",
       "ip nexthop add id 1 via 10.0.0.2 dev v0 && ip nexthop add id 2 via 10.0.0.3 dev v0 && ip nexthop add "
       "id 3 "
       "group 1/2 && " +
           more + "nhid 3",
       "10.9.5.5", kLinux},
      {"a blackhole", "ip route add blackhole 10.9.5.0/24", "10.9.5.5", HopKind::kDrop},
      {"a blackhole of IPv6", "ip -6 route add blackhole fd09::5/128", "fd09::5", HopKind::kDrop},
      {"unreachable", "ip route add unreachable 10.9.5.0/24", "10.9.5.5", kLinux},
      {"prohibit", "ip route add prohibit 10.9.5.0/24", "10.9.5.5", kLinux},
      {"throw", "ip route add throw 10.9.5.0/24", "10.9.5.5", kLinux},
      {"broadcast", "ip route add broadcast 10.9.5.0/24 dev v0", "10.9.5.5", kLinux},
      {"within a local prefix", "ip route add local 10.9.0.0/16 dev lo && " + more + "via 10.0.0.3",
       "10.9.5.5", kLinux},
      {"within a local prefix that came later",
       more + "via 10.0.0.3 && ip route add local 10.9.0.0/16 dev lo", "10.9.5.5", kLinux},
      {"into the tunnel", more + "dev t0", "10.9.5.5", HopKind::kInterface},
      {"by another interface", more + "via 10.1.0.2", "10.9.5.5", kLinux},
      {"for a source prefix", "ip -6 route add fd09::/64 from fd77::/64 via fd00::3", "fd09::5", kLinux},
      {"for a source prefix elsewhere", "ip -6 route add fd08::/64 from fd77::/64 via fd00::3", "fd09::5",
       kPort},
      {"a default route of preference high", to6 + "pref high", "fd09::5", kPort},
      {"a rule by destination", "ip rule add to 10.9.0.0/16 table 7", "10.9.5.5", kLinux},
      {"a rule by mark", "ip rule add fwmark 7 table 7", "10.9.5.5", kLinux},
      {"a rule by source", "ip rule add from 10.9.0.0/16 table 7", "10.9.5.5", kLinux},
      {"a rule by incoming interface", "ip rule add iif v0 table 7", "10.9.5.5", kLinux},
      {"a rule by TOS", "ip rule add tos 0x10 table 7", "10.9.5.5", kLinux},
      {"a rule by port", "ip rule add ipproto udp dport 53 table 7", "10.9.5.5", kLinux},
      {"a rule by user", "ip rule add uidrange 0-0 table 7", "10.9.5.5", kLinux},
      {"a rule by own source", "ip rule add from 10.1.0.1 table 7", "10.9.5.5", kPort},
      {"not by own source", "ip rule add not from 10.1.0.1 table 7", "10.9.5.5", kLinux},
      {"by an own source that is not ours any more",
       "ip rule add from 10.1.0.1 table 7; ip addr del 10.1.0.1/24 dev v1", "10.9.5.5", kLinux},
      {"a rule for what this machine sends", "ip rule add iif lo table 7; ip rule add oif v1 table 7",
       "10.9.5.5", kPort},
      {"without the rule for the main table", "ip rule del pref 32766", "10.9.5.5", kLinux},
      {"a rule of IPv6 alone", "ip -6 rule add iif v0 table 7", "10.9.5.5", kPort},
      {"a rule of IPv6", "ip -6 rule add iif v0 table 7", "fd09::5", kLinux},
  };
}

INSTANTIATE_TEST_SUITE_P(Rows, ShortCutRow, ::testing::ValuesIn(rows()),
                         [](const auto& row) { return "Row" + std::to_string(row.index); });

TEST_F(ShortCutTest, TheHopSaysWhichPacketsTakeIt) {
  EXPECT_EQ(publisher->next_hop_for(ip("10.9.5.5"))->ip_version, 4);
  EXPECT_EQ(publisher->next_hop_for(ip("fd09::5"))->ip_version, 6);
  shell("ip route add 10.9.5.0/24 via inet6 fd00::2 dev v0");
  publish();
  EXPECT_EQ(publisher->next_hop_for(ip("10.9.5.5"))->ip_version, 4) << "of the packets, not of the gateway";
}

// The switches of forwarding, at once and from a dump.
TEST_F(ShortCutTest, ForwardingIsWhatLinuxForwards) {
  struct Step {
    const char* commands;
    bool v4, v6;
  };
  const Step steps[] = {
      {"true", true, true},
      {"sysctl -qw net.ipv4.conf.v0.forwarding=0", false, true},
      {"sysctl -qw net.ipv4.conf.v0.forwarding=1", true, true},
      {"sysctl -qw net.ipv4.ip_forward=0", false, true},
      {"sysctl -qw net.ipv4.ip_forward=1", true, true},
      {"sysctl -qw net.ipv6.conf.all.forwarding=0", true, false},
      {"sysctl -qw net.ipv6.conf.all.forwarding=1", true, true},
      {"sysctl -qw net.ipv4.conf.v0.rp_filter=1", false, true},
      {"sysctl -qw net.ipv4.conf.v0.rp_filter=0", true, true},
      {"sysctl -qw net.ipv4.conf.all.rp_filter=2", false, true},
      {"sysctl -qw net.ipv4.conf.all.rp_filter=0", true, true},
      {"ip addr del 10.0.0.1/24 dev v0", false, true},
      {"ip addr add 10.0.0.1/24 dev v0", true, true},
      {"sysctl -qw net.ipv6.conf.v0.disable_ipv6=1", true, false},
      {"ip link set v0 down", false, false},
  };
  for (const Step& step : steps) {
    shell(step.commands);
    follow_until(*mirror, [&] {
      publish();
      return port().linux_forwards == std::array{step.v4, step.v6};
    });
    EXPECT_EQ(port().linux_forwards, (std::array{step.v4, step.v6})) << step.commands;
    mirror->resync();
    publish();
    EXPECT_EQ(port().linux_forwards, (std::array{step.v4, step.v6})) << step.commands << ", from a dump";
  }
}

TEST_F(ShortCutTest, ATunnelsPacketsAreForwardedAsLinuxWould) {
  const auto forwards = [&] { return dataplane.current()->interfaces.front().linux_forwards; };
  EXPECT_EQ(forwards(), (std::array{true, true})) << "an interface needs no address";
  shell("sysctl -qw net.ipv4.conf.t0.forwarding=0");
  publish();
  EXPECT_EQ(forwards(), (std::array{false, true}));
  shell("sysctl -qw net.ipv4.conf.t0.forwarding=1 net.ipv6.conf.all.forwarding=0");
  publish();
  EXPECT_EQ(forwards(), (std::array{true, false}));
}

TEST_F(ShortCutTest, APortInABridgeLeavesItsFramesToTheBridge) {
  EXPECT_TRUE(port().accepts_vlan(0));
  if (!shell_works("ip link add br0 type bridge && ip link set v0 master br0"))
    GTEST_SKIP() << "this kernel has no bridges";
  publish();
  EXPECT_FALSE(port().accepts_vlan(0));
  EXPECT_EQ(port().linux_forwards, (std::array{false, false}));
  shell("ip link set v0 nomaster");
  publish();
  EXPECT_TRUE(port().accepts_vlan(0));
}

TEST_F(ShortCutTest, APortListensToTheAddressesThatLinuxListensTo) {
  const std::array<std::uint8_t, 6> virtual_mac{0, 0, 0x5e, 0, 1, 7};
  shell("ip link set v0 address 02:00:00:00:00:99");
  // The kernel forgets the neighbours of a link with another address.
  shell("ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:02 nud permanent dev v0");
  publish();
  EXPECT_EQ(port().mac, (std::array<std::uint8_t, 6>{2, 0, 0, 0, 0, 0x99}));
  EXPECT_EQ(publisher->next_hop_for(ip("10.9.5.5"))->header[11], 0x99) << "it is the source of what we send";
  EXPECT_FALSE(port().linux_listens_to(virtual_mac));
  publisher->set_filters({{ifindex_of("v0"), {virtual_mac}}, {ifindex_of("v1"), {{2, 0, 0, 0, 0, 1}}}});
  publish();
  EXPECT_TRUE(port().linux_listens_to(virtual_mac));
  EXPECT_FALSE(port().linux_listens_to({2, 0, 0, 0, 0, 1}));
  const std::uint64_t generation = dataplane.current()->generation;
  publisher->set_filters({{ifindex_of("v0"), {virtual_mac}}});
  publish();
  EXPECT_EQ(dataplane.current()->generation, generation) << "nothing has changed";
  publisher->set_filters({});
  publish();
  EXPECT_FALSE(port().linux_listens_to(virtual_mac));
}

TEST_F(ShortCutTest, WithIpsecPoliciesLinuxRoutesEverything) {
  const Endpoint remote{ip("10.9.5.5"), UdpPort{51820}, 0};
  publisher->set_ipsec(true);
  publish();
  EXPECT_EQ(hop_of("10.9.5.5"), HopKind::kKernel);
  EXPECT_EQ(publisher->resolve_outer_route(remote, {}, 0, 0).kind, OuterRoute::Kind::kKernel);
  publisher->set_ipsec(false);
  publish();
  EXPECT_EQ(hop_of("10.9.5.5"), HopKind::kPort);
  EXPECT_EQ(publisher->resolve_outer_route(remote, {}, 0, 0).kind, OuterRoute::Kind::kPort);
}

TEST_F(ShortCutTest, AnOuterPathFollowsTheRules) {
  shell("ip route add default via 10.0.0.2; ip route add default via 10.1.0.2 dev v1 table 30");
  shell("ip rule add from 10.1.0.1 table 30");
  publish();
  const Endpoint remote{ip("198.51.100.2"), UdpPort{51820}, 0};
  const auto route_from = [&](const char* source) {
    return publisher->resolve_outer_route(remote, {ip(source), UdpPort{51820}, 0}, 0, 0);
  };
  EXPECT_EQ(route_from("10.0.0.1").link, ifindex_of("v0"));
  EXPECT_EQ(route_from("10.0.0.1").kind, OuterRoute::Kind::kPort);
  EXPECT_EQ(route_from("10.1.0.1").link, ifindex_of("v1"));
  EXPECT_EQ(publisher->resolve_outer_route(remote, {}, 0, 0).source, ip("10.0.0.1"));
  shell("ip rule add tos 0x10 table 30");
  publish();
  EXPECT_EQ(route_from("10.0.0.1").kind, OuterRoute::Kind::kKernel) << "the kernel decides for each datagram";
  shell("ip rule del tos 0x10 table 30; ip rule add from 10.0.0.1 blackhole");
  publish();
  EXPECT_EQ(route_from("10.0.0.1").kind, OuterRoute::Kind::kNone);
}

class TakesFrames : public ShortCutTest,
                    public ::testing::WithParamInterface<std::pair<std::string, bool>> {};

TEST_P(TakesFrames, LeavesThemToTheLinkOnTop) {
  const auto& [link, takes] = GetParam();
  if (!shell_works("ip link add on0 link v0 type " + link)) GTEST_SKIP() << "this kernel has no " << link;
  publish();
  EXPECT_EQ(port().accepts_vlan(0), !takes);
  mirror->resync();
  publish();
  EXPECT_EQ(port().accepts_vlan(0), !takes);
  shell("ip link del on0");
  publish();
  EXPECT_TRUE(port().accepts_vlan(0));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, TakesFrames,
    ::testing::Values(std::pair{"ipvlan", true}, std::pair{"ipvtap", true},
                      std::pair{"macvlan mode bridge", false}, std::pair{"macvlan mode private", false},
                      std::pair{"macvlan mode passthru", true}, std::pair{"macvlan mode source", true},
                      std::pair{"macvtap mode passthru", true}, std::pair{"macsec", true},
                      std::pair{"vxlan id 7 local 10.0.0.1 dev v0 dstport 4789", false}));

TEST_F(ShortCutTest, IPv6PacketsHaveAnMtuOfTheirOwn) {
  const auto mtu_of = [this](const char* destination) {
    return publisher->next_hop_for(ip(destination))->mtu;
  };
  ASSERT_EQ(mtu_of("fd09::5"), 1500);
  shell("sysctl -qw net.ipv6.conf.v0.mtu=1300");
  mirror->follow_ipv6_mtu(ifindex_of("v0"));
  publish();
  EXPECT_EQ(mtu_of("fd09::5"), 1300);
  EXPECT_EQ(mtu_of("10.9.5.5"), 1500);
  mirror->resync();
  publish();
  EXPECT_EQ(mtu_of("fd09::5"), 1300);
  shell("ip link set v0 mtu 1400");  // sets the other one, too
  publish();
  mirror->follow_ipv6_mtu(ifindex_of("v0"));
  publish();
  EXPECT_EQ(mtu_of("fd09::5"), 1400);
}

TEST_F(ShortCutTest, OnlyVlanDevicesOf8021QThatAreUpCount) {
  if (!shell_works("ip link add link v0 name v0.7 type vlan id 7"))
    GTEST_SKIP() << "this kernel has no VLAN devices";
  publish();
  EXPECT_FALSE(port().accepts_vlan(7));
  shell("ip link set v0.7 up && ip addr add 10.7.0.1/24 dev v0.7");
  publish();
  EXPECT_TRUE(port().accepts_vlan(7));
  EXPECT_TRUE(port().forwards(7, false));
  shell("sysctl -qw net.ipv4.conf.v0/7.forwarding=0");
  publish();
  EXPECT_FALSE(port().forwards(7, false));
  shell("ip link add link v0 name v0.8 type vlan proto 802.1ad id 8 && ip link set v0.8 up");
  publish();
  EXPECT_FALSE(port().accepts_vlan(8));
}

}  // namespace
}  // namespace wg::control
