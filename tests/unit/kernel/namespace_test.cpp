#include "tests/unit/kernel/namespace_test.h"

#include <net/if.h>
#include <sched.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace wg::control {

void NamespaceTest::SetUp() {
  if (unshare(CLONE_NEWNET) != 0) {
    GTEST_SKIP() << "needs root for a network namespace: " << std::strerror(errno);
  }
  // No waiting for duplicate address detection of link-local addresses.
  shell("echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad");
  shell("ip link set lo up");
}

void shell(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

bool shell_works(const std::string& command) {
  return std::system(("(" + command + ") >/dev/null 2>&1").c_str()) == 0;
}

IpAddress ip(const std::string& text) {
  const auto address = dataplane::parse_ip_address(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(IpAddress{});
}

IpPrefix net(const std::string& text) {
  const auto prefix = parse_ip_prefix(text);
  EXPECT_TRUE(prefix) << text;
  return prefix.value_or(IpPrefix{});
}

std::uint32_t ifindex_of(const std::string& name) {
  const std::uint32_t index = if_nametoindex(name.c_str());
  EXPECT_NE(index, 0u) << name;
  return index;
}

}  // namespace wg::control
