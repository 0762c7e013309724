// save(): what ran is in the file afterwards, and what people wrote around it still is.
#include <sys/stat.h>

#include <random>

#include "config/diff.h"
#include "config/save.h"
#include "config/yaml_edit.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

using namespace std::chrono_literals;

constexpr const char* kFile = R"(# The office gateway.
ports:
  wan0: { device: tap }   # the world

interfaces:
  wg0:                    # the office
    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
    listen_port: 51820    # opened in the firewall
    peers:
      # Alice, since 2021.
      - name: alice
        public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=   # her laptop
        endpoint: 192.0.2.1:1      # at home
        allowed_ips:
          - 10.0.0.2/32            # the laptop
          - 10.0.2.0/24            # her lab
        persistent_keepalive: 25   # behind NAT

      # Bob has no endpoint.
      - { name: bob, public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, allowed_ips: [10.0.0.3/32] }  # phone
      # Carol is away.
      - name: carol
        public_key: BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=
        enabled: false

control: { reload_on_change: true }   # the end
)";

struct SaveTest : testing::Test {
  TempDirectory dir;
  std::string path = dir.write("gw.yaml", kFile);

  Gateway running() const {
    auto result = parse_file(path);
    EXPECT_TRUE(result) << to_string(problems_of(result));
    return result ? runtime_view(*result) : Gateway{};
  }
  static Peer& named(Gateway& gateway, const std::string& name) {
    for (Peer& peer : gateway.interfaces.at("wg0").peers)
      if (peer.name == name) return peer;
    throw std::logic_error("no peer " + name);
  }
  // Saves and writes. The file must then describe the running configuration.
  Saved save_and_check(const Gateway& wanted, const SaveOptions& options = {}) {
    const Expected<Saved, Problems> saved = save(path, wanted, options);
    EXPECT_EQ(to_string(problems_of(saved)), "");
    if (!saved) return {};
    EXPECT_TRUE(write(*saved));
    EXPECT_TRUE(running().interfaces == runtime_view(wanted).interfaces) << slurp(path);
    return *saved;
  }
  // kFile with one piece replaced.
  static std::string with(const std::string& from, const std::string& to) {
    std::string text = kFile;
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
};

TEST_F(SaveTest, ChangesNothingWhenNothingChanged) {
  const Saved saved = save_and_check(running());
  EXPECT_TRUE(saved.files.empty());
  EXPECT_EQ(slurp(path), kFile);
}

TEST_F(SaveTest, SetsSingleValuesInPlace) {
  Gateway wanted = running();
  named(wanted, "alice").endpoint = parse_endpoint("198.51.100.9:7").value();
  save_and_check(wanted);
  EXPECT_EQ(slurp(path), with("192.0.2.1:1 ", "\"198.51.100.9:7\" "));
}

TEST_F(SaveTest, RemovesAKeyWhoseValueIsTheDefaultAgain) {
  Gateway wanted = running();
  named(wanted, "alice").persistent_keepalive = 0s;
  save_and_check(wanted);
  EXPECT_EQ(slurp(path), with("        persistent_keepalive: 25   # behind NAT\n", ""));
}

TEST_F(SaveTest, KeepsTheLinesOfPrefixesThatStay) {
  Gateway wanted = running();
  named(wanted, "alice").allowed_ips = {*parse_prefix("10.0.2.0/24"), *parse_prefix("fd00::/64")};
  save_and_check(wanted);
  EXPECT_EQ(slurp(path), with("          - 10.0.0.2/32            # the laptop\n"
                              "          - 10.0.2.0/24            # her lab\n",
                              "          - 10.0.2.0/24            # her lab\n"
                              "          - \"fd00::/64\"\n"));
}

TEST_F(SaveTest, AddsAMissingKeyToAPeerAndAnInterface) {
  Gateway wanted = running();
  named(wanted, "alice").preshared_key = secret_key(9);
  wanted.interfaces.at("wg0").fwmark = 77;
  save_and_check(wanted);
  const auto text = slurp(path);
  EXPECT_NE(text.find("# her laptop\n        preshared_key: " + reveal(secret_key(9)) + "\n"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("AQE=\n    fwmark: 77\n    listen_port: 51820    # opened"), std::string::npos) << text;
}

TEST_F(SaveTest, RewritesAPeerOnOneLineOnOneLine) {
  Gateway wanted = running();
  named(wanted, "bob").endpoint = parse_endpoint("192.0.2.9:9").value();
  save_and_check(wanted);
  EXPECT_EQ(
      slurp(path),
      with(
          "{ name: bob, public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, allowed_ips: [10.0.0.3/32] "
          "}",
          "{ name: bob, public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, endpoint: \"192.0.2.9:9\", "
          "allowed_ips: [10.0.0.3/32] }"));
}

TEST_F(SaveTest, AppendsNewPeersAndTakesOutRemovedOnes) {
  Gateway wanted = running();
  std::erase_if(wanted.interfaces.at("wg0").peers, [](const Peer& peer) { return peer.name == "bob"; });
  Peer dave;
  dave.public_key = public_key(0x05050505);
  dave.allowed_ips = {*parse_prefix("10.0.0.5/32")};
  wanted.interfaces.at("wg0").peers.push_back(dave);
  save_and_check(wanted);
  std::string expected = with(
      "      - { name: bob, public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, allowed_ips: "
      "[10.0.0.3/32] }  # phone\n",
      "");
  const std::string carol = "        enabled: false\n";
  expected.insert(expected.find(carol) + carol.size(),
                  "      - public_key: BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n        allowed_ips: "
                  "[10.0.0.5/32]\n");
  EXPECT_EQ(slurp(path), expected);
}

// The first peer joins a list that is empty, in any spelling, and the comment beside its key stays.
TEST_F(SaveTest, TheFirstPeerKeepsTheCommentOfTheList) {
  const std::string head =
      "interfaces:\n  wg0:\n    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";
  const std::string added =
      "      - public_key: BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\n        allowed_ips: "
      "[10.0.0.5/32]\n";
  for (const std::string empty : {"", " []", "  [ ]"}) {
    path = dir.write("first.yaml", head + "    peers:" + empty + "   # from the list\n    # none yet\n");
    Gateway wanted = running();
    Peer dave;
    dave.public_key = public_key(0x05050505);
    dave.allowed_ips = {*parse_prefix("10.0.0.5/32")};
    wanted.interfaces.at("wg0").peers.push_back(dave);
    EXPECT_TRUE(save_and_check(wanted).remarks.empty()) << empty;
    EXPECT_EQ(slurp(path), head + "    peers:   # from the list\n" + added + "    # none yet\n") << empty;
  }
}

TEST_F(SaveTest, NewLinesEndAsTheOthersDo) {
  std::string text;
  for (const char c : std::string(kFile)) text += c == '\n' ? "\r\n" : std::string(1, c);
  path = dir.write("windows.yaml", text);
  Gateway wanted = running();
  Peer dave;
  dave.public_key = public_key(0x05050505);
  wanted.interfaces.at("wg0").peers.push_back(dave);
  wanted.interfaces.at("wg0").mtu = 1400;
  EXPECT_TRUE(save_and_check(wanted).remarks.empty());
  const std::string saved = slurp(path);
  EXPECT_NE(saved.find("mtu: 1400\r\n"), std::string::npos);
  for (std::size_t at = saved.find('\n'); at != std::string::npos; at = saved.find('\n', at + 1))
    EXPECT_EQ(saved[at - 1], '\r') << saved.substr(0, at);
}

TEST_F(SaveTest, RemovesTheLastPeer) {
  Gateway wanted = running();
  wanted.interfaces.at("wg0").peers.clear();
  save_and_check(wanted);
  EXPECT_NE(slurp(path).find("carol"), std::string::npos);  // switched off, so it is not what runs
  EXPECT_EQ(slurp(path).find("alice"), std::string::npos);
}

TEST_F(SaveTest, AddsAndRemovesInterfaces) {
  Gateway wanted = running();
  wanted.interfaces["wg1"].private_key = secret_key(3);
  save_and_check(wanted);
  EXPECT_NE(slurp(path).find("  wg1:\n    private_key: "), std::string::npos);
  EXPECT_NE(slurp(path).find("# Alice, since 2021."), std::string::npos);
  wanted.interfaces.erase("wg0");
  save_and_check(wanted);
  EXPECT_EQ(slurp(path).find("wg0"), std::string::npos);
  EXPECT_NE(slurp(path).find("# the end"), std::string::npos);
}

mode_t mode_of(const std::string& path) {
  struct stat state {};
  EXPECT_EQ(::stat(path.c_str(), &state), 0);
  return state.st_mode & 0777;
}

TEST_F(SaveTest, AKeyFileIsWrittenWithMode0600) {
  for (const mode_t before : {0644, 0640, 0660, 0600}) {
    path = dir.write("gw.yaml", with("ports:", "# private_key: of each interface\nports:"));
    ::chmod(path.c_str(), before);
    Gateway wanted = running();
    named(wanted, "bob").persistent_keepalive = 5s;
    save_and_check(wanted);
    EXPECT_EQ(mode_of(path), before) << "no new key: the mode is the administrator's";
    wanted.interfaces.at("wg0").private_key = secret_key(9);
    save_and_check(wanted);
    EXPECT_EQ(mode_of(path), before) << "another key where one was";
    named(wanted, "bob").preshared_key = secret_key(7);
    const Saved saved = save_and_check(wanted);
    EXPECT_EQ(mode_of(path), 0600u);
    const bool told = before != 0600;  // the mode has changed
    ASSERT_EQ(saved.remarks.size(), told ? 1u : 0u);
    if (told) {
      EXPECT_EQ(saved.remarks[0], path + ": holds a key now, so only its owner may read it");
    }
  }
}

TEST_F(SaveTest, AnInterfaceWithoutAKeyIsNamed) {
  Gateway wanted = running();
  wanted.interfaces["wg1"].listen_port = UdpPort{7};
  const auto saved = save(path, wanted);
  ASSERT_FALSE(saved);
  EXPECT_EQ(
      to_string(saved.error()),
      path +
          ": interfaces.wg1: has no private key, without which it cannot be saved; allowed: `wg set wg1 "
          "private-key FILE`, or `linegate interface delete wg1`\n");
}

TEST_F(SaveTest, ANewPrivateKeyGoesIntoItsFile) {
  path = dir.write("gw.yaml", with("private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
                                   "private_key_file: wg0.key"));
  dir.write("wg0.key", reveal(secret_key(0x01010101)) + "\n");
  const auto before = slurp(path);
  Gateway wanted = running();
  wanted.interfaces.at("wg0").private_key = secret_key(12);
  const Saved saved = save_and_check(wanted);
  ASSERT_EQ(saved.keys.size(), 1U);
  EXPECT_EQ(saved.keys[0].path, dir / "wg0.key");
  EXPECT_EQ(slurp(path), before);
  EXPECT_EQ(slurp(dir / "wg0.key"), reveal(secret_key(12)) + "\n");
}

TEST_F(SaveTest, NewPresharedKeysGoIntoADirectoryWhenThereIsOne) {
  std::filesystem::create_directory(dir / "keys");
  Gateway wanted = running();
  named(wanted, "bob").preshared_key = secret_key(9);
  save_and_check(wanted, {"keys"});
  EXPECT_NE(slurp(path).find("preshared_key_file: keys/wg0-0303030303030303.psk"), std::string::npos)
      << slurp(path);
  EXPECT_EQ(slurp(path).find(reveal(secret_key(9))), std::string::npos);
}

TEST_F(SaveTest, EditsPeersInTheirPeerFiles) {
  path = dir.write("gw.yaml", with("    peers:\n", "    peer_files: [more.yaml]\n    peers:\n"));
  dir.write("more.yaml",
            "# From the ticket system.\n- name: erin   # desk\n  public_key: "
            "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=\n"
            "- name: frank\n  public_key: BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n");
  const auto before = slurp(path);
  Gateway wanted = running();
  named(wanted, "erin").persistent_keepalive = 9s;
  std::erase_if(wanted.interfaces.at("wg0").peers, [](const Peer& peer) { return peer.name == "frank"; });
  save_and_check(wanted);
  EXPECT_EQ(slurp(path), before);
  EXPECT_EQ(slurp(dir / "more.yaml"),
            "# From the ticket system.\n- name: erin   # desk\n  public_key: "
            "BgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgY=\n"
            "  persistent_keepalive: 9\n");
}

TEST_F(SaveTest, RewritesAnInterfaceThatCannotBeEdited) {
  path = dir.write("gw.yaml",
                   "ports: { wan0: { device: tap } }  # stays\ninterfaces:\n  wg0: { private_key: "
                   "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=, listen_port: 1 }  # goes\n");
  Gateway wanted = running();
  wanted.interfaces.at("wg0").listen_port = UdpPort{2};
  const Saved saved = save_and_check(wanted);
  ASSERT_EQ(saved.remarks.size(), 1U);
  EXPECT_EQ(saved.remarks[0], "interface wg0 was rewritten; its comments are lost");
  EXPECT_EQ(slurp(path),
            "ports: { wan0: { device: tap } }  # stays\ninterfaces:\n  wg0:\n    private_key: "
            "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n    listen_port: 2\n");
}

TEST_F(SaveTest, RefusesInsteadOfGuessing) {
  const std::string text =
      "interfaces: { wg0: { private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE= } }\n";
  path = dir.write("gw.yaml", text);
  Gateway wanted = running();
  wanted.interfaces.at("wg0").listen_port = UdpPort{2};
  const auto saved = save(path, wanted);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().size(), 1U);
}

TEST_F(SaveTest, DoesNotTouchAFileThatIsWrong) {
  path = dir.write("gw.yaml", "ports: 1\n");
  const auto saved = save(path, Gateway{});
  EXPECT_FALSE(saved);
  EXPECT_EQ(slurp(path), "ports: 1\n");
}

// ---------------------------------------------------------------- generated changes

constexpr const char* kStyles[] = {
    kFile,
    "interfaces:\n  wg0:\n    peers: []\n    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n",
    "interfaces:\n  wg0:\n    peers:\n    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=  # no "
    "newline",
    "interfaces:\n  wg0:\n    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n    peers:\n"
    "    - {public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=}\n"
    "    - {public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=, name: 'it''s # {bob}', allowed_ips:\n"
    "        [10.0.0.3/32, # one ]\n         10.0.0.4/32]}\n    listen_port: 5\n",
    "interfaces:\n  wg0:\n    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n    peers: "
    "[{public_key: "
    "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=}, {public_key: "
    "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=}]\n",
    "interfaces:\n  wg0:\n    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n    peers:\n      "
    "-\n"
    "        public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n        endpoint: &e \"192.0.2.1:1\"\n"
    "      - public_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n        endpoint: *e\n",
};

TEST_F(SaveTest, ReadsAsWantedAfterAnyChangeInAnyStyle) {
  std::size_t in_place = 0, rewritten = 0;
  for (unsigned seed = 0; seed < 240; ++seed) {
    std::mt19937 random(seed);
    const auto chance = [&] { return random() % 3 == 0; };
    path = dir.write("gw.yaml", kStyles[seed % std::size(kStyles)]);
    Gateway wanted = running();
    Interface& wg0 = wanted.interfaces.at("wg0");
    if (chance()) wg0.listen_port = UdpPort{static_cast<std::uint16_t>(random() % 3)};
    if (chance()) wg0.fwmark = static_cast<std::uint32_t>(random() % 3);
    if (chance()) wg0.private_key = secret_key(20);
    std::erase_if(wg0.peers, [&](const Peer&) { return chance(); });
    for (Peer& peer : wg0.peers) {
      if (chance())
        peer.endpoint =
            random() % 2 == 0 ? std::nullopt : std::optional(parse_endpoint("[2001:db8::7]:7").value());
      if (chance()) peer.persistent_keepalive = std::chrono::seconds(random() % 2 * 15);
      if (chance()) peer.allowed_ips.clear();
      if (chance())
        peer.allowed_ips.push_back(
            *parse_prefix("10.9." + std::to_string(peer.public_key.bytes[0]) + ".0/24"));
      if (chance()) peer.preshared_key = secret_key(30);
      if (chance()) peer.name = "";
    }
    for (unsigned i = 0; i < random() % 3; ++i) {
      Peer fresh;
      fresh.public_key = public_key(0x50 + i);
      if (chance()) fresh.allowed_ips = {*parse_prefix("10.8." + std::to_string(i) + ".0/24")};
      wg0.peers.push_back(fresh);
    }
    const Saved saved = save_and_check(wanted);
    (saved.remarks.empty() ? in_place : rewritten) += 1;
    if (HasFailure()) FAIL() << "seed " << seed << "\n" << slurp(path);
  }
  EXPECT_GT(in_place, 120U);
  EXPECT_GT(rewritten, 10U);
  std::printf("config_save in_place=%zu rewritten=%zu\n", in_place, rewritten);
}

}  // namespace
}  // namespace wg::config
