#include "dataplane/base/expected.h"

#include <gtest/gtest.h>

#include <memory>
#include <system_error>
#include <type_traits>
#include <vector>

namespace wg {
namespace {

TEST(Expected, HoldsAValueOrARefusal) {
  const Expected<int> value = 7;
  ASSERT_TRUE(value);
  EXPECT_EQ(*value, 7);
  const Expected<int> refused = Refusal{ENOENT, "no such thing"};
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (Refusal{ENOENT, "no such thing"}));
  EXPECT_TRUE(Expected<>());
  EXPECT_FALSE(Expected<>(Refusal{EBUSY, "later"}));
}

// A value whose type could also be made of "is there a value?" must not be.
TEST(Expected, CopiesOfFlagsKeepTheFlag) {
  Expected<bool> no = false;
  Expected<bool> copy = no;
  ASSERT_TRUE(copy);
  EXPECT_FALSE(*copy);
  const Expected<bool> refused = Refusal{EINVAL, "neither"};
  copy = refused;
  EXPECT_FALSE(copy.has_value());
  Expected<bool> moved = std::move(copy);
  EXPECT_FALSE(moved.has_value());
}

TEST(Expected, HoldsWhatCanOnlyBeMoved) {
  Expected<std::unique_ptr<int>> owner = std::make_unique<int>(3);
  const std::unique_ptr<int> taken = *std::move(owner);
  EXPECT_EQ(*taken, 3);
}

TEST(Expected, HasAnErrorOfAnotherTypeWhereOneIsNotEnough) {
  using Many = std::vector<Refusal>;
  const Expected<int, Many> refused = Many{{EINVAL, "one"}, {EINVAL, "two"}};
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().size(), 2u);
}

TEST(Refusal, SaysWhatWasAttemptedAndWhy) {
  EXPECT_EQ(Refusal::from_errno(EEXIST, "adding 10.0.0.1/24 to wg0"),
            (Refusal{EEXIST, "adding 10.0.0.1/24 to wg0: File exists"}));
  EXPECT_EQ(Refusal::from_errno(EINVAL, "setting MTU 10 on wg0", "mtu less than device minimum"),
            (Refusal{EINVAL, "setting MTU 10 on wg0: Invalid argument (mtu less than device minimum)"}));
  EXPECT_EQ((Refusal{EIO, "cannot be written"}.about("/tmp/a")), (Refusal{EIO, "/tmp/a: cannot be written"}));
}

TEST(Refusal, TakesTheErrnoOfASystemError) {
  const Expected<> refused =
      catch_refusal([] { throw std::system_error(EADDRINUSE, std::generic_category(), "control.sock"); });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (Refusal{EADDRINUSE, "control.sock: Address already in use"}));
  EXPECT_EQ(catch_refusal([]() -> int { throw std::runtime_error("no lcore is free"); }).error(),
            (Refusal{EINVAL, "no lcore is free"}));
  EXPECT_EQ(catch_refusal([] { return 5; }).value(), 5);
}

TEST(ValueOrThrow, ThrowsTheSentence) {
  EXPECT_EQ(value_or_throw(Expected<int>(4)), 4);
  EXPECT_NO_THROW(value_or_throw(Expected<>()));
  try {
    value_or_throw(Expected<>(Refusal{EPERM, "opening a TUN: Operation not permitted"}));
    FAIL() << "nothing thrown";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "opening a TUN: Operation not permitted");
  }
}

}  // namespace
}  // namespace wg
