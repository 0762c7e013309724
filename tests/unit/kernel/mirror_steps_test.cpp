// No call of process() takes long, whatever a message brings about: beside 100 000 routes a link goes down,
// and messages are lost.
#include <net/if.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <vector>

#include "control/kernel/netlink_mirror.h"
#include "tests/unit/kernel/mirror_oracle.h"
#include "tests/unit/kernel/namespace_test.h"

namespace wg::control::steps_test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr unsigned kLowerUp = 1u << 16;  // IFF_LOWER_UP of linux/if.h
constexpr std::uint32_t kRoutes = 100'000;
constexpr std::size_t kMostChanges = 600;           // that one call hands on
constexpr std::chrono::nanoseconds kShare = 500us;  // of a round
// Time on a core, which other programs on it make longer. In one go it takes 20 ms and more, and
// AddressSanitizer makes ten times of both.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::chrono::nanoseconds kLongest = 80ms;
#else
constexpr std::chrono::nanoseconds kLongest = 5ms;
#endif

std::chrono::nanoseconds time_on_core() {
  timespec at{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return std::chrono::seconds(at.tv_sec) + std::chrono::nanoseconds(at.tv_nsec);
}

IpPrefix prefix_of(std::uint32_t number) {
  const std::uint8_t bytes[4] = {11, static_cast<std::uint8_t>(number >> 16),
                                 static_cast<std::uint8_t>(number >> 8), static_cast<std::uint8_t>(number)};
  return {IpAddress::from_v4(bytes), 32};
}

bool is_readable(const NetlinkMirror& mirror) {
  pollfd readable{mirror.fd(), POLLIN, 0};
  return poll(&readable, 1, 0) == 1;
}

// Called as a round of the control thread does, until nothing is left.
struct Rounds {
  std::chrono::nanoseconds longest{0};
  std::size_t calls = 0, most_changes = 0, routes_changed = 0, fewest_routes = kRoutes * 2, resynced = 0;
};

Rounds follow(NetlinkMirror& mirror) {
  Rounds rounds;
  for (; is_readable(mirror); ++rounds.calls) {
    const auto begun = time_on_core();
    mirror.process(Clock::now() + kShare);
    rounds.longest = std::max(rounds.longest, time_on_core() - begun);
    const std::vector<Change> changes = mirror.take_changes();
    rounds.most_changes = std::max(rounds.most_changes, changes.size());
    for (const Change& change : changes) {
      rounds.routes_changed += std::holds_alternative<RouteChanged>(change) ? 1 : 0;
      rounds.resynced += std::holds_alternative<Resynced>(change) ? 1 : 0;
    }
    rounds.fewest_routes = std::min(rounds.fewest_routes, mirror.routes().size());
  }
  return rounds;
}

void expect_short(const char* what, const Rounds& rounds) {
  std::printf("process of=%s routes=%u calls=%zu longest_on_core_us=%.0f most_changes=%zu\n", what, kRoutes,
              rounds.calls, static_cast<double>(rounds.longest.count()) / 1000, rounds.most_changes);
  EXPECT_LE(rounds.longest, kLongest) << what;
  EXPECT_LE(rounds.most_changes, kMostChanges) << what;
  EXPECT_GT(rounds.calls, 20u) << what;
}

class MirrorSteps : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    for (const char* n : {"0", "1"}) {
      const std::string i = n;
      shell("ip link add v" + i + " type veth peer name w" + i + " && ip link set v" + i +
            " up && ip link set w" + i + " up && ip addr add 10." + i + ".0.1/24 dev v" + i);
    }
    add_routes();
    mirror.emplace();
  }
  static void add_routes() {
    std::vector<RouteSpec> routes;
    for (std::uint32_t i = 0; i < kRoutes; ++i)
      routes.push_back(RouteSpec::via_gateway(prefix_of(i), ip("10.0.0.2"), ifindex_v0()));
    ASSERT_EQ(NetlinkConfigure().change_routes(RouteVerb::kAdd, routes).done, kRoutes);
  }
  static std::uint32_t ifindex_v0() {
    static thread_local std::uint32_t index = 0;
    return index != 0 ? index : index = ifindex_of("v0");
  }
  std::optional<NetlinkMirror> mirror;
};

TEST_F(MirrorSteps, ALinkGoesDownBesideManyRoutes) {
  ASSERT_GE(mirror->routes().size(), kRoutes);
  shell("ip link set v0 down");
  const Rounds down = follow(*mirror);
  expect_short("link_down", down);
  EXPECT_GE(down.routes_changed, kRoutes);
  EXPECT_LT(mirror->routes().size(), 100u);
  EXPECT_EQ(mirror->resyncs(), 0u);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

// The routes of another link are visited, and stay.
TEST_F(MirrorSteps, AnotherLinkFlapsBesideManyRoutes) {
  shell("ip route add 12.0.0.0/8 nexthop via 10.0.0.2 nexthop via 10.1.0.2");
  follow(*mirror);
  for (int i = 0; i < 3; ++i) {
    shell("ip link set v1 down");
    const Rounds down = follow(*mirror);
    EXPECT_LE(down.longest, kLongest);
    EXPECT_EQ(mirror->resolve(ip("12.0.0.1")).ifindex, ifindex_v0());
    EXPECT_EQ(follow_until_fresh(*mirror), "");
    shell("ip link set v1 up");
    follow(*mirror);
    EXPECT_GE(mirror->routes().size(), kRoutes);
  }
}

// The next message waits until all that this one does to routes is done: a route that comes again after the
// link went down stays.
TEST_F(MirrorSteps, WhatComesAfterALinkWentDownStays) {
  shell("ip link set v0 down; ip link set v0 up; ip route add 11.0.0.5/32 via 10.0.0.2");
  std::size_t calls = 0;
  for (; is_readable(*mirror); ++calls) {
    mirror->process({});
    EXPECT_TRUE(mirror->has_unread() || !is_readable(*mirror));
  }
  EXPECT_GT(calls, kRoutes / 64);
  EXPECT_EQ(mirror->best(RT_TABLE_MAIN, prefix_of(5)).ifindex, ifindex_v0());
  EXPECT_EQ(mirror->routes().find(RT_TABLE_MAIN, prefix_of(6)), nullptr);
  EXPECT_EQ(follow_until_fresh(*mirror), "");
}

// Until all is read again, the state from before is in use.
TEST_F(MirrorSteps, MessagesAreLostBesideManyRoutes) {
  MirrorOptions tiny;
  tiny.receive_buffer = 4096;
  NetlinkMirror small(tiny);
  shell("for i in $(seq 0 199); do echo route add 13.0.0.$i/32 via 10.0.0.2; done | ip -batch -");
  const Rounds rounds = follow(small);
  expect_short("overflow", rounds);
  EXPECT_GE(small.resyncs(), 1u);
  EXPECT_EQ(rounds.resynced, small.resyncs());
  EXPECT_GE(rounds.fewest_routes, kRoutes);
  EXPECT_EQ(small.best(RT_TABLE_MAIN, {ip("13.0.0.199"), 32}).type, RTN_UNICAST);
  EXPECT_EQ(follow_until_fresh(small), "");
}

// While the dump goes on, messages come and are lost again.
TEST_F(MirrorSteps, MessagesAreLostWhileAllIsReadAgain) {
  MirrorOptions tiny;
  tiny.receive_buffer = 4096;
  NetlinkMirror small(tiny);
  const auto burst = [](int net, const char* verb) {
    shell("for i in $(seq 0 199); do echo route " + std::string(verb) + " 13.0." + std::to_string(net) +
          ".$i/32 via 10.0.0.2; done | ip -batch -");
  };
  burst(0, "add");
  for (int i = 0; i < 40; ++i) small.process({});  // the dump has begun
  EXPECT_EQ(small.resyncs(), 0u);
  EXPECT_TRUE(small.has_unread());
  burst(1, "add");
  burst(0, "del");
  const Rounds rounds = follow(small);
  EXPECT_GE(small.resyncs(), 2u);
  EXPECT_LE(rounds.longest, kLongest);
  EXPECT_GE(rounds.fewest_routes, kRoutes);
  EXPECT_EQ(small.routes().find(RT_TABLE_MAIN, {ip("13.0.0.7"), 32}), nullptr);
  EXPECT_NE(small.routes().find(RT_TABLE_MAIN, {ip("13.0.1.7"), 32}), nullptr);
  EXPECT_EQ(follow_until_fresh(small), "");
}

// ---- several walks for one message, by messages made by hand

NetlinkMessage link_message(std::uint32_t ifindex, std::uint32_t mtu, bool up) {
  NetlinkMessage message(RTM_NEWLINK, 0);
  auto* header = message.extra<ifinfomsg>();
  header->ifi_index = static_cast<int>(ifindex);
  header->ifi_flags = (up ? unsigned{IFF_UP} : 0u) | kLowerUp;
  message.put_string(IFLA_IFNAME, "l" + std::to_string(ifindex));
  message.put_u32(IFLA_MTU, mtu);
  return message;
}

NetlinkMessage route_message(const std::string& prefix, std::uint32_t ifindex, std::uint32_t mtu) {
  NetlinkMessage message(RTM_NEWROUTE, 0);
  auto* header = message.extra<rtmsg>();
  header->rtm_family = AF_INET6;
  header->rtm_dst_len = net(prefix).length;
  header->rtm_type = RTN_UNICAST;
  message.put_address(RTA_DST, net(prefix).address);
  message.put_u32(RTA_TABLE, RT_TABLE_MAIN);
  message.put_u32(RTA_OIF, ifindex);
  nlattr* metrics = message.begin_nested(RTA_METRICS);
  message.put_u32(RTAX_MTU, mtu);
  message.end_nested(metrics);
  return message;
}

// A smaller MTU rewrites the routes, and the link that is down then takes them with it.
TEST(KernelStateSteps, AWalkIsAboutWhatTheOneBeforeMade) {
  ChangeLog changes;
  KernelState state(changes);
  for (const std::uint32_t link : {1u, 2u}) state.take(link_message(link, 1500, true).header());
  state.end_of_dump();
  for (const char* prefix : {"fd01::/64", "fd02::/64", "fd03::/64"})
    state.take(route_message(prefix, 1, 1400).header());
  state.take(route_message("fd04::/64", 2, 1400).header());
  EXPECT_FALSE(state.has_more_to_follow());
  state.take(link_message(1, 1300, false).header());
  std::size_t steps = 0;
  for (; state.has_more_to_follow(); ++steps) state.follow_on(1);
  EXPECT_GT(steps, 4u);
  EXPECT_EQ(state.routes().size(), 1u);
  ASSERT_NE(state.routes().find(RT_TABLE_MAIN, net("fd04::/64")), nullptr);
  EXPECT_EQ(state.routes().find(RT_TABLE_MAIN, net("fd04::/64"))->front().forwarding->mtu, 1400u);
}

// Forwardings that no route has any more do not pile up, and those in use are shared.
TEST(KernelStateSteps, ForwardingsComeAndGo) {
  ChangeLog changes;
  KernelState state(changes);
  state.take(link_message(1, 9000, true).header());
  state.end_of_dump();
  for (std::uint32_t mtu = 1280; mtu < 3280; ++mtu) {
    NetlinkMessage message = route_message("fd01::/64", 1, mtu);
    message.header()->nlmsg_flags |= NLM_F_REPLACE;
    state.take(message.header());
  }
  EXPECT_EQ(state.routes().size(), 1u);
  EXPECT_LE(state.routes().forwardings(), 8u);
  for (const char* prefix : {"fd02::/64", "fd03::/64"}) state.take(route_message(prefix, 1, 1400).header());
  const auto& routes = state.routes();
  EXPECT_EQ(routes.find(RT_TABLE_MAIN, net("fd02::/64"))->front().forwarding,
            routes.find(RT_TABLE_MAIN, net("fd03::/64"))->front().forwarding);
}

}  // namespace
}  // namespace wg::control::steps_test
