// wg-quick files in, wg setconf files out, and round both ways.
#include <algorithm>
#include <random>

#include "config/diff.h"
#include "config/emit.h"
#include "config/export.h"
#include "config/import_wg_quick.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

constexpr const char* kWgQuick = R"([Interface]
# the gateway of the office
PrivateKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
ListenPort = 51820
FwMark = 0xca6c
Address = 10.10.0.1/24, fd00::1/64
Address = 10.11.0.1
MTU = 1380
Table = 77
DNS = 10.10.0.53, example.net
PostUp = iptables -A FORWARD -i %i -j ACCEPT  # open the gates
SaveConfig = true

[Peer]
# Name = alice
PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
PresharedKey = AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=
AllowedIPs = 10.10.0.2/32, fd00::2
Endpoint = vpn.example.net:51820
PersistentKeepalive = 25

[peer]
publickey=BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=
allowedips=192.168.7.9/24
endpoint=[2001:db8::1]:1
persistentkeepalive=off
)";

TEST(Import, ConvertsKeysWithACounterpart) {
  const auto imported = import_wg_quick(kWgQuick, "wg0.conf", {"wg0.key"});
  ASSERT_TRUE(imported) << to_string(problems_of(imported));
  EXPECT_TRUE(imported->interface.private_key == secret_key(0x01010101));
  EXPECT_EQ(to_yaml("wg0", imported->interface),
            "interfaces:\n"
            "  wg0:\n"
            "    private_key_file: wg0.key\n"
            "    listen_port: 51820\n"
            "    fwmark: 51820\n"
            "    addresses: [10.10.0.1/24, \"fd00::1/64\", 10.11.0.1/32]\n"
            "    mtu: 1380\n"
            "    table: 77\n"
            "    peers:\n"
            "      - name: alice\n"
            "        public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
            "        preshared_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"
            "        endpoint: \"vpn.example.net:51820\"\n"
            "        allowed_ips: [10.10.0.2/32, \"fd00::2/128\"]\n"
            "        persistent_keepalive: 25\n"
            "      - public_key: BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=\n"
            "        endpoint: \"[2001:db8::1]:1\"\n"
            "        allowed_ips: [192.168.7.0/24]\n");
}

TEST(Import, ReportsKeysWithoutACounterpart) {
  EXPECT_EQ(to_string(import_wg_quick(kWgQuick, "wg0.conf")->notes),
            "wg0.conf:10:1: warning: DNS = 10.10.0.53, example.net: not carried over; a gateway's resolver "
            "is the host's "
            "affair\n"
            "wg0.conf:11:1: warning: PostUp = iptables -A FORWARD -i %i -j ACCEPT: not carried over; "
            "linegate runs no "
            "commands\n"
            "wg0.conf:12:1: warning: SaveConfig: not carried over; runtime changes are written back by "
            "'linegate save' "
            "when asked\n");
}

TEST(Import, ReportsEveryErrorWithItsLine) {
  const auto imported = import_wg_quick(
      "Address = 1.2.3.4\n[Interfaces]\n[Interface]\nPrivateKey = swordfish\nListenPort = 99999\nMTU = "
      "1\nTable = x\n"
      "Adress = 1\nFwMark = -1\nnonsense\n[Peer]\nEndpoint = nowhere\nAllowedIPs = 10.0.0.0/33\n",
      "wg0.conf");
  EXPECT_FALSE(imported);
  const auto told = to_string(problems_of(imported));
  EXPECT_EQ(told,
            "wg0.conf:1:1: 'Address' is outside a section; allowed: after [Interface] or [Peer]\n"
            "wg0.conf:2:1: '[Interfaces]' is not a section; allowed: [Interface], [Peer]\n"
            "wg0.conf:4:1: PrivateKey: is not a key\n"
            "wg0.conf:5:1: ListenPort: '99999' is not a port\n"
            "wg0.conf:6:1: MTU: '1' is not an MTU from 576 to 9520\n"
            "wg0.conf:7:1: Table: 'x' is not off, auto or the number of a routing table\n"
            "wg0.conf:8:1: 'Adress' is not a key of this section\n"
            "wg0.conf:9:1: FwMark: '-1' is not a firewall mark\n"
            "wg0.conf:10:1: is neither a [section] nor a 'key = value'\n"
            "wg0.conf:11:1: this [Peer] has no PublicKey\n"
            "wg0.conf:12:1: Endpoint: 'nowhere' has no port\n"
            "wg0.conf:13:1: AllowedIPs: '10.0.0.0/33' is not a prefix\n");
}

TEST(Import, TheLaterPeerGetsADoubledPrefix) {
  const auto imported = import_wg_quick(
      "[Interface]\nPrivateKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
      "[Peer]\nPublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nAllowedIPs = 10.0.0.0/24\n"
      "[Peer]\nPublicKey = AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\nAllowedIPs = 10.0.0.7/24\n",
      "wg0.conf");
  ASSERT_TRUE(imported);
  EXPECT_TRUE(imported->interface.peers[0].allowed_ips.empty());
  EXPECT_EQ(imported->interface.peers[1].allowed_ips.size(), 1U);
  EXPECT_EQ(to_string(imported->notes),
            "wg0.conf:3:1: warning: 10.0.0.0/24 also belongs to the [Peer] on line 6, which gets it, as in "
            "wg(8)\n");
}

// Found by the fuzzer: the name would have made a YAML file that cannot be read.
TEST(Import, LeavesOutANameThatIsNotUtf8) {
  const auto imported = import_wg_quick(
      "[Interface]\nPrivateKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n[Peer]\n# Name = ali\343e\n"
      "PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n",
      "wg0.conf");
  ASSERT_TRUE(imported);
  EXPECT_EQ(imported->interface.peers.at(0).name, "");
}

TEST(Import, NeedsAPrivateKey) {
  EXPECT_EQ(to_string(import_wg_quick("", "wg0.conf").error()),
            "wg0.conf: no PrivateKey in an [Interface] section\n");
}

std::string file_of(const Interface& interface, ExportFormat format = ExportFormat::kSetconf) {
  std::string text = export_interface(interface, format);
  for (const Peer& peer : interface.peers)
    if (peer.enabled) text += export_peer(peer);
  return text;
}

TEST(Export, IsReadableByWgSetconf) {
  const auto imported = import_wg_quick(kWgQuick, "wg0.conf");
  ASSERT_TRUE(imported);
  EXPECT_EQ(file_of(imported->interface),
            "[Interface]\n"
            "PrivateKey = AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
            "ListenPort = 51820\n"
            "FwMark = 51820\n"
            "\n[Peer]\n"
            "# Name = alice\n"
            "PublicKey = AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n"
            "PresharedKey = AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n"
            "AllowedIPs = 10.10.0.2/32, fd00::2/128\n"
            "Endpoint = vpn.example.net:51820\n"
            "PersistentKeepalive = 25\n"
            "\n[Peer]\n"
            "PublicKey = BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ=\n"
            "AllowedIPs = 192.168.7.0/24\n"
            "Endpoint = [2001:db8::1]:1\n");
}

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  unsigned below(unsigned limit) { return static_cast<unsigned>(engine_() % limit); }
  bool chance() { return below(2) == 0; }

 private:
  std::mt19937 engine_;
};

// Prefixes are distinct because the peer's number is in them.
Peer random_peer(Random& random, unsigned number) {
  Peer peer;
  peer.public_key = public_key(0x10000 * (1 + random.below(1000)) + number);
  if (random.chance()) peer.name = "peer " + std::to_string(number) + (random.chance() ? " \"ü'\\" : ": [x]");
  if (random.chance()) peer.preshared_key = secret_key(1 + random.below(9));
  if (random.chance())
    peer.endpoint = parse_endpoint(random.chance() ? "a-b.example:7" : "[fe80::1%eth0]:9").value();
  if (random.chance()) peer.allowed_ips.push_back(*parse_prefix("10." + std::to_string(number) + ".0.0/16"));
  if (random.chance()) peer.allowed_ips.push_back(*parse_prefix("fd00:" + std::to_string(number) + "::/32"));
  peer.persistent_keepalive = std::chrono::seconds(random.below(3) * 25);
  return peer;
}

Interface random_interface(Random& random) {
  Interface interface;
  interface.private_key = secret_key(1 + random.below(1000));
  interface.listen_port = UdpPort{static_cast<std::uint16_t>(random.below(65536))};
  interface.fwmark = random.below(3) * 0x7fffffff;
  if (random.chance())
    interface.addresses = {
        *parse_interface_address("10.0.0." + std::to_string(1 + random.below(200)) + "/24")};
  if (random.chance()) interface.mtu = static_cast<std::uint16_t>(1280 + random.below(200));
  if (random.chance()) interface.routes = Routes::kOff;
  if (interface.routes == Routes::kAuto && random.chance()) interface.table = 1 + random.below(1000);
  for (unsigned i = random.below(6); i > 0; --i) interface.peers.push_back(random_peer(random, i));
  return interface;
}

// Everything but the characters a comment cannot carry survives the way through a wg-quick file.
TEST(RoundTrip, ThroughAWgQuickFile) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    Random random(seed);
    const Interface interface = random_interface(random);
    const auto text = file_of(interface, ExportFormat::kWgQuick);
    const auto imported = import_wg_quick(text, "wg0.conf");
    ASSERT_TRUE(imported) << text << to_string(problems_of(imported));
    ASSERT_TRUE(imported->interface == interface) << text;
    ASSERT_TRUE(imported->notes.empty()) << to_string(imported->notes);
  }
}

TEST(RoundTrip, ThroughYaml) {
  for (unsigned seed = 0; seed < 500; ++seed) {
    Random random(seed);
    Interface interface = random_interface(random);
    interface.enabled = random.chance();
    for (const auto& row : settings_of<Interface>()) {
      if (!random.chance()) continue;
      ASSERT_TRUE(row.set(interface, row.examples[random.below(static_cast<unsigned>(row.examples.size()))]));
    }
    for (Peer& peer : interface.peers) peer.enabled = random.chance();
    const auto text = to_yaml("wg0", interface);
    const auto result = parse_text(text, "gw.yaml");
    ASSERT_TRUE(result) << text << to_string(problems_of(result));
    ASSERT_TRUE(result->interfaces.at("wg0") == interface) << text;
  }
}

// Flow style means the same as block style.
TEST(RoundTrip, OfPeersOnOneLine) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    Random random(seed);
    const Peer peer = random_peer(random, 1);
    const auto text = "interfaces:\n  wg0:\n    private_key: " + reveal(secret_key(5)) +
                      "\n    peers:\n      - " + emit_peer_flow(peer) + "\n";
    const auto result = parse_text(text, "gw.yaml");
    ASSERT_TRUE(result) << text << to_string(problems_of(result));
    ASSERT_TRUE(result->interfaces.at("wg0").peers.at(0) == peer) << text;
  }
}

TEST(Emit, QuotesWhatYamlWouldMisread) {
  EXPECT_EQ(emit_scalar("alice"), "alice");
  EXPECT_EQ(emit_scalar("null"), "\"null\"");
  EXPECT_EQ(emit_scalar("fd00::1/64"), "\"fd00::1/64\"");
  EXPECT_EQ(emit_scalar("- a"), "\"- a\"");
  EXPECT_EQ(emit_scalar("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(emit_scalar("a\nb"), "\"a\\x0ab\"");
  EXPECT_EQ(emit_scalar(""), "\"\"");
}

TEST(KeyFile, IsPrivateAndReadAgain) {
  const TempDirectory dir;
  EXPECT_TRUE(write_key_file(dir / "wg0.key", secret_key(7)));
  struct stat state {};
  ASSERT_EQ(::stat((dir / "wg0.key").c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 07777, 0600U);
  const auto result =
      parse_file(dir.write("gw.yaml", "interfaces: { wg0: { private_key_file: wg0.key } }\n"));
  ASSERT_TRUE(result) << to_string(problems_of(result));
  EXPECT_TRUE(result->interfaces.at("wg0").private_key == secret_key(7));
}

}  // namespace
}  // namespace wg::config
