// What a peer costs in memory, everything counted: the process grows by it. The configuration's value, the
// engine's state, the workers' slot, the way to the endpoint, allowed IPs, and for a session its keys, window
// and index.
#include <gtest/gtest.h>

#include <cstdio>
#include <numeric>
#include <stdexcept>

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

// "idle session up": bytes per peer, and how many came up.
std::string measure() {
  Remotes remotes(kPeers, gateway_key());
  std::vector<std::size_t> all(kPeers);
  std::iota(all.begin(), all.end(), 0);
  LiveGateway gateway(file(remotes, 1));
  add_neighbours();
  static_cast<void>(gateway.reload(file(remotes, 64)));
  const std::string text = file(remotes, kPeers);
  const std::size_t none = resident_bytes();
  const LiveGateway::Reloaded reloaded = gateway.reload(text);
  if (!reloaded.ok) throw std::runtime_error(reloaded.error);
  const std::size_t idle = resident_bytes();
  Load load(remotes);
  const std::size_t up = load.bring_up(all, 60s);
  load.confirm(all);
  const std::size_t live = resident_bytes();
  return std::to_string((idle - none) / kPeers) + " " + std::to_string((live - none) / kPeers) + " " +
         std::to_string(up);
}

TEST(Memory, OfAnIdlePeerAndOfOneWithASession) {
  if (!may_make_namespaces()) GTEST_SKIP() << "network namespaces need root";
  std::size_t idle = 0, live = 0, up = 0;
  const std::string measured = in_sandbox(measure, 120);
  ASSERT_EQ(std::sscanf(measured.c_str(), "%zu %zu %zu", &idle, &live, &up), 3) << measured;
  std::printf("memory peers=%zu bytes_per_idle_peer=%zu bytes_per_live_peer=%zu up=%zu\n", kPeers, idle, live,
              up);
  std::printf("  of which slot=%zu path=%zu keypair=%zu\n", sizeof(dataplane::Peer), sizeof(dataplane::Path),
              sizeof(dataplane::Keypair));
  EXPECT_EQ(up, kPeers);
  EXPECT_GT(idle, sizeof(dataplane::Peer) + 32) << "measured something";
  EXPECT_LE(idle, kIdleBytes);
  EXPECT_GT(live, idle + sizeof(dataplane::Keypair)) << "measured something";
  EXPECT_LE(live, kSessionBytes);
}

}  // namespace
}  // namespace wg::test
