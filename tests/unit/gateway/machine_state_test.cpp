// What is changed on the machine is put back, also by the run after a crash. In a network namespace.
#include "control/gateway/machine_state.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>

#include "control/kernel/sysctl.h"
#include "tests/unit/gateway/log_to.h"

namespace wg::control {
namespace {

using Entry = MachineState::Entry;
using Setting = MachineState::LinkSetting;

TEST(MachineStateFile, IsReadAsItWasWritten) {
  const std::vector<Entry> entries{{"sysctl", "net/ipv4/ip_forward", "0", "1"},
                                   {"7", "mtu", "1500", "1600"},
                                   {"interface", "wg0", "-", "-"}};
  EXPECT_EQ(machine_entries("here", to_text("here", entries)), entries);
  EXPECT_TRUE(machine_entries("elsewhere", to_text("here", entries)).empty());
  EXPECT_TRUE(machine_entries("here", "").empty());
  EXPECT_TRUE(machine_entries("here", "something else\n").empty());
  const std::string text = to_text("here", entries);
  for (std::size_t size = 0; size < text.size(); ++size)
    EXPECT_LE(machine_entries("here", text.substr(0, size)).size(), entries.size());
}

class MachineStateTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root";
    char pattern[] = "/tmp/machine_state_XXXXXX";
    directory = mkdtemp(pattern);
  }
  void TearDown() override {
    if (!directory.empty()) std::filesystem::remove_all(directory);
  }
  // In a thread with a network namespace of its own, in which v0 has IPv6 and an MTU of 1500.
  template <class Test>
  void in_namespace(Test&& test) {
    std::thread([&] {
      ASSERT_EQ(unshare(CLONE_NEWNET), 0);
      NetlinkConfigure netlink;
      ASSERT_EQ(std::system("ip link add v0 type veth peer name p0"), 0);
      test(netlink, netlink.find_link("v0")->ifindex);
    }).join();
  }
  std::unique_ptr<MachineState> start(NetlinkConfigure& netlink) {
    return std::make_unique<MachineState>(directory, netlink, silent_log());
  }
  static std::string value(const std::string& path) { return read_sysctl(path).value_or("?"); }
  static void change(MachineState& machine, std::uint32_t v0) {
    EXPECT_TRUE(machine.set_sysctl("net/ipv6/conf/v0/disable_ipv6", "1"));
    EXPECT_TRUE(machine.set_link(v0, Setting::kNoArp, 1, 0));
    EXPECT_TRUE(machine.set_link(v0, Setting::kMtu, 1600, 1500));
    EXPECT_TRUE(machine.set_link(v0, Setting::kUp, 1, 0));
    machine.enable_forwarding();
    EXPECT_EQ(value("net/ipv6/conf/v0/disable_ipv6"), "1");
  }
  static void expect_as_before(NetlinkConfigure& netlink, std::uint32_t v0) {
    EXPECT_EQ(value("net/ipv6/conf/v0/disable_ipv6"), "0");
    EXPECT_EQ(netlink.find_link(v0)->mtu, 1500U);
    EXPECT_FALSE(netlink.find_link(v0)->up);
    EXPECT_EQ(value("net/ipv4/ip_forward"), "0");
    EXPECT_EQ(value("net/ipv6/conf/all/forwarding"), "0");
    EXPECT_NE(std::system("ip link show v0 | grep -q NOARP"), 0);
  }

  std::string directory;
};

TEST_F(MachineStateTest, AStopPutsEverythingBack) {
  in_namespace([&](NetlinkConfigure& netlink, std::uint32_t v0) {
    ASSERT_TRUE(write_sysctl("net/ipv4/ip_forward", "0"));
    const auto machine = start(netlink);
    change(*machine, v0);
    EXPECT_TRUE(std::filesystem::exists(directory + "/machine"));
    machine->put_back_all();
    expect_as_before(netlink, v0);
    EXPECT_FALSE(std::filesystem::exists(directory + "/machine"));
  });
}

TEST_F(MachineStateTest, ARunAfterACrashKnowsWhatWasThereBeforeTheFirst) {
  in_namespace([&](NetlinkConfigure& netlink, std::uint32_t v0) {
    ASSERT_TRUE(write_sysctl("net/ipv4/ip_forward", "0"));
    change(*start(netlink), v0);  // and it is gone
    auto second = start(netlink);
    change(*second, v0);
    second->put_back_rest_of_crash();
    EXPECT_EQ(netlink.find_link(v0)->mtu, 1600U);  // it is this run's now
    second->put_back_all();
    expect_as_before(netlink, v0);
  });
}

TEST_F(MachineStateTest, WhatTheNextRunDoesNotUseIsPutBackAtOnce) {
  in_namespace([&](NetlinkConfigure& netlink, std::uint32_t v0) {
    ASSERT_TRUE(write_sysctl("net/ipv4/ip_forward", "0"));
    change(*start(netlink), v0);
    const auto second = start(netlink);
    second->enable_forwarding();
    second->put_back_rest_of_crash();
    EXPECT_EQ(netlink.find_link(v0)->mtu, 1500U);
    EXPECT_EQ(value("net/ipv6/conf/v0/disable_ipv6"), "0");
    EXPECT_EQ(value("net/ipv4/ip_forward"), "1");
    second->put_back_all();
    expect_as_before(netlink, v0);
  });
}

TEST_F(MachineStateTest, WhatAnotherProgramHasChangedMeanwhileStays) {
  in_namespace([&](NetlinkConfigure& netlink, std::uint32_t v0) {
    const auto machine = start(netlink);
    EXPECT_TRUE(machine->set_sysctl("net/ipv6/conf/v0/accept_ra", "2"));
    EXPECT_TRUE(machine->set_link(v0, Setting::kMtu, 1600, 1500));
    ASSERT_TRUE(write_sysctl("net/ipv6/conf/v0/accept_ra", "0"));
    ASSERT_TRUE(netlink.set_mtu(v0, 1300));
    machine->put_back_link(v0);
    machine->put_back_all();
    EXPECT_EQ(value("net/ipv6/conf/v0/accept_ra"), "0");
    EXPECT_EQ(netlink.find_link(v0)->mtu, 1300U);
  });
}

}  // namespace
}  // namespace wg::control
