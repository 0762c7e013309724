#include "control/kernel/wire_claim.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

using WireClaimTest = NamespaceTest;  // names of the abstract kind are those of a network namespace

TEST_F(WireClaimTest, IsRefusedWhileAnotherHasItAndNamesItsProcess) {
  {
    const auto first = WireClaim::take(7, "eth7");
    ASSERT_TRUE(first) << first.error().text;
    const auto second = WireClaim::take(7, "eth7");
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, EBUSY);
    EXPECT_EQ(second.error().text, "eth7 is the wire of another gateway (process " +
                                       std::to_string(getpid()) + "): stop that one, or use another wire");
    EXPECT_TRUE(WireClaim::take(8, "eth8"));
  }
  EXPECT_TRUE(WireClaim::take(7, "eth7")) << "it ends with its holder";
}

TEST_F(WireClaimTest, MovesWithItsOwner) {
  WireClaim kept;
  {
    auto taken = WireClaim::take(7, "eth7");
    ASSERT_TRUE(taken);
    kept = *std::move(taken);
  }
  EXPECT_FALSE(WireClaim::take(7, "eth7"));
  kept = WireClaim();
  EXPECT_TRUE(WireClaim::take(7, "eth7"));
}

// Whoever may not open the wire cannot keep a gateway from it.
TEST_F(WireClaimTest, OfAnotherUserIsNotBelieved) {
  int ready[2], end[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(end), 0);
  const pid_t other = fork();
  if (other == 0) {
    if (setuid(65534) != 0) _exit(1);
    const auto taken = WireClaim::take(7, "eth7");
    char byte = taken ? 'y' : 'n';
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    close(end[1]);
    if (read(end[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  const auto taken = WireClaim::take(7, "eth7");
  EXPECT_TRUE(taken) << taken.error().text;
  close(end[1]);
  waitpid(other, nullptr, 0);
  for (const int fd : {ready[0], ready[1], end[0]}) close(fd);
}

}  // namespace
}  // namespace wg::control
