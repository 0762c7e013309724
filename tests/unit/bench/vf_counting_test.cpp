// How bench/vf counts: latencies beside a sorted list, arrivals beside a set.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <vector>

#include "bench/vf/histogram.h"
#include "bench/vf/sequence.h"

namespace wg::bench {
namespace {

std::uint64_t nearest_rank(const std::vector<std::uint64_t>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

TEST(VfHistogram, IsNeverTooLowAndAtMostASixtyFourthTooHigh) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    Histogram histogram;
    std::vector<std::uint64_t> values;
    for (std::size_t n = 1 + random() % 3000; n != 0; --n) {
      values.push_back(random() >> random() % 64);
      histogram.add(values.back());
    }
    std::sort(values.begin(), values.end());
    ASSERT_EQ(histogram.count(), values.size());
    ASSERT_EQ(histogram.largest(), values.back());
    ASSERT_EQ(histogram.smallest(), values.front());
    for (const double share : {0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const std::uint64_t right = nearest_rank(values, share);
      ASSERT_GE(histogram.at(share), right) << share;
      ASSERT_LE(histogram.at(share) - right, right / 64) << share;
    }
  }
}

TEST(VfHistogram, SmallValuesAreExactAndAnEmptyOneIsZero) {
  Histogram histogram;
  EXPECT_EQ(histogram.at(0.5), 0u);
  EXPECT_EQ(histogram.smallest(), 0u);
  for (std::uint64_t value = 0; value < 128; ++value) histogram.add(value);
  for (std::uint64_t value = 1; value <= 128; ++value)
    EXPECT_EQ(histogram.at(static_cast<double>(value) / 128), value - 1);
}

TEST(VfHistogram, TheLargestNumber) {
  Histogram histogram;
  histogram.add(UINT64_MAX);
  EXPECT_EQ(histogram.at(0.5), UINT64_MAX);
}

TEST(VfSequence, AgreesWithASet) {
  std::mt19937_64 random(2);
  for (int round = 0; round < 100; ++round) {
    Sequence sequence;
    std::set<std::uint64_t> seen;
    std::uint64_t next = random() % 1000;
    for (int i = 0; i < 2000; ++i) {
      const std::uint64_t jump = random() % 200 == 0 ? random() % 300 : random() % 3;
      const std::uint64_t back = random() % 10 == 0 ? random() % 60 : 0;
      next += jump;
      const std::uint64_t number = next - std::min(next, back);
      if (!seen.empty() && *seen.rbegin() > number + 63) continue;
      const bool late = !seen.empty() && number < *seen.rbegin();
      const bool fresh = seen.insert(number).second;
      const Arrival expected = !fresh ? Arrival::kTwice : late ? Arrival::kLate : Arrival::kInOrder;
      ASSERT_EQ(sequence.take(number), expected) << number;
    }
  }
}

TEST(VfSequence, FarBehindIsLateAndStartingOverForgets) {
  Sequence sequence;
  sequence.take(1000);
  EXPECT_EQ(sequence.take(936), Arrival::kLate);
  EXPECT_EQ(sequence.take(936), Arrival::kLate);
  EXPECT_EQ(sequence.take(937), Arrival::kLate);
  EXPECT_EQ(sequence.take(937), Arrival::kTwice);
  sequence.start_over();
  EXPECT_EQ(sequence.take(1), Arrival::kInOrder);
}

}  // namespace
}  // namespace wg::bench
