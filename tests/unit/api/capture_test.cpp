// Captures and traces over the control socket: who may ask, what comes, and how they end.
#include <gtest/gtest.h>

#include "control/api/json.h"
#include "control/api/rpc.h"
#include "tests/unit/api/conversation.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test {
namespace {

class FakeWatches final : public WatchSource {
 public:
  Expected<std::unique_ptr<WatchSession>> watch(const WatchRequest& request, WatchOutput output) override {
    asked = request;
    if (request.peer == "nobody") return Refusal{ENOENT, "no peer nobody"};
    if (live != nullptr) return Refusal{EBUSY, "one runs already"};
    return std::make_unique<Session>(*this, std::move(output));
  }

  struct Session final : WatchSession {
    Session(FakeWatches& by, WatchOutput to) : owner(by), output(std::move(to)) { owner.live = this; }
    ~Session() override { owner.live = nullptr; }
    void finish() override {
      if (std::exchange(finished, true)) return;
      output.write("the last bytes");
      output.end();
    }
    FakeWatches& owner;
    WatchOutput output;
    bool finished = false;
  };
  WatchRequest asked;
  Session* live = nullptr;
};

class CaptureTest : public testing::Test {
 protected:
  auto serve(RpcRole role = RpcRole::kAdmin) {
    return [this, role](int fd) { server.adopt(fd, role); };
  }

  EventLoop loop;
  FakeGateway gateway;
  FakeWatches watches;
  std::vector<std::string> reported;
  RpcServer server{
      loop,
      RpcTargets{gateway, gateway, gateway,
                 [this](const RpcCaller&, const std::string& method) { reported.push_back(method); },
                 &watches},
      RpcSockets{}};
};

constexpr const char* kCapture = R"({"id":1,"method":"capture","params":{"peer":"alice","snap":96,)"
                                 R"("ip":[[6,0,0,65535]],"ethernet":[],"outer":false,"reasons":["bad_tag"]}})"
                                 "\n";

TEST_F(CaptureTest, TheReadOnlySocketRefusesBoth) {
  for (const char* method : {"capture", "trace"}) {
    Conversation client(loop, serve(RpcRole::kRead));
    const Json answer =
        Json::parse(client.ask(std::string(R"({"id":1,"method":")") + method + "\"}\n"), nullptr, false);
    EXPECT_EQ(answer["error"]["code"], "forbidden") << method;
  }
  EXPECT_EQ(watches.live, nullptr);
  EXPECT_TRUE(reported.empty());
}

TEST_F(CaptureTest, TheRequestArrivesAndWhoAskedIsReported) {
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask(kCapture), "{\"id\":1,\"result\":{\"watching\":true}}\n");
  EXPECT_EQ(reported, std::vector<std::string>{"capture"});
  EXPECT_FALSE(watches.asked.trace);
  EXPECT_TRUE(watches.asked.filtered);
  EXPECT_EQ(watches.asked.peer, "alice");
  EXPECT_EQ(watches.asked.snap, 96u);
  EXPECT_EQ(watches.asked.ip, (std::vector<FilterInstruction>{{6, 0, 0, 65535}}));
  EXPECT_TRUE(watches.asked.ethernet.empty() && watches.asked.inner && !watches.asked.outer);
  EXPECT_EQ(watches.asked.reasons, std::vector<std::string>{"bad_tag"});
}

TEST_F(CaptureTest, BytesComeAsTheyAreAndFurtherRequestsAreIgnored) {
  Conversation client(loop, serve());
  client.ask(kCapture);
  ASSERT_NE(watches.live, nullptr);
  watches.live->output.write(std::string("\n\0\r", 3));
  EXPECT_EQ(client.hear(), std::string("\n\0\r", 3));
  EXPECT_EQ(client.ask("{\"id\":2,\"method\":\"show.gateway\"}\n"), "");
}

TEST_F(CaptureTest, EndsInOrderWhenTheCallerEndsItsRequests) {
  Conversation client(loop, serve());
  client.ask(kCapture);
  client.end_of_input();
  EXPECT_EQ(client.hear(), "the last bytes");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(watches.live, nullptr);
}

TEST_F(CaptureTest, ACallerThatGoesAwayEndsIt) {
  {
    Conversation client(loop, serve());
    client.ask(kCapture);
    ASSERT_NE(watches.live, nullptr);
  }
  for (int i = 0; i < 5; ++i) loop.run_once(std::chrono::milliseconds{0});
  EXPECT_EQ(watches.live, nullptr);
}

TEST_F(CaptureTest, ACallerThatDoesNotReadLeavesNoRoom) {
  Conversation client(loop, serve());
  client.ask(kCapture);
  ASSERT_NE(watches.live, nullptr);
  std::size_t written = 0;
  while (watches.live->output.room() != 0 && written < (std::size_t{64} << 20)) {
    const std::size_t n = std::min<std::size_t>(watches.live->output.room(), 65536);
    watches.live->output.write(std::string(n, 'x'));
    written += n;
    loop.run_once(std::chrono::milliseconds{0});
  }
  EXPECT_LT(written, 4 * kRpcWatchBacklogMax);
  EXPECT_EQ(client.hear().size(), written);
  EXPECT_EQ(watches.live->output.room(), kRpcWatchBacklogMax);
}

TEST_F(CaptureTest, RefusalsKeepTheConnectionUsable) {
  Conversation client(loop, serve());
  const auto code = [&client](const std::string& params) {
    const Json answer =
        Json::parse(client.ask(R"({"id":1,"method":"trace","params":)" + params + "}\n"), nullptr, false);
    return answer.contains("error") ? answer["error"]["code"].get<std::string>() : answer.dump();
  };
  EXPECT_EQ(code(R"({"peer":"nobody"})"), "not_found");
  EXPECT_EQ(code(R"({"peer":7})"), "bad_params");
  EXPECT_EQ(code(R"({"ip":"x"})"), "bad_params");
  for (const char* bad : {R"({"snap":-1})", R"({"snap":0})", R"({"snap":65536})", R"({"ring_mb":65})",
                          R"({"ring_mb":1.5})", R"({"count":-1})", R"({"ip":[[6,0,0,-1]]})"})
    EXPECT_EQ(code(bad), "bad_params") << bad;
  Conversation other(loop, serve());
  other.ask(kCapture);
  EXPECT_EQ(code("{}"), "busy");
  EXPECT_NE(client.ask("{\"id\":2,\"method\":\"show.gateway\"}\n").find("\"result\""), std::string::npos);
}

}  // namespace
}  // namespace wg::control::test
