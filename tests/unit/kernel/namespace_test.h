// Each test in a network namespace of its own: the test's thread moves into a fresh one, and what it made
// there dies with it. Needs root; otherwise the test is skipped and says so.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/types.h"

namespace wg::control {

class NamespaceTest : public ::testing::Test {
 protected:
  void SetUp() override;
};

// Runs a shell command in the test's namespace, as another administrator would; its failure fails the test.
void shell(const std::string& command);
// True when the command worked; its words are hidden.
bool shell_works(const std::string& command);

IpAddress ip(const std::string& text);
IpPrefix net(const std::string& text);
std::uint32_t ifindex_of(const std::string& name);

}  // namespace wg::control
