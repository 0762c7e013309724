#include "control/gateway/running_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <type_traits>

namespace wg::control::test {
namespace {

// Whoever reads the running configuration cannot write it.
static_assert(std::is_same_v<decltype(std::declval<RunningConfig&>().value()), const config::Gateway&>);
static_assert(
    std::is_same_v<decltype(std::declval<RunningConfig&>().find_interface({})), const config::Interface*>);

config::Peer peer(std::uint8_t number, const std::string& name) {
  config::Peer out;
  out.public_key.bytes.fill(number);
  out.name = name;
  return out;
}

config::Gateway with_peers(std::vector<config::Peer> peers) {
  config::Gateway value;
  value.interfaces["wg0"].listen_port = config::UdpPort{51820};
  value.interfaces["wg0"].peers = std::move(peers);
  return value;
}

std::string names(const config::Interface& interface) {
  std::string text;
  for (const config::Peer& p : interface.peers) text += p.name + " ";
  return text;
}

class RunningConfigs : public ::testing::Test {
 protected:
  RunningConfigs() { running.replace(with_peers({peer(1, "a"), peer(2, "b"), peer(3, "c"), peer(4, "d")})); }

  RunningConfig running{"/etc/linegate.yaml", {}};
};

TEST_F(RunningConfigs, StartWithoutPortsAndInterfaces) {
  config::Gateway value = with_peers({peer(1, "a")});
  value.control.state_directory = "/somewhere";
  value.ports["wan0"];
  const RunningConfig fresh("/etc/linegate.yaml", value);
  EXPECT_EQ(fresh.value().control.state_directory, "/somewhere");
  EXPECT_TRUE(fresh.value().interfaces.empty());
  EXPECT_TRUE(fresh.value().ports.empty());
  EXPECT_EQ(fresh.generation(), 0u);
}

TEST_F(RunningConfigs, AskingForWhatIsNotThereInsertsNothing) {
  EXPECT_EQ(running.find_interface("wg7"), nullptr);
  const InterfacePart part = running.copy_part("wg7", [](const config::Peer&) { return true; });
  EXPECT_TRUE(part.places.empty());
  running.replace_part("wg7", {});
  EXPECT_EQ(running.value().interfaces.size(), 1u);
  EXPECT_EQ(running.generation(), 1u) << "nothing has changed";
}

TEST_F(RunningConfigs, ReplacingReturnsWhatRanBefore) {
  const config::Gateway old = running.replace(with_peers({peer(9, "z")}));
  EXPECT_EQ(names(old.interfaces.at("wg0")), "a b c d ");
  EXPECT_EQ(names(*running.find_interface("wg0")), "z ");
  EXPECT_EQ(running.generation(), 2u);
}

TEST_F(RunningConfigs, APartIsACopyOfSomePeersAndOfAllElse) {
  const InterfacePart part =
      running.copy_part("wg0", [](const config::Peer& p) { return p.name == "b" || p.name == "d"; });
  EXPECT_EQ(names(part.value), "b d ");
  EXPECT_EQ(part.value.listen_port, config::UdpPort{51820});
  EXPECT_EQ(part.places, (std::vector<std::size_t>{1, 3}));
  EXPECT_EQ(names(*running.find_interface("wg0")), "a b c d ") << "nothing is taken away";
  EXPECT_EQ(running.generation(), 1u);
}

TEST_F(RunningConfigs, APartThatCannotBeCopiedLeavesTheWhole) {
  EXPECT_THROW(static_cast<void>(running.copy_part(
                   "wg0", [](const config::Peer&) -> bool { throw std::runtime_error("no memory"); })),
               std::runtime_error);
  EXPECT_EQ(names(*running.find_interface("wg0")), "a b c d ");
}

TEST_F(RunningConfigs, APartGoesBackWithoutTouchingPeersThatItDoesNotHold) {
  InterfacePart part =
      running.copy_part("wg0", [](const config::Peer& p) { return p.name == "b" || p.name == "d"; });
  part.value.listen_port = config::UdpPort{4500};
  part.value.peers[0].name = "B";                        // changed: keeps its place
  part.value.peers.erase(part.value.peers.begin() + 1);  // d is removed
  part.value.peers.push_back(peer(5, "e"));              // new: comes last
  running.replace_part("wg0", std::move(part));
  EXPECT_EQ(names(*running.find_interface("wg0")), "a B c e ");
  EXPECT_EQ(running.find_interface("wg0")->listen_port, config::UdpPort{4500});
  EXPECT_EQ(running.generation(), 2u);
}

TEST_F(RunningConfigs, PeersOfAPartMayGoFromAnyPlace) {
  for (const char* gone : {"a", "d", "ab", "bd", "acd", "abcd"}) {
    running.replace(with_peers({peer(1, "a"), peer(2, "b"), peer(3, "c"), peer(4, "d")}));
    const std::string text = gone;
    InterfacePart part = running.copy_part(
        "wg0", [&](const config::Peer& p) { return text.find(p.name) != std::string::npos; });
    part.value.peers.clear();
    running.replace_part("wg0", std::move(part));
    std::string left;
    for (const char* name : {"a", "b", "c", "d"})
      if (text.find(name) == std::string::npos) left += std::string(name) + " ";
    EXPECT_EQ(names(*running.find_interface("wg0")), left);
  }
}

}  // namespace
}  // namespace wg::control::test
