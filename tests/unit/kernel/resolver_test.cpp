#include "control/kernel/resolver.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/unit/kernel/namespace_test.h"

namespace wg::control {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

// Results that arrive within two seconds, at least `count` of them; polls the descriptor as a loop would.
std::vector<ResolvedName> wait_for(Resolver& resolver, std::size_t count) {
  std::vector<ResolvedName> all;
  const auto end = Clock::now() + milliseconds(2000);
  while (all.size() < count && Clock::now() < end) {
    pollfd readable{resolver.fd(), POLLIN, 0};
    poll(&readable, 1, 50);
    for (auto& result : resolver.take_results()) all.push_back(std::move(result));
  }
  return all;
}

// A name server of our own: answers 192.0.2.<calls>, fails the first `failures` times, blocks on demand.
struct NameServer {
  std::mutex mutex;
  std::condition_variable released;
  bool blocked = false;
  unsigned calls = 0;
  unsigned failures = 0;
  std::vector<Clock::time_point> times;

  ResolverOptions::Answer answer() {
    std::unique_lock lock(mutex);
    times.push_back(Clock::now());
    ++calls;
    released.wait(lock, [this] { return !blocked; });
    if (calls <= failures) return {{}, "no"};
    const std::uint8_t bytes[4] = {192, 0, 2, static_cast<std::uint8_t>(calls)};
    return {{{IpAddress::from_v4(bytes), kAnyPort, 0}}, ""};
  }
  void wait_for_call(unsigned number) {
    while (true) {
      const std::lock_guard lock(mutex);
      if (calls >= number) return;
    }
  }
  void release() {
    const std::lock_guard lock(mutex);
    blocked = false;
    released.notify_all();
  }
};

struct WithServer : ::testing::Test {
  std::shared_ptr<NameServer> server = std::make_shared<NameServer>();
  ResolverOptions options() {
    ResolverOptions chosen;
    chosen.retry_first = milliseconds(20);
    chosen.retry_most = milliseconds(50);
    chosen.look_up = [server = server](const std::string&) { return server->answer(); };
    return chosen;
  }
};

TEST(ResolverWithLibc, LocalhostResolvesAndNonsenseDoesNot) {
  Resolver resolver;
  EXPECT_TRUE(resolver.watch(1, "localhost", UdpPort{51820}));
  EXPECT_TRUE(resolver.watch(2, "no such name.invalid", UdpPort{51820}));
  EXPECT_TRUE(resolver.watch(3, "fe80::1%lo", UdpPort{7}));
  auto results = wait_for(resolver, 3);
  ASSERT_EQ(results.size(), 3u);
  std::sort(results.begin(), results.end(), [](auto& a, auto& b) { return a.key < b.key; });
  EXPECT_EQ(results[0].error, "");
  ASSERT_FALSE(results[0].endpoints.empty());
  const auto& addresses = results[0].endpoints;
  EXPECT_TRUE(std::any_of(addresses.begin(), addresses.end(), [](const Endpoint& e) {
    return e == Endpoint{ip("127.0.0.1"), UdpPort{51820}, 0} || e == Endpoint{ip("::1"), UdpPort{51820}, 0};
  }));
  EXPECT_NE(results[1].error, "");
  EXPECT_TRUE(results[1].endpoints.empty());
  EXPECT_EQ(results[1].failures, 1u);
  ASSERT_EQ(results[2].endpoints.size(), 1u);
  EXPECT_EQ(results[2].endpoints[0], (Endpoint{ip("fe80::1"), UdpPort{7}, 1}));
}

TEST_F(WithServer, FailuresAreRetriedWithBackOff) {
  server->failures = 3;
  Resolver resolver(options());
  resolver.watch(1, "peer", UdpPort{1});
  std::vector<ResolvedName> all;
  while (all.empty() || !all.back().error.empty()) {
    auto more = wait_for(resolver, 1);
    ASSERT_FALSE(more.empty());
    for (auto& result : more) all.push_back(result);
  }
  EXPECT_EQ(all.back().endpoints[0], (Endpoint{ip("192.0.2.4"), UdpPort{1}, 0}));
  EXPECT_EQ(all.back().failures, 0u);
  const std::lock_guard lock(server->mutex);
  ASSERT_EQ(server->times.size(), 4u);
  EXPECT_GE(server->times[1] - server->times[0], milliseconds(20));
  EXPECT_GE(server->times[2] - server->times[1], milliseconds(40));
  EXPECT_GE(server->times[3] - server->times[2], milliseconds(50));
}

TEST_F(WithServer, RefreshesOnAScheduleAndOnDemand) {
  Resolver resolver(options());
  resolver.watch(1, "peer", UdpPort{1}, milliseconds(30));
  EXPECT_EQ(wait_for(resolver, 3).size(), 3u);
  resolver.watch(1, "peer", UdpPort{1});  // once only from here
  wait_for(resolver, 1);
  pollfd readable{resolver.fd(), POLLIN, 0};
  EXPECT_EQ(poll(&readable, 1, 100), 0);
  // Demands while a question is under way are served by its answer.
  const unsigned before = server->calls;
  {
    const std::lock_guard lock(server->mutex);
    server->blocked = true;
  }
  resolver.resolve_again(1);
  server->wait_for_call(before + 1);
  for (int i = 0; i < 3; ++i) resolver.resolve_again(1);
  server->release();
  EXPECT_EQ(wait_for(resolver, 1).size(), 1u);
  EXPECT_EQ(poll(&readable, 1, 100), 0);
  EXPECT_EQ(server->calls, before + 1);
}

TEST_F(WithServer, ForgottenAndReplacedNamesGiveNothing) {
  server->blocked = true;
  Resolver resolver(options());
  resolver.watch(1, "old", UdpPort{1});
  resolver.watch(2, "gone", UdpPort{1});
  server->wait_for_call(1);
  resolver.watch(1, "new", UdpPort{2});
  resolver.forget(2);
  server->release();
  const auto results = wait_for(resolver, 1);
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].host, "new");
  EXPECT_EQ(results[0].endpoints.at(0).port, UdpPort{2});
  EXPECT_TRUE(resolver.take_results().empty());
}

// Dead names hang until they fail, as with a name server that does not answer.
TEST_F(WithServer, DeadNamesDoNotHoldUpLivingOnes) {
  auto chosen = options();
  chosen.look_up = [server = server](const std::string& host) -> ResolverOptions::Answer {
    if (host == "living") return server->answer();
    std::unique_lock lock(server->mutex);
    const bool first = server->times.size() < 6;
    server->times.push_back(Clock::now());
    if (!first) server->released.wait(lock, [&] { return !server->blocked; });
    return {{}, "no"};
  };
  server->blocked = true;
  Resolver resolver(chosen);
  for (std::uint64_t key = 1; key <= 6; ++key) resolver.watch(key, "dead", UdpPort{1});
  EXPECT_EQ(wait_for(resolver, 6).size(), 6U) << "each has failed once";
  std::this_thread::sleep_for(milliseconds(100));  // by now they are looked up again, and hang
  {
    const std::lock_guard lock(server->mutex);
    EXPECT_GT(server->times.size(), 6U);
  }
  resolver.watch(7, "living", UdpPort{1});
  const auto end = Clock::now() + milliseconds(2000);
  const auto asked = [&] {
    const std::lock_guard lock(server->mutex);
    return server->calls;
  };
  while (asked() == 0 && Clock::now() < end) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(asked(), 1U) << "while the dead ones hang";
  server->release();
}

TEST_F(WithServer, NamesAreBounded) {
  auto few = options();
  few.max_names = 2;
  Resolver resolver(few);
  EXPECT_TRUE(resolver.watch(1, "a", UdpPort{1}));
  EXPECT_TRUE(resolver.watch(2, "b", UdpPort{1}));
  EXPECT_FALSE(resolver.watch(3, "c", UdpPort{1}));
  EXPECT_TRUE(resolver.watch(2, "d", UdpPort{1}));
  resolver.forget(1);
  EXPECT_TRUE(resolver.watch(3, "c", UdpPort{1}));
}

TEST_F(WithServer, AHangingLookupBlocksNoCaller) {
  server->blocked = true;
  const auto start = Clock::now();
  {
    Resolver resolver(options());
    resolver.watch(1, "hangs", UdpPort{1});
    server->wait_for_call(1);
    EXPECT_TRUE(resolver.take_results().empty());
    resolver.resolve_again(1);
    EXPECT_LT(Clock::now() - start, milliseconds(1000));
  }
  EXPECT_LT(Clock::now() - start, milliseconds(2000));
  // The helper left behind ends once the lookup returns, and frees what it shares; ASan watches.
  std::weak_ptr<NameServer> watched = server;
  server->release();
  server.reset();
  const auto end = Clock::now() + milliseconds(2000);
  while (!watched.expired() && Clock::now() < end) poll(nullptr, 0, 1);
  EXPECT_TRUE(watched.expired());
}

}  // namespace
}  // namespace wg::control
