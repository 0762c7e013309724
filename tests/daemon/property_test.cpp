// The result of apply(diff(a, b)) equals a new start with b.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "tests/daemon/live_gateway.h"
#include "tests/daemon/observe.h"
#include "tests/daemon/random_config.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"

namespace wg::test {
namespace {

constexpr char kRecord = '\x1e';

std::size_t pairs() {
  const char* wanted = std::getenv("LINEGATE_CONFIG_PAIRS");
  return wanted == nullptr ? 50 : std::strtoul(wanted, nullptr, 10);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0, end; (end = text.find(kRecord, at)) != std::string::npos; at = end + 1)
    parts.push_back(text.substr(at, end - at));
  return parts;
}

// One gateway goes through all configurations, so that what a reload leaves behind piles up.
std::vector<std::string> one_after_the_other(std::size_t count, std::uint64_t seed) {
  return split(in_sandbox(
      [count, seed] {
        LiveGateway gateway(random_config(seed));
        std::string all;
        for (std::size_t i = 1; i <= count; ++i) {
          const LiveGateway::Reloaded reloaded = gateway.reload(random_config(seed + i));
          all += (reloaded.ok ? observe(gateway) : "refused: " + reloaded.error) + kRecord;
        }
        return all;
      },
      200));
}

std::string fresh(std::uint64_t seed) {
  return in_sandbox(
      [seed] {
        LiveGateway gateway(random_config(seed));
        return observe(gateway);
      },
      60);
}

std::string with_addresses(const std::string& addresses) {
  return "dpdk: { workers: 1, memory: 64M, hugepages: off }\n"
         "ports:\n  wan: { device: \"net_null0,no-rx=1\" }\n"
         "interfaces:\n  wg0:\n    private_key: \"" +
         base64(gateway_key()) + "\"\n    addresses: [" + addresses +
         "]\n    peers:\n      - { public_key: \"" + idle_public_key(1) +
         "\", allowed_ips: [198.51.4.1/32, \"fd11:9::/48\"] }\n"
         "control: { socket: " +
         kSocket + ", state_directory: /run/lab/state, log: { level: error } }\n";
}

TEST(Reload, KeepsTheRoutesWhenTheLastAddressGoes) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  const std::string routes = in_sandbox(
      [] {
        LiveGateway gateway(with_addresses("10.1.0.1/16, \"fd00::1/64\""));
        std::string text = gateway.reload(with_addresses("\"fd00::1/64\"")).error;
        for (const std::string family : {"-4", "-6"})
          text += shell("ip " + family + " route show proto 87 dev wg0");
        return text;
      },
      60);
  EXPECT_NE(routes.find("198.51.4.1"), std::string::npos) << routes;
  EXPECT_NE(routes.find("fd11:9::/48"), std::string::npos) << routes;
}

TEST(Reload, ReachesWhatAFreshStartReaches) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  constexpr std::uint64_t kSeed = 1000;
  const std::vector<std::string> reached = one_after_the_other(pairs(), kSeed);
  ASSERT_EQ(reached.size(), pairs());
  // On a busy machine fewer are compared, but never fewer than ten.
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(45);
  int wrong = 0;
  std::size_t i = 1;
  for (; i <= reached.size() && wrong < 3; ++i) {
    if (i > 10 && std::chrono::steady_clock::now() > end) break;
    const std::string wanted = fresh(kSeed + i);
    const std::string differs = difference(wanted, reached[i - 1]);
    EXPECT_EQ(differs, "") << "configuration " << kSeed + i << " after " << kSeed + i - 1
                           << " (-: after a fresh start, +: after the reload)";
    wrong += differs.empty() ? 0 : 1;
  }
  std::printf("%zu pairs compared\n", i - 1);
}

}  // namespace
}  // namespace wg::test
