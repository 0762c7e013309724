// Memory in large pages has the requested size, is zeroed, and overlaps no other mapping.
#include "dataplane/session/large_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace wg::test {
namespace {

using namespace dataplane;

TEST(LargePages, AreZeroedAlignedAndApart) {
  struct Range {
    unsigned char* at;
    std::size_t size;
  };
  std::vector<Range> ranges;
  for (const std::size_t size : {std::size_t{1}, std::size_t{4096}, kLargePage - 1, kLargePage,
                                 kLargePage + 192, 3 * kLargePage + 4096}) {
    for (int again = 0; again < 3; ++again) {
      auto* const at = static_cast<unsigned char*>(map_large(size));
      ASSERT_NE(at, nullptr);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % (size >= kLargePage ? kLargePage : 64), 0u);
      ASSERT_EQ(std::count(at, at + size, 0), static_cast<std::ptrdiff_t>(size));
      std::fill_n(at, size, static_cast<unsigned char>(ranges.size() + 1));
      ranges.push_back({at, size});
    }
  }
  // Every second one goes; what is left keeps its content.
  for (std::size_t i = 0; i < ranges.size(); i += 2) EXPECT_EQ(munmap(ranges[i].at, ranges[i].size), 0);
  for (std::size_t i = 1; i < ranges.size(); i += 2) {
    const auto [at, size] = ranges[i];
    EXPECT_EQ(std::count(at, at + size, static_cast<unsigned char>(i + 1)), static_cast<std::ptrdiff_t>(size))
        << i;
    EXPECT_EQ(munmap(at, size), 0);
  }
}

}  // namespace
}  // namespace wg::test
