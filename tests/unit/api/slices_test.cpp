// What is done in slices: the loop's turns, sources of streams, lists of peers that come and go meanwhile,
// and sets that are answered later.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/api/metrics.h"
#include "control/api/peer_list.h"
#include "control/api/rpc.h"
#include "control/api/wg_socket.h"
#include "tests/unit/api/conversation.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test {
namespace {

using namespace std::chrono_literals;

// ---------------------------------------------------------------- turns

TEST(Turns, EachStepIsCalledOnceARoundUntilItSaysThatItWasTheLast) {
  EventLoop loop;
  int first = 0, second = 0;
  loop.in_turns([&] { return ++first < 3; });
  loop.in_turns([&] { return ++second < 5; });
  for (int round = 1; round <= 30; ++round) {  // a machine whose cores are taken needs more than five
    const int before = first + second;
    loop.run_once(0ms);
    EXPECT_LE(first, round);
    EXPECT_LE(second, round);
    EXPECT_LE(first + second - before, 2);
  }
  EXPECT_EQ(first, 3);
  EXPECT_EQ(second, 5);
}

TEST(Turns, TheLoopDoesNotSleepWhileThereAreSome) {
  EventLoop loop;
  int calls = 0;
  loop.in_turns([&] { return ++calls < 100; });
  const auto begun = EventLoop::Clock::now();
  for (int round = 0; round < 100; ++round) loop.run_once(1h);
  EXPECT_EQ(calls, 100);
  EXPECT_LT(EventLoop::Clock::now() - begun, 10s);
}

TEST(Turns, WhoFindsNoTimeInARoundComesFirstInTheNext) {
  EventLoop loop;
  std::string called;
  for (const char name : {'a', 'b', 'c'})
    loop.in_turns([&called, name] {
      called += name;
      const auto until = EventLoop::Clock::now() + EventLoop::kTurns;
      while (EventLoop::Clock::now() < until) {
      }
      return true;
    });
  for (int round = 0; round < 4; ++round) loop.run_once(0ms);
  EXPECT_EQ(called, "abca") << "one a round, as each takes all of its time";
}

TEST(Turns, AStepThatFailsIsTheLastAndTheOthersGoOn) {
  EventLoop loop;
  int failures = 0, calls = 0;
  loop.on_failure([&](const std::exception&) { ++failures; });
  loop.in_turns([]() -> bool { throw std::runtime_error("no"); });
  loop.in_turns([&] { return ++calls < 3; });
  for (int round = 0; round < 10; ++round) loop.run_once(0ms);
  EXPECT_EQ(failures, 1);
  EXPECT_EQ(calls, 3);
}

// ---------------------------------------------------------------- sources

class OneSource final : public Stream {
 public:
  OneSource(EventLoop& loop, int fd, Source source) : Stream(loop, fd, 1024), source_(std::move(source)) {}

 private:
  void on_bytes(std::string_view& bytes) override {
    bytes = {};
    send_from(source_);
  }
  bool mid_request() const override { return false; }
  const Source source_;
};

TEST(Sources, OneThatHasNothingYetIsAskedOnceARound) {
  EventLoop loop;
  StreamSet set(loop, {});
  int asked = 0;
  Conversation client(loop, [&](int fd) {
    set.admit(std::make_shared<OneSource>(loop, fd, [&asked](std::string& out, std::size_t) {
      if (++asked < 10) return true;
      out = "at last";
      return false;
    }));
  });
  client.say("x");
  loop.run_once(0ms);  // takes the request
  for (int round = 1; round < 10; ++round) {
    loop.run_once(0ms);
    EXPECT_EQ(asked, round);
    EXPECT_EQ(client.heard(), "");
  }
  EXPECT_EQ(client.hear(), "at last");
  EXPECT_EQ(asked, 10);
}

TEST(Sources, AClientThatHangsUpEndsItsSource) {
  EventLoop loop;
  StreamSet set(loop, {});
  const auto alive = std::make_shared<int>();
  Conversation client(loop, [&](int fd) {
    set.admit(std::make_shared<OneSource>(loop, fd, [alive](std::string&, std::size_t) { return true; }));
  });
  client.say("x");
  for (int round = 0; round < 5; ++round) loop.run_once(0ms);
  EXPECT_GT(alive.use_count(), 1);
  client.close();
  for (int round = 0; round < 5; ++round) loop.run_once(0ms);
  EXPECT_EQ(set.size(), 0U);
  EXPECT_EQ(alive.use_count(), 1);
}

// ---------------------------------------------------------------- lists

// Reads one peer in each slice.
std::vector<std::string> names_of(const FakeGateway& gateway, const PeerQuery& query,
                                  const std::function<void(unsigned slice)>& between = {}) {
  PeerList list(gateway, query);
  unsigned slices = 0;
  while (list.read(SliceEnd::min()))
    if (between) between(++slices);
  std::vector<std::string> names;
  while (auto peer = list.next()) names.push_back(peer->name);
  return names;
}

TEST(PeerLists, AreSortedOverAllSlices) {
  FakeGateway gateway;
  for (const char* name : {"e", "b", "d", "a", "c"}) {
    auto& peer = gateway.wg0().peers.emplace_back();
    peer.name = name;
    peer.public_key = key_of(static_cast<std::uint8_t>(name[0]));
  }
  EXPECT_EQ(names_of(gateway, {}), (std::vector<std::string>{"a", "b", "c", "d", "e"}));
  // Figures follow from the keys.
  EXPECT_EQ(names_of(gateway, {{}, PeerOrder::kRx, 2}), (std::vector<std::string>{"e", "d"}));
}

TEST(PeerLists, APeerThatHasGoneBeforeItIsToldIsLeftOut) {
  FakeGateway gateway;
  gateway.add_peers("wg0", 6);
  PeerList list(gateway, {});
  while (list.read(SliceEnd::min())) {
  }
  EXPECT_EQ(list.total(), 6U);
  ASSERT_TRUE(list.next());
  gateway.wg0().peers.erase(gateway.wg0().peers.begin() + 2);
  std::size_t told = 1;
  while (auto peer = list.next()) {
    EXPECT_NE(peer->name, "peer2");
    ++told;
  }
  EXPECT_EQ(told, 5U);
}

// The longest round of the loop, as time on a core, until the client has heard `end`.
std::chrono::nanoseconds longest_round(EventLoop& loop, Conversation& client, std::string_view end) {
  std::chrono::nanoseconds longest{0};
  std::string heard;
  for (int round = 0; !heard.ends_with(end) && round < 1'000'000; ++round) {
    loop.run_once(0ms);
    longest = std::max<std::chrono::nanoseconds>(longest, loop.lasted().on_core);
    heard += client.heard();
  }
  EXPECT_TRUE(heard.ends_with(end));
  return longest;
}

// Unoptimised builds (sanitizers) have a fifth of the peers, and a step of theirs takes many times as long:
// the release says whether rounds are short.
constexpr unsigned kVeryMany = 5 * kManyPeers;
#if defined(__SANITIZE_ADDRESS__)
constexpr std::chrono::milliseconds kBound{200};
#else
constexpr std::chrono::milliseconds kBound{20};
#endif

TEST(Slices, AListOfVeryManyPeersHoldsNoRound) {
  EventLoop loop;
  FakeGateway gateway;
  gateway.add_peers("wg0", kVeryMany);
  const StreamLimits patient{64, 600s, 600s};  // others may have the cores
  RpcServer server(loop, {gateway, gateway, gateway, {}}, {}, patient);
  for (const char* params : {"{}", R"({"sort":"rx"})", R"({"peer":"nobody"})"}) {
    Conversation client(loop, [&](int fd) { server.adopt(fd, RpcRole::kRead); });
    client.say(R"({"id":1,"method":"show.peers","params":)" + std::string(params) + "}\n");
    EXPECT_LT(longest_round(loop, client, "]}}\n"), kBound) << params;
  }
}

TEST(Slices, AGetOfVeryManyPeersHoldsNoRound) {
  EventLoop loop;
  FakeGateway gateway;
  gateway.add_peers("wg0", kVeryMany);
  char directory[] = "/tmp/linegate-api-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  {
    WgSocket socket(loop, gateway, gateway, "wg0", directory, StreamLimits{64, 600s, 600s});
    Conversation client(loop, [&](int fd) { socket.adopt(fd); });
    client.say("get=1\n\n");
    EXPECT_LT(longest_round(loop, client, "errno=0\n\n"), kBound);
  }
  rmdir(directory);
}

TEST(Slices, AReadingForMetricsTakesManySlicesAndMeetsAll) {
  FakeGateway gateway;
  gateway.add_peers("wg0", kManyPeers);
  MetricsReading reading(gateway, true);
  unsigned slices = 1;
  while (reading.read(SliceEnd::min())) ++slices;
  EXPECT_EQ(reading.take().peers.size(), kManyPeers);
  EXPECT_GE(slices, kManyPeers) << "one peer in each";
}

// ---------------------------------------------------------------- gets and sets over many rounds

class LaterTest : public testing::Test {
 protected:
  LaterTest() {
    gateway.interfaces_by_name["wg0"];
    char name[] = "/tmp/linegate-api-XXXXXX";
    directory = mkdtemp(name);
    socket =
        std::make_unique<WgSocket>(loop, gateway, gateway, "wg0", directory, StreamLimits{4, 200ms, 600ms});
  }
  ~LaterTest() override {
    socket.reset();
    rmdir(directory.c_str());
  }
  auto serve() {
    return [this](int fd) { socket->adopt(fd); };
  }
  // The oldest of those that wait.
  void carry_out(const Expected<>& refused = {}) {
    const ChangeDone next = std::move(gateway.deferred_sets.front());
    gateway.deferred_sets.erase(gateway.deferred_sets.begin());
    next(refused);
  }

  EventLoop loop;
  FakeGateway gateway;
  std::string directory;
  std::unique_ptr<WgSocket> socket;
};

TEST_F(LaterTest, ASetThatTakesLongIsAnsweredWhenItIsDoneAndTheNextWaits) {
  gateway.defer_sets = true;
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("set=1\nfwmark=1\n\nset=1\nfwmark=2\n\nget=1\n\n"), "");
  ASSERT_EQ(gateway.deferred_sets.size(), 1U) << "the second waits for the answer to the first";
  carry_out();
  EXPECT_EQ(client.hear(), "errno=0\n\n");
  EXPECT_EQ(gateway.wg0().fwmark, 1U);
  ASSERT_EQ(gateway.deferred_sets.size(), 1U);
  carry_out(Refusal{EADDRINUSE, "taken"});
  EXPECT_EQ(client.hear(), "errno=-98\n\nfwmark=1\nerrno=0\n\n");
}

TEST_F(LaterTest, AClientThatWaitsForUsIsNotThrownOut) {
  gateway.defer_sets = true;
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("set=1\nfwmark=1\n\n"), "");
  const auto end = EventLoop::Clock::now() + 1s;
  while (EventLoop::Clock::now() < end) loop.run_once(20ms);
  EXPECT_FALSE(client.ended());
  carry_out();
  EXPECT_EQ(client.hear(), "errno=0\n\n");
}

TEST_F(LaterTest, AfterTheEndOfInputTheAnswerStillComes) {
  gateway.defer_sets = true;
  Conversation client(loop, serve());
  client.say("set=1\nfwmark=1\n");
  client.end_of_input();
  EXPECT_EQ(client.hear(), "");
  carry_out();
  EXPECT_EQ(client.hear(), "errno=0\n\n");
  EXPECT_TRUE(client.ended());
}

TEST_F(LaterTest, WhoHangsUpBeforeTheAnswerHasChangedIt) {
  gateway.defer_sets = true;
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("set=1\nfwmark=1\n\n"), "");
  client.close();
  for (int round = 0; round < 5; ++round) loop.run_once(0ms);
  EXPECT_EQ(socket->clients(), 0U);
  carry_out();
  EXPECT_EQ(gateway.wg0().fwmark, 1U);
}

TEST_F(LaterTest, AGetWhoseInterfaceGoesMeanwhileSaysSo) {
  gateway.add_peers("wg0", kManyPeers);
  Conversation client(loop, serve());
  client.say("get=1\n\n");
  for (int round = 0; round < 3; ++round) loop.run_once(0ms);
  gateway.interfaces_by_name.clear();
  const std::string heard = client.hear();
  EXPECT_TRUE(heard.ends_with("errno=19\n\n"))
      << heard.substr(heard.size() - std::min<std::size_t>(heard.size(), 40));
}

}  // namespace
}  // namespace wg::control::test
