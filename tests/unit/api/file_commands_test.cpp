// The commands that write and edit configuration files: init and peer.
#include <qrencode.h>
#include <sys/stat.h>

#include <map>

#include "config/import_wg_quick.h"
#include "config/parse.h"
#include "control/api/json.h"
#include "control/cli/qr.h"
#include "tests/unit/api/command_line.h"

namespace wg::control::test {
namespace {

TEST_F(CliTest, InitWritesWhatCheckAccepts) {
  const auto config = directory + "/new/linegate.yaml";
  const std::vector<std::string> words = {
      "init",           "-c",        config,        "--wan",         "lo",           "--wan-address",
      "203.0.113.2/24", "--gateway", "203.0.113.1", "--lan",         "0000:03:00.1", "--lan-address",
      "192.168.7.1/24", "--tunnel",  "10.7.0.1/24", "--listen-port", "4500"};
  const auto written = linegate(words);
  ASSERT_EQ(written.code, 0) << written.err;
  expect_in("linegate peer add NAME --qr -c " + config, written.out);
  expect_in("linegate doctor -c " + config, written.out);
  const auto parsed = config::parse_file(config);
  ASSERT_TRUE(parsed) << config::to_string(parsed.error());
  const auto& wan = parsed->ports.at("wan0");
  EXPECT_EQ(wan.device.text, "linux:lo");
  EXPECT_EQ(config::to_string(wan.gateways.at(0)), "203.0.113.1");
  EXPECT_EQ(parsed->ports.at("lan0").device.text, "0000:03:00.1");
  const auto& wg0 = parsed->interfaces.at("wg0");
  EXPECT_EQ(wg0.listen_port, UdpPort{4500});
  EXPECT_TRUE(wg0.private_key);
  for (const char* name : {"/new/linegate.yaml", "/new/wg0.key"}) {
    struct stat state {};
    ASSERT_EQ(stat((directory + name).c_str(), &state), 0) << name;
    EXPECT_EQ(state.st_mode & 0777, 0600U) << name;
  }
  EXPECT_EQ(linegate({"check", "--offline", config}).code, 0);
  const auto again = linegate(words);
  EXPECT_EQ(again.code, 1);
  expect_in("exists: use --force", again.err);
  auto forced = words;
  forced.emplace_back("--force");
  expect_in("wg0.key beside it was there and is used", linegate(forced).out);
  EXPECT_EQ(config::parse_file(config)->interfaces.at("wg0").private_key, wg0.private_key)
      << "peers know the gateway by its key";
  std::ofstream(directory + "/new/wg0.key") << "no key at all\n";
  const auto refused = linegate(forced);
  EXPECT_EQ(refused.code, 1);
  expect_in("wg0.key exists and is no key: move it away", refused.err);
}

TEST_F(CliTest, InitNamesTheOptionThatIsWrong) {
  const auto config = directory + "/none.yaml";
  const std::pair<std::vector<std::string>, std::string> rows[] = {
      {{"--wan", "lp"}, "--wan: lp is no network interface of this machine; did you mean 'lo'?"},
      {{"--wan-address", "10.0.0.1"}, "--wan-address: 10.0.0.1 is not ADDRESS/LENGTH"},
      {{"--gateway", "there"}, "--gateway: there is not an IP address"},
      {{"--lan", "nosuch0"}, "--lan: nosuch0 is no network interface of this machine"},
      {{"--tunnel", "x"}, "--tunnel: x is not ADDRESS/LENGTH"},
      {{"--listen-port", "0"}, "--listen-port: 0 is not a UDP port"},
      {{"--listen-port", "x"}, "--listen-port: x is not a UDP port"}};
  for (const auto& [wrong, message] : rows) {
    std::map<std::string, std::string> values = {{"--wan", "lo"},
                                                 {"--wan-address", "203.0.113.2/24"},
                                                 {"--gateway", "none"},
                                                 {"--lan", "tap"},
                                                 {"--lan-address", "192.168.1.1/24"}};
    values[wrong[0]] = wrong[1];
    std::vector<std::string> words{"init", "-c", config};
    for (const auto& [option, value] : values) words.insert(words.end(), {option, value});
    const auto result = linegate(words);
    EXPECT_EQ(result.code, 2) << message;
    expect_in(message, result.err);
    EXPECT_FALSE(std::filesystem::exists(config));
  }
}

TEST_F(CliTest, InitAsksOnATerminalAndWritesNothingWrong) {
  const auto config = directory + "/asked.yaml";
  const auto asked =
      linegate({"init", "-c", config}, "tap\n203.0.113.2/24\n203.0.113.1\nnone\n\n\n", {true, false, 80});
  ASSERT_EQ(asked.code, 0) << asked.err << asked.out;
  expect_in("Port towards the internet", asked.out);
  expect_in("UDP port for WireGuard [51820]: ", asked.out);
  const auto parsed = config::parse_file(config);
  ASSERT_TRUE(parsed) << config::to_string(parsed.error());
  EXPECT_EQ(parsed->ports.size(), 1U);
  EXPECT_EQ(config::to_string(parsed->interfaces.at("wg0").addresses.at(0)), "10.10.0.1/24");
  const auto wrong = linegate({"init", "-c", directory + "/wrong.yaml", "--wan", "tap", "--wan-address",
                               "203.0.113.2", "--gateway", "none", "--lan", "none"});
  EXPECT_EQ(wrong.code, 2);
  expect_in("--wan-address: 203.0.113.2 is not ADDRESS/LENGTH", wrong.err);
  EXPECT_FALSE(std::filesystem::exists(directory + "/wrong.yaml"));
}

// A file as people write it, for the commands that edit it.
class PeerCommandTest : public CliTest {
 protected:
  PeerCommandTest() {
    config = file("gateway.yaml",
                  "ports:\n"
                  "  wan0: { device: \"net_null0\", addresses: [203.0.113.2/24], gateway: 203.0.113.1 }\n"
                  "  lan0: { device: \"net_null1\", addresses: [192.168.1.1/24] }\n"
                  "interfaces:\n"
                  "  wg0:  # the only one\n"
                  "    private_key: " +
                      config::reveal(secret_of(7)) +
                      "\n"
                      "    listen_port: 51820\n"
                      "    addresses: [10.10.0.1/24, \"fd00:10::1/64\"]\n"
                      "    peers:\n"
                      "      # the branch office\n"
                      "      - name: branch\n"
                      "        public_key: " +
                      config::to_string(config::public_key_of(secret_of(9))) +
                      "\n"
                      "        allowed_ips: [10.10.0.2/32, 192.168.2.0/24]  # its LAN\n");
  }
  Result peer(std::vector<std::string> words) {
    words.insert(words.begin(), "peer");
    words.insert(words.end(), {"-c", config});
    return linegate(words);
  }
  std::string text() const {
    std::ifstream in(config);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  config::Interface wg0() const {
    auto parsed = config::parse_file(config);
    EXPECT_TRUE(parsed) << config::to_string(parsed.error());
    return parsed ? parsed->interfaces["wg0"] : config::Interface{};
  }
  std::string config;
};

TEST_F(PeerCommandTest, AddWritesThePeerAndPrintsItsFile) {
  const auto added = peer({"add", "alice"});
  ASSERT_EQ(added.code, 0) << added.err;
  expect_in("peer alice of wg0: 10.10.0.3/32\n", added.err);
  expect_in("apply it: linegate reload", added.err);
  for (const char* comment : {"# the only one", "# the branch office", "# its LAN"})
    expect_in(comment, text());
  const auto interface = wg0();
  ASSERT_EQ(interface.peers.size(), 2U);
  const auto& alice = interface.peers[1];
  EXPECT_EQ(alice.name, "alice");
  ASSERT_EQ(alice.allowed_ips.size(), 2U);
  EXPECT_EQ(config::to_string(alice.allowed_ips[0]), "10.10.0.3/32");
  EXPECT_EQ(config::to_string(alice.allowed_ips[1]), "fd00:10::2/128");
  const auto client = config::import_wg_quick(added.out, "alice.conf");
  ASSERT_TRUE(client) << added.out;
  EXPECT_EQ(config::public_key_of(*client->interface.private_key), alice.public_key);
  const auto& gateway_peer = client->interface.peers.at(0);
  EXPECT_EQ(gateway_peer.public_key, config::public_key_of(secret_of(7)));
  EXPECT_EQ(gateway_peer.preshared_key, alice.preshared_key);
  EXPECT_TRUE(alice.preshared_key);
  EXPECT_EQ(config::to_string(*gateway_peer.endpoint), "203.0.113.2:51820");
  expect_in("AllowedIPs = 10.10.0.0/24, fd00:10::/64, 192.168.1.0/24\n", added.out);
  const auto second = peer({"add", "bob", "--no-preshared-key"});
  expect_in("10.10.0.4/32", second.err);
  EXPECT_FALSE(wg0().peers.at(2).preshared_key);
  EXPECT_EQ(text().find(config::reveal(*client->interface.private_key)), std::string::npos)
      << "the peer's private key stays with the peer";
}

TEST_F(PeerCommandTest, AddTakesWhatItIsGiven) {
  const auto path = directory + "/carol.conf";
  const auto key = config::to_string(config::public_key_of(secret_of(11)));
  const auto added =
      peer({"add", "--address", "10.10.0.77", "--allowed-ips", "10.77.0.0/16,10.78.0.0/16", "--public-key",
            key, "--endpoint", "vpn.example.net", "--client-allowed-ips", "0.0.0.0/0", "--dns", "9.9.9.9",
            "--keepalive", "0", "--client-config", path, "carol"});
  ASSERT_EQ(added.code, 0) << added.err;
  EXPECT_EQ(added.out, "") << "the file has it";
  struct stat state {};
  ASSERT_EQ(stat(path.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600U);
  std::ifstream in(path);
  const std::string client(std::istreambuf_iterator<char>(in), {});
  for (const char* line : {"# PrivateKey", "Address = 10.10.0.77/32\n", "DNS = 9.9.9.9\n",
                           "Endpoint = vpn.example.net:51820\n", "AllowedIPs = 0.0.0.0/0\n"})
    expect_in(line, client);
  EXPECT_EQ(client.find("PersistentKeepalive"), std::string::npos);
  const auto carol = wg0().peers.at(1);
  EXPECT_EQ(config::to_string(carol.public_key), key);
  EXPECT_EQ(carol.allowed_ips.size(), 3U);
}

TEST_F(PeerCommandTest, MistakesChangeNothing) {
  const std::string before = text();
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"add", "branch"}, "peer branch exists on wg0\n"},
      {{"add", "x", "--address", "10.10.0.300"}, "--address: 10.10.0.300 is not an IP address or auto\n"},
      {{"add", "x", "--address", "10.10.0.2"}, "--address: 10.10.0.2 belongs to peer branch\n"},
      {{"add", "x", "--address", "10.10.0.1"}, "--address: 10.10.0.1 is our own address at interfaces.wg0\n"},
      {{"add", "x", "--address", "192.168.1.1"}, "--address: 192.168.1.1 is our own address at ports.lan0\n"},
      {{"add", "x", "--address", "10.10.0.0"}, "10.10.0.0 is the address of the network 10.10.0.0/24\n"},
      {{"add", "x", "--address", "10.10.0.255"}, "10.10.0.255 is the broadcast address of 10.10.0.0/24\n"},
      {{"add", "x", "--address", "224.0.0.5"}, "--address: 224.0.0.5 is not the address of one host\n"},
      {{"add", ""}, "NAME: '' is not 1 to 64 printable characters\n"},
      {{"add", std::string(65, 'n')}, "is not 1 to 64 printable characters\n"},
      {{"add", "bell\a"}, "NAME: 'bell\\x07' is not 1 to 64 printable characters\n"},
      {{"add", "x", "--allowed-ips", "10.9.0.1/16"},
       "--allowed-ips: 10.9.0.1/16 has bits beyond its length; the network is 10.9.0.0/16\n"},
      {{"add", "x", "--keepalive", "-1"}, "'-1' is not a whole number from 0 to 65535\n"},
      {{"add", "x", "--public-key", "short"}, "--public-key: short is not 32 bytes in base64\n"},
      {{"add", "x", "--endpoint", "a b"}, "--endpoint: a b is not HOST or HOST:PORT\n"},
      {{"add", "x", "--dns", "here"}, "--dns: here is not an IP address\n"},
      {{"add", "x", "--allowed-ips", "10.0.0.0"}, "--allowed-ips: 10.0.0.0 is not ADDRESS/LENGTH\n"},
      {{"add", "x", "--interface", "wg1"}, "no interface wg1; did you mean 'wg0'?\n"},
      {{"add", "x", "--qr", "--public-key", "y"}, "--qr needs the peer's private key"},
      {{"remove", "brunch"}, "no peer brunch; did you mean 'branch'?\n"},
      {{"disable", "nobody"}, "no peer nobody\n"}};
  for (const auto& [words, message] : rows) {
    const auto result = peer(words);
    EXPECT_NE(result.code, 0) << message;
    expect_in(message, result.err);
    EXPECT_EQ(result.out, "") << message;
    EXPECT_EQ(text(), before) << message;
  }
}

// The peer's keys are printed once. When they cannot be, no peer must stand in the file without them.
TEST_F(PeerCommandTest, WhatCannotBePrintedIsNotAdded) {
  const std::string before = text();
  std::ostringstream out, err;
  out.setstate(std::ios::badbit);
  std::istringstream in;
  EXPECT_EQ(cli::run({"peer", "add", "erin", "-c", config}, cli::Terminal{in, out, err}), 1);
  expect_in("the peer's file cannot be printed; the configuration was not changed", err.str());
  EXPECT_EQ(text(), before);
}

TEST_F(PeerCommandTest, NamesAreCountedInCharacters) {
  std::string name;
  for (int i = 0; i < 64; ++i) name += "\u00e4";
  EXPECT_EQ(peer({"add", name}).code, 0);
  EXPECT_EQ(wg0().peers.at(1).name, name);
}

TEST_F(PeerCommandTest, DisableEnableRemoveAndList) {
  ASSERT_EQ(peer({"add", "alice"}).code, 0);
  EXPECT_EQ(peer({"disable", "branch"}).code, 0);
  EXPECT_FALSE(wg0().peers.at(0).enabled);
  expect_in("# the branch office", text());
  const auto listed = peer({"list"});
  expect_in("branch  wg0        disabled  10.10.0.2/32, 192.168.2.0/24", listed.out);
  expect_in("alice   wg0        enabled", listed.out);
  EXPECT_EQ(Json::parse(peer({"list", "--json"}).out)["peers"][0]["enabled"], false);
  expect_in("is disabled already", peer({"disable", "branch"}).err);
  EXPECT_EQ(peer({"add", "bob"}).err.find("10.10.0.2/32"), std::string::npos)
      << "a disabled peer keeps its address";
  EXPECT_EQ(peer({"remove", "branch"}).code, 0) << "although it is disabled";
  EXPECT_EQ(wg0().peers.size(), 2U);
  EXPECT_EQ(peer({"enable", "alice"}).code, 0);
  EXPECT_EQ(peer({"remove", config::to_string(wg0().peers.at(0).public_key)}).code, 0);
  EXPECT_EQ(wg0().peers.at(0).name, "bob");
}

TEST_F(PeerCommandTest, ReloadAppliesAtOnce) {
  EXPECT_EQ(peer({"add", "alice", "--reload"}).code, 3) << "nothing runs";
  start();
  gateway.plan.plan = {"wg0: add peer bob"};
  const auto added = peer({"add", "bob", "--reload"});
  EXPECT_EQ(added.code, 0) << added.err;
  expect_in("wg0: add peer bob\n", added.err);
  EXPECT_EQ(gateway.calls, std::vector<std::string>{"reload"});
  gateway.plan.errors = {{EINVAL, "a.yaml:3:5: x: is wrong"}};
  EXPECT_EQ(peer({"remove", "bob", "--reload"}).code, 2);
}

// The modules that a drawn code shows, row by row, without the quiet zone.
std::vector<std::string> modules_of(const std::string& drawn) {
  std::vector<std::string> rows;
  std::istringstream lines(drawn);
  for (std::string line; std::getline(lines, line);) {
    std::string upper, lower;
    for (std::size_t at = 0; at < line.size();) {
      const bool blank = line[at] == ' ';
      const std::string cell = line.substr(at, blank ? 1 : 3);
      upper += cell == "█" || cell == "▀" ? '0' : '1';
      lower += cell == "█" || cell == "▄" ? '0' : '1';
      at += cell.size();
    }
    rows.push_back(upper.substr(2, upper.size() - 4));
    rows.push_back(lower.substr(2, lower.size() - 4));
  }
  return {rows.begin() + 2, rows.end()};
}

TEST_F(PeerCommandTest, AFileThatExistsIsNotReplaced) {
  const auto before = text();
  const auto path = directory + "/taken.key";
  std::ofstream(path) << "a key of ours";
  const auto refused = peer({"add", "erin", "--client-config", path});
  EXPECT_NE(refused.code, 0);
  expect_in("exists already", refused.err);
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "a key of ours");
  EXPECT_EQ(text(), before);
}

TEST_F(PeerCommandTest, TheQrCodeHoldsThePeersFile) {
  const auto path = directory + "/dave.conf";
  const auto drawn = peer({"add", "dave", "--qr", "--client-config", path});
  ASSERT_EQ(drawn.code, 0) << drawn.err;
  std::ifstream in(path);
  const std::string client(std::istreambuf_iterator<char>(in), {});
  const std::unique_ptr<QRcode, decltype(&QRcode_free)> code(
      QRcode_encodeData(static_cast<int>(client.size()),
                        reinterpret_cast<const unsigned char*>(client.data()), 0, QR_ECLEVEL_L),
      QRcode_free);
  ASSERT_TRUE(code);
  const auto rows = modules_of(drawn.out);
  ASSERT_GE(rows.size(), static_cast<std::size_t>(code->width));
  for (int row = 0; row < code->width; ++row) {
    std::string expected;
    for (int column = 0; column < code->width; ++column)
      expected += (code->data[row * code->width + column] & 1) != 0 ? '1' : '0';
    EXPECT_EQ(rows[static_cast<std::size_t>(row)], expected) << "row " << row;
  }
  std::istringstream lines(drawn.out);
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(static_cast<std::size_t>(
                  std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; })),
              80U);
  EXPECT_EQ(cli::qr_code(std::string(4000, 'x'), false), "") << "too long for a code";
}

}  // namespace
}  // namespace wg::control::test
