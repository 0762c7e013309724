// The real wg(8) against a socket where it looks for one.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "control/api/wg_socket.h"
#include "tests/unit/api/fake_gateway.h"
#include "tests/unit/api/server_thread.h"

namespace wg::control::test {
namespace {

struct Finished {
  int exit_code = -1;
  std::string output;  // both streams
};

Finished shell(const std::string& command) {
  Finished run;
  FILE* pipe = popen(("timeout 10 " + command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return run;
  std::array<char, 4096> buffer;
  for (std::size_t got = 0; (got = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    run.output.append(buffer.data(), got);
  const int status = pclose(pipe);
  run.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return run;
}

class WgToolTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "wg reads /var/run/wireguard as root only";
    if (shell("wg --version").exit_code != 0) GTEST_SKIP() << "wg(8) is not installed (wireguard-tools)";
    name = "lgt" + std::to_string(getpid());
    char path[] = "/tmp/linegate-wg-XXXXXX";
    directory = mkdtemp(path);
    server.on_loop([&] {
      gateway.interfaces_by_name[name];
      socket = std::make_unique<WgSocket>(server.loop, gateway, gateway, name);
    });
    alice = config::to_string(config::public_key_of(secret_of(1)));
    bob = config::to_string(config::public_key_of(secret_of(2)));
    auto secret = config::reveal(clamped(secret_of(9)));
    private_key = secret;
  }
  void TearDown() override {
    if (!socket) return;
    server.on_loop([&] { socket.reset(); });
    std::filesystem::remove_all(directory);
  }

  Finished wg(const std::string& arguments) { return shell("wg " + arguments); }
  std::string file(const std::string& text) {
    const auto path = directory + "/" + std::to_string(++files) + ".conf";
    std::ofstream(path) << text;
    std::filesystem::permissions(path,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  }
  config::Interface model() {
    config::Interface copy;
    server.on_loop([&] { copy = gateway.interfaces_by_name[name]; });
    return copy;
  }
  const config::Peer* find(const config::Interface& interface, const std::string& key) {
    for (const auto& peer : interface.peers)
      if (config::to_string(peer.public_key) == key) return &peer;
    return nullptr;
  }
  std::string peer_section(const std::string& key, const std::string& rest) {
    return "[Peer]\nPublicKey = " + key + "\n" + rest;
  }

  FakeGateway gateway;
  ServerThread server;
  std::unique_ptr<WgSocket> socket;
  std::string name, directory, alice, bob, private_key;
  int files = 0;
};

TEST_F(WgToolTest, SetShowAndDump) {
  const auto key_file = file(private_key + "\n");
  const auto run =
      wg("set " + name + " private-key " + key_file + " listen-port 51821 fwmark 0x10 peer " + alice +
         " endpoint 192.0.2.7:1234 persistent-keepalive 25 allowed-ips 10.0.0.5/24,fd00::/64");
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const auto show = wg("show " + name);
  EXPECT_EQ(show.exit_code, 0);
  for (const std::string part :
       {"listening port: 51821", "fwmark: 0x10", "endpoint: 192.0.2.7:1234",
        "allowed ips: 10.0.0.0/24, fd00::/64", "persistent keepalive: every 25 seconds"})
    EXPECT_NE(show.output.find(part), std::string::npos) << part << " in\n" << show.output;
  const auto own = config::to_string(config::public_key_of(secret_of(9)));
  EXPECT_NE(show.output.find("public key: " + own), std::string::npos) << show.output;
  const auto dump = wg("show " + name + " dump");
  EXPECT_EQ(dump.output, private_key + "\t" + own + "\t51821\t0x10\n" + alice +
                             "\t(none)\t192.0.2.7:1234\t10.0.0.0/24,fd00::/64\t0\t0\t0\t25\n");
  EXPECT_NE(wg("show interfaces").output.find(name), std::string::npos);
}

TEST_F(WgToolTest, SetconfReplacesAndClears) {
  ASSERT_EQ(wg("set " + name + " listen-port 5 peer " + bob + " allowed-ips 10.9.0.0/24").exit_code, 0);
  const auto conf =
      file("[Interface]\nPrivateKey = " + private_key + "\nListenPort = 51820\n" +
           peer_section(alice, "AllowedIPs = 10.0.0.0/24\nPresharedKey = " + private_key + "\n"));
  const auto run = wg("setconf " + name + " " + conf);
  ASSERT_EQ(run.exit_code, 0) << run.output;
  auto now = model();
  EXPECT_EQ(now.listen_port, UdpPort{51820});
  ASSERT_EQ(now.peers.size(), 1U);
  EXPECT_EQ(config::to_string(now.peers[0].public_key), alice);
  EXPECT_TRUE(now.peers[0].preshared_key);
  const auto showconf = wg("showconf " + name);
  EXPECT_NE(showconf.output.find("PrivateKey = " + private_key), std::string::npos) << showconf.output;
  ASSERT_EQ(wg("setconf " + name + " /dev/null").exit_code, 0);
  EXPECT_EQ(model(), config::Interface{});
}

TEST_F(WgToolTest, ShowconfFeedsSetconf) {
  ASSERT_EQ(wg("set " + name + " private-key " + file(private_key) + " listen-port 7 peer " + alice +
               " allowed-ips 10.0.0.0/24 peer " + bob + " endpoint [2001:db8::1]:9 persistent-keepalive 3")
                .exit_code,
            0);
  const auto before = model();
  const auto conf = file(wg("showconf " + name).output);
  ASSERT_EQ(wg("setconf " + name + " /dev/null").exit_code, 0);
  ASSERT_EQ(wg("setconf " + name + " " + conf).exit_code, 0);
  EXPECT_EQ(model(), before);
}

TEST_F(WgToolTest, AddconfAdds) {
  ASSERT_EQ(wg("set " + name + " peer " + alice + " allowed-ips 10.0.0.0/24").exit_code, 0);
  ASSERT_EQ(wg("addconf " + name + " " + file(peer_section(bob, "AllowedIPs = 10.1.0.0/24\n"))).exit_code, 0);
  EXPECT_EQ(model().peers.size(), 2U);
}

TEST_F(WgToolTest, SyncconfRemovesAddsAndKeeps) {
  ASSERT_EQ(wg("set " + name + " peer " + alice + " allowed-ips 10.0.0.0/24 persistent-keepalive 9 peer " +
               bob + " allowed-ips 10.1.0.0/24")
                .exit_code,
            0);
  const auto carol = config::to_string(config::public_key_of(secret_of(3)));
  const auto conf = file(peer_section(alice, "AllowedIPs = 10.1.0.0/24\n") + peer_section(carol, ""));
  const auto run = wg("syncconf " + name + " " + conf);
  ASSERT_EQ(run.exit_code, 0) << run.output;
  const auto now = model();
  ASSERT_EQ(now.peers.size(), 2U);
  EXPECT_FALSE(find(now, bob));
  ASSERT_TRUE(find(now, alice));
  EXPECT_EQ(config::to_string(find(now, alice)->allowed_ips.at(0)), "10.1.0.0/24");
  EXPECT_EQ(find(now, alice)->persistent_keepalive.count(), 9);  // wg does not send what the file leaves out
}

TEST_F(WgToolTest, RemoveAPeer /* 23: remove=true alone */) {
  ASSERT_EQ(wg("set " + name + " peer " + alice + " allowed-ips 10.0.0.0/24").exit_code, 0);
  ASSERT_EQ(wg("set " + name + " peer " + alice + " remove").exit_code, 0);
  EXPECT_TRUE(model().peers.empty());
}

TEST_F(WgToolTest, ErrorsReachTheOperator /* 33 */) {
  server.on_loop([&] { gateway.taken_ports.insert(UdpPort{88}); });
  const auto run = wg("set " + name + " listen-port 88");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.output.find("Unable to modify interface: Address already in use"), std::string::npos)
      << run.output;
}

TEST_F(WgToolTest, ManyPeersDump) {
  server.on_loop([&] { gateway.add_peers(name, kManyPeers); });
  const auto begin = std::chrono::steady_clock::now();
  const auto run = shell("sh -c 'wg show " + name + " dump | wc -l'");
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(run.output, std::to_string(kManyPeers + 1) + "\n");
  RecordProperty("milliseconds", static_cast<int>(took.count()));
}

TEST_F(WgToolTest, NothingIsLeftBehind) {
  const auto path = socket->path();
  server.on_loop([&] { socket.reset(); });
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(wg("show " + name).exit_code, 1);
}

}  // namespace
}  // namespace wg::control::test
