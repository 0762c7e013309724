// The command line against a fake gateway: exit codes, what goes where, and the tables.
#include "control/cli/cli.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "control/api/json.h"
#include "control/api/rpc.h"
#include "control/card_probe.h"
#include "control/cli/build_facts.h"
#include "control/daemon.h"
#include "tests/unit/api/command_line.h"

namespace wg::control {

int run_daemon(const DaemonOptions& options) {
  return options.config_path == "/run/me" ? 0 : 2;
}

std::vector<ProbedCard> probe_cards(const config::Gateway& value) {
  std::vector<ProbedCard> cards;
  for (const auto& [name, port] : value.ports) {
    if (port.device.text == "0000:03:00.0") cards.push_back({name, {}, "net_ice", {}});
    if (port.device.text == "0000:03:00.1") cards.push_back({name, {}, "net_iavf", {"no link"}});
    if (port.device.text == "0000:03:00.2") cards.push_back({name, "a program uses it", {}, {}});
    if (port.device.text == "0000:03:00.3") throw std::runtime_error("DPDK's EAL did not start");
  }
  return cards;
}

namespace cli {
BuildFacts build_facts() {
  return {"0.1.0", "DPDK 22.11.9", "portable", {"portable", "avx2"}};
}
}  // namespace cli

namespace test {
namespace {

TEST_F(CliTest, NotRunningIsItsOwnCodeAndSentence) {
  for (const std::vector<std::string>& command : {std::vector<std::string>{"show"},
                                                  {"show", "peers"},
                                                  {"explain", "peer", "x"},
                                                  {"reload"},
                                                  {"diff"},
                                                  {"save"},
                                                  {"interface", "up", "wg0"},
                                                  {"port", "restart", "wan0"},
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

TEST_F(CliTest, SuggestsCommandsOfOtherNamesAndPlaces) {
  const std::pair<const char*, const char*> rows[] = {
      {"peers", "show peers"}, {"status", "show"},      {"create", "interface create"},
      {"ls", "show"},          {"why", "explain peer"}, {"chekc", "check"},
      {"shwo", "show"}};
  for (const auto& [word, command] : rows) {
    const auto result = linegate({word});
    EXPECT_EQ(result.code, 2);
    EXPECT_TRUE(result.err.starts_with("unknown command: " + std::string(word) + "; did you mean '" +
                                       command + "'?\n"))
        << result.err;
  }
}

TEST_F(CliTest, WithoutACommandTheListIsPrinted) {
  const auto bare = linegate({});
  EXPECT_EQ(bare.code, 2);
  EXPECT_EQ(bare.err, linegate({"--help"}).out);
  const auto part = linegate({"interface"});
  EXPECT_EQ(part.code, 2);
  EXPECT_EQ(part.err, linegate({"interface", "--help"}).out);
  expect_in("Usage: linegate interface", part.err);
}

TEST_F(CliTest, HelpAndVersionInBothSpellings) {
  EXPECT_EQ(linegate({"--version"}).out, "linegate 0.1.0\n");
  EXPECT_EQ(linegate({"--version"}).code, 0);
  EXPECT_EQ(linegate({"help"}).out, linegate({"--help"}).out);
  EXPECT_EQ(linegate({"help", "show", "peers"}).out, linegate({"show", "peers", "--help"}).out);
  EXPECT_EQ(linegate({"help"}).code, 0);
  EXPECT_EQ(linegate({"help", "shwo"}).err, "unknown command: shwo; did you mean 'show'?\n");
  EXPECT_TRUE(linegate({"peer", "foo"})
                  .err.starts_with("unknown command: foo; peer has add, remove, disable, enable, list\n"));
  const auto unknown = linegate({"help", "show", "pears"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_EQ(unknown.err, "unknown command: pears; did you mean 'peers'?\n");
}

// The manual page has every command and option with the text of --help, and nothing that --help has not.
TEST_F(CliTest, TheManualIsMadeOfTheHelp) {
  const auto plain = [](std::string text) {
    std::erase(text, '\\');
    return text;
  };
  const std::string page = plain(linegate({"man"}).out);
  std::size_t commands = 0, options = 0;
  const auto check_command = [&](std::vector<std::string> words, const auto& again) -> void {
    auto asked = words;
    asked.emplace_back("--help");
    std::istringstream help(linegate(asked).out);
    std::string path = "linegate";
    for (const auto& word : words) path += " " + word;
    expect_in(path, page);
    ++commands;
    bool lists = false;
    for (std::string line; std::getline(help, line);) {
      if (line.ends_with("ommands:")) lists = true;
      std::istringstream parts(line);
      std::string first;
      parts >> first;
      if (!line.starts_with("  ") || line.starts_with("   ")) continue;
      if (lists) {
        auto deeper = words;
        deeper.push_back(first);
        again(deeper, again);
      } else if (first.starts_with("-") && first != "-h,--help") {
        ++options;
        expect_in(".B " + first.substr(first.find("--")), page);
      }
    }
  };
  check_command({}, check_command);
  EXPECT_GT(commands, 25U);
  EXPECT_GT(options, 25U);
  EXPECT_EQ(page.find(".B -h"), std::string::npos);
  for (const char* section : {".SH NAME", ".SH SYNOPSIS", ".SH OPTIONS", ".SH EXIT STATUS", ".SH FILES"})
    expect_in(section, page);
}

TEST_F(CliTest, TheManualIsGoodRoff) {
  const auto page = file("linegate.1", linegate({"man"}).out);
  const auto log = directory + "/groff.log";
  const std::string command = "groff -man -Tutf8 -ww " + page + " >" + directory + "/out 2>" + log;
  if (std::system("command -v groff >/dev/null") != 0) GTEST_SKIP() << "groff is not installed";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::ifstream warnings(log);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(warnings), {}), "");
}

std::vector<std::string> first_words(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) words.push_back(line.substr(0, line.find('\t')));
  return words;
}

TEST_F(CliTest, CompletesCommandsOptionsAndNames) {
  start();
  setenv("LINEGATE_SOCKET", socket.c_str(), 1);
  const auto complete = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "complete");
    std::istringstream in;
    std::ostringstream out, err;
    EXPECT_EQ(cli::run(words, {in, out, err}), 0);
    return first_words(out.str());
  };
  using Words = std::vector<std::string>;
  EXPECT_EQ(complete({"rel"}), (Words{"reload"}));
  EXPECT_EQ(complete({"show", "p"}), (Words{"ports", "peers"}));
  EXPECT_EQ(complete({"show", "peers", "--so"}), (Words{"--socket", "--sort"}));
  EXPECT_EQ(complete({"show", "peers", "--sort", "t"}), (Words{"tx", "transfer"}));
  EXPECT_EQ(complete({"show", "peers", "--peer", "peer"}), (Words{"peer0", "peer1", "peer2"}));
  EXPECT_EQ(complete({"show", "interfaces", "--interface", ""}), (Words{"wg0"}));
  EXPECT_EQ(complete({"explain", "peer", "peer2"}), (Words{"peer2"}));
  EXPECT_EQ(complete({"explain", "packet", ""}), (Words{"wg0", "wan0", "linux"}));
  EXPECT_EQ(complete({"interface", "down", ""}), (Words{"wg0"}));
  EXPECT_EQ(complete({"log", "level", "d"}), (Words{"debug"}));
  EXPECT_EQ(complete({"check", "-c", ""}), (Words{":files"}));
  EXPECT_EQ(complete({"check", "--config", "x"}), (Words{":files"}));
  EXPECT_EQ(complete({"log", "level", "info", "--inter"}), (Words{"--interface"}));
  EXPECT_EQ(complete({"show", "drops", "--inter"}), Words{}) << "that table has no such option";
  EXPECT_EQ(complete({"no-such", "--zzz"}), Words{});
  setenv("LINEGATE_SOCKET", (directory + "/none.sock").c_str(), 1);
  EXPECT_EQ(complete({"interface", "down", ""}), Words{}) << "quiet when nothing runs";
  unsetenv("LINEGATE_SOCKET");
}

TEST_F(CliTest, TheBashScriptCompletes) {
  const auto script = file("completion.bash", linegate({"completion", "bash"}).out);
  file("linegate", "#!/bin/sh\nprintf '%s\\n' \"$@\" >" + directory +
                       "/asked\nprintf 'peers\\tPeers\\nports\\tPorts\\n'\n");
  chmod((directory + "/linegate").c_str(), 0700);
  const std::string command =
      "PATH=" + directory + ":$PATH bash -c 'source " + script +
      "; COMP_WORDS=(linegate show p); COMP_CWORD=2; _linegate; echo \"${COMPREPLY[*]}\"' >" + directory +
      "/out";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const auto read = [&](const std::string& name) {
    std::ifstream in(directory + "/" + name);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  EXPECT_EQ(read("out"), "peers ports\n");
  EXPECT_EQ(read("asked"), "complete\nshow\np\n");
  for (const char* shell : {"zsh", "fish"})
    expect_in("linegate complete", linegate({"completion", shell}).out);
  EXPECT_EQ(linegate({"completion", "tcsh"}).code, 2);
}

TEST_F(CliTest, FilesWithKeysAreForTheirOwnerAlone) {
  const auto path = file("fresh.key", "");
  chmod(path.c_str(), 0644);
  const int descriptor = open(path.c_str(), O_WRONLY);
  std::istringstream in;
  std::ostringstream out, err;
  EXPECT_EQ(cli::run({"genkey"}, {in, out, err, {}, descriptor}), 0);
  struct stat state {};
  ASSERT_EQ(fstat(descriptor, &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600U) << "as the documents say";
  EXPECT_EQ(err.str(), "");
  ASSERT_EQ(write(descriptor, "x", 1), 1);
  chmod(path.c_str(), 0644);
  EXPECT_EQ(cli::run({"genpsk"}, {in, out, err, {}, descriptor}), 0);
  expect_in("warning: keys are written to a file that others can read", err.str());
  close(descriptor);
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
  const std::pair<std::vector<std::string>, const char*> numbers[] = {
      {{"show", "peers", "--limit", "-1"}, "--limit: '-1' is not a whole number from 0 to 4294967295\n"},
      {{"show", "flows", "--limit", "1.5"}, "--limit: '1.5' is not a whole number from 0 to 4294967295\n"},
      {{"trace", "--count", "0"}, "--count: '0' is not a whole number from 1 to 4294967295\n"},
      {{"capture", "--snap", "65536"}, "--snap: '65536' is not a whole number from 1 to 65535\n"},
      {{"capture", "--after", "-1"}, "--after: '-1' is not a whole number from 0 to 4294967295\n"},
      {{"events", "--count", "0"}, "--count: '0' is not a whole number from 1 to 4294967295\n"},
      {{"show", "--watch", "nan"}, "--watch: 'nan' is not a number of seconds from 0.1 to 86400\n"},
      {{"explain", "drops", "--seconds", "inf"}, "'inf' is not a number of seconds from 0.1 to 3600\n"},
      {{"show", "flows", "--address", "foo"}, "--address: 'foo' is not an IP address\n"},
      {{"interface", "create", "wg9", "--mtu", "1"}, "--mtu: '1' is not a whole number from 576 to 9520\n"},
      {{"interface", "create", "wg9", "--listen-port", "65536"}, "'65536' is not a whole number from 0 to"}};
  for (const auto& [words, message] : numbers) {
    const auto result = linegate(words);
    EXPECT_EQ(result.code, 2) << message;
    expect_in(message, result.err);
  }
  EXPECT_EQ(linegate({"frob\033[31m"}).err.find('\033'), std::string::npos)
      << "an escape sequence does not reach the terminal";
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
  expect_in(
      lacking + ":1:26: ports.wan0.device: this machine has no network interface no-such-link; allowed: ",
      elsewhere.err);
  expect_in("refused (1 port, 0 interfaces, 0 peers, 1 error", elsewhere.err);
  EXPECT_EQ(elsewhere.out, "");
  EXPECT_EQ(linegate({"check", "--offline", lacking}).code, 0) << "it may be the file of another machine";
  EXPECT_EQ(linegate({"check", bad}).err, refused.err) << "the same without -c";
}

TEST_F(CliTest, CheckOpensCardsOnRequest) {
  const auto with = [this](const std::string& device) {
    return file("cards.yaml", "ports: { wan0: { device: \"" + device + "\" } }\n");
  };
  EXPECT_EQ(linegate({"check", with("0000:03:00.2")}).code, 0) << "no card is opened without --probe";
  const auto good = linegate({"check", "--probe", with("0000:03:00.0")});
  EXPECT_EQ(good.code, 0) << good.err;
  expect_in("port wan0: net_ice\n", good.out);
  const auto less = linegate({"check", "--probe", with("0000:03:00.1")});
  EXPECT_EQ(less.code, 0) << less.err;
  expect_in("warning: port wan0: no link", less.err);
  EXPECT_EQ(linegate({"check", "--probe", "--strict", with("0000:03:00.1")}).code, 2);
  const auto taken = linegate({"check", "--probe", with("0000:03:00.2")});
  EXPECT_EQ(taken.code, 2);
  expect_in("error: port wan0: a program uses it", taken.err);
  expect_in("1 error", taken.err);
  const auto without = linegate({"check", "--probe", with("0000:03:00.3")});
  EXPECT_EQ(without.code, 2);
  expect_in("error: DPDK's EAL did not start", without.err);
  EXPECT_EQ(linegate({"check", "--probe", "--offline", with("0000:03:00.0")}).code, 2);
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
  const auto flows = linegate({"show", "flows"});
  expect_in("on           1     1024           1        7", flows.out);
  expect_in("tcp    10.10.0.2:40000  198.51.100.7:443  workers", flows.out);
  expect_in("udp    10.10.0.3:5353   192.168.1.5:53    not_assured", flows.out);
  EXPECT_EQ(flows.out.find("helper"), std::string::npos) << "a reason that does not occur";
  EXPECT_EQ(linegate({"show", "flows", "--address", "10.9.9.9"}).out.find("tcp"), std::string::npos);
  EXPECT_TRUE(Json::parse(linegate({"show", "flows", "--json"}).out, nullptr, false).contains("reasons"));
  const auto drops = linegate({"show", "drops"});
  expect_in("bad_tag      5     -  2 3         tag does not verify", drops.out);
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
      {{"events", "--interface", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"},
      {{"port", "restart", "wan1"}, "no port wan1; did you mean 'wan0'?\n"},
      {{"export", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"}};
  for (const auto& [words, message] : rows) {
    const auto result = linegate(words);
    EXPECT_EQ(result.code, 1) << message;
    EXPECT_EQ(result.err, message);
  }
}

TEST_F(CliTest, PlansAndTheirExitCodes) {
  start();
  gateway.plan.plan = {"wg0: add peer carol"};
  gateway.plan.restart = {"needs a restart: dpdk.workers from '1' to '2'"};  // as config::describe() words it
  const auto dry = linegate({"reload", "--dry-run"});
  EXPECT_EQ(dry.code, 0);
  EXPECT_EQ(dry.out, "wg0: add peer carol\nneeds a restart: dpdk.workers from '1' to '2'\n");
  gateway.plan = {};
  EXPECT_EQ(linegate({"diff"}).out, "no difference\n");
  gateway.plan.applied = true;
  EXPECT_EQ(linegate({"reload"}).out, "no difference\n") << "nothing was applied";
  gateway.plan.plan = {"wg0: add peer carol"};
  gateway.plan.took = std::chrono::microseconds{2500};
  EXPECT_EQ(linegate({"reload"}).out, "wg0: add peer carol\napplied in 2.5 ms\n");
  gateway.plan = {};
  gateway.plan.errors = {{EINVAL, "a.yaml:3:5: listen_port: too large"}};
  const auto refused = linegate({"reload"});
  EXPECT_EQ(refused.code, 2);
  EXPECT_EQ(refused.out, "");
  expect_in("a.yaml:3:5: listen_port: too large\nnothing was changed\n", refused.err);
  EXPECT_EQ(linegate({"save"}).code, 2);
  EXPECT_EQ(gateway.calls,
            (std::vector<std::string>{"reload dry", "diff", "reload", "reload", "reload", "save"}));
}

TEST_F(CliTest, AReloadMayWaitToBeConfirmed) {
  start();
  gateway.plan.applied = true;
  gateway.plan.plan = {"wg0: add peer carol"};
  const auto waits = linegate({"reload", "--confirm", "2m"});
  EXPECT_EQ(waits.code, 0);
  EXPECT_EQ(waits.err, "undone in 2m unless confirmed: linegate confirm\n");
  EXPECT_EQ(linegate({"reload", "--dry-run", "--confirm", "60s"}).err, "");
  const auto early = linegate({"confirm"});
  EXPECT_EQ(early.code, 2);
  EXPECT_EQ(early.err, "no reload waits to be confirmed\n");
  gateway.waits_for_confirm = true;
  EXPECT_EQ(linegate({"confirm"}).code, 0);
  EXPECT_EQ(linegate({"rollback"}).out, "wg0: add peer carol\n");
  EXPECT_EQ(gateway.calls,
            (std::vector<std::string>{"reload confirm 120", "reload dry confirm 60", "confirm", "rollback"}));
  for (const char* wrong : {"soon", "0", "2d", "90000"})
    EXPECT_EQ(linegate({"reload", "--confirm", wrong}).err,
              "--confirm: " + std::string(wrong) + " is not a time such as 60s or 10m, at most a day\n");
  gateway.plan.errors = {{EINVAL, "no reload was applied that could be undone"}};
  EXPECT_EQ(linegate({"rollback"}).code, 2);
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
  server.on_loop([] {});  // the answer leaves before the gateway stops
  EXPECT_TRUE(gateway.stopped);
}

TEST_F(CliTest, ExplainPrintsTheVerdict) {
  start();
  const auto result = linegate({"explain", "peer", "peer0"});
  EXPECT_EQ(result.code, 4) << "it is not up" << result.err;
  expect_in("peer0 has no session, and neither side has tried", result.out);
  const auto json = Json::parse(linegate({"explain", "peer", "peer0", "--json"}).out, nullptr, false);
  EXPECT_EQ(json["peer"]["name"], "peer0");
  gateway.handshakes["peer1"] = std::chrono::system_clock::now();
  EXPECT_EQ(linegate({"explain", "peer", "peer1"}).code, 0) << "up";
  EXPECT_EQ(linegate({"explain", "peer", "peer1", "--json"}).code, 0);
  const auto missing = linegate({"explain", "peer", "nobody"});
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.err, "no peer nobody\n");
}

TEST_F(CliTest, DoctorPrintsFindingsAndItsExitCodeSaysHowItIs) {
  const auto absent = linegate({"doctor", "-c", directory + "/absent.yaml"});
  EXPECT_EQ(absent.code, 4);
  expect_in("fault    configuration: " + directory + "/absent.yaml", absent.out);
  expect_in("do: linegate init -c " + directory + "/absent.yaml", absent.out);
  EXPECT_EQ(absent.out.find("file modes"), std::string::npos) << "there is no file to look at";
  expect_in("warning  gateway: it does not run\n           do: start it: systemctl start linegate\n",
            absent.out);
  start();
  const auto json = Json::parse(linegate({"doctor", "--json", "-c", directory + "/absent.yaml"}).out);
  std::string running;
  for (const auto& finding : json["findings"])
    if (finding["check"] == "gateway") running = finding["text"].get<std::string>();
  EXPECT_EQ(running, "it runs, pid 4711");
}

TEST_F(CliTest, ExplainsRoutes) {
  start();
  const auto none = linegate({"explain", "route", "192.168.2.7"});
  EXPECT_EQ(none.code, 4);
  EXPECT_EQ(none.out, "there is no route to 192.168.2.7.\n");
  gateway.route.routed = gateway.route.local = true;
  gateway.route.link = "lan0";
  const auto own = linegate({"explain", "route", "fd00::1"});
  EXPECT_EQ(own.code, 0);
  EXPECT_EQ(own.out, "fd00::1 is an address of this machine (lan0).\n");
  EXPECT_EQ(Json::parse(linegate({"explain", "route", "fd00::1", "--json"}).out)["route"]["local"], true);
  const auto bad = linegate({"explain", "route", "here"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_EQ(bad.err, "address: here is not an IP address\n");
}

TEST_F(CliTest, ExplainsPackets) {
  start();
  const auto none = linegate({"explain", "packet", "lan0", "192.168.1.9", "192.168.2.7", "tcp", "443"});
  EXPECT_EQ(none.code, 4) << none.err;
  EXPECT_EQ(none.out,
            "  received          lan0: 192.168.1.9 > 192.168.2.7:443, TCP, 84 bytes\n"
            "  to_linux          Linux decides: no short cut\n"
            "  linux             there is no route to 192.168.2.7.\n"
            "\n"
            "there is no route to 192.168.2.7.\n");
  gateway.packet.way = PacketWay::kPort;
  gateway.packet.to = "wan0";
  const auto good = linegate({"explain", "packet", "lan0", "fd00::9", "fd00:2::7", "icmp", "--size", "1400",
                              "--vlan", "7", "--json"});
  EXPECT_EQ(good.code, 0) << good.err;
  const auto json = Json::parse(good.out);
  EXPECT_EQ(json["steps"][0]["stage"], "received");
  EXPECT_EQ(json["steps"][0]["words"], "lan0, VLAN 7: fd00::9 > fd00:2::7, ICMPv6, 1400 bytes");
  EXPECT_EQ(json["drop_reason"], nullptr);
  EXPECT_EQ(json["verdict"], "it leaves by port wan0 on the short cut.");
  gateway.packet.port_up = false;
  const auto dropped = linegate({"explain", "packet", "lan0", "10.0.0.1", "10.0.0.2", "47", "--json"});
  EXPECT_EQ(dropped.code, 4);
  EXPECT_EQ(Json::parse(dropped.out)["drop_reason"], "port_down");
}

TEST_F(CliTest, APacketThatCannotBeIsRefused) {
  start();
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"lan0", "192.168.1.9"}, "destination is required"},
      {{"lan0", "here", "192.168.2.7"}, "'here' is not an IP address\n"},
      {{"lan0", "192.168.1.9", "192.168.2.7", "sctp"},
       "'sctp' is not tcp, udp, icmp or a number from 0 to 255\n"},
      {{"lan0", "192.168.1.9", "192.168.2.7", "256"},
       "'256' is not tcp, udp, icmp or a number from 0 to 255\n"},
      {{"lan0", "192.168.1.9", "192.168.2.7", "tcp", "65536"},
       "'65536' is not a whole number from 0 to 65535\n"},
      {{"lan0", "192.168.1.9", "192.168.2.7", "--size", "19"},
       "'19' is not a whole number from 20 to 65535\n"},
      {{"lan0", "192.168.1.9", "192.168.2.7", "--vlan", "4095"},
       "'4095' is not a whole number from 0 to 4094\n"},
      {{"lan0", "192.168.1.9", "fd00::1"}, "destination has another IP version than the source\n"}};
  for (const auto& [words, message] : rows) {
    std::vector<std::string> command{"explain", "packet"};
    command.insert(command.end(), words.begin(), words.end());
    const auto result = linegate(command);
    EXPECT_EQ(result.code, 2) << message;
    expect_in(message, result.err);
  }
  const auto nowhere = linegate({"explain", "packet", "wan", "10.0.0.1", "10.0.0.2"});
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_EQ(nowhere.err, "no port and no interface wan; did you mean 'wan0'?\n");
}

TEST_F(CliTest, ExplainsDrops) {
  start();
  const auto result = linegate({"explain", "drops", "--seconds", "0.1"});
  EXPECT_EQ(result.code, 0) << result.err;
  expect_in("bad_tag: tag does not verify\n  5 packets, none at the moment\n  damage, or forgery\n",
            result.out);
  EXPECT_EQ(result.out.find("replayed"), std::string::npos) << "it never occurred";
  const auto told = [&](std::chrono::seconds first, std::chrono::seconds spell, std::chrono::seconds last) {
    const WallTime now = std::chrono::system_clock::now();
    server.on_loop([&] { gateway.drop_times = {now - first, now - spell, now - last}; });
    return linegate({"explain", "drops", "--seconds", "0.1"}).out;
  };
  using std::chrono::seconds;
  expect_in("at the moment\n  first 2h ago, again since 5m, last 1m40s ago\n",
            told(seconds{7200}, seconds{300}, seconds{100}));
  expect_in("at the moment\n  first 2h ago, last 1m40s ago\n",
            told(seconds{7200}, seconds{7200}, seconds{100}));
  expect_in("at the moment\n  all of them 1m40s ago\n", told(seconds{100}, seconds{100}, seconds{100}));
  std::thread traffic([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{300});
    server.on_loop([&] { gateway.dropped += 1000; });
  });
  const auto growing = linegate({"explain", "drops", "--seconds", "1", "--json"});
  traffic.join();
  const auto drops = Json::parse(growing.out)["drops"];
  ASSERT_EQ(drops.size(), 1U);
  EXPECT_GT(drops[0]["per_second"].get<double>(), 100);
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
      event.kind = GatewayEventKind::kPeerUp;
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
