// The command line against a fake gateway: exit codes, what goes where, and the tables.
#include "control/cli/cli.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "control/api/json.h"
#include "control/api/rpc.h"
#include "control/cli/build_facts.h"
#include "control/daemon.h"
#include "tests/unit/api/fake_gateway.h"
#include "tests/unit/api/server_thread.h"

namespace wg::control {

int run_daemon(const DaemonOptions& options) {
  return options.config_path == "/run/me" ? 0 : 2;
}

namespace cli {
BuildFacts build_facts() {
  return {"0.1.0", "DPDK 22.11.9", "portable", {"portable", "avx2"}};
}
}  // namespace cli

namespace test {
namespace {

struct Result {
  int code;
  std::string out, err;
};

class CliTest : public testing::Test {
 protected:
  CliTest() {
    char name[] = "/tmp/linegate-cli-XXXXXX";
    directory = mkdtemp(name);
    socket = directory + "/control.sock";
    gateway.add_peers("wg0", 3);
    gateway.wg0().private_key = secret_of(7);
  }
  ~CliTest() override {
    server.on_loop([&] { rpc.reset(); });
    std::filesystem::remove_all(directory);
  }

  void start() {
    server.on_loop([&] {
      rpc = std::make_unique<RpcServer>(server.loop, RpcTargets{gateway, gateway, gateway, {}},
                                        RpcSockets{socket, directory + "/read.sock", "", ""});
    });
  }
  Result linegate(std::vector<std::string> arguments, const std::string& input = "",
                  const cli::Layout& layout = {}) {
    std::istringstream in(input);
    std::ostringstream out, err;
    arguments.insert(arguments.begin(), {"--socket", socket});
    const int code = cli::run(arguments, {in, out, err, layout});
    return {code, out.str(), err.str()};
  }
  std::string file(const std::string& name, const std::string& text) {
    const auto path = directory + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), 0600);
    return path;
  }

  std::string directory, socket;
  FakeGateway gateway;
  ServerThread server;
  std::unique_ptr<RpcServer> rpc;
};

void expect_in(const std::string& part, const std::string& whole) {
  EXPECT_NE(whole.find(part), std::string::npos) << "'" << part << "' not in\n" << whole;
}

TEST_F(CliTest, NotRunningIsItsOwnCodeAndSentence) {
  for (const std::vector<std::string>& command : {std::vector<std::string>{"show"},
                                                  {"show", "peers"},
                                                  {"explain", "peer", "x"},
                                                  {"reload"},
                                                  {"diff"},
                                                  {"save"},
                                                  {"interface", "up", "wg0"},
                                                  {"export", "wg0"},
                                                  {"log", "level", "info"},
                                                  {"stop"},
                                                  {"events"}}) {
    const auto result = linegate(command);
    EXPECT_EQ(result.code, 3) << command[0];
    EXPECT_EQ(result.err, "linegate is not running (no answer on " + socket + ")\n");
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(CliTest, SuggestsTheNearestCommandOrOption) {
  EXPECT_TRUE(linegate({"relaod"}).err.starts_with("unknown command: relaod; did you mean 'reload'?\n"));
  EXPECT_TRUE(linegate({"interface", "delte", "wg0"})
                  .err.starts_with("unknown command: delte; did you mean 'delete'?\n"));
  EXPECT_TRUE(linegate({"reload", "--dryrun"})
                  .err.starts_with("unknown option: --dryrun; did you mean '--dry-run'?\n"));
  EXPECT_TRUE(linegate({"show", "--sokcet=/x"})
                  .err.starts_with("unknown option: --sokcet; did you mean '--socket'?\n"));
}

TEST_F(CliTest, UsageErrorsAreTwoHelpIsZero) {
  EXPECT_EQ(linegate({}).code, 2);
  EXPECT_EQ(linegate({"frob"}).code, 2);
  EXPECT_TRUE(linegate({"frob"}).err.starts_with("unknown command: frob\n"));
  EXPECT_TRUE(linegate({"frob", "--help"}).out.starts_with("Linegate"));
  EXPECT_EQ(linegate({"--frob"}).code, 2);
  EXPECT_TRUE(linegate({"--frob"}).err.starts_with("unknown option: --frob\n"));
  for (const char* option : {"--limit", "--times"})
    EXPECT_EQ(linegate({"show", "peers", option, "-1"}).code, 2) << "not as a number of 64 bits";
  EXPECT_EQ(linegate({"events", "--count", "-1"}).code, 2);
  EXPECT_EQ(linegate({"show", "everything"}).code, 2);
  EXPECT_EQ(linegate({"show", "peers", "--sort", "colour"}).code, 2);
  EXPECT_EQ(linegate({"explain"}).code, 2);
  EXPECT_EQ(linegate({"log", "level", "loud"}).code, 2);
  EXPECT_EQ(linegate({"interface"}).code, 2);
  const auto help = linegate({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const char* command :
       {"run", "check", "show", "explain", "reload", "diff", "save", "interface", "import", "export", "log",
        "version", "genkey", "pubkey", "genpsk", "Exit codes"})
    expect_in(command, help.out);
  for (const std::vector<std::string>& command : {std::vector<std::string>{"run"},
                                                  {"check"},
                                                  {"show"},
                                                  {"explain", "peer"},
                                                  {"reload"},
                                                  {"interface", "create"},
                                                  {"import"},
                                                  {"export"},
                                                  {"log", "level"},
                                                  {"version"},
                                                  {"genkey"}}) {
    auto with_help = command;
    with_help.emplace_back("--help");
    EXPECT_EQ(linegate(with_help).code, 0) << command[0];
  }
}

TEST_F(CliTest, RunPassesTheFileAndTheCodeOn) {
  EXPECT_EQ(linegate({"run", "-c", "/run/me"}).code, 0);
  EXPECT_EQ(linegate({"run", "-c", "/other"}).code, 2);
}

TEST_F(CliTest, CheckNamesEveryProblem) {
  const auto bad = file("bad.yaml", "interfaces:\n  wg0:\n    listen_port: 70000\n    frob: 1\n");
  const auto refused = linegate({"check", "-c", bad});
  EXPECT_EQ(refused.code, 2);
  expect_in(bad + ":3:", refused.err);
  expect_in(bad + ":4:", refused.err);
  EXPECT_EQ(refused.out, "");
  EXPECT_EQ(linegate({"check", "-c", directory + "/absent.yaml"}).code, 2);
  const auto lacking = file("lacking.yaml", "ports: { wan0: { device: \"linux:no-such-link\" } }\n");
  const auto elsewhere = linegate({"check", "-c", lacking});
  EXPECT_EQ(elsewhere.code, 2);
  expect_in(lacking + ":1:26: ports.wan0.device: 'linux:no-such-link' names a network interface",
            elsewhere.err);
  expect_in("refused (1 port, 0 interfaces, 0 peers, 1 error", elsewhere.err);
  EXPECT_EQ(elsewhere.out, "");
}

TEST_F(CliTest, ShowOverviewAndTables) {
  start();
  const auto overview = linegate({"show"});
  EXPECT_EQ(overview.code, 0) << overview.err;
  expect_in("linegate 0.1.0 (DPDK 22.11.9, AEAD portable)", overview.out);
  expect_in("wg0", overview.out);
  expect_in("wan0", overview.out);
  expect_in("net_af_packet", linegate({"show"}, "", {true, false, 160}).out);
  expect_in("1.50 KiB", linegate({"show", "interfaces"}).out);
  expect_in("25.0 %", linegate({"show", "workers"}).out);
  expect_in("handshake      3      4096", linegate({"show", "workers"}).out);
  const auto drops = linegate({"show", "drops"});
  expect_in("bad_tag      5  2 3         tag does not verify", drops.out);
  EXPECT_EQ(drops.out.find("replayed"), std::string::npos);
}

TEST_F(CliTest, ShowPeersFiltersAndOnePeer) {
  start();
  gateway.handshakes["peer1"] = std::chrono::system_clock::now() - std::chrono::seconds{125};
  const auto all = linegate({"show", "peers"});
  expect_in("PEER   INTERFACE  ENDPOINT         HANDSHAKE", all.out);
  expect_in("2m5s", all.out);
  expect_in("never", all.out);
  const auto active = linegate({"show", "peers", "--active"});
  expect_in("peer1", active.out);
  EXPECT_EQ(active.out.find("peer0"), std::string::npos);
  expect_in("(1 of 3 peers)", linegate({"show", "peers", "--limit", "1", "--sort", "rx"}).out);
  const auto one = linegate({"show", "peers", "--peer", "peer1"});
  expect_in("latest handshake: 2m5s ago", one.out);
  expect_in("4 replayed", one.out);
  EXPECT_EQ(linegate({"show", "peers", "--peer", "zzz"}).code, 1);
  EXPECT_EQ(linegate({"show", "interfaces", "--interface", "wg9"}).code, 1);
  const auto json = Json::parse(linegate({"show", "peers", "--json"}).out, nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["peers"].size(), 3U);
  EXPECT_TRUE(Json::parse(linegate({"show", "--json"}).out, nullptr, false).contains("ports"));
}

TEST_F(CliTest, WatchRepeats) {
  start();
  const auto twice = linegate({"show", "drops", "--watch", "0.1", "--times", "2"});
  EXPECT_EQ(twice.code, 0) << twice.err;
  EXPECT_NE(twice.out.find("bad_tag"), twice.out.rfind("bad_tag"));
  EXPECT_EQ(linegate({"show", "drops", "--times", "1", "--watch"}).code, 0);
}

TEST_F(CliTest, WatchShowsTimeAndRates) {
  start();
  std::thread traffic([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{250});
    server.on_loop([&] { gateway.received_bytes += 1'000'000; });
  });
  const auto seen = linegate({"show", "interfaces", "--watch", "0.5", "--times", "2"});
  traffic.join();
  expect_in("RX BIT/S", seen.out);
  EXPECT_EQ(seen.out.find("RX BIT/S"), seen.out.rfind("RX BIT/S")) << "the first update has none\n"
                                                                   << seen.out;
  EXPECT_TRUE(seen.out.starts_with("20")) << "the time comes first\n" << seen.out;
  const auto line = seen.out.substr(seen.out.rfind("wg0"));
  expect_in("M  ", line);  // 16 Mbit/s, less what a busy machine adds to the half second
  const auto clearing = linegate({"show", "drops", "--watch", "0.1", "--times", "1"}, "", {true, false, 80});
  EXPECT_TRUE(clearing.out.starts_with("\033[H\033[2J"));
}

TEST_F(CliTest, OptionsOfAnotherTableAreErrors) {
  start();
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"show", "--peer", "alice"}, "unknown option: --peer\n"},
      {{"show", "drops", "--interface", "wg0"}, "unknown option: --interface\n"},
      {{"show", "ports", "--sort", "rx"}, "unknown option: --sort\n"},
      {{"show", "--interface", "wg0", "drops"}, "--interface belongs after `show drops`\n"},
      {{"show", "--times", "2"}, "--times requires --watch\n"},
      {{"show", "peer"}, "unknown command: peer; did you mean 'peers'?\n"},
      {{"show", "peers", "alice"}, "unknown argument: alice\n"}};
  for (const auto& [words, message] : rows) {
    const auto result = linegate(words);
    EXPECT_EQ(result.code, 2) << message;
    EXPECT_TRUE(result.err.starts_with(message)) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST_F(CliTest, NamesThatDoNotExistAreErrorsWithTheNearest) {
  start();
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"show", "interfaces", "--interface", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"},
      {{"show", "--interface", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"},
      {{"show", "peers", "--interface", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"},
      {{"show", "peers", "--interface", "wg1", "--peer", "peer1"}, "no interface wg1; did you mean 'wg0'?\n"},
      {{"show", "peers", "--peer", "paar1"}, "no peer paar1; did you mean 'peer1'?\n"},
      {{"show", "peers", "--peer", "zzz"}, "no peer zzz\n"},
      {{"explain", "peer", "peer9"}, "no peer peer9; did you mean 'peer0'?\n"},
      {{"explain", "peer", "peer1", "--interface", "nope"}, "no interface nope\n"},
      {{"interface", "up", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"},
      {{"export", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"}};
  for (const auto& [words, message] : rows) {
    const auto result = linegate(words);
    EXPECT_EQ(result.code, 1) << message;
    EXPECT_EQ(result.err, message);
  }
}

TEST_F(CliTest, PlansAndTheirExitCodes) {
  start();
  gateway.plan.ok = true;
  gateway.plan.plan = {"wg0: add peer carol"};
  gateway.plan.restart = {"dpdk.workers: 1 -> 2"};
  const auto dry = linegate({"reload", "--dry-run"});
  EXPECT_EQ(dry.code, 0);
  EXPECT_EQ(dry.out, "wg0: add peer carol\nneeds a restart: dpdk.workers: 1 -> 2\n");
  gateway.plan = {};
  gateway.plan.ok = true;
  EXPECT_EQ(linegate({"diff"}).out, "no difference\n");
  gateway.plan.ok = false;
  gateway.plan.errors = {"a.yaml:3:5: listen_port: too large"};
  const auto refused = linegate({"reload"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.out, "");
  expect_in("a.yaml:3:5: listen_port: too large\nnothing was changed\n", refused.err);
  EXPECT_EQ(linegate({"save"}).code, 2);
  EXPECT_EQ(gateway.calls, (std::vector<std::string>{"reload dry", "diff", "reload", "save"}));
}

TEST_F(CliTest, InterfaceCommands) {
  start();
  const auto key = file("key", config::reveal(secret_of(3)) + "\n");
  const auto created =
      linegate({"interface", "create", "wg5", "--private-key-file", key, "--listen-port", "5", "--address",
                "10.0.0.1/24", "--address", "fd00::1/64", "--mtu", "1380", "--down"});
  EXPECT_EQ(created.code, 0) << created.err;
  const auto& wg5 = gateway.interfaces_by_name["wg5"];
  EXPECT_EQ(wg5.private_key, secret_of(3));
  EXPECT_EQ(wg5.addresses.size(), 2U);
  EXPECT_FALSE(wg5.enabled);
  EXPECT_EQ(linegate({"interface", "create", "wg5"}).code, 1);
  EXPECT_EQ(linegate({"interface", "create", "no good"}).code, 2);
  EXPECT_EQ(linegate({"interface", "create", "wg6", "--private-key-file", directory + "/none"}).code, 1);
  EXPECT_EQ(linegate({"interface", "up", "wg5"}).code, 0);
  EXPECT_TRUE(gateway.interfaces_by_name["wg5"].enabled);
  EXPECT_EQ(linegate({"interface", "down", "wg5"}).code, 0);
  EXPECT_EQ(linegate({"interface", "delete", "wg5"}).code, 0);
  const auto again = linegate({"interface", "delete", "wg5"});
  EXPECT_EQ(again.code, 1);
  EXPECT_EQ(again.err, "no interface wg5; did you mean 'wg0'?\n");
  EXPECT_EQ(linegate({"log", "level", "debug", "--interface", "wg0"}).code, 0);
  EXPECT_EQ(gateway.calls.back(), "log wg0 debug");
  EXPECT_EQ(linegate({"stop"}).code, 0);
  EXPECT_TRUE(gateway.stopped);
}

TEST_F(CliTest, ExplainPrintsTheVerdict) {
  start();
  const auto result = linegate({"explain", "peer", "peer0"});
  EXPECT_EQ(result.code, 0) << result.err;
  expect_in("peer0 has no session, and neither side has tried", result.out);
  const auto json = Json::parse(linegate({"explain", "peer", "peer0", "--json"}).out, nullptr, false);
  EXPECT_EQ(json["peer"]["name"], "peer0");
  const auto missing = linegate({"explain", "peer", "nobody"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.err, "no peer nobody\n");
}

TEST_F(CliTest, ExportGoesBackThroughImport) {
  start();
  const auto exported = linegate({"export", "wg0", "--wg-quick"});
  EXPECT_EQ(exported.code, 0) << exported.err;
  expect_in("PrivateKey = " + config::reveal(secret_of(7)), exported.out);
  const auto conf = file("wg0.conf", exported.out);
  const auto imported = linegate({"import", conf});
  EXPECT_EQ(imported.code, 0) << imported.err;
  expect_in("wg0:", imported.out);
  expect_in("peer2", imported.out);
  const auto key_file = directory + "/wg0.key";
  const auto apart = linegate({"import", conf, "--key-file", key_file, "--name", "other"});
  EXPECT_EQ(apart.code, 0) << apart.err;
  expect_in("other:", apart.out);
  EXPECT_EQ(apart.out.find(config::reveal(secret_of(7))), std::string::npos);
  EXPECT_EQ(linegate({"import", "-", "--name", "wg1"}, exported.out).code, 0);
  EXPECT_EQ(linegate({"import", "-"}, exported.out).code, 2);
  EXPECT_EQ(linegate({"import", file("bad.conf", "[Interface]\nPrivateKey = x\n")}).code, 2);
  EXPECT_EQ(linegate({"import", directory + "/none.conf"}).code, 1);
  EXPECT_EQ(linegate({"export", "wg9"}).code, 1);
}

TEST_F(CliTest, EventsArePrintedAsTheyHappen) {
  start();
  std::thread speaker([&] {
    for (bool subscribed = false; !subscribed;) {
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
      server.on_loop([&] { subscribed = rpc->clients() > 0; });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    server.on_loop([&] {
      GatewayEvent event;
      event.at = WallTime{std::chrono::seconds{1'700'000'000}};
      event.kind = "peer_up";
      event.interface = "wg0";
      event.peer = "alice";
      rpc->publish(event);
    });
  });
  const auto result = linegate({"events", "--count", "1"});
  speaker.join();
  EXPECT_EQ(result.code, 0);
  EXPECT_EQ(result.out, "2023-11-14T22:13:20.000Z  peer_up interface=wg0 peer=alice\n");
}

TEST_F(CliTest, KeysAreThoseOfWg) {
  const auto private_key = linegate({"genkey"});
  ASSERT_EQ(private_key.out.size(), 45U);
  const auto key = config::parse_secret_key(private_key.out.substr(0, 44));
  ASSERT_TRUE(key);
  EXPECT_EQ(*key, clamped(*key));
  EXPECT_EQ(linegate({"pubkey"}, private_key.out).out, config::to_string(config::public_key_of(*key)) + "\n");
  EXPECT_NE(linegate({"genkey"}).out, private_key.out);
  EXPECT_EQ(linegate({"genpsk"}).out.size(), 45U);
  EXPECT_EQ(linegate({"pubkey"}, "not a key\n").code, 2);
  EXPECT_EQ(linegate({"pubkey"}, "").code, 2);
}

TEST_F(CliTest, VersionWithAndWithoutARunningGateway) {
  EXPECT_EQ(linegate({"version"}).out,
            "linegate 0.1.0\nDPDK 22.11.9\nAEAD portable (this machine runs portable avx2)\n");
  start();
  expect_in("running: linegate 0.1.0, pid 4711", linegate({"version"}).out);
  EXPECT_EQ(Json::parse(linegate({"version", "--json"}).out)["running"]["pid"], 4711);
}

}  // namespace
}  // namespace test
}  // namespace wg::control
