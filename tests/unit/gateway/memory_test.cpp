// What a peer costs in memory, everything counted that the daemon holds for it: engine, workers' slot, way to
// the endpoint, allowed IPs, names, for a session its keys, window and index; and apart from that its line in
// the configuration.
#include <gtest/gtest.h>

#include <malloc.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>

#include "config/parse.h"
#include "dataplane/packet/path.h"
#include "dataplane/session/keypair.h"
#include "dataplane/session/peer.h"
#include "tests/daemon/live_gateway.h"
#include "tests/daemon/load.h"
#include "tests/daemon/remotes.h"
#include "tests/daemon/sandbox.h"
#include "tests/daemon/yaml.h"

namespace wg::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kPeers = 20'000;       // enough that what is there once does not count
constexpr std::size_t kIdleBytes = 2048;     // without a session
constexpr std::size_t kSessionBytes = 6144;  // with one

std::string file(Remotes& remotes, std::size_t count) {
  GatewayText text;
  for (std::size_t i = 0; i < count; ++i)
    text.peers += peer_line(
        {"peer" + std::to_string(i), remotes[i].public_key(), "", dotted(remotes[i].inner()) + "/32", 0, ""});
  return gateway_yaml(text);
}

// Allocated, which resident pages do not tell: a large reload leaves holes in the heap that the next one
// fills. Secrets lie in locked pages of their own.
std::size_t allocated() {
  const auto heap = mallinfo2();
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line) && line.rfind("VmLck:", 0) != 0) {
  }
  return heap.uordblks + heap.hblkhd + std::strtoul(line.c_str() + 6, nullptr, 10) * 1024;
}

std::size_t configuration_bytes(const std::string& text) {
  write_file(kFile, text);
  static_cast<void>(config::parse_file(kFile));  // once for what stays
  const std::size_t before = allocated();
  const auto parsed = config::parse_file(kFile);
  return allocated() - before;
}

// "configuration idle live up": bytes per peer, and how many came up.
std::string measure() {
  Remotes remotes(kPeers, gateway_key());
  std::vector<std::size_t> all(kPeers);
  std::iota(all.begin(), all.end(), 0);
  const std::size_t configured = configuration_bytes(file(remotes, kPeers));
  LiveGateway gateway(file(remotes, 1));
  add_neighbours();
  static_cast<void>(gateway.reload(file(remotes, 64)));
  const std::string text = file(remotes, kPeers);
  const std::size_t none = allocated();
  const LiveGateway::Reloaded reloaded = gateway.reload(text);
  if (!reloaded.ok) throw std::runtime_error(reloaded.error);
  std::this_thread::sleep_for(500ms);  // what the change needed is freed
  const std::size_t idle = allocated();
  Load load(remotes);
  const std::size_t up = load.bring_up(all, 60s);
  load.confirm(all);
  const std::size_t live = allocated();
  return std::to_string(configured / kPeers) + " " + std::to_string((idle - none) / kPeers) + " " +
         std::to_string((live - none) / kPeers) + " " + std::to_string(up);
}

TEST(Memory, OfAnIdlePeerAndOfOneWithASession) {
  if (!may_make_namespaces()) GTEST_SKIP() << "network namespaces need root";
  std::size_t configured = 0, idle = 0, live = 0, up = 0;
  const std::string measured = in_sandbox(measure, 120);
  ASSERT_EQ(std::sscanf(measured.c_str(), "%zu %zu %zu %zu", &configured, &idle, &live, &up), 4) << measured;
  std::printf("memory peers=%zu bytes_per_idle_peer=%zu bytes_per_live_peer=%zu up=%zu\n", kPeers, idle, live,
              up);
  std::printf("  of which slot=%zu path=%zu keypair=%zu\n", sizeof(dataplane::Peer), sizeof(dataplane::Path),
              sizeof(dataplane::Keypair));
  ASSERT_GT(idle, configured);
  // The slots are a mapping of their own, so that their addresses never move.
  idle = idle - configured + sizeof(dataplane::Peer);
  live = live - configured + sizeof(dataplane::Peer);
  std::printf("  with the slot, without configuration=%zu: idle=%zu live=%zu\n", configured, idle, live);
  EXPECT_EQ(up, kPeers);
  EXPECT_GT(idle, sizeof(dataplane::Peer) + 32) << "measured something";
  EXPECT_LE(idle, kIdleBytes);
  EXPECT_GT(live, idle + sizeof(dataplane::Keypair)) << "measured something";
  EXPECT_LE(live, kSessionBytes);
}

}  // namespace
}  // namespace wg::test
