// The shipped examples are correct, every key is documented, and a file of 100 000 peers is read in time.
#include <algorithm>
#include <ctime>
#include <map>
#include <set>
#include <sstream>

#include "config/lint.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

std::string example(const std::string& name) {
  return slurp(std::string(LINEGATE_SOURCE_DIR) + "/config/examples/" + name);
}

// The example in a directory with fresh keys in place of the files it names.
ParsedGateway parse_with_keys(const TempDirectory& dir, const std::string& name) {
  for (const char* key : {"wg0.key", "branch.psk", "lab.key"}) dir.write(key, reveal(secret_key(99)) + "\n");
  return parse_file(dir.write(name, example(name)));
}

Environment quiet() {
  Environment environment;
  environment.clock_synchronised = [] { return std::optional(true); };
  environment.file_mode = [](const std::string&) { return std::optional<mode_t>(0600); };
  return environment;
}

TEST(Examples, PassCheckWithoutAWarning) {
  for (const char* name : {"gateway.yaml", "lab.yaml"}) {
    const TempDirectory dir;
    const auto result = parse_with_keys(dir, name);
    ASSERT_TRUE(result) << to_string(problems_of(result));
    EXPECT_EQ(to_string(lint(*result, quiet())), "") << name;
  }
}

TEST(Examples, MatchTheirComments) {
  const TempDirectory dir;
  const auto gateway = parse_with_keys(dir, "gateway.yaml");
  ASSERT_TRUE(gateway);
  EXPECT_EQ(gateway->dpdk.workers.lcores, (std::vector<unsigned>{1, 2}));
  EXPECT_EQ(gateway->interfaces.at("wg0").peers.size(), 3U);
  EXPECT_TRUE(gateway->interfaces.at("wg0").peers[0].preshared_key);
  EXPECT_FALSE(gateway->interfaces.at("wg0").peers[2].enabled);
}

// Keys that are commented out show the default: without the comment signs the meaning is the same.
TEST(Examples, CommentedKeysAreTheDefaults) {
  std::string text;
  std::istringstream lines(example("gateway.yaml"));
  for (std::string line; std::getline(lines, line);) {
    const auto hash = line.find("# ");
    const bool key = hash != std::string::npos && line.find_first_not_of(' ') == hash &&
                     line.find(':', hash) != std::string::npos &&
                     std::islower(static_cast<unsigned char>(line[line.find_first_not_of(' ', hash + 1)])) &&
                     hash >= 2;
    const auto word = key ? line.substr(line.find_first_not_of(' ', hash + 1)) : "";
    const auto name = word.substr(0, word.find(':'));
    const bool shown_only = name == "vlan" || name == "peer_files" || name == "read_group" || name == "user";
    if (key && !shown_only && name.find(' ') == std::string::npos) line.erase(hash, 2);
    text += line + "\n";
  }
  const TempDirectory dir;
  const auto commented = parse_with_keys(dir, "gateway.yaml");
  const auto uncommented = parse_file(dir.write("all.yaml", text));
  ASSERT_TRUE(uncommented) << to_string(problems_of(uncommented));
  EXPECT_NE(text, example("gateway.yaml"));
  Gateway expected = *commented;
  expected.interfaces.at("wg0").log_level = LogLevel::kInfo;  // given explicitly, not inherited
  expected.interfaces.at("wg0").id = "6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11";
  expected.interfaces.at("wg0").type = "office";
  EXPECT_TRUE(*uncommented == expected);
}

// ---------------------------------------------------------------- docs/configuration.md

using Keys = std::set<std::string>;

// The keys that a map accepts, as listed in the error about an unknown one.
Keys known_keys(const std::string& text) {
  ParseOptions options;
  options.open_files = false;
  const auto result = parse_text(text, "gw.yaml", options);
  for (const auto& problem : problems_of(result)) {
    const auto at = problem.message.find("unknown key; allowed: ");
    if (at == std::string::npos) continue;
    Keys keys;
    std::istringstream words(problem.message.substr(at + 22));
    for (std::string word; words >> word;) keys.insert(word.substr(0, word.find(',')));
    return keys;
  }
  return {};
}

// The keys in the first column of the tables of a section; `log.level` stays as it is written.
std::map<std::string, Keys> documented_keys() {
  std::map<std::string, Keys> sections;
  std::istringstream lines(slurp(std::string(LINEGATE_SOURCE_DIR) + "/docs/configuration.md"));
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) section = line.substr(line.find_first_not_of("# "));
    if (!line.starts_with("| `")) continue;
    std::string column = line.substr(1, line.find(" | ") - 1);
    for (std::size_t open; (open = column.find('`')) != std::string::npos;) {
      const auto close = column.find('`', open + 1);
      sections[section].insert(column.substr(open + 1, close - open - 1));
      column.erase(0, close + 1);
    }
  }
  return sections;
}

// Replaces the map by the keys of the inner map.
Keys with_inner(Keys keys, const std::string& map, const Keys& inner) {
  EXPECT_EQ(keys.erase(map), 1U);
  for (const auto& key : inner) keys.insert(map + "." + key);
  return keys;
}

TEST(Documentation, NamesEveryKeyAndNoOther) {
  constexpr const char* kNobody = "zzzzzzzzzzzz: 1";
  const auto in = [&](const std::string& before) {
    return known_keys(
        before + kNobody +
        std::string(static_cast<std::size_t>(std::count(before.begin(), before.end(), '{')), '}') + "\n");
  };
  const Keys idle = in("dpdk: { idle: { "), log = in("control: { log: { ");
  auto documented = documented_keys();
  EXPECT_EQ(documented["`dpdk`"], with_inner(in("dpdk: { "), "idle", idle));
  EXPECT_EQ(documented["`ports`"], in("ports:\n  p: { "));
  EXPECT_EQ(documented["`interfaces`"], in("interfaces:\n  wg0: { "));
  EXPECT_EQ(documented["Peers"], in("interfaces:\n  wg0:\n    peers:\n      - { "));
  EXPECT_EQ(documented["`control`"], with_inner(in("control: { "), "log", log));
  EXPECT_EQ(known_keys(kNobody), (Keys{"dpdk", "ports", "interfaces", "flows", "control"}));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned kPeers = 10'000;
#else
constexpr unsigned kPeers = 100'000;
#endif

std::string many_peers(unsigned count) {
  std::string text = "interfaces:\n  wg0:\n    private_key: " + reveal(secret_key(5)) + "\n    peers:\n";
  for (unsigned i = 0; i < count; ++i) {
    const auto address =
        std::to_string(i >> 16) + "." + std::to_string((i >> 8) & 255) + "." + std::to_string(i & 255);
    text += "      - { name: peer" + std::to_string(i) + ", public_key: " + to_string(public_key(i + 1'000)) +
            ", endpoint: \"198.51.100.7:51820\", allowed_ips: [10." + address +
            "/32], persistent_keepalive: 25 }\n";
  }
  return text;
}

// Processor time of this process, which other work on the machine changes little.
double seconds_used() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// Three seconds are the promise on an idle machine; the bound here allows for a slower one and still
// catches anything that grows faster than the file.
TEST(Speed, AHundredThousandPeers) {
  const std::string text = many_peers(kPeers);
  const double start = seconds_used();
  const auto result = parse_text(text, "gw.yaml");
  const double taken = seconds_used() - start;
  ASSERT_TRUE(result) << to_string(problems_of(result));
  EXPECT_EQ(result->interfaces.at("wg0").peers.size(), kPeers);
  EXPECT_LT(taken, 9.0);
  std::printf("config_parse peers=%u cpu_seconds=%.2f bytes=%zu\n", kPeers, taken, text.size());
}

// All of them wrong: the complaints must not cost more than the file.
TEST(Speed, AHundredThousandComplaints) {
  std::string text = many_peers(kPeers);
  const std::string owner = "allowed_ips: [10.";
  for (auto at = text.find(owner); at != std::string::npos; at = text.find(owner, at + 1))
    text[at + owner.size()] = text[at + owner.size()] == '0' ? '1' : '0';
  for (auto at = text.find("/32]"); at != std::string::npos; at = text.find("/32]", at + 1))
    text.replace(at, 4, "/33]");
  const double start = seconds_used();
  const auto result = parse_text(text, "gw.yaml");
  const double taken = seconds_used() - start;
  EXPECT_EQ(problems_of(result).size(), kPeers);
  EXPECT_LT(taken, 12.0);
}

}  // namespace
}  // namespace wg::config
