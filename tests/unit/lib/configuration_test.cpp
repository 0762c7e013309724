// Configurations by the library against the real parser of the gateway: every flag, sizes that grow, buffers
// that lie.
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "tests/unit/lib/support.h"

namespace wg::control::test {
namespace {

constexpr std::array<std::uint8_t, 4> kNet{10, 9, 0, 0};

class LibConfiguration : public testing::Test {
 protected:
  LibConfiguration() : adapter(created("app0")) {}

  lg_error set(Buffer& buffer) { return lg_set_configuration(adapter.get(), buffer.get(), buffer.bytes()); }
  config::Interface value() { return gateway.value("app0"); }
  struct Free {
    void operator()(lg_interface* got) const { lg_configuration_free(got); }
  };
  std::unique_ptr<lg_interface, Free> get() {
    lg_interface* got = nullptr;
    EXPECT_EQ(lg_get_configuration_alloc(adapter.get(), &got, nullptr), LG_OK) << last_text();
    return std::unique_ptr<lg_interface, Free>(got);
  }

  GatewayProcess gateway;
  const Adapter adapter;
};

TEST_F(LibConfiguration, EveryMemberGoesThereAndComesBack) {
  Buffer wanted;
  wanted.interface().flags =
      LG_INTERFACE_HAS_PRIVATE_KEY | LG_INTERFACE_HAS_LISTEN_PORT | LG_INTERFACE_HAS_FWMARK;
  std::memset(wanted.interface().private_key, 7, LG_KEY_BYTES);
  wanted.interface().private_key[0] = 0;
  wanted.interface().private_key[31] = 0x47;
  wanted.interface().listen_port = 51820;
  wanted.interface().fwmark = 0xfffffffe;
  lg_peer& four =
      wanted.peer(1, LG_PEER_HAS_PRESHARED_KEY | LG_PEER_HAS_ENDPOINT | LG_PEER_HAS_PERSISTENT_KEEPALIVE);
  std::memset(four.preshared_key, 8, LG_KEY_BYTES);
  four.endpoint = {LG_IPV4, 65535, 0, {192, 0, 2, 1}};
  four.persistent_keepalive = 65535;
  wanted.allowed_ip(kNet, 24);
  wanted.allowed_ip({0, 0, 0, 0}, 0);
  lg_peer& six = wanted.peer(2, LG_PEER_HAS_ENDPOINT);
  six.endpoint = {LG_IPV6, 1, 1, {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}};
  lg_allowed_ip& all = wanted.allowed_ip({0x20, 0x01, 0x0d, 0xb8}, 128);
  all.family = LG_IPV6;
  all.address[15] = 1;
  ASSERT_EQ(set(wanted), LG_OK) << last_text();

  const config::Interface there = value();
  EXPECT_EQ(there.fwmark, 0xfffffffeU);
  EXPECT_EQ(config::to_string(*there.peers.at(1).endpoint), "[fe80::9%lo]:1");
  const auto got = get();
  EXPECT_EQ(got->size, sizeof(lg_interface));
  EXPECT_EQ(got->flags, wanted.interface().flags | LG_INTERFACE_HAS_PUBLIC_KEY);
  EXPECT_EQ(std::memcmp(got->private_key, wanted.interface().private_key, LG_KEY_BYTES), 0);
  EXPECT_EQ(
      std::memcmp(got->public_key, config::public_key_of(*there.private_key).bytes.data(), LG_KEY_BYTES), 0);
  EXPECT_EQ(got->listen_port, 51820);
  EXPECT_EQ(got->fwmark, 0xfffffffe);
  ASSERT_EQ(got->peers_count, 2U);
  const lg_peer* peer = lg_first_peer(got.get());
  EXPECT_EQ(peer->flags, four.flags | LG_PEER_HAS_PERSISTENT_KEEPALIVE | LG_PEER_HAS_PRESHARED_KEY |
                             LG_PEER_HAS_ENDPOINT | LG_PEER_HAS_PUBLIC_KEY);
  EXPECT_EQ(peer->preshared_key[31], 8);
  EXPECT_EQ(peer->persistent_keepalive, 65535);
  EXPECT_EQ(peer->endpoint.port, 65535);
  EXPECT_EQ(peer->endpoint.address[3], 1);
  EXPECT_EQ(peer->last_handshake, 0);
  ASSERT_EQ(peer->allowed_ips_count, 2U);
  const lg_allowed_ip* ip = lg_first_allowed_ip(peer);
  EXPECT_EQ(ip->family, LG_IPV4);
  EXPECT_EQ(ip->cidr, 24);
  EXPECT_EQ(lg_next_allowed_ip(ip)->cidr, 0);
  peer = lg_next_peer(peer);
  EXPECT_EQ(peer->endpoint.family, LG_IPV6);
  EXPECT_EQ(peer->endpoint.scope_id, 1U);
  EXPECT_EQ(peer->endpoint.address[15], 9);
  EXPECT_EQ(peer->flags & LG_PEER_HAS_PRESHARED_KEY, 0U);
  ASSERT_EQ(peer->allowed_ips_count, 1U);
  EXPECT_EQ(lg_first_allowed_ip(peer)->cidr, 128);
  EXPECT_EQ(lg_first_allowed_ip(peer)->address[15], 1);
}

TEST_F(LibConfiguration, TheFlagsOfASetDoWhatTheySay) {
  Buffer first;
  first.peer(1, LG_PEER_HAS_PRESHARED_KEY).preshared_key[0] = 5;
  first.allowed_ip(kNet, 24);
  first.allowed_ip({10, 8, 0, 0}, 16);
  first.peer(2);
  ASSERT_EQ(set(first), LG_OK) << last_text();
  Buffer second;
  second.peer(1, LG_PEER_REPLACE_ALLOWED_IPS | LG_PEER_HAS_PRESHARED_KEY);  // a key of zeros: none
  second.allowed_ip({10, 7, 0, 0}, 16);
  second.peer(2, LG_PEER_REMOVE);
  second.peer(3, LG_PEER_UPDATE);
  second.peer(4, LG_PEER_REMOVE);
  second.peer(5);
  ASSERT_EQ(set(second), LG_OK) << last_text();
  config::Interface now = value();
  ASSERT_EQ(now.peers.size(), 2U);
  EXPECT_FALSE(now.peers[0].preshared_key);
  ASSERT_EQ(now.peers[0].allowed_ips.size(), 1U);
  EXPECT_EQ(config::to_string(now.peers[0].allowed_ips[0]), "10.7.0.0/16");
  Buffer third;
  third.peer(5);
  third.allowed_ip({10, 7, 0, 0}, 16);  // moves
  third.peer(1);
  third.allowed_ip(kNet, 24);
  third.allowed_ip(kNet, 24).flags = LG_ALLOWED_IP_REMOVE;
  ASSERT_EQ(set(third), LG_OK) << last_text();
  now = value();
  EXPECT_TRUE(now.peers[0].allowed_ips.empty());
  EXPECT_EQ(now.peers[1].allowed_ips.size(), 1U);
  Buffer last;
  last.interface().flags = LG_INTERFACE_REPLACE_PEERS | LG_INTERFACE_HAS_PUBLIC_KEY;
  last.peer(6);
  ASSERT_EQ(set(last), LG_OK) << last_text();
  EXPECT_EQ(value().peers.size(), 1U);
}

TEST_F(LibConfiguration, WhatTheGatewayRefusesChangesNothing) {
  gateway.with([](FakeGateway& fake) { return fake.taken_ports.insert(UdpPort{7000}).second; });
  Buffer taken;
  taken.interface().flags = LG_INTERFACE_HAS_LISTEN_PORT;
  taken.interface().listen_port = 7000;
  taken.peer(1);
  EXPECT_EQ(set(taken), LG_ADDRESS_IN_USE);
  EXPECT_TRUE(value().peers.empty());
  taken.interface().listen_port = 7001;
  EXPECT_EQ(set(taken), LG_OK) << last_text();
}

// ---------------------------------------------------------------- sizes

TEST_F(LibConfiguration, ALoopOverMoreDataEndsWhilePeersAreAdded) {
  std::atomic<bool> enough = false;
  std::thread grower([&] {
    for (unsigned count = 1; !enough && count < 400; ++count)
      gateway.with([&](FakeGateway& fake) {
        fake.interfaces_by_name["app0"].peers.clear();
        fake.add_peers("app0", 20 * count);
        return true;
      });
  });
  std::size_t bytes = 0;
  std::vector<std::uint64_t> buffer;
  lg_error error = LG_MORE_DATA;
  int rounds = 0;
  for (; error == LG_MORE_DATA && rounds < 200; ++rounds) {
    buffer.assign((bytes + bytes / 4) / 8 + 1, 0);
    bytes = buffer.size() * 8;
    const std::size_t had = bytes;
    error = lg_get_configuration(adapter.get(), reinterpret_cast<lg_interface*>(buffer.data()), &bytes);
    if (error == LG_MORE_DATA) {
      EXPECT_GT(bytes, had);
    }
  }
  enough = true;
  grower.join();
  ASSERT_EQ(error, LG_OK) << last_text();
  EXPECT_LE(bytes, buffer.size() * 8);
  EXPECT_GT(rounds, 1);
}

TEST_F(LibConfiguration, TheSizeIsExactAndASmallBufferHoldsNothing) {
  gateway.with([](FakeGateway& fake) {
    fake.add_peers("app0", 3);
    fake.interfaces_by_name["app0"].private_key = secret_of(7);
    return true;
  });
  std::size_t needed = 0;
  EXPECT_EQ(lg_get_configuration(adapter.get(), nullptr, &needed), LG_MORE_DATA);
  EXPECT_EQ(needed, sizeof(lg_interface) + 3 * (sizeof(lg_peer) + sizeof(lg_allowed_ip)));
  std::vector<std::uint64_t> buffer(needed / 8 + 1, 0x5555555555555555);
  auto* place = reinterpret_cast<lg_interface*>(buffer.data());
  for (std::size_t bytes = 0; bytes < needed; bytes += 4) {
    std::fill(buffer.begin(), buffer.end(), 0x5555555555555555);
    std::size_t size = bytes;
    ASSERT_EQ(lg_get_configuration(adapter.get(), place, &size), LG_MORE_DATA);
    ASSERT_EQ(size, needed);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(buffer.data());
    for (std::size_t i = 0; i < bytes; ++i) ASSERT_EQ(raw[i], 0) << "left behind at " << i << " of " << bytes;
    for (std::size_t i = bytes; i < buffer.size() * 8; ++i)
      ASSERT_EQ(raw[i], 0x55) << "written behind the end";
  }
  std::size_t size = needed;
  EXPECT_EQ(lg_get_configuration(adapter.get(), place, &size), LG_OK) << last_text();
  EXPECT_EQ(buffer.back(), 0x5555555555555555);
}

TEST_F(LibConfiguration, TenThousandPeersGoThereAndBack) {
  Buffer many;
  constexpr unsigned kPeers = 10'000;
  for (unsigned i = 0; i < kPeers; ++i) {
    lg_peer& peer = many.peer(1, LG_PEER_HAS_ENDPOINT);
    std::memcpy(peer.public_key, &i, sizeof i);
    peer.endpoint = {LG_IPV4, 51820, 0, {192, 0, 2, 1}};
    many.allowed_ip({10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                     static_cast<std::uint8_t>(i)},
                    32);
  }
  ASSERT_EQ(set(many), LG_OK) << last_text();
  const auto got = get();
  ASSERT_EQ(got->peers_count, kPeers);
  const lg_peer* peer = lg_first_peer(got.get());
  for (unsigned i = 0; i < kPeers; ++i, peer = lg_next_peer(peer)) {
    unsigned number = 0;
    std::memcpy(&number, peer->public_key, sizeof number);
    ASSERT_EQ(number, i);
    ASSERT_EQ(lg_first_allowed_ip(peer)->address[3], i & 255);
  }
}

// A program that is newer than the library: structures with members behind those that the library knows.
TEST_F(LibConfiguration, LargerStructuresAreReadWhileTheirUnknownMembersAreZero) {
  std::vector<std::uint64_t> words(100, 0);
  auto* interface = reinterpret_cast<lg_interface*>(words.data());
  interface->size = sizeof(lg_interface) + 16;
  interface->peers_count = 1;
  lg_peer* peer = lg_first_peer(interface);
  peer->size = sizeof(lg_peer) + 8;
  peer->flags = LG_PEER_HAS_PUBLIC_KEY;
  peer->public_key[0] = 3;
  peer->allowed_ips_count = 1;
  lg_allowed_ip* ip = lg_first_allowed_ip(peer);
  ip->size = sizeof(lg_allowed_ip) + 24;
  ip->family = LG_IPV4;
  const std::size_t bytes = interface->size + peer->size + ip->size;
  EXPECT_EQ(lg_set_configuration(adapter.get(), interface, bytes), LG_OK) << last_text();
  EXPECT_EQ(value().peers.at(0).allowed_ips.size(), 1U);
  EXPECT_EQ(lg_set_configuration(adapter.get(), interface, bytes - 8), LG_INVALID);
  words[(sizeof(lg_interface) + 8) / 8] = 1;
  EXPECT_EQ(lg_set_configuration(adapter.get(), interface, bytes), LG_INVALID);
  EXPECT_NE(last_text().find("does not know"), std::string::npos);
}

// ---------------------------------------------------------------- buffers that lie

using Spoil = std::function<void(Buffer& buffer)>;

lg_peer& first_peer(Buffer& buffer) {
  return *lg_first_peer(&buffer.interface());
}
lg_allowed_ip& first_ip(Buffer& buffer) {
  return *lg_first_allowed_ip(&first_peer(buffer));
}

TEST_F(LibConfiguration, ABufferThatLiesIsRefusedBeforeAnythingIsSent) {
  const std::pair<const char*, Spoil> cases[] = {
      {"an interface of size 0", [](Buffer& b) { b.interface().size = 0; }},
      {"an odd size", [](Buffer& b) { b.interface().size = sizeof(lg_interface) + 4; }},
      {"a size behind the end", [](Buffer& b) { b.interface().size = 4096; }},
      {"the largest size", [](Buffer& b) { b.interface().size = 0xfffffff8; }},
      {"one peer too many", [](Buffer& b) { b.interface().peers_count = 2; }},
      {"most peers", [](Buffer& b) { b.interface().peers_count = UINT32_MAX; }},
      {"one allowed IP too many", [](Buffer& b) { first_peer(b).allowed_ips_count = 2; }},
      {"most allowed IPs", [](Buffer& b) { first_peer(b).allowed_ips_count = UINT32_MAX; }},
      {"a peer of size 0", [](Buffer& b) { first_peer(b).size = 0; }},
      {"a small peer", [](Buffer& b) { first_peer(b).size = sizeof(lg_peer) - 8; }},
      {"a peer behind the end", [](Buffer& b) { first_peer(b).size = 0x7ffffff8; }},
      {"an allowed IP of size 0", [](Buffer& b) { first_ip(b).size = 0; }},
      {"an allowed IP behind the end", [](Buffer& b) { first_ip(b).size = 40; }},
      {"a flag of the interface", [](Buffer& b) { b.interface().flags = 1U << 31; }},
      {"a flag of the peer", [](Buffer& b) { first_peer(b).flags |= 1U << 4; }},
      {"a flag of the allowed IP", [](Buffer& b) { first_ip(b).flags = 2; }},
      {"no public key", [](Buffer& b) { first_peer(b).flags = 0; }},
      {"cidr 33", [](Buffer& b) { first_ip(b).cidr = 33; }},
      {"cidr 129", [](Buffer& b) { first_ip(b).family = LG_IPV6, first_ip(b).cidr = 129; }},
      {"family 0", [](Buffer& b) { first_ip(b).family = 0; }},
      {"family AF_INET6", [](Buffer& b) { first_ip(b).family = 10; }},
      {"an endpoint of no family", [](Buffer& b) { first_peer(b).flags |= LG_PEER_HAS_ENDPOINT; }},
      {"an endpoint on no interface",
       [](Buffer& b) {
         first_peer(b).flags |= LG_PEER_HAS_ENDPOINT;
         first_peer(b).endpoint = {LG_IPV6, 1, 0x3fffffff, {0xfe, 0x80}};
       }},
      {"a reserved member", [](Buffer& b) { b.interface().reserved1 = 1; }},
      {"another", [](Buffer& b) { b.interface().reserved0 = 1; }},
      {"a peer's", [](Buffer& b) { first_peer(b).reserved0 = 1; }},
      {"an allowed IP's", [](Buffer& b) { first_ip(b).reserved1 = 1; }},
  };
  for (const auto& [name, spoil] : cases) {
    Buffer buffer;
    buffer.peer(1);
    buffer.allowed_ip(kNet, 24);
    spoil(buffer);
    EXPECT_EQ(set(buffer), LG_INVALID) << name;
    EXPECT_FALSE(last_text().empty()) << name;
  }
  Buffer whole;
  whole.peer(1);
  whole.allowed_ip(kNet, 24);
  for (std::size_t bytes = 0; bytes < whole.bytes(); ++bytes)
    EXPECT_EQ(lg_set_configuration(adapter.get(), whole.get(), bytes), LG_INVALID) << bytes;
  const auto* askew =
      reinterpret_cast<const lg_interface*>(reinterpret_cast<const std::uint8_t*>(whole.get()) + 4);
  EXPECT_EQ(lg_set_configuration(adapter.get(), askew, whole.bytes() - 4), LG_INVALID);
  EXPECT_EQ(lg_set_configuration(adapter.get(), nullptr, 0), LG_INVALID);
  EXPECT_EQ(lg_set_configuration(nullptr, whole.get(), whole.bytes()), LG_INVALID);
  EXPECT_EQ(gateway.with([](FakeGateway& fake) { return fake.sets; }), 0);
  EXPECT_EQ(set(whole), LG_OK) << last_text();
}

}  // namespace
}  // namespace wg::control::test
