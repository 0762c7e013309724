#include "dataplane/io/assigned_address.h"

#include <gtest/gtest.h>

#include <vector>

namespace wg::dataplane::assigned_address_test {
namespace {

constexpr MacAddress kUnknown{}, kAssigned{0x52, 0x54, 0, 0xaa, 1, 1}, kVendors{0x3c, 0xfd, 0xfe, 1, 2, 3};

// A driver that gets `answers` of the physical function, one at each opening; "no answer" is a random
// address.
struct Driver {
  std::vector<bool> answers;
  std::size_t openings = 0;

  MacAddress open() {
    const bool answered = openings < answers.size() && answers[openings];
    ++openings;
    if (answered) return kAssigned;
    return {0x02, 0, 0, 0, 0, static_cast<std::uint8_t>(openings)};
  }
  bool made_up(const MacAddress& known = kUnknown) {
    return is_made_up(open(), known, [this] { return open(); });
  }
};

TEST(AssignedAddress, TheSameTwiceIsAssigned) {
  Driver driver{{true, true}};
  EXPECT_FALSE(driver.made_up());
  EXPECT_EQ(driver.openings, 2u);
}

TEST(AssignedAddress, AMissedAnswerIsAskedForAgain) {
  Driver once{{false, true, true}}, later{{true, false, true, true}};
  EXPECT_FALSE(once.made_up());
  EXPECT_EQ(once.openings, 3u);
  // The device keeps the address of the last opening.
  EXPECT_FALSE(later.made_up());
  EXPECT_EQ(later.openings, 4u);
}

TEST(AssignedAddress, OneThatDiffersAtEachOpeningIsMadeUp) {
  Driver driver{{}};
  EXPECT_TRUE(driver.made_up());
  EXPECT_EQ(driver.openings, 6u);
}

TEST(AssignedAddress, AKnownOneNeedsNoSecondOpening) {
  Driver driver{{true}};
  EXPECT_FALSE(driver.made_up(kAssigned));
  EXPECT_EQ(driver.openings, 1u);
}

TEST(AssignedAddress, AVendorsIsNeverMadeUp) {
  EXPECT_FALSE(is_made_up(kVendors, kUnknown, [] {
    ADD_FAILURE() << "opened again";
    return kUnknown;
  }));
}

}  // namespace
}  // namespace wg::dataplane::assigned_address_test
