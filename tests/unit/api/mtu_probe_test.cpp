// The search for the largest size that is answered.
#include "control/cli/mtu_probe.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace wg::control::cli {
namespace {

TEST(MtuProbe, FindsTheLargestSizeForEveryLimit) {
  for (std::size_t limit = 20; limit < 1430; ++limit) {
    int asked = 0;
    const auto probe = probe_mtu(28, 1420, [&](std::size_t size) {
      ++asked;
      EXPECT_LE(size, 1420u);
      return size <= limit;
    });
    EXPECT_LE(asked, 13) << limit;
    EXPECT_EQ(probe.answers, limit >= 28) << limit;
    EXPECT_EQ(probe.good(), limit >= 1420) << limit;
    EXPECT_EQ(probe.largest, limit < 28 ? 28 : std::min<std::size_t>(limit, 1420)) << limit;
  }
}

TEST(MtuProbe, OneQuestionIsEnoughWhenNobodyAnswers) {
  int asked = 0;
  EXPECT_FALSE(probe_mtu(28, 1420, [&](std::size_t) { return ++asked == 0; }).answers);
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace wg::control::cli
