#include "tests/daemon/paired_windows.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace wg::test {
namespace {

std::vector<Window> windows(std::size_t n, double per_million, unsigned seed) {
  std::mt19937 random(seed);
  std::poisson_distribution<std::uint64_t> over(per_million / 10);
  std::vector<Window> out(n);
  for (Window& window : out) window = {per_million == 0 ? 0 : over(random), 100'000};
  return out;
}

TEST(PairedWindows, TellMoreFromAsManyAndFromFewer) {
  const auto few = windows(15, 30, 1), as_few = windows(15, 30, 2), many = windows(15, 150, 3);
  EXPECT_GT(excess(few, as_few).p, 0.05);
  EXPECT_LT(excess(many, few).p, 0.001);
  EXPECT_NEAR(excess(many, few).per_million, 120, 30);
  EXPECT_GT(excess(few, many).p, 0.99);
  EXPECT_LT(excess(few, many).at_most, 0);
  EXPECT_GT(excess(many, few).at_most, excess(many, few).per_million);
}

TEST(PairedWindows, OneBadWindowProvesNothing) {
  auto with = windows(15, 0, 1);
  with[7].over = 1000;
  const Excess found = excess(with, windows(15, 0, 2));
  EXPECT_GT(found.p, 0.4) << "either sign is as likely";
  EXPECT_GT(found.at_most, found.per_million) << "but it does not prove the opposite either";
}

TEST(PairedWindows, NothingIsNoExcess) {
  EXPECT_EQ(excess({}, {}).p, 1);
  const auto none = windows(15, 0, 1);
  EXPECT_EQ(excess(none, none).p, 1);
  EXPECT_EQ(excess(none, none).at_most, 0);
}

}  // namespace
}  // namespace wg::test
