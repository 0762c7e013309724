// What a new peer gets: an address of its own, and the file that it reads.
#include <gtest/gtest.h>

#include "config/client_file.h"
#include "config/free_address.h"
#include "config/import_wg_quick.h"

namespace wg::config {
namespace {

struct Row {
  const char* name;
  const char* own;
  std::vector<const char*> allowed;
  const char* expected;  // empty: full
};

const Row kRows[] = {
    {"the first host", "10.10.0.1/24", {}, "10.10.0.2"},
    {"a gap", "10.10.0.1/24", {"10.10.0.2/32", "10.10.0.4/32"}, "10.10.0.3"},
    {"not the network's address", "10.10.0.9/24", {}, "10.10.0.1"},
    {"behind a block", "10.10.0.1/24", {"10.10.0.0/25", "10.10.0.128/32"}, "10.10.0.129"},
    {"blocks inside each other",
     "10.10.0.1/24",
     {"10.10.0.0/26", "10.10.0.4/30", "10.10.0.64/32"},
     "10.10.0.65"},
    {"a default route takes nothing", "10.10.0.1/24", {"0.0.0.0/0", "10.0.0.0/8"}, "10.10.0.2"},
    {"other subnets take nothing", "10.10.0.1/24", {"10.11.0.2/32", "fd00::2/128"}, "10.10.0.2"},
    {"not the broadcast address", "10.10.0.1/30", {"10.10.0.2/32"}, ""},
    {"both halves are taken", "10.10.0.1/24", {"10.10.0.0/25", "10.10.0.128/25"}, ""},
    {"two hosts without a network's address", "10.10.0.0/31", {}, "10.10.0.1"},
    {"a single address", "10.10.0.1/32", {}, ""},
    {"the last subnet of all", "255.255.255.253/30", {"255.255.255.254/32"}, ""},
    {"IPv6", "fd00:10::1/64", {"fd00:10::2/128"}, "fd00:10::3"},
    {"IPv6 behind a carry", "fd00:10::1/64", {"fd00:10::/120", "fd00:10::100/128"}, "fd00:10::101"},
};

TEST(FreeAddress, IsTheLowestFreeOne) {
  for (const Row& row : kRows) {
    Interface interface;
    interface.addresses.push_back(*parse_interface_address(row.own));
    for (const char* prefix : row.allowed) {
      Peer& peer = interface.peers.emplace_back();
      peer.enabled = interface.peers.size() % 2 == 0;  // a peer that is switched off keeps its address
      peer.allowed_ips.push_back(*parse_prefix(prefix));
    }
    const auto found = free_address(interface, interface.addresses[0]);
    EXPECT_EQ(found ? to_string(*found) : "", row.expected) << row.name;
  }
}

SecretKey secret(std::uint8_t byte) {
  std::array<std::uint8_t, kKeyBytes> bytes;
  bytes.fill(byte);
  return SecretKey{bytes};
}

TEST(ClientFile, ReadsBackAsWritten) {
  ClientFile file;
  file.private_key = secret(3);
  file.addresses = {*parse_interface_address("10.10.0.3/32"), *parse_interface_address("fd00:10::3/128")};
  file.dns = {*parse_address("192.168.1.1")};
  file.mtu = 1380;
  file.gateway_key = public_key_of(secret(5));
  file.preshared_key = secret(7);
  file.endpoint = *parse_endpoint("vpn.example.net:51820");
  file.allowed_ips = {*parse_prefix("10.10.0.0/24"), *parse_prefix("::/0")};
  const auto text = to_wg_quick(file);
  EXPECT_NE(text.find("DNS = 192.168.1.1\n"), std::string::npos) << text;
  const auto read = import_wg_quick(text, "alice.conf");
  ASSERT_TRUE(read) << to_string(problems_of(read));
  EXPECT_EQ(read->interface.private_key, file.private_key);
  EXPECT_EQ(read->interface.addresses, file.addresses);
  EXPECT_EQ(read->interface.mtu, file.mtu);
  ASSERT_EQ(read->interface.peers.size(), 1U);
  const Peer& gateway = read->interface.peers[0];
  EXPECT_EQ(gateway.public_key, file.gateway_key);
  EXPECT_EQ(gateway.preshared_key, file.preshared_key);
  EXPECT_EQ(gateway.endpoint, file.endpoint);
  EXPECT_EQ(gateway.allowed_ips, file.allowed_ips);
  EXPECT_EQ(gateway.persistent_keepalive, std::chrono::seconds{25});
}

TEST(ClientFile, WithoutAKeySaysWhoseItIs) {
  ClientFile file;
  file.persistent_keepalive = std::chrono::seconds{0};
  const auto text = to_wg_quick(file);
  EXPECT_NE(text.find("# PrivateKey"), std::string::npos);
  EXPECT_EQ(text.find("\nPrivateKey"), std::string::npos);
  EXPECT_EQ(text.find("PersistentKeepalive"), std::string::npos);
}

TEST(ClientFile, NetworksBehindAreThoseOfTheInterfaceAndOfInnerPorts) {
  Gateway gateway;
  gateway.ports["wan0"].addresses = {*parse_interface_address("203.0.113.2/24")};
  gateway.ports["wan0"].gateways = {{*parse_address("203.0.113.1")}};
  gateway.ports["lan0"].addresses = {*parse_interface_address("192.168.1.1/24")};
  Interface interface;
  interface.addresses = {*parse_interface_address("10.10.0.1/24"),
                         *parse_interface_address("192.168.1.9/24")};
  std::string words;
  for (const Prefix& prefix : networks_behind(gateway, interface)) words += to_string(prefix) + " ";
  EXPECT_EQ(words, "10.10.0.0/24 192.168.1.0/24 ");
}

}  // namespace
}  // namespace wg::config
