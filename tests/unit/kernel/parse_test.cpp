// Messages built by hand: kinds of links that the test machine's kernel may lack, and cut-off messages.
#include "control/kernel/netlink_parse.h"

#include <gtest/gtest.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/nexthop.h>

#include <cstring>

#include "control/kernel/netlink_socket.h"
#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

NetlinkMessage link_message(const char* kind, std::uint16_t attribute, const void* value, std::size_t size) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  message.extra<ifinfomsg>()->ifi_index = 7;
  message.put_string(IFLA_IFNAME, "red");
  message.put_u32(IFLA_LINK, 3);
  message.put_u32(IFLA_MASTER, 4);
  const MacAddress mac = {2, 0, 0, 0, 0, 1};
  message.put(IFLA_ADDRESS, mac.data(), mac.size());
  nlattr* info = message.begin_nested(IFLA_LINKINFO);
  message.put_string(IFLA_INFO_KIND, kind);
  nlattr* details = message.begin_nested(IFLA_INFO_DATA);
  message.put(attribute, value, size);
  message.end_nested(details);
  message.end_nested(info);
  return message;
}

NetlinkMessage route_message() {
  NetlinkMessage message(RTM_NEWROUTE, 0);
  auto* header = message.extra<rtmsg>();
  header->rtm_family = AF_INET;
  header->rtm_dst_len = 16;
  header->rtm_type = RTN_UNICAST;
  message.put_address(RTA_DST, ip("10.7.0.0"));
  message.put_u32(RTA_TABLE, 1234);
  nlattr* metrics = message.begin_nested(RTA_METRICS);
  message.put_u32(RTAX_MTU, 1300);
  message.end_nested(metrics);
  nlattr* nest = message.begin_nested(RTA_MULTIPATH);
  for (const std::uint32_t ifindex : {5u, 6u}) {
    rtnexthop* hop = message.append_rtnexthop();
    hop->rtnh_ifindex = static_cast<int>(ifindex);
    message.put_address(RTA_GATEWAY, ip("10.0.0.5"));
    message.close_rtnexthop(hop);
  }
  message.end_nested(nest);
  return message;
}

TEST(NetlinkParse, VrfAndVlanLinks) {
  const std::uint32_t table = 500;
  auto vrf = link_message("vrf", IFLA_VRF_TABLE, &table, sizeof table);
  auto link = parse_link(vrf.header());
  ASSERT_TRUE(link);
  EXPECT_EQ(link->vrf_table, 500u);
  EXPECT_EQ(link->master, 4u);
  EXPECT_EQ(link->name, "red");
  EXPECT_FALSE(link->vlan_id);
  const std::uint16_t id = 4094;
  auto vlan = link_message("vlan", IFLA_VLAN_ID, &id, sizeof id);
  link = parse_link(vlan.header());
  ASSERT_TRUE(link);
  EXPECT_EQ(link->vlan_id, 4094);
  EXPECT_EQ(link->parent, 3u);
  EXPECT_EQ(link->vrf_table, 0u);
  // The same attribute number means something else for another kind.
  auto other = link_message("gre", IFLA_VLAN_ID, &id, sizeof id);
  EXPECT_FALSE(parse_link(other.header())->vlan_id);
}

TEST(NetlinkParse, MultipathRoutes) {
  auto message = route_message();
  const auto route = parse_route(message.header());
  ASSERT_TRUE(route);
  EXPECT_EQ(route->prefix, net("10.7.0.0/16"));
  EXPECT_EQ(route->table, 1234u);
  EXPECT_EQ(route->forwarding.mtu, 1300u);
  const std::vector<NextHop> hops = {{5, ip("10.0.0.5")}, {6, ip("10.0.0.5")}};
  EXPECT_EQ(route->forwarding.nexthops, hops);
}

TEST(NetlinkParse, WrongFamiliesAndLengthsAreRefused) {
  auto message = route_message();
  auto* header = static_cast<rtmsg*>(mnl_nlmsg_get_payload(message.header()));
  header->rtm_dst_len = 33;
  EXPECT_FALSE(parse_route(message.header()));
  header->rtm_dst_len = 16;
  header->rtm_family = AF_INET6;  // with an IPv4 destination
  EXPECT_FALSE(parse_route(message.header()));
  header->rtm_family = AF_BRIDGE;
  EXPECT_FALSE(parse_route(message.header()));
}

TEST(NetlinkParse, AnUnknownSelectorMakesARuleUnevaluated) {
  NetlinkMessage message(RTM_NEWRULE, 0);
  auto* header = message.extra<fib_rule_hdr>();
  header->family = AF_INET;
  header->action = FR_ACT_TO_TBL;
  EXPECT_FALSE(parse_rule(message.header())->selects_more);
  message.put_u8(FRA_MAX + 1, 1);
  EXPECT_TRUE(parse_rule(message.header())->selects_more);
}

// Every parser on every message cut at every length, and with each byte changed: no answer may be wrong in
// a way that reads outside the copy, which AddressSanitizer watches.
TEST(NetlinkParse, SurvivesCutAndChangedMessages) {
  const std::uint32_t table = 500;
  std::vector<NetlinkMessage> messages;
  messages.push_back(route_message());
  messages.push_back(link_message("vrf", IFLA_VRF_TABLE, &table, sizeof table));
  const auto parse_all = [](const std::vector<char>& bytes) {
    const auto* m = reinterpret_cast<const nlmsghdr*>(bytes.data());
    unsigned parsed = 0;
    parsed += parse_link(m).has_value() + parse_address(m).has_value() + parse_route(m).has_value();
    parsed += parse_neighbour(m).has_value() + parse_nexthop(m).has_value() + parse_rule(m).has_value();
    parsed += !parse_acknowledgement(m);
    return parsed;
  };
  unsigned parsed = 0;
  for (NetlinkMessage& message : messages) {
    const auto* begin = reinterpret_cast<const char*>(message.header());
    for (std::size_t size = sizeof(nlmsghdr); size <= message.size(); ++size) {
      std::vector<char> cut(begin, begin + size);
      const auto length = static_cast<std::uint32_t>(size);
      std::memcpy(cut.data(), &length, sizeof length);
      parsed += parse_all(cut);
    }
    for (std::size_t at = sizeof(nlmsghdr); at < message.size(); ++at) {
      for (const int value : {0, 1, 4, 127, 255}) {
        std::vector<char> changed(begin, begin + message.size());
        changed[at] = static_cast<char>(value);
        parsed += parse_all(changed);
      }
    }
  }
  EXPECT_GT(parsed, 100u);
}

TEST(Acknowledgement, CarriesTheKernelsText) {
  NetlinkMessage message(NLMSG_ERROR, NLM_F_ACK_TLVS | NLM_F_CAPPED);
  message.extra<nlmsgerr>()->error = -EINVAL;
  message.put_string(NLMSGERR_ATTR_MSG, "nonsense");
  const auto result = parse_acknowledgement(message.header());
  EXPECT_EQ(result.error(), (Refusal{EINVAL, "nonsense"}));
}

}  // namespace
}  // namespace wg::control
