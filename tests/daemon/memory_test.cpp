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

constexpr std::size_t kLivePeers = 20'000;   // enough that what is there once does not count
constexpr std::size_t kIdlePeers = 100'000;  // enough for heap fragmentation to show
constexpr std::size_t kIdleBytes = 2048;     // without a session
constexpr std::size_t kSessionBytes = 6144;  // with one

// Allocated: headers and rounding of the allocator included, and secrets, which lie in locked pages of their
// own; but not the slots, a mapping of its own. Resident: what the machine must have, holes included.
struct Bytes {
  std::size_t allocated = 0;
  std::size_t resident = 0;
};

Bytes footprint() {
  const auto heap = mallinfo2();
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line) && line.rfind("VmLck:", 0) != 0) {
  }
  return {heap.uordblks + heap.hblkhd + std::strtoul(line.c_str() + 6, nullptr, 10) * 1024, resident_bytes()};
}

std::string per_peer(const Bytes& before, const Bytes& after, std::size_t peers) {
  return std::to_string((after.allocated - before.allocated) / peers) + " " +
         std::to_string((after.resident - before.resident) / peers) + " ";
}

std::string configuration_bytes(const std::string& text, std::size_t peers) {
  write_file(kFile, text);
  static_cast<void>(config::parse_file(kFile));  // once for what stays
  const Bytes before = footprint();
  const auto parsed = config::parse_file(kFile);
  return per_peer(before, footprint(), peers);
}

// Reloads from a few peers to the whole text; the sandbox's answer begins with the bytes per peer.
std::string idle_bytes(LiveGateway& gateway, const std::string& few, const std::string& text,
                       std::size_t peers, Bytes& before) {
  static_cast<void>(gateway.reload(few));
  before = footprint();
  const LiveGateway::Reloaded reloaded = gateway.reload(text);
  if (!reloaded.ok) throw std::runtime_error(reloaded.error);
  std::this_thread::sleep_for(500ms);  // what the change needed is freed
  return per_peer(before, footprint(), peers);
}

std::string live_file(Remotes& remotes, std::size_t count) {
  GatewayText text;
  for (std::size_t i = 0; i < count; ++i)
    text.peers += peer_line(
        {"peer" + std::to_string(i), remotes[i].public_key(), "", dotted(remotes[i].inner()) + "/32", 0, ""});
  return gateway_yaml(text);
}

std::string idle_file(std::size_t count) {
  GatewayText text;
  for (std::size_t i = 0; i < count; ++i)
    text.peers += peer_line({"peer" + std::to_string(i), idle_public_key(i), "",
                             dotted(0x0ac00000u + static_cast<std::uint32_t>(i)) + "/32", 0, ""});
  return gateway_yaml(text);
}

std::string measure_idle() {
  const std::string text = idle_file(kIdlePeers);
  LiveGateway gateway(idle_file(1));
  Bytes before;
  return idle_bytes(gateway, idle_file(64), text, kIdlePeers, before);
}

std::string measure_live() {
  Remotes remotes(kLivePeers, gateway_key());
  std::vector<std::size_t> all(kLivePeers);
  std::iota(all.begin(), all.end(), 0);
  const std::string text = live_file(remotes, kLivePeers);
  LiveGateway gateway(live_file(remotes, 1));
  add_neighbours();
  Bytes before;
  static_cast<void>(idle_bytes(gateway, live_file(remotes, 64), text, kLivePeers, before));
  Load load(remotes);
  const std::size_t up = load.bring_up(all, 60s);
  load.confirm(all);
  return per_peer(before, footprint(), kLivePeers) + std::to_string(up);
}

// What of it is not the configuration, which a daemon of any kind holds; `also` lies in no heap.
Bytes without_configuration(const Bytes& all, const Bytes& configured, std::size_t also) {
  EXPECT_GT(all.allocated, configured.allocated);
  EXPECT_GT(all.resident, configured.resident);
  return {all.allocated - configured.allocated + also, all.resident - configured.resident};
}

Bytes configured() {
  Bytes bytes;
  const std::string text =
      in_sandbox([] { return configuration_bytes(idle_file(kIdlePeers), kIdlePeers); }, 60);
  EXPECT_EQ(std::sscanf(text.c_str(), "%zu %zu", &bytes.allocated, &bytes.resident), 2) << text;
  return bytes;
}

TEST(Memory, OfAnIdlePeer) {
  if (!may_make_namespaces()) GTEST_SKIP() << "network namespaces need root";
  Bytes all;
  const std::string measured = in_sandbox(measure_idle, 120);
  ASSERT_EQ(std::sscanf(measured.c_str(), "%zu %zu", &all.allocated, &all.resident), 2) << measured;
  const Bytes configuration = configured();
  const Bytes idle = without_configuration(all, configuration, sizeof(dataplane::Peer));
  std::printf("memory peers=%zu idle_allocated=%zu idle_resident=%zu configuration=%zu\n", kIdlePeers,
              idle.allocated, idle.resident, configuration.resident);
  EXPECT_GT(idle.allocated, sizeof(dataplane::Peer) + 400) << "measured something";
  EXPECT_GT(idle.resident, sizeof(dataplane::Peer) + 400) << "measured something";
  EXPECT_LE(idle.allocated, kIdleBytes);
  EXPECT_LE(idle.resident, kIdleBytes);
  EXPECT_LE(idle.resident, idle.allocated * 5 / 4) << "the heap is full of holes";
}

TEST(Memory, OfAPeerWithASession) {
  if (!may_make_namespaces()) GTEST_SKIP() << "network namespaces need root";
  Bytes all;
  std::size_t up = 0;
  const std::string measured = in_sandbox(measure_live, 120);
  ASSERT_EQ(std::sscanf(measured.c_str(), "%zu %zu %zu", &all.allocated, &all.resident, &up), 3) << measured;
  const Bytes live = without_configuration(all, configured(), sizeof(dataplane::Peer));
  std::printf("memory peers=%zu up=%zu live_allocated=%zu live_resident=%zu slot=%zu path=%zu keypair=%zu\n",
              kLivePeers, up, live.allocated, live.resident, sizeof(dataplane::Peer), sizeof(dataplane::Path),
              sizeof(dataplane::Keypair));
  EXPECT_EQ(up, kLivePeers);
  EXPECT_GT(live.allocated, 400 + sizeof(dataplane::Keypair)) << "measured something";
  EXPECT_LE(live.allocated, kSessionBytes);
  EXPECT_LE(live.resident, kSessionBytes);
}

}  // namespace
}  // namespace wg::test
