// The semantics of a set: each rule by itself, then random sets against a model that plays the lines one by
// one.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <sstream>

#include "control/api/wg_protocol.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test {
namespace {

std::string hex(std::uint8_t byte) {
  return hex_of(key_of(byte));
}

WgSet parse(const std::string& lines) {
  WgSetReader reader;
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) EXPECT_TRUE(reader.line(line)) << line;
  return reader.take();
}

config::PeerEffects run(config::Interface& interface, const std::string& lines) {
  return apply(parse(lines), interface, interface.listen_port);
}

std::string prefixes(const config::Interface& interface, std::uint8_t key) {
  std::string text;
  for (const auto& peer : interface.peers)
    if (peer.public_key == key_of(key))
      for (const auto& prefix : peer.allowed_ips) text += config::to_string(prefix) + " ";
  return text;
}

TEST(WgApply, AllowedIpMovesFromItsHolder /* 11 */) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\nallowed_ip=10.1.0.0/24\n");
  run(wg0, "public_key=" + hex(2) + "\nallowed_ip=10.0.0.99/24\n" /* 15: masked */);
  EXPECT_EQ(prefixes(wg0, 1), "10.1.0.0/24 ");
  EXPECT_EQ(prefixes(wg0, 2), "10.0.0.0/24 ");
}

std::string kept(const config::Interface& interface) {
  std::string text;
  for (const auto& prefix : interface.kept) text += config::to_string(prefix) + " ";
  return text;
}

TEST(WgApply, WhatTheFileGaveToAPeerIsKept) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\nallowed_ip=10.1.0.0/24\n");
  wg0.peers[0].where.self = {0, 7, 3};  // it stands in the file
  run(wg0, "public_key=" + hex(2) + "\nallowed_ip=10.1.0.0/24\nallowed_ip=10.2.0.0/24\n");
  EXPECT_EQ(kept(wg0), "10.1.0.0/24 ");  // taken by a peer that may go again
  run(wg0, "public_key=" + hex(1) + "\nremove=true\n");
  EXPECT_EQ(kept(wg0), "10.0.0.0/24 10.1.0.0/24 ");
  run(wg0, "public_key=" + hex(2) + "\nremove=true\n");
  EXPECT_EQ(kept(wg0), "10.0.0.0/24 10.1.0.0/24 ");  // 10.2.0.0/24 never stood in the file
  wg0.peers.clear();
  run(wg0, "replace_peers=true\n");
  EXPECT_EQ(kept(wg0), "10.0.0.0/24 10.1.0.0/24 ");
}

TEST(WgApply, WhatASetTakesByNameIsNotKept) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\nallowed_ip=10.1.0.0/24\n");
  wg0.peers[0].where.self = {0, 7, 3};
  run(wg0, "public_key=" + hex(1) + "\nreplace_allowed_ips=true\nallowed_ip=10.0.0.0/24\n");
  EXPECT_EQ(kept(wg0), "");
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=-10.0.0.0/24\n");
  EXPECT_EQ(kept(wg0), "");
}

TEST(WgApply, ReplacingAllPeersKeepsTheirPrefixes) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\npublic_key=" + hex(2) +
               "\nallowed_ip=10.1.0.0/24\n");
  for (auto& peer : wg0.peers) peer.where.self = {0, 7, 3};
  run(wg0, "replace_peers=true\npublic_key=" + hex(2) + "\nallowed_ip=10.1.0.0/24\n");
  EXPECT_EQ(kept(wg0), "10.0.0.0/24 ");
}

TEST(WgApply, AllowedIpWonBackIsListedOnce) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\npublic_key=" + hex(2) +
               "\nallowed_ip=10.0.0.0/24\npublic_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\n");
  EXPECT_EQ(prefixes(wg0, 1), "10.0.0.0/24 ");
  EXPECT_EQ(prefixes(wg0, 2), "");
}

TEST(WgApply, MinusRemovesOnlyFromTheHolder /* 19 */) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\nallowed_ip=::/0\npublic_key=" + hex(2) + "\n");
  run(wg0, "public_key=" + hex(2) + "\nallowed_ip=-10.0.0.0/24\n");
  EXPECT_EQ(prefixes(wg0, 1), "10.0.0.0/24 ::/0 ");
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=-10.0.0.0/24\n");
  EXPECT_EQ(prefixes(wg0, 1), "::/0 ");
}

TEST(WgApply, ReplaceAllowedIpsActsWhereItStands) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\n");
  run(wg0, "public_key=" + hex(1) +
               "\nallowed_ip=10.1.0.0/24\nreplace_allowed_ips=true\nallowed_ip=10.2.0.0/24\n");
  EXPECT_EQ(prefixes(wg0, 1), "10.2.0.0/24 ");
}

TEST(WgApply, UpdateOnlyOnUnknownKeyDoesNothing /* 22 */) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\n");
  const auto before = wg0;
  run(wg0, "public_key=" + hex(9) + "\nupdate_only=true\nallowed_ip=10.0.0.0/24\n");
  EXPECT_EQ(wg0, before);
  run(wg0, "public_key=" + hex(1) + "\nupdate_only=true\npersistent_keepalive_interval=5\n");
  EXPECT_EQ(wg0.peers[0].persistent_keepalive.count(), 5);
}

TEST(WgApply, RemoveOfUnknownAndKeysAfterRemove /* 25, 26, 27 */) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(9) + "\nremove=true\n");
  EXPECT_TRUE(wg0.peers.empty());
  run(wg0, "public_key=" + hex(1) + "\n");
  run(wg0, "public_key=" + hex(1) + "\nremove=true\nallowed_ip=10.0.0.0/24\nendpoint=1.2.3.4:5\n");
  EXPECT_TRUE(wg0.peers.empty());
}

TEST(WgApply, RemoveAndAddAgainIsACleanPeer /* 29 */) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\npreshared_key=" + hex(5) +
               "\nendpoint=1.2.3.4:5\nallowed_ip=10.0.0.0/24\npersistent_keepalive_interval=9\n");
  wg0.peers[0].name = "alice";
  const auto effects =
      run(wg0, "public_key=" + hex(1) + "\nremove=true\npublic_key=" + hex(1) + "\nallowed_ip=10.5.0.0/16\n");
  ASSERT_EQ(wg0.peers.size(), 1U);
  config::Peer clean;
  clean.name = "alice";  // names are ours, wg(8) does not know them
  clean.public_key = key_of(1);
  clean.allowed_ips = {*config::parse_prefix("10.5.0.0/16")};
  EXPECT_EQ(wg0.peers[0], clean);
  EXPECT_EQ(effects.recreated, std::vector{key_of(1)});
}

TEST(WgApply, ReplacePeersRecreatesNone) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\npublic_key=" + hex(2) + "\n");
  wg0.peers[0].name = "alice";
  const auto before = wg0;
  const auto effects =
      run(wg0, "replace_peers=true\npublic_key=" + hex(1) +
                   "\nreplace_allowed_ips=true\nallowed_ip=10.0.0.0/24\npublic_key=" + hex(2) + "\n");
  EXPECT_EQ(wg0, before);
  EXPECT_TRUE(effects.recreated.empty());
  run(wg0, "replace_peers=true\n");
  EXPECT_TRUE(wg0.peers.empty());
}

TEST(WgApply, PresharedKeyFileStaysWhileTheKeyDoes) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\npreshared_key=" + hex(5) + "\n");
  wg0.peers[0].preshared_key_file = "/etc/psk";
  run(wg0, "replace_peers=true\npublic_key=" + hex(1) + "\npreshared_key=" + hex(5) + "\n");
  EXPECT_EQ(wg0.peers[0].preshared_key_file, "/etc/psk");
  run(wg0, "public_key=" + hex(1) + "\npreshared_key=" + hex(6) + "\n");
  EXPECT_EQ(wg0.peers[0].preshared_key_file, "");
  run(wg0, "public_key=" + hex(1) + "\npreshared_key=" + std::string(64, '0') + "\n");
  EXPECT_FALSE(wg0.peers[0].preshared_key);
}

TEST(WgApply, OwnKeyAsAPeerIsIgnored /* 90 */) {
  config::Interface wg0;
  const auto own = hex_of(config::public_key_of(secret_of(7)));
  run(wg0, "private_key=" + hex(7) + "\npublic_key=" + own +
               "\nallowed_ip=10.0.0.0/24\npublic_key=" + hex(1) + "\n");
  ASSERT_EQ(wg0.peers.size(), 1U);
  EXPECT_EQ(wg0.peers[0].public_key, key_of(1));
}

TEST(WgApply, NewPrivateKeyRemovesThePeerWithItsPublicKey /* 91 */) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex_of(config::public_key_of(secret_of(7))) + "\npublic_key=" + hex(1) + "\n");
  ASSERT_EQ(wg0.peers.size(), 2U);
  run(wg0, "private_key=" + hex(7) + "\n");
  ASSERT_EQ(wg0.peers.size(), 1U);
  EXPECT_EQ(wg0.peers[0].public_key, key_of(1));
}

TEST(WgApply, SamePrivateKeyKeepsItsFile) {
  config::Interface wg0;
  wg0.private_key = secret_of(0x11);  // not clamped, as an operator may write it
  wg0.private_key_file = "/etc/wg0.key";
  const auto before = wg0;
  run(wg0,
      "private_key=" + hex_of(config::Key{{0x10, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                           0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
                                           0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x51}}) +
          "\n");
  EXPECT_EQ(wg0, before);
  run(wg0, "private_key=" + hex(0x22) + "\n");
  EXPECT_EQ(wg0.private_key_file, "");
}

TEST(WgApply, DisabledPeerIsAsIfAbsent) {
  config::Interface wg0;
  run(wg0, "public_key=" + hex(1) + "\nallowed_ip=10.0.0.0/24\nendpoint=1.2.3.4:5\n");
  wg0.peers[0].enabled = false;
  const auto before = wg0;
  run(wg0, "public_key=" + hex(1) + "\nupdate_only=true\nallowed_ip=10.9.0.0/24\n");
  run(wg0, "public_key=" + hex(1) + "\nremove=true\n");
  run(wg0, "replace_peers=true\n");
  EXPECT_EQ(wg0, before);
  run(wg0, "public_key=" + hex(1) + "\n");
  EXPECT_TRUE(wg0.peers[0].enabled);
  EXPECT_EQ(prefixes(wg0, 1), "");
}

TEST(WgApply, ExplicitEndpointsAreReported) {
  config::Interface wg0;
  const auto effects = run(wg0, "public_key=" + hex(1) + "\nendpoint=1.2.3.4:5\npublic_key=" + hex(2) +
                                    "\npublic_key=" + hex(3) + "\nendpoint=1.2.3.4:6\npublic_key=" + hex(3) +
                                    "\nremove=true\n");
  EXPECT_EQ(effects.endpoint_explicit, std::vector{key_of(1)});
}

TEST(WgApply, MovingManyPrefixesIsLinear) {
  config::Interface wg0;
  std::string lines;
  for (int i = 0; i < 130'560; ++i)
    lines += "allowed_ip=10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." +
             std::to_string(i & 255) + "/32\n";
  run(wg0, "public_key=" + hex(1) + "\n" + lines);
  const auto begin = cpu_time();
  run(wg0, "public_key=" + hex(2) + "\n" + lines);
  EXPECT_LT(cpu_time() - begin, std::chrono::seconds{kManyPeers >= 20'000 ? 5 : 60});  // quadratic: minutes
  EXPECT_EQ(wg0.peers[0].allowed_ips.size(), 0U);
  EXPECT_EQ(wg0.peers[1].allowed_ips.size(), 130'560U);
}

// ---------------------------------------------------------------- the dumb oracle

// Plays lines one at a time on plain maps, as wireguard-go does.
struct DumbDevice {
  struct DumbPeer {
    std::string preshared_key = std::string(64, '0');
    std::string endpoint;
    std::string keepalive = "0";
  };
  std::string own_public;
  std::map<std::string, DumbPeer> peers;
  std::map<std::string, std::string> owner;  // prefix -> peer

  void remove(const std::string& key) {
    peers.erase(key);
    std::erase_if(owner, [&](const auto& entry) { return entry.second == key; });
  }
  void run(const std::string& lines) {
    std::istringstream stream(lines);
    std::string at;
    bool ignore = false;
    for (std::string line; std::getline(stream, line);) {
      const auto key = line.substr(0, line.find('='));
      const auto value = line.substr(line.find('=') + 1);
      if (key == "replace_peers") {
        peers.clear();
        owner.clear();
      } else if (key == "private_key") {
        const auto secret = config::parse_secret_key(value);
        own_public = secret->is_zero() ? "" : hex_of(config::public_key_of(*secret));
        remove(own_public);
      } else if (key == "public_key") {
        at = value;
        ignore = at == own_public;
        created_ = !ignore && !peers.contains(at);
        if (created_) peers[at];
      } else if (ignore) {
        continue;
      } else if (key == "update_only") {
        ignore = created_;
        if (created_) remove(at);
      } else if (key == "remove") {
        remove(at);
        ignore = true;
      } else if (key == "preshared_key") {
        peers[at].preshared_key = value;
      } else if (key == "endpoint") {
        peers[at].endpoint = value;
      } else if (key == "persistent_keepalive_interval") {
        peers[at].keepalive = value;
      } else if (key == "replace_allowed_ips") {
        std::erase_if(owner, [&](const auto& entry) { return entry.second == at; });
      } else if (value[0] == '-') {
        if (const auto held = owner.find(value.substr(1)); held != owner.end() && held->second == at)
          owner.erase(held);
      } else {
        owner[value] = at;
      }
    }
  }
  std::string dump() const {
    std::string text;
    for (const auto& [key, peer] : peers) {
      text += key + " " + peer.preshared_key + " " + peer.endpoint + " " + peer.keepalive;
      for (const auto& [prefix, holder] : owner)
        if (holder == key) text += " " + prefix;
      text += "\n";
    }
    return text;
  }

 private:
  bool created_ = false;
};

std::string dump(const config::Interface& interface) {
  std::map<std::string, std::string> lines;
  for (const auto& peer : interface.peers) {
    std::vector<std::string> held;
    for (const auto& prefix : peer.allowed_ips) held.push_back(config::to_string(prefix));
    std::sort(held.begin(), held.end());
    const auto secret = peer.preshared_key.value_or(config::SecretKey{});
    config::Key shown;
    std::copy(secret.bytes().begin(), secret.bytes().end(), shown.bytes.begin());
    std::string line = " " + hex_of(shown) + " " + (peer.endpoint ? config::to_string(*peer.endpoint) : "") +
                       " " + std::to_string(peer.persistent_keepalive.count());
    for (const auto& prefix : held) line += " " + prefix;
    lines[hex_of(peer.public_key)] = line + "\n";
  }
  std::string text;
  for (const auto& [key, line] : lines) text += key + line;
  return text;
}

std::string random_set(std::mt19937& random) {
  const auto pick = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  std::string lines;
  if (pick(8) == 0) lines += "private_key=" + hex(static_cast<std::uint8_t>(pick(4) * 8)) + "\n";
  if (pick(6) == 0) lines += "replace_peers=true\n";
  for (unsigned peers = pick(6); peers > 0; --peers) {
    const auto number = static_cast<std::uint8_t>(pick(4));
    // Among the peers are those whose private keys an interface may get.
    lines +=
        "public_key=" +
        (pick(5) == 0 ? hex_of(config::public_key_of(secret_of(static_cast<std::uint8_t>(8 * (1 + pick(3))))))
                      : hex(number)) +
        "\n";
    if (pick(5) == 0) lines += "update_only=true\n";
    if (pick(6) == 0) lines += "remove=true\n";
    if (pick(3) == 0) lines += "preshared_key=" + hex(static_cast<std::uint8_t>(pick(3))) + "\n";
    if (pick(3) == 0) lines += "endpoint=192.0.2.1:" + std::to_string(pick(5)) + "\n";
    if (pick(3) == 0) lines += "persistent_keepalive_interval=" + std::to_string(pick(5)) + "\n";
    for (unsigned changes = pick(6); changes > 0; --changes) {
      const auto prefix = "10.0.0." + std::to_string(pick(6)) + "/32\n";
      lines += pick(7) == 0 ? "replace_allowed_ips=true\n"
                            : "allowed_ip=" + std::string(pick(4) == 0 ? "-" : "") + prefix;
    }
  }
  return lines;
}

TEST(WgApply, RandomSetsAgreeWithTheDumbDevice) {
  for (unsigned seed = 0; seed < kManyPeers / 100; ++seed) {
    std::mt19937 random(seed);
    config::Interface wg0;
    DumbDevice dumb;
    for (int step = 0; step < 20; ++step) {
      const auto lines = random_set(random);
      run(wg0, lines);
      dumb.run(lines);
      ASSERT_EQ(dump(wg0), dumb.dump()) << "seed " << seed << " step " << step << "\n" << lines;
    }
  }
}

}  // namespace
}  // namespace wg::control::test
