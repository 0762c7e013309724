#include "dataplane/io/device_watch.h"

#include <gtest/gtest.h>

namespace wg::dataplane::device_watch_test {
namespace {

DeviceSigns signs(std::uint64_t rx_packets, bool link_up = true) {
  DeviceSigns out;
  out.link_up = link_up;
  out.mac = {0x52, 0x54, 0, 0, 0, 1};
  out.counts.rx_packets = rx_packets;
  out.counts.rx_bytes = rx_packets * 100;
  return out;
}

constexpr bool kVirtualFunction = true, kCard = false;

TEST(DeviceWatch, ADeviceThatWorksIsLeftAlone) {
  DeviceWatch watch(kVirtualFunction);
  for (std::uint64_t n = 0; n < 1000; n += 10) EXPECT_FALSE(watch.judge(signs(n))) << n;
}

TEST(DeviceWatch, AVirtualFunctionWhoseLinkWentIsRestartedWhenItIsBack) {
  DeviceWatch watch(kVirtualFunction);
  EXPECT_FALSE(watch.judge(signs(5)));
  EXPECT_FALSE(watch.judge(signs(5, false)));
  EXPECT_FALSE(watch.judge(signs(5, false)));
  EXPECT_EQ(watch.judge(signs(5)), "its link went and came back");
  watch.start_over();
  EXPECT_FALSE(watch.judge(signs(5)));
}

TEST(DeviceWatch, ALinkThatComesUpFirstIsNoFault) {
  DeviceWatch watch(kVirtualFunction);
  EXPECT_FALSE(watch.judge(signs(0, false)));
  EXPECT_FALSE(watch.judge(signs(0)));
}

TEST(DeviceWatch, ALinkMayTakeTwoSecondsToComeUpAfterAStart) {
  DeviceWatch watch(kVirtualFunction);
  EXPECT_FALSE(watch.judge(signs(5)));
  watch.start_over();
  for (int looks = 0; looks < 8; ++looks) EXPECT_FALSE(watch.judge(signs(0, false)));
  EXPECT_FALSE(watch.judge(signs(0)));
}

// The physical function is still down when the virtual one is restarted: it comes back with it.
TEST(DeviceWatch, ALinkThatIsMissingForLongerIsFollowedByAnotherStart) {
  DeviceWatch watch(kVirtualFunction);
  EXPECT_FALSE(watch.judge(signs(5)));
  watch.start_over();
  for (int looks = 0; looks < 9; ++looks) EXPECT_FALSE(watch.judge(signs(0, false)));
  EXPECT_TRUE(watch.judge(signs(0)));
}

TEST(DeviceWatch, ACardsCableMayBePulled) {
  DeviceWatch watch(kCard);
  EXPECT_FALSE(watch.judge(signs(5)));
  EXPECT_FALSE(watch.judge(signs(5, false)));
  EXPECT_FALSE(watch.judge(signs(5)));
}

TEST(DeviceWatch, CountersThatGoBackOrJumpAreASignOfAReset) {
  for (const std::uint64_t next : {std::uint64_t{0}, std::uint64_t{5} + (std::uint64_t{1} << 32)}) {
    DeviceWatch watch(kCard);
    EXPECT_FALSE(watch.judge(signs(5)));
    EXPECT_EQ(watch.judge(signs(next)), "its counters were reset") << next;
  }
}

TEST(DeviceWatch, AnotherMacAddressIsASign) {
  DeviceWatch watch(kVirtualFunction);
  EXPECT_FALSE(watch.judge(signs(5)));
  DeviceSigns other = signs(5);
  other.mac[5] = 2;
  EXPECT_EQ(watch.judge(other), "its MAC address was changed");
}

TEST(DeviceWatch, ADriverThatAsksForAResetIsHeardAtOnce) {
  DeviceWatch watch(kCard);
  DeviceSigns asks = signs(5);
  asks.asks_for_reset = true;
  EXPECT_EQ(watch.judge(asks), "its driver asks for a reset");
}

// A virtual function that was reset by hand: its queues are off, its link and counters are as they were.
class StandsStill : public ::testing::Test {
 protected:
  // Frames since the start; the device counts what it sends.
  DeviceSigns now_ = signs(0);
  DeviceWatch watch_{kVirtualFunction};

  std::optional<std::string> look(std::uint64_t handed, std::uint64_t sent, std::uint64_t taken) {
    now_.handed += handed;
    now_.counts.tx_packets += sent;
    now_.counts.rx_packets += taken;
    now_.taken += taken;
    return watch_.judge(now_);
  }
  void work() {
    for (int i = 0; i < 20; ++i) ASSERT_FALSE(look(10, 10, 10));
  }
  int looks_until_restart(std::uint64_t handed, int at_most) {
    for (int looks = 1; looks <= at_most; ++looks) {
      if (const auto fault = look(handed, 0, 0)) {
        EXPECT_EQ(*fault, "it neither sends nor receives any more");
        return looks;
      }
    }
    return 0;
  }
};

TEST_F(StandsStill, IsNoticedWithinTwoSeconds) {
  work();
  EXPECT_EQ(looks_until_restart(1, 100), 7);
}

// One frame a second, as ARP asks.
TEST_F(StandsStill, AFewFramesWillDo) {
  work();
  EXPECT_FALSE(look(1, 0, 0));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(look(0, 0, 0));
  EXPECT_FALSE(look(1, 0, 0));
  EXPECT_FALSE(look(0, 0, 0));
  EXPECT_TRUE(look(0, 0, 0));
}

TEST_F(StandsStill, NotWhereNothingIsToBeSent) {
  work();
  EXPECT_EQ(looks_until_restart(0, 1000), 0);
}

TEST_F(StandsStill, NotForOneFrameThatVanished) {
  work();
  EXPECT_FALSE(look(1, 0, 0));
  EXPECT_EQ(looks_until_restart(0, 1000), 0);
}

TEST_F(StandsStill, NotWhileItReceivesOrSends) {
  work();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(look(10, 0, i % 5 == 0 ? 1 : 0));
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(look(10, i % 5 == 0 ? 1 : 0, 0));
}

TEST_F(StandsStill, NotWithoutALink) {
  DeviceWatch card(kCard);
  for (int i = 0; i < 20; ++i) {
    now_.handed += 10, now_.counts.tx_packets += 10, now_.taken += 10;
    EXPECT_FALSE(card.judge(now_));
  }
  now_.link_up = false;
  for (int i = 0; i < 100; ++i) {
    now_.handed += 10;
    EXPECT_FALSE(card.judge(now_));
  }
}

// A device that does not count what it sends, or has no neighbour yet, is not known to work.
TEST_F(StandsStill, NotBeforeItHasSentAndReceived) {
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(look(10, 10, 0));
  EXPECT_EQ(looks_until_restart(10, 100), 0);
  watch_ = DeviceWatch(kVirtualFunction);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(look(10, 0, 10));
  EXPECT_EQ(looks_until_restart(10, 100), 0);
}

// A second reset, before a frame passed.
TEST_F(StandsStill, WhatIsKnownOfADeviceOutlivesItsStart) {
  work();
  watch_.start_over();
  EXPECT_EQ(looks_until_restart(1, 100), 8);
}

TEST_F(StandsStill, OnceInTenSecondsAtMost) {
  work();
  EXPECT_EQ(looks_until_restart(1, 100), 7);
  watch_.start_over();
  EXPECT_FALSE(look(0, 0, 0));
  work();
  EXPECT_EQ(looks_until_restart(1, 1000), 40 - 21);
}

TEST(DeviceWatch, CountsBeginAtZeroAndPassOverResetsAndJumps) {
  DeviceWatch watch(kVirtualFunction);
  const auto counted = [&](std::uint64_t now) { return watch.counts(signs(now).counts).rx_packets; };
  EXPECT_EQ(counted(1272), 0u);  // of the process before
  EXPECT_FALSE(watch.judge(signs(1272)));
  EXPECT_EQ(counted(1300), 28u);
  EXPECT_FALSE(watch.judge(signs(1300)));
  EXPECT_TRUE(watch.judge(signs(1300 + (std::uint64_t{1} << 32))));
  EXPECT_EQ(counted(1310 + (std::uint64_t{1} << 32)), 38u);
  watch.start_over();
  EXPECT_FALSE(watch.judge(signs(0)));
  EXPECT_EQ(counted(4), 32u);
  EXPECT_EQ(watch.counts(signs(4).counts).rx_bytes, 3200u);
}

}  // namespace
}  // namespace wg::dataplane::device_watch_test
