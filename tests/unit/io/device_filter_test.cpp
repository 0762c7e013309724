#include "dataplane/io/device_filter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

namespace wg::dataplane {
namespace {

constexpr MacAddress kOwn{0x52, 0x54, 0, 0, 0, 1}, kOther{0x02, 0, 0, 0, 0, 9};
constexpr MacAddress kAllNodes{0x33, 0x33, 0, 0, 0, 1}, kSolicited{0x33, 0x33, 0xff, 0, 0, 0x77};

// A device whose answers, and what it does, the test decides.
struct FakeDevice final : DeviceCalls {
  int promiscuous_answer = 0, all_multicast_answer = 0, groups_answer = 0, vlan_answer = 0, mac_answer = 0;
  bool lies = false;  // says yes and does nothing
  bool is_promiscuous = false, is_all_multicast = false;
  std::vector<MacAddress> groups;
  std::set<std::uint16_t> vlans;
  MacAddress address = kOwn;
  int list_calls = 0;

  int set_promiscuous(bool wanted) override {
    if (promiscuous_answer == 0 && !lies) is_promiscuous = wanted;
    return promiscuous_answer;
  }
  bool promiscuous() override { return is_promiscuous; }
  int set_all_multicast(bool wanted) override {
    if (all_multicast_answer == 0 && !lies) is_all_multicast = wanted;
    return all_multicast_answer;
  }
  bool all_multicast() override { return is_all_multicast; }
  int set_groups(const std::vector<MacAddress>& wanted) override {
    ++list_calls;
    if (groups_answer == 0) groups = wanted;
    return groups_answer;
  }
  int set_vlan(std::uint16_t id, bool wanted) override {
    if (vlan_answer != 0) return vlan_answer;
    wanted ? static_cast<void>(vlans.insert(id)) : static_cast<void>(vlans.erase(id));
    return 0;
  }
  int set_mac(const MacAddress& mac) override {
    if (mac_answer == 0) address = mac;
    return mac_answer;
  }
  MacAddress mac() override { return address; }
  DeviceSigns look() override { return {}; }
};

WantedFrames own_frames() {
  WantedFrames wanted;
  wanted.mac = kOwn;
  wanted.groups = {kAllNodes};
  return wanted;
}

constexpr DeviceKind kCard{}, kVirtualFunction{true, true};

TEST(DeviceFilter, ACardGetsTheListOfGroupsAndNothingMore) {
  FakeDevice device;
  DeviceFilter filter(device, kCard);
  filter.apply(own_frames());
  EXPECT_EQ(device.groups, std::vector<MacAddress>{kAllNodes});
  EXPECT_FALSE(device.is_promiscuous);
  EXPECT_FALSE(device.is_all_multicast);
  EXPECT_TRUE(filter.concerns().empty());
}

TEST(DeviceFilter, GroupsFollowAndAreNotAskedForTwice) {
  FakeDevice device;
  DeviceFilter filter(device, kVirtualFunction);
  filter.apply(own_frames());
  filter.apply(own_frames());
  EXPECT_EQ(device.list_calls, 1);
  WantedFrames more = own_frames();
  more.groups.push_back(kSolicited);
  filter.apply(more);
  EXPECT_EQ(device.groups, more.groups);
}

TEST(DeviceFilter, ARefusedListBecomesAllGroups) {
  FakeDevice device;
  device.groups_answer = -ENOTSUP;
  DeviceFilter filter(device, kCard);
  filter.apply(own_frames());
  EXPECT_TRUE(device.is_all_multicast);
  EXPECT_TRUE(filter.concerns().empty());
}

TEST(DeviceFilter, ADeviceWithoutMulticastIsAConcern) {
  FakeDevice device;
  device.groups_answer = device.all_multicast_answer = -ENOTSUP;
  DeviceFilter filter(device, kCard);
  filter.apply(own_frames());
  ASSERT_EQ(filter.concerns().size(), 1u);
  EXPECT_NE(filter.concerns()[0].find("takes no multicast frames"), std::string::npos);
}

TEST(DeviceFilter, AnAnswerWithoutAnEffectIsAConcernToo) {
  FakeDevice device;
  device.groups_answer = -ENOTSUP;
  device.lies = true;
  DeviceFilter filter(device, kCard);
  WantedFrames wanted = own_frames();
  wanted.other_addresses = true;
  filter.apply(wanted);
  ASSERT_EQ(filter.concerns().size(), 2u);
  for (const std::string& concern : filter.concerns())
    EXPECT_NE(concern.find("it answers that it does, but does not"), std::string::npos) << concern;
}

TEST(DeviceFilter, ACardWithAnotherAddressIsPromiscuousUntilItIsItsOwnAgain) {
  FakeDevice device;
  DeviceFilter filter(device, kCard);
  WantedFrames wanted = own_frames();
  wanted.mac = kOther;
  filter.apply(wanted);
  EXPECT_TRUE(device.is_promiscuous);
  EXPECT_EQ(device.address, kOwn);
  filter.apply(own_frames());
  EXPECT_FALSE(device.is_promiscuous);
  EXPECT_TRUE(filter.concerns().empty());
}

TEST(DeviceFilter, AVirtualFunctionIsGivenTheAddressAndItsAnswerIsNotTrusted) {
  FakeDevice device;
  DeviceFilter filter(device, kVirtualFunction);
  WantedFrames wanted = own_frames();
  wanted.mac = kOther;
  filter.apply(wanted);
  EXPECT_EQ(device.address, kOther);
  EXPECT_FALSE(device.is_promiscuous);
  ASSERT_EQ(filter.concerns().size(), 1u);
  EXPECT_NE(filter.concerns()[0].find("only if the physical function"), std::string::npos);
  // What it was told is its address by now; whether frames arrive is as unknown as before.
  wanted.groups.push_back(kSolicited);
  filter.apply(wanted);
  EXPECT_EQ(filter.concerns().size(), 1u);
}

TEST(DeviceFilter, ARefusedPromiscuousModeIsAConcernWhereItIsNeeded) {
  FakeDevice device;
  device.promiscuous_answer = -ENOTSUP;
  DeviceFilter filter(device, kVirtualFunction);
  filter.apply(own_frames());
  EXPECT_TRUE(filter.concerns().empty());
  WantedFrames wanted = own_frames();
  wanted.other_addresses = true;
  filter.apply(wanted);
  ASSERT_EQ(filter.concerns().size(), 1u);
  EXPECT_NE(filter.concerns()[0].find("refuses promiscuous mode"), std::string::npos);
}

TEST(DeviceFilter, VlansAreToldToVirtualFunctionsAndTakenBack) {
  FakeDevice device;
  DeviceFilter filter(device, kVirtualFunction);
  WantedFrames wanted = own_frames();
  wanted.vlans = {7, 12};
  filter.apply(wanted);
  EXPECT_EQ(device.vlans, (std::set<std::uint16_t>{7, 12}));
  wanted.vlans = {12};
  filter.apply(wanted);
  EXPECT_EQ(device.vlans, std::set<std::uint16_t>{12});

  FakeDevice card;
  DeviceFilter open(card, kCard);
  wanted.vlans = {7};
  open.apply(wanted);
  EXPECT_TRUE(card.vlans.empty());
}

TEST(DeviceFilter, ARefusedVlanIsAConcern) {
  FakeDevice device;
  device.vlan_answer = -ENOSYS;
  DeviceFilter filter(device, kVirtualFunction);
  WantedFrames wanted = own_frames();
  wanted.vlans = {7};
  filter.apply(wanted);
  ASSERT_EQ(filter.concerns().size(), 1u);
  EXPECT_NE(filter.concerns()[0].find("VLAN 7"), std::string::npos);
}

TEST(DeviceFilter, WhatIsWantedCanBeAskedOfTheNextDevice) {
  FakeDevice device, next;
  DeviceFilter filter(device, kVirtualFunction);
  WantedFrames wanted = own_frames();
  wanted.vlans = {7};
  filter.apply(wanted);
  DeviceFilter after(next, kVirtualFunction);
  after.apply(filter.wanted());
  EXPECT_EQ(next.vlans, std::set<std::uint16_t>{7});
  EXPECT_EQ(next.groups, wanted.groups);
}

}  // namespace
}  // namespace wg::dataplane
