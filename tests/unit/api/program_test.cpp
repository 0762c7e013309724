// What the control socket offers to programs: interfaces that are bound to a connection, wg(8)'s protocol on
// the connection, the log, and which interface is meant.
#include <gtest/gtest.h>

#include <map>

#include "control/api/json.h"
#include "control/api/rpc.h"
#include "tests/unit/api/conversation.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test {
namespace {

class FakeLog : public LogSource {
 public:
  std::uint64_t follow(Follower follower) override {
    followers_[++last_] = std::move(follower);
    return last_;
  }
  void unfollow(std::uint64_t id) override { followers_.erase(id); }
  void say(config::LogLevel level, const std::string& interface, const std::string& text,
           std::uint64_t lost = 0) {
    const auto followers = followers_;
    const auto at = std::chrono::system_clock::time_point{} + std::chrono::milliseconds{1'700'000'000'123};
    for (const auto& [id, follower] : followers)
      follower(
          {.at = at, .level = level, .interface = interface, .text = text, .event = "started", .lost = lost});
  }
  [[nodiscard]] std::size_t followers() const { return followers_.size(); }

 private:
  std::map<std::uint64_t, Follower> followers_;
  std::uint64_t last_ = 0;
};

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() {
    gateway.add_peers("wg0", 2);
    gateway.wg0().private_key = secret_of(7);
    server = std::make_unique<RpcServer>(loop, targets(), RpcSockets{}, StreamLimits{8});
  }

  RpcTargets targets() {
    return {gateway, gateway,
            gateway, [this](const RpcCaller&, const std::string& what) { noted.push_back(what); },
            nullptr, nullptr,
            &log};
  }
  auto serve(RpcRole role = RpcRole::kAdmin) {
    return [this, role](int fd) { server->adopt(fd, role); };
  }
  static std::string request(const std::string& method, const Json& params = Json::object()) {
    return dump({{"id", 7}, {"method", method}, {"params", params}}) + "\n";
  }
  static Json call(Conversation& client, const std::string& method, const Json& params = Json::object()) {
    return Json::parse(client.ask(request(method, params)), nullptr, false);
  }
  static std::string code(const Json& answer) {
    return answer.contains("error") ? answer["error"]["code"].get<std::string>() : answer.dump();
  }
  bool create(Conversation& client, const std::string& name, bool bound = true) {
    return call(client, "interface.create", {{"name", name}, {"bound", bound}}).contains("result");
  }
  [[nodiscard]] bool exists(const std::string& name) const {
    return gateway.interfaces_by_name.contains(name);
  }
  // Until tasks of connections that have ended are done.
  void turn() {
    for (int i = 0; i < 10; ++i) loop.run_once(std::chrono::milliseconds{0});
  }

  EventLoop loop;
  FakeGateway gateway;
  FakeLog log;
  std::vector<std::string> noted;
  std::unique_ptr<RpcServer> server;
};

// ---------------------------------------------------------------- bound interfaces

TEST_F(ProgramTest, ABoundInterfaceGoesWithItsConnectionAndNoOther) {
  Conversation one(loop, serve()), two(loop, serve());
  ASSERT_TRUE(create(one, "app0") && create(one, "app1") && create(two, "app2") &&
              create(one, "app3", false));
  one.close();
  turn();
  EXPECT_FALSE(exists("app0") || exists("app1"));
  EXPECT_TRUE(exists("app2") && exists("app3") && exists("wg0"));
  two.end_of_input();
  turn();
  EXPECT_FALSE(exists("app2"));
}

// Another program may have the name by then.
TEST_F(ProgramTest, AnInterfaceOfTheSameNameIsNotTheOneThatWasBound) {
  Conversation one(loop, serve()), two(loop, serve());
  ASSERT_TRUE(create(one, "app0"));
  ASSERT_TRUE(call(two, "interface.delete", {{"name", "app0"}}).contains("result"));
  ASSERT_TRUE(create(two, "app0"));
  one.close();
  turn();
  EXPECT_TRUE(exists("app0"));
}

TEST_F(ProgramTest, ConnectionsThatHoldInterfacesAreNotClosedToMakeRoom) {
  std::vector<std::unique_ptr<Conversation>> clients;
  const auto connect = [&] {
    return clients.emplace_back(std::make_unique<Conversation>(loop, serve())).get();
  };
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(create(*connect(), "app" + std::to_string(i)));
  EXPECT_EQ(code(call(*connect(), "interface.create", {{"name", "one_more"}, {"bound", true}})), "busy");
  EXPECT_TRUE(create(*clients.back(), "free", false));
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(call(*connect(), "version").contains("result")) << i;
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(exists("app" + std::to_string(i))) << i;
  clients.erase(clients.begin());
  turn();
  EXPECT_TRUE(create(*connect(), "one_more"));
}

TEST_F(ProgramTest, ANewControlSocketDoesNotEndBoundInterfaces) {
  Conversation holder(loop, serve()), other(loop, serve());
  ASSERT_TRUE(create(holder, "app0"));
  server->retire();
  EXPECT_TRUE(other.ended());
  turn();
  EXPECT_TRUE(exists("app0"));
  EXPECT_TRUE(call(holder, "show.interface", {{"interface", "app0"}})["result"]["bound"]);
  holder.close();
  turn();
  EXPECT_FALSE(exists("app0"));
}

TEST_F(ProgramTest, TheEndOfTheServerIsNoHarm) {
  Conversation holder(loop, serve());
  ASSERT_TRUE(create(holder, "app0"));
  server.reset();
  turn();
  EXPECT_FALSE(exists("app0"));
}

TEST_F(ProgramTest, IdAndTypeAreShownAndChecked) {
  Conversation client(loop, serve());
  const Json params = {{"name", "app0"}, {"id", "00112233445566778899AABBCCDDEEFF"}, {"type", "Office VPN"}};
  ASSERT_TRUE(call(client, "interface.create", params).contains("result"));
  const Json shown = call(client, "show.interface", {{"interface", "app0"}})["result"];
  EXPECT_EQ(shown["id"], "00112233-4455-6677-8899-aabbccddeeff");
  EXPECT_EQ(shown["type"], "Office VPN");
  EXPECT_EQ(shown["bound"], false);
  EXPECT_NE(shown["netns"], 0);
  for (const Json& bad : {Json{{"id", "0011"}}, Json{{"id", 7}}, Json{{"type", std::string(128, 'x')}},
                          Json{{"type", "a\nb"}}, Json{{"bound", "yes"}}}) {
    Json wrong = bad;
    wrong["name"] = "app1";
    EXPECT_EQ(code(call(client, "interface.create", wrong)), "bad_params") << bad;
  }
  EXPECT_FALSE(exists("app1"));
  EXPECT_EQ(code(call(client, "show.interface", {{"interface", "app1"}})), "not_found");
}

TEST_F(ProgramTest, AnIfindexSaysWhichInterfaceIsMeant) {
  Conversation client(loop, serve());
  ASSERT_TRUE(create(client, "app0"));
  const Json ifindex = call(client, "show.interface", {{"interface", "app0"}})["result"]["ifindex"];
  EXPECT_TRUE(call(client, "interface.up", {{"name", "app0"}, {"ifindex", ifindex}}).contains("result"));
  for (const Json& wrong : {Json(5), Json("5"), Json(-1)}) {
    EXPECT_EQ(code(call(client, "interface.delete", {{"name", "app0"}, {"ifindex", wrong}})), "not_found");
    EXPECT_EQ(code(call(client, "interface.wg", {{"name", "app0"}, {"ifindex", wrong}})), "not_found");
  }
  EXPECT_TRUE(exists("app0"));
}

TEST_F(ProgramTest, TheReadOnlySocketBindsNothing) {
  Conversation reader(loop, serve(RpcRole::kRead));
  EXPECT_EQ(code(call(reader, "interface.create", {{"name", "app0"}, {"bound", true}})), "forbidden");
  EXPECT_EQ(code(call(reader, "interface.wg", {{"name", "wg0"}})), "forbidden");
  EXPECT_EQ(code(call(reader, "stop", {{"if_unused", true}})), "forbidden");
  EXPECT_TRUE(call(reader, "version").contains("result"));
  EXPECT_TRUE(call(reader, "show.interface", {{"interface", "wg0"}}).contains("result"));
}

TEST_F(ProgramTest, StopIfUnusedLeavesAGatewayThatHasInterfaces) {
  Conversation client(loop, serve());
  EXPECT_EQ(code(call(client, "stop", {{"if_unused", true}})), "busy");
  EXPECT_FALSE(gateway.stopped);
  gateway.interfaces_by_name.clear();
  EXPECT_TRUE(call(client, "stop", {{"if_unused", true}}).contains("result"));
  EXPECT_TRUE(gateway.stopped);
}

// ---------------------------------------------------------------- interface.wg

TEST_F(ProgramTest, AConnectionTurnsIntoTheProtocolOfWg) {
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask(request("interface.wg", {{"name", "wg0"}})), "{\"id\":7,\"result\":{}}\n");
  const std::string state = client.ask("get=1\n\n");
  EXPECT_NE(state.find("own_public_key=" + hex_of(config::public_key_of(secret_of(7))) + "\n"),
            std::string::npos);
  EXPECT_TRUE(state.ends_with("errno=0\n\n")) << state;
  EXPECT_EQ(client.ask("set=1\nfwmark=81\n\n"), "errno=0\n\n");
  EXPECT_EQ(gateway.wg0().fwmark, 81U);
  EXPECT_EQ(client.ask("set=1\nfwmark=red\n\n"), "errno=-22\n\n");
  EXPECT_EQ(noted, (std::vector<std::string>{"interface.wg wg0", "interface.wg wg0 set, 0 peers,"}));
}

// Both in one write: what follows the request's line is of the other protocol already.
TEST_F(ProgramTest, TheProtocolBeginsBehindTheLine) {
  Conversation client(loop, serve());
  const std::string answer = client.ask(request("interface.wg", {{"name", "wg0"}}) + "get=1\n\n");
  EXPECT_TRUE(answer.starts_with("{\"id\":7,\"result\":{}}\n")) << answer;
  EXPECT_TRUE(answer.ends_with("errno=0\n\n")) << answer;
}

TEST_F(ProgramTest, ASetOfAWriterThatHasGoneIsNotApplied) {
  Conversation client(loop, serve());
  client.ask(request("interface.wg", {{"name", "wg0"}}));
  client.say("set=1\nfwmark=81\n");
  client.close();
  turn();
  EXPECT_EQ(gateway.wg0().fwmark, 0U);
}

TEST_F(ProgramTest, AnotherInterfaceOfTheNameIsNotServedByAnOldConnection) {
  Conversation program(loop, serve()), admin(loop, serve());
  ASSERT_TRUE(create(admin, "app0", false));
  program.ask(request("interface.wg", {{"name", "app0"}}));
  EXPECT_EQ(program.ask("set=1\nfwmark=81\n\n"), "errno=0\n\n");
  ASSERT_TRUE(call(admin, "interface.delete", {{"name", "app0"}}).contains("result"));
  EXPECT_EQ(program.ask("get=1\n\n"), "errno=19\n\n");
  ASSERT_TRUE(create(admin, "app0", false));
  EXPECT_EQ(program.ask("set=1\nfwmark=82\n\n"), "errno=-19\n\n");
  EXPECT_EQ(gateway.interfaces_by_name["app0"].fwmark, 0U);
}

TEST_F(ProgramTest, AConnectionInUseDoesNotTurn) {
  Conversation holder(loop, serve()), follower(loop, serve());
  ASSERT_TRUE(create(holder, "app0"));
  EXPECT_EQ(code(call(holder, "interface.wg", {{"name", "app0"}})), "busy");
  call(follower, "subscribe");
  EXPECT_EQ(code(call(follower, "interface.wg", {{"name", "app0"}})), "busy");
  EXPECT_EQ(code(call(follower, "interface.wg")), "bad_params");
}

// ---------------------------------------------------------------- the log

TEST_F(ProgramTest, LinesOfTheLogComeByLevelAndInterface) {
  Conversation all(loop, serve(RpcRole::kRead)), one(loop, serve());
  EXPECT_TRUE(call(all, "log.subscribe").contains("result"));
  EXPECT_TRUE(call(one, "log.subscribe", {{"interface", "wg1"}, {"level", "trace"}}).contains("result"));
  log.say(config::LogLevel::kInfo, "wg0", "up \"now\"");
  log.say(config::LogLevel::kDebug, "wg1", "detail");
  log.say(config::LogLevel::kError, "", "the gateway");
  EXPECT_EQ(all.hear(),
            "{\"log\":{\"at\":1700000000.123,\"level\":\"info\",\"event\":\"started\",\"interface\":\"wg0\","
            "\"text\":\"up "
            "\\\"now\\\"\"}}\n"
            "{\"log\":{\"at\":1700000000.123,\"level\":\"error\",\"event\":\"started\",\"interface\":null,"
            "\"text\":\"the gateway\"}}\n");
  EXPECT_EQ(one.hear(),
            "{\"log\":{\"at\":1700000000.123,\"level\":\"debug\",\"event\":\"started\",\"interface\":\"wg1\","
            "\"text\":\"detail\"}}\n");
  EXPECT_EQ(code(call(one, "log.subscribe", {{"level", "loud"}})), "bad_params");
  EXPECT_EQ(code(call(one, "log.subscribe", {{"level", 3}})), "bad_params");
}

TEST_F(ProgramTest, AFollowerThatDoesNotReadLosesLinesAndIsTold) {
  Conversation client(loop, serve());
  call(client, "log.subscribe");
  const std::string line(1000, 'x');
  for (int i = 0; i < 2000; ++i) log.say(config::LogLevel::kInfo, "", line);
  client.hear();
  log.say(config::LogLevel::kInfo, "", "after", 5);
  const std::string heard = client.hear();
  EXPECT_TRUE(heard.starts_with("{\"log\":{\"lost\":")) << heard;
  EXPECT_NE(heard.find("\"text\":\"after\""), std::string::npos);
  const auto lost = Json::parse(heard.substr(0, heard.find('\n')))["log"]["lost"].get<int>();
  EXPECT_GT(lost, 1000);
}

TEST_F(ProgramTest, TheLogIsFollowedOnlyWhileThereAreSubscribers) {
  EXPECT_EQ(log.followers(), 0U);
  {
    Conversation client(loop, serve());
    call(client, "log.subscribe");
    call(client, "log.subscribe", {{"level", "debug"}});
    EXPECT_EQ(log.followers(), 1U);
  }
  turn();
  log.say(config::LogLevel::kInfo, "", "a line without a subscriber");
  EXPECT_EQ(log.followers(), 0U);
}

}  // namespace
}  // namespace wg::control::test
