// The linter's warnings, exactly; and the silence about what is in order.
#include "config/lint.h"
#include "config/validate.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

Environment machine(std::optional<bool> clock = true, mode_t mode = 0600) {
  Environment environment;
  environment.clock_synchronised = [clock] { return clock; };
  environment.file_mode = [mode](const std::string&) { return std::optional<mode_t>(mode); };
  return environment;
}

std::string warnings(const std::string& text, const Environment& environment = machine()) {
  const auto result = parse_text(text, "gw.yaml");
  if (!result) return "not valid:\n" + to_string(problems_of(result));
  return to_string(lint(*result, environment));
}

constexpr const char* kPort =
    "ports: { wan0: { device: tap, addresses: [203.0.113.2/24], gateway: 203.0.113.1 } }\n";
constexpr const char* kNatPort =
    "ports: { wan0: { device: tap, addresses: [192.168.1.2/24], gateway: 192.168.1.1 } }\n";
constexpr const char* kInterface =
    "interfaces:\n  wg0:\n    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
constexpr const char* kAlice =
    "      - { name: alice, public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=, ";
constexpr const char* kBob =
    "      - { name: bob, public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, ";

std::string with_peers(const std::string& peers, const std::string& keys = "", const char* port = kPort) {
  return std::string(port) + kInterface + keys + "    peers:\n" + peers;
}

TEST(Lint, AcceptsAnOrderlyConfiguration) {
  EXPECT_EQ(
      warnings(with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/24] }\n" + kBob +
                          "allowed_ips: [10.0.1.0/24, 0.0.0.0/0], endpoint: \"vpn.example.net:1\" }\n")),
      "");
}

TEST(Lint, OverlappingPrefixesAndWhoWins) {
  EXPECT_EQ(warnings(with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/8] }\n" + kBob +
                                "allowed_ips: [10.1.0.0/16] }\n")),
            "gw.yaml:6:96: warning: interfaces.wg0.peers[0].allowed_ips[0]: 10.0.0.0/8 overlaps 10.1.0.0/16 "
            "of peer "
            "'bob' (gw.yaml:7:94): the longer prefix wins, 10.1.0.0/16 goes to 'bob'\n");
}

TEST(Lint, OverlapsAreCountedNotListed) {
  std::string many;
  for (int i = 1; i < 100; ++i) many += (i == 1 ? "" : ", ") + ("10.1." + std::to_string(i)) + ".0/24";
  const auto told = warnings(with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/8] }\n" + kBob +
                                        "allowed_ips: [" + many + "] }\n"));
  EXPECT_NE(
      told.find("of peer 'bob' (gw.yaml:7:94) (and 98 more inside it): the longer prefix wins, 10.1.1.0/24"),
      std::string::npos)
      << told;
  EXPECT_EQ(std::count(told.begin(), told.end(), '\n'), 1);
}

TEST(Lint, APeerInsideItselfIsNoOverlap) {
  EXPECT_EQ(warnings(with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/8, 10.1.0.0/16] }\n")), "");
}

TEST(Lint, AnMtuThatDoesNotFitThePort) {
  const auto alice = std::string(kAlice) + "allowed_ips: [10.0.0.0/24] }\n";
  EXPECT_EQ(warnings(with_peers(alice, "    mtu: 1441\n")),
            "gw.yaml:5:10: warning: interfaces.wg0.mtu: 1441 does not fit port wan0 with MTU 1500: full "
            "packets leave in "
            "fragments; at most 1440\n");
  EXPECT_EQ(warnings(with_peers(alice, "    mtu: 1440\n")), "");
  constexpr const char* kV6 =
      "ports: { wan0: { device: tap, mtu: 1400, addresses: [\"2001:db8::2/64\"] } }\n";
  EXPECT_EQ(warnings(with_peers(alice, "    mtu: 1321\n", kV6)),
            "gw.yaml:5:10: warning: interfaces.wg0.mtu: 1321 does not fit port wan0 with MTU 1400 "
            "(gw.yaml:1:36): full "
            "packets leave in fragments; at most 1320\n");
}

TEST(Lint, ThePortWithTheGatewayIsTheOneThatCounts) {
  constexpr const char* kTwo =
      "ports: { wan0: { device: tap, gateway: 203.0.113.1, mtu: 9000 }, lan0: { device: tap, mtu: 1500 } }\n";
  EXPECT_EQ(
      warnings(with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/24] }\n", "    mtu: 8900\n", kTwo)),
      "");
}

TEST(Lint, MtuAndClampWithoutEffect) {
  EXPECT_EQ(
      warnings(with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/24], mtu: 1400 }\n",
                          "    mtu: 1380\n    mss_clamp: 1341\n")),
      "gw.yaml:6:16: warning: interfaces.wg0.mss_clamp: 1341 lets segments through that exceed the MTU of "
      "1380; at "
      "most 1340\n"
      "gw.yaml:8:115: warning: interfaces.wg0.peers[0].mtu: 1400 has no effect above the interface's 1380\n");
}

TEST(Lint, NoKeepaliveBehindNat) {
  const auto peer = [](const std::string& rest) {
    return std::string(kAlice) + "allowed_ips: [10.0.0.0/24], " + rest + " }\n";
  };
  EXPECT_EQ(warnings(with_peers(peer("endpoint: \"vpn.example.net:1\""), "", kNatPort)),
            "gw.yaml:6:120: warning: interfaces.wg0.peers[0].endpoint: is reached from behind NAT (every "
            "IPv4 address of "
            "our ports is private) without persistent_keepalive: the mapping expires and the peer cannot "
            "reach us; use "
            "persistent_keepalive: 25\n");
  EXPECT_EQ(
      warnings(with_peers(peer("endpoint: \"vpn.example.net:1\", persistent_keepalive: 25"), "", kNatPort)),
      "");
  EXPECT_EQ(warnings(with_peers(peer("endpoint: \"192.168.1.9:1\""), "", kNatPort)), "");
  EXPECT_EQ(warnings(with_peers(peer("endpoint: \"vpn.example.net:1\""))), "");
}

TEST(Lint, AnEndpointInsideItsOwnAllowedIps) {
  const auto alice = std::string(kAlice) + "allowed_ips: [0.0.0.0/0], endpoint: \"198.51.100.7:1\" }\n";
  EXPECT_EQ(warnings(with_peers(alice)),
            "gw.yaml:6:118: warning: interfaces.wg0.peers[0].endpoint: 198.51.100.7 lies inside the peer's "
            "own allowed_ips "
            "0.0.0.0/0 (gw.yaml:6:96): the route to it would lead through itself; use routes: off or a table "
            "of its own\n");
  EXPECT_EQ(warnings(with_peers(alice, "    routes: off\n")), "");
  EXPECT_EQ(warnings(with_peers(alice, "    table: 51820\n")), "");
}

TEST(Lint, OurOwnAddressInsideAPeersAllowedIps) {
  EXPECT_EQ(warnings(with_peers(std::string(kAlice) + "allowed_ips: [203.0.113.0/24] }\n")),
            "gw.yaml:6:96: warning: interfaces.wg0.peers[0].allowed_ips[0]: 203.0.113.0/24 contains our own "
            "address "
            "203.0.113.2 of port wan0: packets from it through the peer look like our own\n");
}

TEST(Lint, OnePrefixRoutedToTwoInterfaces) {
  const auto text = with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/24] }\n") +
                    "  wg1:\n    private_key: BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=\n    peers:\n" +
                    kAlice + "allowed_ips: [10.0.0.0/24] }\n";
  EXPECT_EQ(
      warnings(text),
      "gw.yaml:10:96: warning: interfaces.wg1.peers[0].allowed_ips[0]: 10.0.0.0/24 is also routed to wg0 "
      "(gw.yaml:6:96): one routing table keeps one of the two; use routes: off or another table\n");
}

TEST(Lint, PeersWithoutPrefixesAndZeroPresharedKeys) {
  EXPECT_EQ(warnings(with_peers(std::string(kAlice) +
                                "preshared_key: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= }\n")),
            "gw.yaml:6:9: warning: interfaces.wg0.peers[0]: has no allowed_ips: nothing is sent to it or "
            "accepted from it\n"
            "gw.yaml:6:97: warning: interfaces.wg0.peers[0].preshared_key: is all zero, which is the same as "
            "none\n");
}

TEST(Lint, TheClock) {
  const auto text = with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/24] }\n");
  EXPECT_EQ(warnings(text, machine(false)),
            "note: the clock is not synchronised: peers refuse initiations whose timestamp is "
            "older than the "
            "last one, so a clock that jumps back locks this gateway out; run an NTP client\n");
  EXPECT_EQ(warnings(text, machine(std::nullopt)), "");
}

// A machine with cores 0 and 1, the interface eth1, the group games and one more user.
Environment small_machine() {
  Environment environment = machine();
  environment.cpus = [] { return std::optional(std::vector<unsigned>{0, 1}); };
  environment.interface_exists = [](const std::string& name) { return std::optional(name == "eth1"); };
  environment.has_group = [](const std::string& name) { return std::optional(name == "games"); };
  environment.has_user = [](const std::string& name) { return std::optional(name == "nobody"); };
  return environment;
}

TEST(Lint, WhatThisMachineDoesNotHave) {
  const std::pair<const char*, const char*> rows[] = {
      {"dpdk: { workers: 3 }\nports: { wan0: { device: tap } }\n",
       "gw.yaml:1:18: dpdk.workers: 3 workers are asked for, but this process may use 2 cores: 0 "
       "1\n"},
      {"dpdk: { workers: [1, 7] }\nports: { wan0: { device: tap } }\n",
       "gw.yaml:1:18: dpdk.workers: core 7 is not one that this process may use: 0 1\n"},
      {"ports:\n  wan0: { device: \"net_af_packet0,iface=eth9\" }\n",
       "gw.yaml:2:19: ports.wan0.device: this machine has no network interface eth9; allowed: one "
       "that `ip link` shows\n"},
      {"ports:\n  wan0: { device: \"net_af_packet0\" }\n",
       "gw.yaml:2:19: ports.wan0.device: net_af_packet needs the interface that it takes packets "
       "from: net_af_packet0,iface=eth1\n"},
      {"ports: { wan0: { device: tap } }\ncontrol: { admin_group: gamers, read_group: games, user: noone }\n",
       "gw.yaml:2:25: control.admin_group: this machine has no group 'gamers'\n"
       "gw.yaml:2:58: control.user: this machine has no user 'noone'\n"},
      {"dpdk: { workers: 2 }\nports: { wan0: { device: \"net_af_packet0,iface=eth1,qpairs=1\" } }\n"
       "control: { admin_group: games, user: nobody }\n",
       ""}};
  for (const auto& [text, expected] : rows) {
    EXPECT_EQ(warnings(text, small_machine()), expected);
    if (std::string(text).find("af_packet0\"") == std::string::npos) {
      EXPECT_EQ(warnings(text, files_environment()), "") << "the file may be for another machine";
    }
  }
}

// What was made at run time stands in no file. It came later, so it is the one that is refused.
TEST(Validate, AnInterfaceMadeAtRunTimeIsTheOneThatCollides) {
  Gateway gateway = *parse_text("ports: { lan0: { device: tap, addresses: [10.0.0.1/24] } }\n" +
                                    std::string(kInterface) + "    listen_port: 51820\n",
                                "gw.yaml");
  Interface& made = gateway.interfaces["a0"];
  made.addresses = {*parse_interface_address("10.0.0.1/24")};
  made.listen_port = UdpPort{51820};
  for (const auto& problem : validate(gateway))
    EXPECT_TRUE(problem.path.starts_with("interfaces.a0.")) << problem.path;
  EXPECT_EQ(validate(gateway).size(), 2U);
}

TEST(Lint, NamesThatDpdkDoesNotHave) {
  const std::pair<const char*, const char*> rows[] = {
      {"ports: { wan0: { device: net_memiv0 } }\n",
       "gw.yaml:1:26: warning: ports.wan0.device: DPDK has no driver 'net_memiv'; did you mean "
       "'net_memif'?\n"},
      {"ports: { wan0: { device: net_nonsense0 } }\n",
       "gw.yaml:1:26: warning: ports.wan0.device: DPDK has no driver 'net_nonsense'\n"},
      {"ports: { wan0: { device: \"net_pcap_wan,iface=eth0\" }, lan0: { device: \"net_null7,size=64\" } }\n",
       ""},
      {"dpdk: { eal: [\"--log-levl=8\"] }\nports: { wan0: { device: tap } }\n",
       "gw.yaml:1:14: warning: dpdk.eal: DPDK has no argument '--log-levl'; did you mean '--log-level'?\n"},
      {"dpdk: { eal: [\"--log-lev=8\", \"--iova-mode va\", \"-n4\"] }\nports: { wan0: { device: tap } }\n",
       ""}};
  for (const auto& [text, expected] : rows) EXPECT_EQ(warnings(text), expected);
}

TEST(Lint, PortsAndInterfacesAsOneNetwork) {
  const std::string wg = std::string(kInterface) + "    addresses: ";
  const std::pair<std::string, std::string> rows[] = {
      {"ports: { wan0: { device: tap, addresses: [203.0.113.2/24], gateway: 203.0.114.1 } }\n",
       "gw.yaml:1:69: warning: ports.wan0.gateway: 203.0.114.1 is in no subnet of this port "
       "(203.0.113.0/24): "
       "it is taken to be on the link\n"},
      {"ports: { wan0: { device: tap, addresses: [203.0.113.2/32], gateway: 203.0.114.1 } }\n", ""},
      {"ports: { wan0: { device: tap, addresses: [203.0.113.2/24], gateway: [203.0.113.1, \"fe80::1\"] } }\n",
       ""},
      {"ports: { wan0: { device: tap, addresses: [203.0.113.2/24], gateway: [\"2001:db8::1\"] } }\n", ""},
      {"ports:\n  wan0: { device: tap, addresses: [203.0.113.2/24], gateway: 203.0.113.1 }\n"
       "  wan1: { device: tap, addresses: [203.0.114.2/24], gateway: 203.0.114.1 }\n",
       "gw.yaml:3:62: warning: ports.wan1.gateway: port wan0 has a gateway for IPv4 with the same metric: "
       "only "
       "one of the two is used; give each a metric of its own\n"},
      {"ports:\n  wan0: { device: tap, addresses: [203.0.113.2/24], gateway: 203.0.113.1 }\n"
       "  wan1: { device: tap, addresses: [203.0.114.2/24], gateway: { address: 203.0.114.1, metric: 9 } }\n",
       ""},
      {"ports:\n  lan0: { device: tap, addresses: [192.168.1.1/24] }\n"
       "  lan1: { device: tap, addresses: [192.168.1.2/25] }\n",
       "gw.yaml:3:36: warning: ports.lan1.addresses: 192.168.1.0/25 overlaps 192.168.1.0/24 of ports.lan0: "
       "hosts "
       "of one of the two are not reached\n"},
      {"ports: { lan0: { device: tap, addresses: [10.10.0.9/16] } }\n" + wg + "[10.10.0.1/24]\n",
       "gw.yaml:5:17: warning: interfaces.wg0.addresses: 10.10.0.0/24 overlaps 10.10.0.0/16 of ports.lan0: "
       "hosts "
       "of one of the two are not reached\n"},
      {"ports: { lan0: { device: tap, addresses: [10.10.0.9/32, \"fe80::9/64\"] } }\n" + wg +
           "[10.10.0.1/24, \"fe80::1/64\"]\n",
       ""}};
  for (const auto& [text, expected] : rows) EXPECT_EQ(warnings(text), expected);
}

TEST(Lint, ModesOfFiles) {
  const auto text = with_peers(std::string(kAlice) + "allowed_ips: [10.0.0.0/24] }\n");
  EXPECT_EQ(warnings(text, machine(true, 0640)),
            "gw.yaml:4:18: warning: interfaces.wg0.private_key: a secret in a file that its group or others "
            "can read; use "
            "mode 0600, or a key file\n");
  EXPECT_EQ(warnings("ports: { wan0: { device: tap } }\n", machine(true, 0662)),
            "gw.yaml: warning: can be written by its group or by others; use mode 0640 or 0600\n");
}

TEST(Lint, NoPort) {
  EXPECT_EQ(warnings("ports: {}\n"), "gw.yaml: warning: ports: no port is configured: nothing is received\n");
}

TEST(Lint, AWireThatThisMachineHasNot) {
  Environment here = machine();
  here.interface_exists = [](const std::string& name) -> std::optional<bool> {
    if (name == "eth9") return std::nullopt;
    return name == "eth0";
  };
  constexpr const char* kText =
      "ports:\n"
      "  wan0: { device: \"linux:eth0\" }\n"
      "  lan0: { device: \"linux:eth1\" }\n"
      "  dmz0: { device: \"linux:eth9\" }\n"
      "  tap0: { device: tap }\n";
  EXPECT_EQ(warnings(kText, here),
            "gw.yaml:3:19: ports.lan0.device: this machine has no network interface eth1; allowed: one that "
            "`ip link` shows\n");
  const Gateway gateway = *parse_text(kText, "gw.yaml");
  EXPECT_EQ(lint(gateway, here).at(0).severity, Severity::kError);
  EXPECT_EQ(warnings(kText), "") << "a machine that cannot be asked";
}

TEST(Lint, TheOtherSideOfAMemifMustBeTrusted) {
  const auto port = [](const std::string& device, const std::string& more = {}) {
    return "ports: { lan: { device: \"" + device + "\"" + more + " } }\n";
  };
  const std::string memif = "net_memif0,role=server,id=0,socket=/run/m.sock";
  EXPECT_EQ(warnings(port(memif)),
            "gw.yaml:1:25: warning: ports.lan.device: the program at the other side of a memif can read and "
            "write the gateway's memory, keys included; say peer: trusted if it is as trusted as the "
            "gateway\n");
  EXPECT_EQ(warnings(port("net_memif3,role=client", ", peer: untrusted")), warnings(port(memif)));
  EXPECT_EQ(warnings(port(memif, ", peer: trusted")), "");
  EXPECT_EQ(warnings(port("net_af_packet0,iface=eth1")), "");
}

TEST(Lint, PortToPortNeedsAnotherPort) {
  const auto ports = [](const std::string& wan, const std::string& lan) {
    return "ports:\n  wan: { device: \"linux:eth0\"" + wan + " }\n  lan: { device: \"linux:eth1\"" + lan +
           " }\n";
  };
  const std::string with = ", port_to_port: true", without = ", port_to_port: false, forwarding: kernel";
  EXPECT_EQ(warnings(ports(with, with)), "");
  EXPECT_EQ(warnings(ports("", without)), "");
  EXPECT_EQ(warnings(ports(with, without)),
            "gw.yaml:2:46: warning: ports.wan.port_to_port: is true here alone: workers forward between two "
            "ports that have it, so only between the VLANs of this one\n");
  EXPECT_EQ(warnings(ports("", with)).substr(0, 12), "gw.yaml:3:46");
}

TEST(Lint, QueriesTheMachine) {
  const Environment real = system_environment();
  EXPECT_NO_THROW(real.clock_synchronised());
  ASSERT_TRUE(real.cpus());
  EXPECT_FALSE(real.cpus()->empty());
  EXPECT_EQ(real.interface_exists("lo"), true);
  EXPECT_EQ(real.interface_exists("no-such-one"), false);
  EXPECT_EQ(real.has_group("root"), true);
  EXPECT_EQ(real.has_group("no-such-group"), false);
  EXPECT_EQ(real.has_user("root"), true);
  const TempDirectory dir;
  EXPECT_EQ(real.file_mode(dir.write("a", "", 0640)), 0640U);
  EXPECT_EQ(real.file_mode(dir / "none"), std::nullopt);
}

}  // namespace
}  // namespace wg::config
