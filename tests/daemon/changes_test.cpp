// Large changes over many rounds: all or nothing, one after the other, whoever hangs up meanwhile.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/daemon/attackers.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/load.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"
#include "tests/daemon/yaml.h"

namespace wg::test::changes_test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr std::size_t kMany = 20'000;
// The aim is 20 ms, and a quiet machine needs half of it. On a core that others share, time on it grows.
constexpr microseconds kLongestRound = 30ms;
constexpr const char* kDone = "errno=0\n\n";

std::string two_interfaces(const std::string& peers, const std::string& of_wg1 = {}) {
  return std::string("dpdk: { workers: 1, memory: 64M, hugepages: off }\nports:\n  wan: { device: \"") +
         kWanDevice + "\", addresses: [10.20.0.1/24] }\ninterfaces:\n  wg0:\n    private_key: \"" +
         base64(gateway_key()) +
         "\"\n    listen_port: 51820\n    peers:" + (peers.empty() ? std::string(" []\n") : "\n" + peers) +
         "  wg1:\n    private_key: \"" + base64(gateway_key()) + "\"\n    listen_port: 51821\n" + of_wg1 +
         "control: { socket: " + kSocket + ", state_directory: /run/lab/state, log: { level: off } }\n";
}

std::size_t peers_of(LiveGateway& gateway, const std::string& interface) {
  const auto answer = gateway.call("show.interfaces");
  for (const auto& row : answer.at("interfaces"))
    if (row["name"] == interface) return row["peers"].get<std::size_t>();
  return ~std::size_t{0};
}

// Of a peer of wg_peers(), by its allowed IP.
std::size_t number_of(const std::string& prefix) {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (std::sscanf(prefix.c_str(), "%u.%u.%u.%u/32", &a, &b, &c, &d) != 4) return 0;
  return std::size_t{b} << 16 | c << 8 | d;
}

std::string idle_lines(std::size_t count) {
  std::string peers;
  for (std::size_t i = 0; i < count; ++i)
    peers += peer_line(
        {"", idle_public_key(i), "", dotted(0x0ac00000u + static_cast<std::uint32_t>(i)) + "/32", 0, ""});
  return peers;
}

// What is wrong, in words.
class Findings {
 public:
  template <class Value>
  void expect(const char* what, const Value& found, const Value& wanted) {
    if (found == wanted) return;
    text_ += std::string(what) + ": " + testing::PrintToString(found) + " instead of " +
             testing::PrintToString(wanted) + "\n";
  }
  void expect_short(const char* what, LiveGateway& gateway) {
    const LiveGateway::Round round = gateway.take_longest_round();
    std::fprintf(stderr, "round of=%s on_core_ms=%.1f took_ms=%.1f\n", what,
                 static_cast<double>(round.on_core.count()) / 1000,
                 static_cast<double>(round.took.count()) / 1000);
    if (round.on_core > kLongestRound) text_ += std::string(what) + ": a round is too long\n";
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

TEST(LargeChanges, ASetIsAllThereOrRefusedAndHoldsNoRound) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces({}));
                  Findings wrong;
                  static_cast<void>(gateway.take_longest_round());
                  wrong.expect<std::string>("add", wg_set("wg0", wg_peers(0, kMany, false)), kDone);
                  wrong.expect("peers", peers_of(gateway, "wg0"), kMany);
                  wrong.expect_short("set_of_20000", gateway);
                  // The port is our own, so that the plan begins; wg0 has it.
                  wrong.expect<std::string>(
                      "a port that is taken",
                      wg_set("wg1", "listen_port=51820\n" + wg_peers(kMany, kMany, false)), "errno=-98\n\n");
                  wrong.expect<std::size_t>("peers of wg1", peers_of(gateway, "wg1"), 0);
                  wrong.expect("peers of wg0", peers_of(gateway, "wg0"), kMany);
                  wrong.expect_short("refused_set", gateway);
                  wrong.expect<std::string>("replace", wg_set("wg0", "replace_peers=true\n"), kDone);
                  wrong.expect<std::size_t>("peers after", peers_of(gateway, "wg0"), 0);
                  wrong.expect_short("all_removed", gateway);
                  return wrong.text();
                },
                60),
            "");
}

TEST(LargeChanges, WhatIsRefusedInTheMiddleIsTakenBackInSteps) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces({}));
                  Findings wrong;
                  // Linux refuses an IPv6 address where IPv6 is off: behind the peers of wg0.
                  shell("sysctl -q net.ipv6.conf.wg1.disable_ipv6=1");
                  static_cast<void>(gateway.take_longest_round());
                  const auto reloaded =
                      gateway.reload(two_interfaces(idle_lines(kMany), "    addresses: [fd00::1/64]\n"));
                  wrong.expect("reload", reloaded.ok, false);
                  wrong.expect<std::size_t>("peers", peers_of(gateway, "wg0"), 0);
                  wrong.expect_short("taken_back", gateway);
                  return wrong.text();
                },
                60),
            "");
}

TEST(LargeChanges, WaitForOneAnotherInTheirOrder) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces({}));
                  Findings wrong;
                  const int large = begin_wg_set("wg0", wg_peers(0, kMany, false));
                  while (peers_of(gateway, "wg0") == 0) std::this_thread::sleep_for(1ms);  // it has begun
                  const int small = begin_wg_set("wg0", wg_peers(kMany, 1, false));
                  std::this_thread::sleep_for(20ms);
                  const int last = begin_wg_set("wg0", wg_peers(0, kMany, true));
                  wrong.expect<std::string>("small", end_wg(small), kDone);
                  wrong.expect("no peer is missing when it is answered", peers_of(gateway, "wg0") > 0, true);
                  wrong.expect<std::string>("large", end_wg(large), kDone);
                  wrong.expect<std::string>("last", end_wg(last), kDone);
                  wrong.expect<std::size_t>("peers", peers_of(gateway, "wg0"), 1);
                  return wrong.text();
                },
                60),
            "");
}

TEST(LargeChanges, ASetIsDoneThoughItsClientHasHungUp) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces({}));
                  Findings wrong;
                  close(begin_wg_set("wg0", wg_peers(0, kMany, false)));
                  const auto late = Clock::now() + 20s;
                  while (peers_of(gateway, "wg0") != kMany && Clock::now() < late)
                    std::this_thread::sleep_for(5ms);
                  wrong.expect("peers", peers_of(gateway, "wg0"), kMany);
                  wrong.expect<std::string>("another set", wg_set("wg0", "fwmark=7\n"), kDone);
                  return wrong.text();
                },
                60),
            "");
}

// Peers that are there from the begin to the end of a list stand in it once, while others come and go.
TEST(LargeChanges, AListBesideThemHasEveryPeerThatStaysOnce) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  constexpr std::size_t kStay = 5'000, kComeAndGo = 5'000, kLists = 10;
                  LiveGateway gateway(two_interfaces({}));
                  Findings wrong;
                  wg_set("wg0", wg_peers(kComeAndGo, kStay, false));
                  Setter setter(kComeAndGo);
                  for (std::size_t i = 0; i < kLists; ++i) {
                    std::set<std::string> keys;
                    std::size_t stay = 0, rows = 0;
                    const auto answer = gateway.call("show.peers");
                    for (const auto& row : answer.at("peers")) {
                      keys.insert(row["public_key"].get<std::string>());
                      stay += !row["allowed_ips"].empty() &&
                              number_of(row["allowed_ips"][0].get<std::string>()) >= kComeAndGo;
                      ++rows;
                    }
                    wrong.expect("keys", keys.size(), rows);
                    wrong.expect("that stay", stay, kStay);
                  }
                  setter.stop();
                  wrong.expect<std::string>("sets", setter.refused(), "");
                  wrong.expect("they came and went", setter.done() >= 2, true);
                  return wrong.text();
                },
                60),
            "");
}

TEST(LargeChanges, AnInterfaceWithManyPeersComesAndGoesInSteps) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces({}));
                  Findings wrong;
                  const std::string wg1 = "    peers:\n" + idle_lines(kMany);
                  const std::string with = two_interfaces({}, wg1);
                  const std::string without =
                      with.substr(0, with.find("  wg1:")) + with.substr(with.find("control:"));
                  const auto reload = [&](const char* what, const std::string& text) {
                    static_cast<void>(gateway.take_longest_round());
                    const auto reloaded = gateway.reload(text);
                    wrong.expect<std::string>(what, reloaded.error, "");
                    wrong.expect_short(what, gateway);
                  };
                  reload("gone", without);
                  reload("come", with);
                  wrong.expect("peers", peers_of(gateway, "wg1"), kMany);
                  reload("gone_with_its_peers", without);
                  wrong.expect("peers", peers_of(gateway, "wg1"), ~std::size_t{0});
                  wrong.expect<std::string>("routes left", shell("ip route show table all proto 87"), "");
                  reload("come_again", with);
                  wrong.expect("peers", peers_of(gateway, "wg1"), kMany);
                  return wrong.text();
                },
                90),
            "");
}

// A pulled cable: all routes of the workers are compared with Linux's.
TEST(LargeChanges, ALinkThatFlapsBesideManyRoutesHoldsNoRound) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces(idle_lines(kMany)));
                  Findings wrong;
                  const auto before = gateway.worker_tables();
                  std::this_thread::sleep_for(50ms);  // the round of that list is long, and over
                  static_cast<void>(gateway.take_longest_round());
                  for (int i = 0; i < 5; ++i) {
                    shell("ip link set wan down; ip link set wan up");
                    std::this_thread::sleep_for(100ms);
                  }
                  std::this_thread::sleep_for(300ms);
                  wrong.expect_short("link_flaps", gateway);
                  // What Linux dropped with the link comes back a second or two later.
                  std::vector<std::string> after = gateway.worker_tables();
                  for (int i = 0; i < 100 && after != before; ++i) {
                    std::this_thread::sleep_for(100ms);
                    after = gateway.worker_tables();
                  }
                  std::vector<std::string> missing, new_ones;
                  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                                      std::back_inserter(missing));
                  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                                      std::back_inserter(new_ones));
                  wrong.expect("missing", missing, {});
                  wrong.expect("new", new_ones, {});
                  return wrong.text();
                },
                60),
            "");
}

std::string private_key(const noise::Key& key) {
  std::string hex = "private_key=";
  char byte[3];
  for (const std::uint8_t b : key) {
    std::snprintf(byte, sizeof byte, "%02x", b);
    hex += byte;
  }
  return hex + "\n";
}

// The answer to `up` waits for the last route.
TEST(LargeChanges, AnInterfaceGoesDownAndUpWithItsRoutesInSteps) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces(idle_lines(kMany)));
                  Findings wrong;
                  const auto before = gateway.worker_tables();
                  const auto routes = [] { return shell("ip -4 route show dev wg0 | wc -l"); };
                  const std::string all = routes();
                  std::this_thread::sleep_for(50ms);  // the round of that list is long, and over
                  static_cast<void>(gateway.take_longest_round());
                  gateway.call("interface.down", {{"name", "wg0"}});
                  wrong.expect<std::string>("routes while it is down", routes(), "0\n");
                  gateway.call("interface.up", {{"name", "wg0"}});
                  wrong.expect("routes", routes(), all);
                  wrong.expect_short("down_and_up", gateway);
                  wrong.expect("the workers' routes", gateway.worker_tables() == before, true);
                  // Down again in the middle, by an operator of Linux, and a new key meanwhile.
                  std::this_thread::sleep_for(50ms);
                  static_cast<void>(gateway.take_longest_round());
                  const int key = begin_wg_set("wg0", private_key(noise::Key{7}));
                  for (int i = 0; i < 3; ++i) shell("ip link set wg0 down; ip link set wg0 up");
                  wrong.expect<std::string>("key", end_wg(key), kDone);
                  for (int i = 0; i < 500 && routes() != all; ++i) std::this_thread::sleep_for(10ms);
                  wrong.expect("routes in the end", routes(), all);
                  wrong.expect_short("down_and_up_by_link", gateway);
                  wrong.expect<std::string>("another set", wg_set("wg0", "fwmark=7\n"), kDone);
                  return wrong.text();
                },
                60),
            "");
}

// Asked for all at once: each waits until the peers have followed the one before.
TEST(LargeChanges, KeysDownAndUpFollowOneAnother) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  Remotes remotes(4, gateway_key());
                  std::string peers;
                  for (std::size_t i = 0; i < remotes.size(); ++i)
                    peers += peer_line({"", remotes[i].public_key(),
                                        dotted(remotes[i].outer()) + ":" + std::to_string(kRemotePort),
                                        dotted(remotes[i].inner()) + "/32", 0, ""});
                  GatewayText text;
                  text.memory_mb = 64;
                  text.peers = peers;
                  LiveGateway gateway(gateway_yaml(text));
                  Findings wrong;
                  add_neighbours();
                  Load load(remotes);
                  const std::vector<std::size_t> all{0, 1, 2, 3};
                  wrong.expect<std::size_t>("sessions", load.bring_up(all, 10s), 4);
                  load.confirm(all);
                  wrong.expect<std::string>("peers", wg_set("wg0", wg_peers(0, kMany, false)), kDone);
                  static_cast<void>(gateway.take_longest_round());
                  const int other_key = begin_wg_set("wg0", private_key(noise::Key{7}));
                  std::thread down([&] { gateway.call("interface.down", {{"name", "wg0"}}); });
                  const int some_go = begin_wg_set("wg0", wg_peers(0, kMany / 2, true));
                  const int key = begin_wg_set("wg0", private_key(gateway_key()));
                  wrong.expect<std::string>("another key", end_wg(other_key), kDone);
                  wrong.expect<std::string>("peers go", end_wg(some_go), kDone);
                  wrong.expect<std::string>("the key again", end_wg(key), kDone);
                  down.join();
                  wrong.expect<std::size_t>("sessions while it is down", load.bring_up({0}, 1s), 0);
                  gateway.call("interface.up", {{"name", "wg0"}});
                  wrong.expect<std::size_t>("sessions after up", load.bring_up(all, 10s), 4);
                  wrong.expect("peers left", peers_of(gateway, "wg0"), kMany / 2 + 4);
                  wrong.expect_short("keys_down_and_up", gateway);
                  return wrong.text();
                },
                90),
            "");
}

// A neighbour or a routing daemon can concern all peers at once, as often as it likes.
TEST(LargeChanges, TheWaysToManyPeersFollowLinuxInSteps) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(
      in_sandbox(
          [] {
            std::string peers;
            for (std::size_t i = 0; i < kMany; ++i) {
              const auto n = static_cast<std::uint32_t>(i);
              peers += peer_line({"", idle_public_key(i), dotted(0x64400000u + n) + ":51820",
                                  dotted(0x0ac00000u + n) + "/32", 0, ""});
            }
            LiveGateway gateway(two_interfaces(peers));
            Findings wrong;
            const auto all_lead_to = [&](const std::string& mac) {
              std::map<std::string, std::size_t> found;
              for (int i = 0; i < 300 && found[mac] != kMany; ++i) {
                std::this_thread::sleep_for(10ms);
                found = gateway.paths_by_mac();
              }
              wrong.expect(mac.c_str(), found, std::map<std::string, std::size_t>{{mac, kMany}});
            };
            shell("ip neigh replace 10.20.0.2 lladdr 02:00:00:00:00:02 nud permanent dev wan");
            shell("ip neigh replace 10.20.0.3 lladdr 02:00:00:00:00:03 nud permanent dev wan");
            shell("ip route add 100.64.0.0/10 via 10.20.0.2");
            all_lead_to("02:00:00:00:00:02");
            const auto after = [&](const char* what, const std::string& command, const std::string& mac) {
              std::this_thread::sleep_for(50ms);  // the round that counted the paths is long, and over
              static_cast<void>(gateway.take_longest_round());
              shell(command);
              std::this_thread::sleep_for(300ms);
              wrong.expect_short(what, gateway);
              all_lead_to(mac);
            };
            after("another_gateway", "ip route replace 100.64.0.0/10 via 10.20.0.3", "02:00:00:00:00:03");
            after("another_mac", "ip neigh replace 10.20.0.3 lladdr 02:00:00:00:00:04 nud permanent dev wan",
                  "02:00:00:00:00:04");
            // Changes without end: whoever stands last is reached all the same.
            after("changes_without_end",
                  "for i in $(seq 200); do ip route replace 100.64.0.0/10 via 10.20.0.$((2 + i % 2)); done",
                  "02:00:00:00:00:02");
            return wrong.text();
          },
          60),
      "");
}

// While the mirror has much to read, its word of a link is older than the gateway's own last change: it must
// not count as an operator's `ip link set down` or `mtu`.
TEST(LinkState, OldMessagesOfLinuxAreNotTheOperatorsWish) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  EXPECT_EQ(in_sandbox(
                [] {
                  LiveGateway gateway(two_interfaces({}));
                  Findings wrong;
                  const auto mtu = [&gateway] { return gateway.settings("wg0", "wan").interface.mtu; };
                  const auto is_up = [&gateway] {
                    const auto answer = gateway.call("show.interfaces");
                    for (const auto& row : answer.at("interfaces"))
                      if (row["name"] == "wg0") return row["up"].get<bool>();
                    return false;
                  };
                  const auto before = mtu();
                  gateway.tell_link("wg0", false, 1300);
                  wrong.expect("up", is_up(), true);
                  wrong.expect("MTU", mtu(), before);
                  shell("ip link set wg0 down mtu 1300");
                  for (int i = 0; i < 100 && is_up(); ++i) std::this_thread::sleep_for(10ms);
                  wrong.expect("up after the operator's down", is_up(), false);
                  wrong.expect<int>("the operator's MTU", mtu(), 1300);
                  gateway.tell_link("wg0", true, before);
                  wrong.expect("up after an old message", is_up(), false);
                  wrong.expect<int>("MTU after an old message", mtu(), 1300);
                  return wrong.text();
                },
                60),
            "");
}

}  // namespace
}  // namespace wg::test::changes_test
