// Hosts on a link come and go: what the workers see, and what one more change costs, depends on those that
// are there and not on those that were.
#include "control/publish/publisher.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "tests/unit/kernel/mirror_oracle.h"
#include "tests/unit/kernel/namespace_test.h"
#include "tests/unit/publish/shared_dataplane.h"

namespace wg::control {
namespace {

constexpr std::uint32_t kAtOnce = 5000;

// LINEGATE_TEST_HOSTS=1000000 takes some minutes.
std::uint32_t rounds() {
  const char* hosts = std::getenv("LINEGATE_TEST_HOSTS");
  return (hosts == nullptr ? 100'000 : static_cast<std::uint32_t>(std::strtoul(hosts, nullptr, 10))) /
         kAtOnce;
}

std::int64_t cpu_ns() {
  timespec at{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
  return std::int64_t{at.tv_sec} * 1'000'000'000 + at.tv_nsec;
}

std::size_t heap_bytes() {
  const auto heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

class PublisherTest : public NamespaceTest {
 protected:
  void SetUp() override {
    NamespaceTest::SetUp();
    if (IsSkipped()) return;
    shell("ip link add v0 type veth peer name w0 && ip link set v0 up && ip link set w0 up");
    shell("ip addr add 10.0.0.1/8 dev v0");
    mirror.emplace();
    publisher.emplace(dataplane, *mirror, netlink.emplace());
    dataplane::PortView view;
    view.port = reinterpret_cast<dataplane::Port*>(&never_read);  // only compared with null
    publisher->add_port(view, ifindex_of("v0"));
    follow();
    publisher->flush();
  }
  void TearDown() override {
    publisher.reset();
    dataplane.quiescence().collect();
  }
  void flush_paced(BootTime now) {
    publisher->flush_paced(now, std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
  }
  void follow() {
    follow_until(*mirror, [] { return true; });
    publisher->on_changes(mirror->take_changes());
    static_cast<void>(publisher->take_changed_neighbours());
    static_cast<void>(publisher->take_routes_changed());
  }
  // `from` to `from` + kAtOnce, permanent: the kernel's limit on learned entries is for the whole machine.
  void neighbours(const std::string& verb, const std::string& rest, std::uint32_t from) {
    const std::string path = ::testing::TempDir() + "neighbours-" + std::to_string(getpid());
    {
      std::ofstream batch(path);
      for (std::uint32_t i = from; i < from + kAtOnce; ++i) {
        batch << "neigh " << verb << " 10." << (i >> 16) + 1 << '.' << (i >> 8 & 255) << '.' << (i & 255)
              << ' ' << rest << " dev v0\n";
      }
    }
    shell("ip -batch " + path);
    std::remove(path.c_str());
  }
  // A neighbour gets another MAC address: CPU time until it is published, the least of some.
  std::int64_t cost_of_a_change() {
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (int i = 0; i < 20; ++i) {
      shell("ip neigh replace 10.0.0.2 lladdr 02:00:00:00:00:" + std::to_string(10 + i) +
            " nud permanent dev v0");
      follow_until(*mirror, [] { return true; });
      const auto changes = mirror->take_changes();
      const std::uint64_t generation = dataplane.current()->generation;
      const std::int64_t start = cpu_ns();
      publisher->on_changes(changes);
      publisher->flush();
      least = std::min(least, cpu_ns() - start);
      EXPECT_EQ(dataplane.current()->generation, generation + 1);
    }
    dataplane.quiescence().collect();
    return least;
  }

  dataplane::Dataplane& dataplane = shared_dataplane();
  std::optional<NetlinkMirror> mirror;
  std::optional<NetlinkConfigure> netlink;  // made in the test's namespace
  std::optional<Publisher> publisher;
  std::max_align_t never_read{};
};

// A trace left by each address would make one more change ten times as dear and keep some megabytes.
TEST_F(PublisherTest, AHundredThousandHostsComeAndGo) {
  const std::int64_t cost_before = cost_of_a_change();
  const std::size_t hops_before = dataplane.current()->next_hops.size(), routes_before = publisher->routes();
  const std::size_t heap_before = heap_bytes();
  std::size_t most = 0;
  for (std::uint32_t round = 0; round < rounds(); ++round) {
    neighbours("replace", "lladdr 02:00:00:00:00:01 nud permanent", round * kAtOnce);
    follow();
    publisher->flush();
    ASSERT_EQ(publisher->routes(), routes_before + kAtOnce);
    most = std::max(most, dataplane.current()->next_hops.size());
    neighbours("del", "", round * kAtOnce);
    follow();
    publisher->flush();
    dataplane.quiescence().collect();
  }
  EXPECT_LE(most, hops_before + kAtOnce);
  std::int64_t cost_after = cost_of_a_change();
  for (int again = 0; again < 5 && cost_after * 5 > cost_before * 6; ++again)  // the machine is busy
    cost_after = std::min(cost_after, cost_of_a_change());
  EXPECT_EQ(dataplane.current()->next_hops.size(), hops_before);
  EXPECT_EQ(publisher->routes(), routes_before);
  EXPECT_LT(heap_bytes(), heap_before + 512 * 1024);
  EXPECT_LE(cost_after, cost_before * 6 / 5);
  std::printf("%u hosts: one change costs %lld ns before, %lld ns after; heap %+lld bytes\n",
              rounds() * kAtOnce, static_cast<long long>(cost_before), static_cast<long long>(cost_after),
              static_cast<long long>(heap_bytes()) - static_cast<long long>(heap_before));
}

TEST_F(PublisherTest, ABurstOfNeighboursIsOneSnapshotAMillisecond) {
  constexpr BootTime kStart{std::chrono::seconds(1)};
  constexpr std::chrono::nanoseconds kMillisecond = std::chrono::milliseconds(1);
  neighbours("replace", "lladdr 02:00:00:00:00:01 nud permanent", 0);
  follow();
  const std::uint64_t generation = dataplane.current()->generation;
  flush_paced(kStart);
  EXPECT_EQ(dataplane.current()->generation, generation + 1) << "the first is published at once";
  EXPECT_FALSE(publisher->next_flush());
  neighbours("replace", "lladdr 02:00:00:00:00:02 nud permanent", 0);
  follow();
  flush_paced(kStart + kMillisecond - std::chrono::nanoseconds(1));
  EXPECT_EQ(dataplane.current()->generation, generation + 1);
  ASSERT_EQ(publisher->next_flush(), kStart + kMillisecond);
  flush_paced(kStart + kMillisecond);
  EXPECT_EQ(dataplane.current()->generation, generation + 2);
  EXPECT_FALSE(publisher->next_flush());
}

TEST_F(PublisherTest, WhatTheConfigurationChangesDoesNotWait) {
  constexpr BootTime kStart{std::chrono::seconds(1)};
  neighbours("replace", "lladdr 02:00:00:00:00:01 nud permanent", 0);
  follow();
  flush_paced(kStart);
  const std::uint64_t generation = dataplane.current()->generation;
  publisher->port(dataplane::PortIndex{0}).mtu = 9000;
  flush_paced(kStart + std::chrono::nanoseconds(1));
  EXPECT_EQ(dataplane.current()->generation, generation + 1);
  EXPECT_EQ(dataplane.current()->ports.front().mtu, 9000);
}

// What leads where, of every address of 10.1.0.0/16 and 10.2.0.0/16 that a test may have routed.
std::string ways(const Publisher& publisher) {
  std::string text;
  for (std::uint32_t i = 0; i < 2 * 65'536; i += 3) {
    const std::uint8_t bytes[4] = {10, static_cast<std::uint8_t>(1 + (i >> 16)),
                                   static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)};
    const dataplane::NextHop* hop = publisher.next_hop_for(IpAddress::from_v4(bytes));
    text += hop == nullptr ? '-' : static_cast<char>('0' + static_cast<int>(hop->kind));
  }
  return text;
}

// All routes are compared in steps, while more come and go: in the end nothing is missing and nothing too
// much.
TEST_F(PublisherTest, ManyRoutesAreComparedInStepsWhileTheyChange) {
  constexpr std::uint32_t kRoutes = 40'000;
  std::vector<RouteSpec> routes;
  for (std::uint32_t i = 0; i < kRoutes; ++i) {
    const std::uint8_t bytes[4] = {10, static_cast<std::uint8_t>(1 + (i >> 15)),
                                   static_cast<std::uint8_t>(i >> 7), static_cast<std::uint8_t>(i << 1)};
    RouteSpec route;
    route.prefix = {IpAddress::from_v4(bytes), 31};
    route.type = RTN_BLACKHOLE;
    routes.push_back(route);
  }
  const std::span<const RouteSpec> all(routes);
  ASSERT_EQ(netlink->change_routes(RouteVerb::kAdd, all).done, kRoutes);
  follow();
  BootTime now{std::chrono::seconds(1)};
  publisher->on_changes({Resynced{}});
  unsigned rounds = 0;
  for (; publisher->compares_routes() && rounds < 100'000; ++rounds) {
    EXPECT_TRUE(publisher->next_flush() && *publisher->next_flush() <= now) << "no round is to wait";
    flush_paced(now += std::chrono::milliseconds(5));
    if (rounds == 0) {
      netlink->change_routes(RouteVerb::kRemove, all.first(100));
      netlink->change_routes(RouteVerb::kRemove, all.last(100));
      follow();
    }
    if (rounds == 1) {
      netlink->change_routes(RouteVerb::kAdd, all.first(50));
      netlink->change_routes(RouteVerb::kAdd, all.last(50));
      follow();
      publisher->on_changes({Resynced{}});  // another walk, after this one
    }
  }
  EXPECT_GT(rounds, 3u);
  EXPECT_FALSE(publisher->compares_routes());
  const std::string stepped = ways(*publisher);
  publisher->on_changes({Resynced{}});
  publisher->flush();
  EXPECT_EQ(ways(*publisher), stepped);
  EXPECT_EQ(std::count(stepped.begin(), stepped.end(), '0' + static_cast<int>(dataplane::HopKind::kDrop)),
            static_cast<std::ptrdiff_t>((kRoutes - 100) * 2 / 3));
}

// Routes may lead to an interface for a moment after it has gone.
TEST_F(PublisherTest, ANumberIsAnothersOnlyWhenNoRouteLeadsToIt) {
  const auto first = publisher->add_interface({}, 1001);
  publisher->flush();
  publisher->remove_interface(first);
  publisher->flush_settings();
  const auto second = publisher->add_interface({}, 1002);
  EXPECT_NE(first, second);
  publisher->flush();
  EXPECT_EQ(publisher->add_interface({}, 1003), first);
}

// The same of ports, to which paths and connections lead as well.
TEST_F(PublisherTest, APortsNumberIsAnothersOnlyWhenNothingLeadsToIt) {
  const auto first = publisher->add_port({}, 1001);
  publisher->flush();
  static_cast<void>(publisher->take_routes_changed());
  publisher->remove_port(first);
  publisher->release_ports();
  EXPECT_NE(publisher->add_port({}, 1002), first) << "routes are to be compared";
  publisher->flush();
  publisher->release_ports();
  EXPECT_NE(publisher->add_port({}, 1003), first) << "nobody has been told to look at paths";
  static_cast<void>(publisher->take_routes_changed());
  publisher->flush();
  EXPECT_NE(publisher->add_port({}, 1004), first) << "whoever looks at paths has not come to the end";
  publisher->flush();
  publisher->release_ports();
  EXPECT_EQ(publisher->add_port({}, 1005), first);
}

// Workers have room for so many; a number beyond would be read and written behind their arrays.
TEST_F(PublisherTest, NoNumberIsBeyondWhatWorkersHaveRoomFor) {
  std::size_t ports = 0, interfaces = 0;
  for (std::uint32_t ifindex = 2000; publisher->has_room(); ++ifindex, ++interfaces)
    EXPECT_LT(number_of(publisher->add_interface({}, ifindex)), dataplane::kMaxInterfaces);
  EXPECT_THROW(publisher->add_interface({}, 1), std::runtime_error);
  publisher->remove_interface(dataplane::InterfaceId{0});
  EXPECT_FALSE(publisher->has_room()) << "a number that is kept takes room";
  publisher->flush();
  for (std::uint32_t ifindex = 3000; publisher->has_room(); ++ifindex, ++ports)
    EXPECT_LT(number_of(publisher->add_port({}, ifindex)), dataplane::kMaxPorts);
  EXPECT_THROW(publisher->add_port({}, 1), std::runtime_error);
  EXPECT_EQ(interfaces, dataplane::kMaxInterfaces);
  EXPECT_GE(ports, dataplane::kMaxPorts - 1) << "the fixture has one";
}

}  // namespace
}  // namespace wg::control
