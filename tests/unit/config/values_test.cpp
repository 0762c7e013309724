// The values of a valid file: every key once, and the text forms of the values.
#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <random>
#include <vector>

#include "config/scalars.h"
#include "config/validate.h"
#include "tests/unit/config/support.h"

namespace wg::config {
namespace {

using namespace std::chrono_literals;

constexpr const char* kEveryKey = R"(
dpdk:
  workers: [2, 3]
  memory: 2G
  hugepages: require
  eal: ["--log-level=lib.eal:debug"]
  spread: false
  idle: { mode: spin, max_sleep: 2ms }
ports:
  wan0:
    device: 03:00.1
    addresses: [203.0.113.2/24, "2001:db8::2/64"]
    gateway: [203.0.113.1, { address: "2001:db8::1", metric: 100 }]
    queues: 4
    mtu: 9000
    vlan: 7
    mac: "02:00:00:00:00:0A"
    forwarding: kernel
  lan0: { device: "net_af_packet0,iface=eth1", gateway: 192.168.1.254, queues: auto }
interfaces:
  wg0:
    private_key: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=
    listen_port: 51820
    fwmark: 0xca6c
    addresses: [10.10.0.1/24, "fd00::1/64"]
    mtu: 1380
    routes: off
    table: 77
    enabled: false
    forwarding: kernel
    hairpin: false
    dscp: copy
    udp_checksum4: false
    mss_clamp: 1200
    log_level: debug
    id: 6F0A4B5E0A1C4F7E9A533F0C1B7D2E11
    type: Example VPN
    peers:
      - name: alice
        public_key: AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=
        preshared_key: AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=
        endpoint: vpn.example.net:51820
        allowed_ips: [10.10.0.2/32, "fd00::2/128"]
        persistent_keepalive: 25s
        mtu: 1280
        enabled: false
      - { public_key: 0404040404040404040404040404040404040404040404040404040404040404,
          endpoint: "[fe80::1%wan0]:1" }
control:
  socket: /run/other.sock
  admin_group: wheel
  read_group: monitoring
  metrics: "[::1]:9586"
  metrics_per_peer: false
  log: { level: warn, format: json }
  state_directory: /srv/linegate
  user: linegate
  reload_on_change: true
  sandbox: false
)";

Gateway parsed(const std::string& text) {
  auto result = parse_text(text, "gw.yaml");
  EXPECT_EQ(to_string(problems_of(result)), "");
  return result ? *result : Gateway{};
}

TEST(Values, EveryKeyOfDpdkAndControl) {
  const Gateway gateway = parsed(kEveryKey);
  EXPECT_EQ(gateway.dpdk.workers, (Workers{2, {2, 3}}));
  EXPECT_EQ(gateway.dpdk.memory.bytes, std::uint64_t{2} << 30);
  EXPECT_EQ(gateway.dpdk.hugepages, Hugepages::kRequire);
  EXPECT_FALSE(gateway.dpdk.spread);
  EXPECT_EQ(gateway.dpdk.eal, std::vector<std::string>{"--log-level=lib.eal:debug"});
  EXPECT_EQ(gateway.dpdk.idle, (Idle{IdleMode::kSpin, 2000us}));
  const Control& control = gateway.control;
  EXPECT_EQ(control.socket, "/run/other.sock");
  EXPECT_EQ(control.admin_group, "wheel");
  EXPECT_EQ(control.read_group, "monitoring");
  ASSERT_TRUE(control.metrics);
  EXPECT_EQ(to_string(*control.metrics), "[::1]:9586");
  EXPECT_FALSE(control.metrics_per_peer);
  EXPECT_EQ(control.log, (Log{LogLevel::kWarn, LogFormat::kJson}));
  EXPECT_EQ(control.state_directory, "/srv/linegate");
  EXPECT_EQ(control.user, "linegate");
  EXPECT_TRUE(control.reload_on_change);
  EXPECT_FALSE(control.sandbox);
}

TEST(Values, EveryKeyOfPorts) {
  const Gateway gateway = parsed(kEveryKey);
  const Port& wan = gateway.ports.at("wan0");
  EXPECT_EQ(wan.device, (Device{DeviceKind::kPci, "0000:03:00.1"}));
  ASSERT_EQ(wan.addresses.size(), 2U);
  EXPECT_EQ(to_string(wan.addresses[0]), "203.0.113.2/24");
  EXPECT_EQ(to_string(wan.addresses[1]), "2001:db8::2/64");
  ASSERT_EQ(wan.gateways.size(), 2U);
  EXPECT_EQ(to_string(wan.gateways[1]), "2001:db8::1 metric 100");
  EXPECT_EQ(wan.queues, 4U);
  EXPECT_EQ(wan.mtu, 9000);
  EXPECT_EQ(wan.vlan, 7);
  ASSERT_TRUE(wan.mac);
  EXPECT_EQ(to_string(*wan.mac), "02:00:00:00:00:0a");
  EXPECT_EQ(wan.forwarding, Forwarding::kKernel);
  const Port& lan = gateway.ports.at("lan0");
  EXPECT_EQ(lan.device, (Device{DeviceKind::kVdev, "net_af_packet0,iface=eth1"}));
  ASSERT_EQ(lan.gateways.size(), 1U);
  EXPECT_EQ(lan.queues, std::nullopt);
}

TEST(Values, EveryKeyOfInterfacesAndPeers) {
  const Gateway gateway = parsed(kEveryKey);
  const Interface& wg0 = gateway.interfaces.at("wg0");
  EXPECT_TRUE(wg0.private_key == secret_key(0x01010101));
  EXPECT_EQ(wg0.listen_port, UdpPort{51820});
  EXPECT_EQ(wg0.fwmark, 51820U);
  EXPECT_EQ(wg0.addresses.size(), 2U);
  EXPECT_EQ(wg0.mtu, 1380);
  EXPECT_EQ(wg0.routes, Routes::kOff);
  EXPECT_EQ(wg0.table, 77U);
  EXPECT_FALSE(wg0.enabled);
  EXPECT_EQ(wg0.forwarding, Forwarding::kKernel);
  EXPECT_FALSE(wg0.hairpin);
  EXPECT_EQ(wg0.dscp, Dscp::kCopy);
  EXPECT_FALSE(wg0.udp_checksum4);
  EXPECT_EQ(wg0.mss_clamp, (MssClamp{MssClamp::Mode::kFixed, 1200}));
  EXPECT_EQ(wg0.log_level, LogLevel::kDebug);
  EXPECT_EQ(wg0.id, "6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11");
  EXPECT_EQ(wg0.type, "Example VPN");
  ASSERT_EQ(wg0.peers.size(), 2U);
  const Peer& alice = wg0.peers[0];
  EXPECT_EQ(alice.name, "alice");
  EXPECT_EQ(alice.public_key, public_key(0x02020202));
  EXPECT_TRUE(alice.preshared_key == secret_key(0x03030303));
  EXPECT_EQ(to_string(*alice.endpoint), "vpn.example.net:51820");
  EXPECT_EQ(to_string(alice.allowed_ips.at(1)), "fd00::2/128");
  EXPECT_EQ(alice.persistent_keepalive, 25s);
  EXPECT_EQ(alice.mtu, 1280);
  EXPECT_FALSE(alice.enabled);
  EXPECT_EQ(wg0.peers[1].public_key, public_key(0x04040404));
  EXPECT_EQ(to_string(*wg0.peers[1].endpoint), "[fe80::1%wan0]:1");
}

TEST(Values, PositionsAreThoseOfTheText) {
  const Gateway gateway = parsed(kEveryKey);
  const Peer& alice = gateway.interfaces.at("wg0").peers[0];
  EXPECT_EQ(cite(gateway, gateway.dpdk.where.of("memory")), "gw.yaml:4:11");
  EXPECT_EQ(cite(gateway, gateway.interfaces.at("wg0").where.of("listen_port")), "gw.yaml:23:18");
  EXPECT_EQ(cite(gateway, alice.where.self), "gw.yaml:39:9");
  EXPECT_EQ(cite(gateway, alice.where.endpoint), "gw.yaml:42:19");
  EXPECT_EQ(cite(gateway, alice.where.allowed_ips.at(1)), "gw.yaml:43:37");
  EXPECT_EQ(cite(gateway, Position{}), "");
}

TEST(Values, DefaultsAreThoseOfTheTypes) {
  const Gateway gateway = parsed("dpdk:\nports: {}\ninterfaces:\ncontrol:\n");
  EXPECT_EQ(gateway, Gateway{});
}

TEST(Values, WhereALineStandsDoesNotMatter) {
  std::string moved = std::string("# a comment\n\n") + kEveryKey;
  EXPECT_EQ(parsed(kEveryKey), parsed(moved));
  moved.replace(moved.find("1380"), 4, "1381");
  EXPECT_NE(parsed(kEveryKey), parsed(moved));
}

TEST(Values, AliasesStandForWhatTheyName) {
  const Gateway gateway = parsed(R"(
ports:
  a: { device: "net_tap0", mtu: &m 1400, gateway: &g [192.0.2.1] }
  b: { device: "net_tap1", mtu: *m, gateway: *g }
)");
  EXPECT_EQ(gateway.ports.at("b").mtu, 1400);
  EXPECT_EQ(gateway.ports.at("b").gateways, gateway.ports.at("a").gateways);
}

TEST(Values, ABombOfAliasesIsRefusedQuickly) {
  std::string text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int level = 1; level < 40; ++level) {
    const std::string below = "*a" + std::to_string(level - 1);
    text += "a" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + below;
    for (int i = 1; i < 10; ++i) text += "," + below;
    text += "]\n";
  }
  const auto result = parse_text(text, "gw.yaml");
  EXPECT_EQ(to_string(problems_of(result)),
            "gw.yaml:7:30: YAML: more than 8000000 values, aliases written out\n");
}

TEST(Values, NestingIsBounded) {
  const auto result = parse_text(std::string(100'000, '['), "gw.yaml");
  ASSERT_EQ(problems_of(result).size(), 1U);
  EXPECT_NE(problems_of(result)[0].message.find("nested too deeply"), std::string::npos);
}

TEST(Values, AByteOrderMarkAndDosLineEndsAreRead) {
  const auto result =
      parse_text("\xef\xbb\xbfports:\r\n  wan0:\r\n    device: tap\r\n    mtu: 9\r\n", "gw.yaml");
  EXPECT_EQ(to_string(problems_of(result)),
            "gw.yaml:4:10: ports.wan0.mtu: '9' is out of range; allowed: 576 to 9600\n");
}

// ---------------------------------------------------------------- text forms

TEST(Values, Sizes) {
  EXPECT_EQ(parse_size("64K")->bytes, 65536U);
  EXPECT_EQ(parse_size("1024M")->bytes, std::uint64_t{1} << 30);
  EXPECT_EQ(to_string(*parse_size("1024M")), "1G");
  EXPECT_EQ(parse_size("18446744073709551615K"), std::nullopt);
  for (const char* bad : {"", "M", "1", "-1M", "1.5G", "1MB", "1 M", "0x1M"})
    EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Values, Durations) {
  EXPECT_EQ(parse_duration("500us"), 500us);
  EXPECT_EQ(parse_duration("2h"), 2h);
  for (const char* bad : {"", "5", "us", "5 us", "-5us", "5d", "99999999999h"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

TEST(Values, Devices) {
  EXPECT_EQ(parse_device("0000:0a:1f.7")->kind, DeviceKind::kPci);
  EXPECT_EQ(parse_device("tap")->kind, DeviceKind::kTap);
  EXPECT_EQ(parse_device("net_ring0")->kind, DeviceKind::kVdev);
  for (const char* interface : {"eth1", "enp3s0f1np1", "a.b-c_d", "br@x", "Linux"}) {
    const auto device = parse_device("linux:" + std::string(interface));
    ASSERT_TRUE(device) << interface;
    EXPECT_EQ(device->kind, DeviceKind::kLinux);
    EXPECT_EQ(linux_interface(*device), interface);
  }
  for (const char* bad : {"", "eth0", "net_", "net_pcap0,", "net_tap0, iface=x", "000:03:00.0",
                          "0000:03:00.8", "g3:00.0", "linux:", "linux:.", "linux:..",
                          "linux:0123456789abcdef", "linux:a/b", "linux:a b", "linux:a:1", "Linux:a"})
    EXPECT_FALSE(parse_device(bad)) << bad;
}

// The oracle walks bit by bit; the code under test masks byte by byte.
bool slowly_contains(const Prefix& prefix, const Address& address) {
  if (prefix.address.family != address.family) return false;
  for (unsigned bit = 0; bit < prefix.length; ++bit) {
    const auto at = [bit](const Address& a) { return (a.bytes[bit / 8] >> (7 - bit % 8)) & 1; };
    if (at(prefix.address) != at(address)) return false;
  }
  return true;
}

TEST(Values, PrefixesContainWhatTheOracleSays) {
  std::mt19937 random(20);
  std::size_t inside = 0;
  for (int round = 0; round < 20'000; ++round) {
    Address a, b;
    a.family = b.family = random() % 2 == 0 ? Family::kIpv4 : Family::kIpv6;
    for (unsigned i = 0; i < a.bits() / 8; ++i) a.bytes[i] = b.bytes[i] = static_cast<std::uint8_t>(random());
    const unsigned flipped = static_cast<unsigned>(random()) % a.bits();
    b.bytes[flipped / 8] = static_cast<std::uint8_t>(b.bytes[flipped / 8] ^ (1U << (7 - flipped % 8)));
    const unsigned length = static_cast<unsigned>(random()) % (a.bits() + 1);
    const Prefix prefix = prefix_of(a, length);
    ASSERT_EQ(contains(prefix, b), slowly_contains(prefix, b)) << to_string(prefix) << " " << to_string(b);
    ASSERT_TRUE(contains(prefix, a));
    ASSERT_EQ(parse_prefix(to_string(prefix)), prefix);
    inside += contains(prefix, b) ? 1 : 0;
  }
  EXPECT_GT(inside, 5'000U);  // both outcomes must have occurred
  EXPECT_LT(inside, 15'000U);
}

TEST(Values, EndpointsSurviveTheirTextForm) {
  for (const char* text :
       {"192.0.2.1:1", "[2001:db8::1]:65535", "[fe80::1%eth0]:51820", "vpn.example.net:51820", "localhost:1",
        "a_b.example:9", "xn--bcher-kva.example.:51820"}) {
    const auto parsed_endpoint = parse_endpoint(text);
    ASSERT_TRUE(parsed_endpoint) << text << ": " << parsed_endpoint.error().text;
    EXPECT_EQ(to_string(*parsed_endpoint), text);
  }
  for (const char* bad : {":1", "a:", "a:b", "a:65536", "a..b:1", "[::1]", "[::1]1", "[192.0.2.1]:1",
                          "1.2.3:1", "a b:1", "[fe80::1%]:1", "a:00000000001"})
    EXPECT_FALSE(parse_endpoint(bad)) << bad;
}

TEST(Values, NearestNames) {
  const std::array<std::string_view, 3> names{"endpoint", "enabled", "mtu"};
  EXPECT_EQ(nearest_name("endpiont", names), "endpoint");
  EXPECT_EQ(nearest_name("enable", names), "enabled");
  EXPECT_EQ(nearest_name("mtus", names), "mtu");
  EXPECT_EQ(nearest_name("dns", names), "");
  constexpr std::array<std::string_view, 3> kKeys{"listen_port", "persistent_keepalive", "private_key"};
  EXPECT_EQ(nearest_name("ListenPort", kKeys), "listen_port");
  EXPECT_EQ(nearest_name("PersistentKeepalive", kKeys), "persistent_keepalive");
  EXPECT_EQ(nearest_name("keepalive", kKeys), "persistent_keepalive");
  EXPECT_EQ(nearest_name("PrivateKey", kKeys), "private_key");
  EXPECT_EQ(nearest_name("DNS", kKeys), "");
}

// ---------------------------------------------------------------- keys

TEST(Keys, AcceptBothTextFormsAndNoOther) {
  const std::string base64 = to_string(public_key(0x12345678));
  EXPECT_EQ(base64.size(), 44U);
  EXPECT_EQ(parse_key(base64), public_key(0x12345678));
  std::string hex;
  for (int i = 0; i < 8; ++i) hex += "78563412";
  EXPECT_EQ(parse_key(hex), public_key(0x12345678));
  EXPECT_FALSE(parse_key(base64.substr(0, 43)));
  EXPECT_FALSE(parse_key(base64 + "="));
  EXPECT_FALSE(parse_key(" " + base64.substr(1)));
  EXPECT_FALSE(parse_key(hex.substr(2)));
  EXPECT_FALSE(parse_key("zz" + hex.substr(2)));
  // The last digit carries two bits that must be zero: a key has exactly one base64 form.
  std::string ambiguous = base64;
  ambiguous[42] = static_cast<char>(ambiguous[42] + 1);
  EXPECT_FALSE(parse_key(ambiguous));
}

TEST(Keys, PublicKeyOfRfc7748) {
  // RFC 7748 section 6.1, Alice.
  const auto secret = parse_secret_key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  const auto expected = parse_key("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
  ASSERT_TRUE(secret && expected);
  EXPECT_EQ(public_key_of(*secret), *expected);
}

TEST(Keys, SecretsAreWiped) {
  alignas(SecretKey) std::array<std::uint8_t, sizeof(SecretKey)> memory;
  auto* secret = new (memory.data()) SecretKey(key_bytes(0x01020304));
  SecretKey moved = std::move(*secret);
  EXPECT_TRUE(secret->is_zero());
  EXPECT_TRUE(moved == secret_key(0x01020304));
  *secret = moved;
  EXPECT_FALSE(secret->is_zero());
  secret->~SecretKey();
  const volatile std::uint8_t* bytes = memory.data();
  for (std::size_t i = 0; i < memory.size(); ++i) EXPECT_EQ(bytes[i], 0) << i;
}

template <class T>
concept Streamable = requires(std::ostream& out, const T& value) {
  out << value;
};
static_assert(!Streamable<SecretKey>);

// ---------------------------------------------------------------- values made in memory

TEST(Validate, ValuesWithoutPositionsAreCheckedToo) {
  Gateway gateway;
  gateway.interfaces["wg0"].peers.resize(2);
  gateway.interfaces["wg0"].peers[0].public_key = public_key(1);
  gateway.interfaces["wg0"].peers[1].public_key = public_key(1);
  const auto problems = validate(gateway);
  ASSERT_EQ(problems.size(), 1U);
  EXPECT_EQ(to_string(problems[0]),
            "interfaces.wg0.peers[1].public_key: is also the key of interfaces.wg0.peers[0]; allowed: one "
            "peer per key");
}

TEST(Validate, PeersSwitchedOffHoldNoPrefix) {
  Gateway gateway;
  auto& peers = gateway.interfaces["wg0"].peers;
  peers.resize(2);
  for (unsigned i = 0; i < 2; ++i) {
    peers[i].public_key = public_key(i + 1);
    peers[i].allowed_ips = {*parse_prefix("10.0.0.0/8")};
  }
  EXPECT_EQ(validate(gateway).size(), 1U);
  peers[0].enabled = false;
  EXPECT_TRUE(validate(gateway).empty());
}

// Whoever knows an unkeyed hash can solve it for keys that share a bucket, as here for one that multiplies
// word by word: the last word cancels what the others made.
TEST(KeyHash, ChosenKeysSpreadAsRandomOnesDo) {
  constexpr std::size_t kBuckets = 4096;
  std::vector<int> load(kBuckets);
  for (std::uint64_t n = 1; n <= kBuckets; ++n) {
    std::uint64_t words[4] = {n, n * n, ~n, 0};
    for (int i = 0; i < 3; ++i) words[3] = (words[3] ^ words[i]) * 0x9e3779b97f4a7c15u;
    Key key;
    std::memcpy(key.bytes.data(), words, sizeof words);
    ++load[std::hash<Key>{}(key) % kBuckets];
  }
  EXPECT_LE(*std::max_element(load.begin(), load.end()), 12);
}

// Other drivers have an argument `iface` too: it names what they create.
TEST(Values, TheWireOfADevice) {
  const std::pair<Device, const char*> rows[] = {
      {{DeviceKind::kLinux, "linux:eth1"}, "eth1"},
      {{DeviceKind::kVdev, "net_af_packet0,iface=eth1"}, "eth1"},
      {{DeviceKind::kVdev, "net_af_packet0,iface=eth1,qpairs=2"}, "eth1"},
      {{DeviceKind::kVdev, "eth_af_packet_wan,iface=eth2"}, "eth2"},
      {{DeviceKind::kVdev, "net_af_xdp0,start_queue=0,iface=eth3"}, "eth3"},
      {{DeviceKind::kVdev, "net_af_packet0"}, ""},
      {{DeviceKind::kVdev, "net_tap0,iface=tap9"}, ""},
      {{DeviceKind::kVdev, "net_virtio_user0,path=/dev/vhost-net,iface=v0"}, ""},
      {{DeviceKind::kPci, "0000:03:00.0"}, ""},
      {{DeviceKind::kTap, "tap"}, ""}};
  for (const auto& [device, wire] : rows) EXPECT_EQ(wire_of(device), wire) << device.text;
}

}  // namespace
}  // namespace wg::config
