#include "control/kernel/firewall.h"

#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

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
  EXPECT_TRUE(chains_beside_short_cut().empty());
  EXPECT_EQ(firewall_warning(chains_beside_short_cut(), true), "");
}

TEST_F(FirewallTest, ForwardAndNatChainsAreNamed) {
  shell("nft 'add chain inet f c { type filter hook forward priority 0; policy accept; }'");
  shell("nft 'add table ip n' && nft 'add chain ip n post { type nat hook postrouting priority 100; }'");
  const auto chains = chains_beside_short_cut();
  ASSERT_EQ(chains.size(), 2u);
  const std::string text = firewall_warning(chains, false);
  EXPECT_NE(text.find("forward: inet f c"), std::string::npos) << text;
  EXPECT_NE(text.find("nat: ip n post"), std::string::npos) << text;
  shell("nft flush ruleset");
  EXPECT_TRUE(chains_beside_short_cut().empty());
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
