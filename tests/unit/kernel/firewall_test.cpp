#include "control/kernel/firewall.h"

#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

bool ours(const std::string& link) {
  return link == "v0";
}

class FirewallTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (!IsSkipped() && !shell_works("nft add table inet f")) GTEST_SKIP() << "this machine has no nftables";
  }
};

TEST_F(FirewallTest, ChainsForThisMachineAloneAreNotPassedBy) {
  shell("nft 'add chain inet f i { type filter hook input priority 0; }'");
  shell("nft 'add chain inet f o { type filter hook output priority 0; }'");
  shell("nft 'add chain inet f regular'");
  EXPECT_TRUE(chains_beside_short_cut(ours).empty());
  EXPECT_EQ(firewall_warning(chains_beside_short_cut(ours), true), "");
}

TEST_F(FirewallTest, ForwardAndNatChainsAreNamed) {
  shell("nft 'add chain inet f c { type filter hook forward priority 0; policy accept; }'");
  shell("nft 'add table ip n' && nft 'add chain ip n post { type nat hook postrouting priority 100; }'");
  const auto chains = chains_beside_short_cut(ours);
  ASSERT_EQ(chains.size(), 2u);
  const std::string text = firewall_warning(chains, false);
  EXPECT_NE(text.find("forward: inet f c"), std::string::npos) << text;
  EXPECT_NE(text.find("nat: ip n post"), std::string::npos) << text;
  shell("nft flush ruleset");
  EXPECT_TRUE(chains_beside_short_cut(ours).empty());
}

TEST_F(FirewallTest, SoAreChainsBeforeAndAfterRouting) {
  shell("ip link add v0 type veth peer name p0");
  shell("nft 'add chain inet f pre { type filter hook prerouting priority -300; }'");
  shell("nft 'add chain inet f post { type filter hook postrouting priority 0; }'");
  EXPECT_EQ(chains_beside_short_cut(ours).size(), 2u);
  if (!shell_works("nft add table netdev d")) return;
  shell("nft 'add chain netdev d mine { type filter hook ingress device v0 priority 0; }'");
  shell("nft 'add chain netdev d other { type filter hook ingress device p0 priority 0; }'");
  const std::string text = firewall_warning(chains_beside_short_cut(ours), false);
  for (const char* part : {"prerouting: inet f pre", "postrouting: inet f post", "ingress: netdev d mine"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_EQ(text.find("other"), std::string::npos) << text;
}

TEST_F(FirewallTest, QueueingDisciplinesOfAnOperatorAreNamed) {
  shell("ip link add v0 type veth peer name p0 && ip link set v0 up && ip link set p0 up");
  EXPECT_TRUE(chains_beside_short_cut(ours).empty());
  if (!shell_works("tc qdisc add dev v0 root tbf rate 1mbit burst 10kb latency 50ms"))
    GTEST_SKIP() << "this kernel has no tbf";
  shell("tc qdisc add dev p0 root tbf rate 1mbit burst 10kb latency 50ms");
  const std::string text = firewall_warning(chains_beside_short_cut(ours), false);
  EXPECT_NE(text.find("(tc: tbf of v0)"), std::string::npos) << text;
}

TEST(FirewallWarning, NamesAFewOfMany) {
  std::vector<FirewallChain> chains(6, {"inet", "t", "c", "forward"});
  chains[0] = {"ip", "nat", "", "nat"};
  const std::string text = firewall_warning(chains, false);
  EXPECT_NE(text.find("nat: ip nat of iptables, forward: inet t c"), std::string::npos) << text;
  EXPECT_NE(text.find(", and 2 more"), std::string::npos) << text;
  EXPECT_EQ(text.find("port_to_port"), std::string::npos) << text;
}

TEST(FirewallWarning, TellsOfPacketsBetweenPorts) {
  const std::string text = firewall_warning({{"inet", "t", "c", "forward"}}, true);
  EXPECT_NE(text.find("between ports with `port_to_port`"), std::string::npos) << text;
  EXPECT_EQ(firewall_warning({}, true), "");
}

}  // namespace
}  // namespace wg::control
