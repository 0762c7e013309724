// What a setting does once it is applied: workers and loggers hold what a fresh start would give them.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "config/parse.h"
#include "config/settings.h"
#include "control/view.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"

namespace wg::test {
namespace {

using config::settings_of;

// Settings that are the control thread's affair, or the linter's: workers do not see them.
const std::set<std::string_view> kNotForWorkers{"log_level", "remember_endpoints", "peer", "on_loss", "id",
                                                "type"};

TEST(SettingsView, EverySettingButThoseOfTheControlThreadChangesWhatWorkersSee) {
  for (const auto& row : settings_of<config::Interface>()) {
    std::vector<dataplane::InterfaceSettings> views;
    for (const auto example : row.examples) {
      config::Interface value;
      ASSERT_TRUE(row.set(value, example));
      const dataplane::InterfaceSettings view = control::view_of(value, 1420);
      if (std::find(views.begin(), views.end(), view) == views.end()) views.push_back(view);
    }
    EXPECT_EQ(views.size(), kNotForWorkers.contains(row.key) ? 1U : row.examples.size()) << row.key;
  }
  for (const auto& row : settings_of<config::Port>()) {
    config::Port one, other;
    ASSERT_TRUE(row.set(one, row.examples[0]));
    ASSERT_TRUE(row.set(other, row.examples[1]));
    EXPECT_EQ(control::view_of(one) != control::view_of(other), !kNotForWorkers.contains(row.key)) << row.key;
  }
}

TEST(SettingsView, FollowsTheMtuInForce) {
  config::Interface value;
  EXPECT_EQ(control::view_of(value, 1380).mtu, 1380);
  EXPECT_EQ(control::view_of(value, 1380).mss_clamp, 1340);
  value.mss_clamp = {config::MssClamp::Mode::kFixed, 1200};
  EXPECT_EQ(control::view_of(value, 1380).mss_clamp, 1200);
  value.mss_clamp = {config::MssClamp::Mode::kOff, 0};
  EXPECT_EQ(control::view_of(value, 1380).mss_clamp, 0);
}

std::string file(const std::string& of_port, const std::string& of_interface,
                 const std::string& level = "error") {
  return "dpdk: { workers: 1, memory: 64M, hugepages: off }\n"
         "ports:\n  wan: { device: \"net_null0,no-rx=1\", mtu: 1500" +
         of_port + " }\ninterfaces:\n  wg0: { private_key: \"" + base64(gateway_key()) + "\"" + of_interface +
         " }\ncontrol: { socket: " + kSocket + ", state_directory: /run/lab/state, log: { level: " + level +
         " } }\n";
}

// What a reload to `text` leaves, against what the text means; empty when they are the same.
std::string check_reload(LiveGateway& gateway, const std::string& text) {
  if (const auto reloaded = gateway.reload(text); !reloaded.ok)
    return text + "refused: " + reloaded.error + "\n";
  const config::Gateway wanted = *config::parse_text(text, "gw.yaml");
  const config::Interface& interface = wanted.interfaces.at("wg0");
  const LiveGateway::Settings live = gateway.settings("wg0", "wan");
  std::string wrong;
  if (live.interface != control::view_of(interface, 1420)) wrong += text + "workers see another interface\n";
  if (live.port != control::view_of(wanted.ports.at("wan"))) wrong += text + "workers see another port\n";
  if (live.log_level != interface.log_level.value_or(wanted.control.log.level))
    wrong += text + "another log level\n";
  return wrong;
}

std::string entry(std::string_view key, std::string_view value) {
  return ", " + std::string(key) + ": " + std::string(value);
}

TEST(SettingsLive, EveryValueIsInForceAfterAReload) {
  if (!may_make_namespaces()) GTEST_SKIP() << "needs root";
  const std::string wrong = in_sandbox(
      [] {
        LiveGateway gateway(file({}, {}));
        std::string all;
        for (const auto& row : settings_of<config::Interface>())
          for (const auto example : row.examples)
            all += check_reload(gateway, file({}, entry(row.key, example)));
        for (const auto& row : settings_of<config::Port>())
          for (const auto example : row.examples)
            all += check_reload(gateway, file(entry(row.key, example), {}));
        // Interfaces without a level of their own follow the gateway's.
        all += check_reload(gateway, file({}, {}, "off"));
        all += check_reload(gateway, file({}, entry("log_level", "warn"), "error"));
        return all + check_reload(gateway, file({}, {}, "off"));
      },
      120);
  EXPECT_EQ(wrong, "");
}

}  // namespace
}  // namespace wg::test
