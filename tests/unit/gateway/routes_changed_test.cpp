// The addresses that a route change affects, compared with a scan over every prefix.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "control/publish/routes_changed.h"

namespace wg::control {
namespace {

using Random = std::mt19937;

// Few different bytes, so that prefixes nest and meet.
IpAddress random_address(Random& random, bool v6) {
  std::array<std::uint8_t, 16> bytes{};
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random() % 3 * 127);
  return v6 ? IpAddress::from_v6(bytes.data()) : IpAddress::from_v4(bytes.data());
}

TEST(RoutesChanged, ConcernsWhatSomePrefixContains) {
  Random random(5);
  std::size_t concerned = 0, others = 0;
  for (int round = 0; round < 300; ++round) {
    RoutesChanged changed;
    for (std::size_t i = 0, n = random() % 12; i < n; ++i) {
      const bool v6 = random() % 2 == 0;
      changed.prefixes.push_back(
          {random_address(random, v6), static_cast<std::uint8_t>(random() % (v6 ? 129 : 33))});
    }
    const std::vector<IpPrefix> all = changed.prefixes;
    changed.narrow();
    for (int i = 0; i < 100; ++i) {
      const IpAddress address = random_address(random, random() % 2 == 0);
      const bool wanted = std::any_of(all.begin(), all.end(),
                                      [&](const IpPrefix& prefix) { return prefix.contains(address); });
      ASSERT_EQ(changed.concerns(address), wanted) << dataplane::to_string(address);
      ++(wanted ? concerned : others);
    }
  }
  EXPECT_GT(concerned, 1000u);
  EXPECT_GT(others, 1000u);
}

TEST(RoutesChanged, NothingConcernsNoneAndEverywhereConcernsAll) {
  RoutesChanged changed;
  changed.narrow();
  EXPECT_FALSE(changed.concerns({}));
  changed.everywhere = true;
  EXPECT_TRUE(changed.concerns({}));
}

TEST(RoutesChanged, ManyPrefixesAreEverywhereAndNothingIsLostInAdding) {
  RoutesChanged all;
  const auto prefix = [](std::size_t i) {
    const std::uint8_t bytes[4] = {10, static_cast<std::uint8_t>(i >> 16), static_cast<std::uint8_t>(i >> 8),
                                   static_cast<std::uint8_t>(i)};
    return IpPrefix{IpAddress::from_v4(bytes), 32};
  };
  for (std::size_t i = 0; i < RoutesChanged::kPrefixesMax; ++i) all.add(prefix(i));
  EXPECT_FALSE(all.everywhere);
  RoutesChanged more;
  all.add(more);
  EXPECT_EQ(all.prefixes.size(), RoutesChanged::kPrefixesMax);
  more.add(prefix(RoutesChanged::kPrefixesMax));
  all.add(more);
  EXPECT_TRUE(all.everywhere);
  EXPECT_TRUE(all.prefixes.empty());
  all.add(prefix(1));
  EXPECT_TRUE(all.prefixes.empty()) << "everywhere has it";
  RoutesChanged sum;
  sum.add(all);
  EXPECT_TRUE(sum.everywhere);
}

}  // namespace
}  // namespace wg::control
