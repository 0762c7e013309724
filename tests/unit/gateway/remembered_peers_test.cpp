// Which peers are remembered over a restart, for how long, and their file.
#include "control/interface/remembered_peers.h"

#include <gtest/gtest.h>

namespace wg::control {

// In gtest's messages.
static void PrintTo(const RememberedPeer& peer, std::ostream* out) {
  *out << dataplane::to_string(peer.remote) << " heard at " << peer.heard_at.time_since_epoch().count();
}

namespace test {
namespace {

using namespace std::chrono_literals;

const noise::Now kNow{BootTime(5000s), WallTime(1'700'000'000s)};

RememberedPeer peer(std::uint8_t number, std::uint64_t seconds_ago) {
  RememberedPeer out;
  out.key.bytes.fill(number);
  const std::uint8_t remote[] = {198, 51, 100, number}, local[] = {203, 0, 113, 2};
  out.remote = {noise::IpAddress::from_v4(remote),
                dataplane::UdpPort{static_cast<std::uint16_t>(1000 + number)}, 0};
  out.local = noise::IpAddress::from_v4(local);
  out.heard_at = kNow.wall - std::chrono::seconds(seconds_ago);
  return out;
}

RememberedPeer peer6(std::uint8_t number, std::uint64_t seconds_ago) {
  RememberedPeer out = peer(number, seconds_ago);
  std::array<std::uint8_t, 16> bytes{0x20, 1, 0x0d, 0xb8};
  bytes[15] = number;
  out.remote.address = noise::IpAddress::from_v6(bytes.data());
  out.local = {};
  out.local.v6 = true;
  return out;
}

noise::Now later(std::uint64_t seconds) {
  return {kNow.boot + std::chrono::seconds(seconds), kNow.wall + std::chrono::seconds(seconds)};
}

TEST(RememberedPeersFile, ComesBackAsItWas) {
  const std::vector<RememberedPeer> peers{peer(1, 0), peer6(2, 179), peer(3, 5000)};
  EXPECT_EQ(decode(encode(peers)), peers);
  EXPECT_EQ(decode(encode({})), std::vector<RememberedPeer>{});
}

TEST(RememberedPeersFile, EveryChangedByteAndEveryOtherLengthIsRefused) {
  const std::vector<RememberedPeer> peers{peer(1, 0), peer6(2, 3)};
  const std::vector<std::uint8_t> good = encode(peers);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::vector<std::uint8_t> bad = good;
    bad[i] ^= 1;
    EXPECT_FALSE(decode(bad)) << "byte " << i;
    bad.resize(i);
    EXPECT_FALSE(decode(bad)) << "length " << i;
  }
}

TEST(RememberedPeers, TakesThoseHeardOfWithin180SecondsAlone) {
  RememberedPeers remembered;
  RememberedPeer without_port = peer(5, 1);
  without_port.remote.port = dataplane::kAnyPort;
  RememberedPeer of_the_future = peer(6, 0);
  of_the_future.heard_at += 1s;
  remembered.load({peer(1, 0), peer(2, 180), peer(3, 181), without_port, of_the_future}, kNow);
  EXPECT_EQ(remembered.claim(peer(1, 0).key, 11, kNow), peer(1, 0));
  EXPECT_EQ(remembered.claim(peer(2, 0).key, 12, kNow), peer(2, 180));
  for (std::uint8_t number = 3; number <= 6; ++number)
    EXPECT_FALSE(remembered.claim(peer(number, 0).key, 13, kNow)) << int{number};
  EXPECT_FALSE(remembered.claim(peer(2, 0).key, 12, later(1))) << "claimed too late";
}

TEST(RememberedPeers, WatchesTheExactAddressUntilThereIsASession) {
  RememberedPeers remembered;
  remembered.load({peer(1, 0), peer(2, 0)}, kNow);
  EXPECT_FALSE(remembered.watching());
  EXPECT_FALSE(remembered.slot_at(peer(1, 0).remote)) << "no peer has claimed it";
  ASSERT_TRUE(remembered.claim(peer(1, 0).key, 11, kNow));
  EXPECT_TRUE(remembered.watching());
  EXPECT_EQ(remembered.slot_at(peer(1, 0).remote), 11u);
  noise::Endpoint other_port = peer(1, 0).remote;
  other_port.port = dataplane::UdpPort{1002};
  EXPECT_FALSE(remembered.slot_at(other_port));
  remembered.forget(peer(1, 0).key);
  EXPECT_FALSE(remembered.slot_at(peer(1, 0).remote));
  EXPECT_FALSE(remembered.watching());
  EXPECT_FALSE(remembered.claim(peer(1, 0).key, 11, kNow));
}

TEST(RememberedPeers, TheNextStartLearnsThoseThatHaveNotComeBackYet) {
  RememberedPeers remembered;
  remembered.load({peer(1, 0), peer(2, 100), peer(3, 0)}, kNow);
  remembered.claim(peer(1, 0).key, 11, kNow);
  remembered.forget(peer(3, 0).key);
  EXPECT_EQ(remembered.list(kNow).size(), 2u);
  EXPECT_EQ(remembered.list(later(81)), std::vector<RememberedPeer>{peer(1, 0)});
}

TEST(RememberedPeers, ExpiresInStepsOnceAllAreOld) {
  RememberedPeers remembered;
  std::vector<RememberedPeer> peers;
  for (unsigned i = 0; i < 10'000; ++i) {
    peers.push_back(peer(1, 0));
    peers.back().key.bytes[0] = static_cast<std::uint8_t>(i);
    peers.back().key.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    peers.back().remote.port = dataplane::UdpPort{static_cast<std::uint16_t>(1 + i)};
  }
  remembered.load(peers, kNow);
  for (std::uint32_t i = 0; i < peers.size(); ++i) remembered.claim(peers[i].key, i, kNow);
  remembered.expire(later(179));
  EXPECT_EQ(remembered.list(kNow).size(), peers.size());
  remembered.expire(later(181));
  EXPECT_GT(remembered.list(kNow).size(), peers.size() / 2) << "a part of them at a time";
  for (int i = 0; i < 3; ++i) remembered.expire(later(181));
  EXPECT_TRUE(remembered.list(kNow).empty());
  EXPECT_FALSE(remembered.watching());
}

}  // namespace
}  // namespace test
}  // namespace wg::control
