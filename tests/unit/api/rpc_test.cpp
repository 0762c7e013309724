#include "control/api/rpc.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

#include "control/api/json.h"
#include "tests/unit/api/conversation.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test {
namespace {

class RpcTest : public testing::Test {
 protected:
  explicit RpcTest(std::chrono::milliseconds patience = std::chrono::seconds{20}) {
    gateway.add_peers("wg0", 5);
    gateway.add_peers("wg1", 1);
    gateway.wg0().private_key = secret_of(7);
    const auto changed = [this](const RpcCaller& caller, const std::string& method) {
      if (on_change) on_change(caller, method);
    };
    server = std::make_unique<RpcServer>(loop, RpcTargets{gateway, gateway, gateway, changed}, RpcSockets{},
                                         StreamLimits{8, patience});
  }

  auto serve(RpcRole role = RpcRole::kAdmin) {
    return [this, role](int fd) { server->adopt(fd, role); };
  }
  Json ask(const std::string& line, RpcRole role = RpcRole::kAdmin) {
    Conversation client(loop, serve(role));
    return Json::parse(client.ask(line + "\n"), nullptr, false);
  }
  Json call(const std::string& method, Json params = Json::object(), RpcRole role = RpcRole::kAdmin) {
    return ask(dump({{"version", 1}, {"id", 7}, {"method", method}, {"params", params}}), role);
  }
  std::string code(const Json& answer) {
    return answer.contains("error") ? answer["error"]["code"].get<std::string>() : answer.dump();
  }

  EventLoop loop;
  FakeGateway gateway;
  OnChange on_change;
  std::unique_ptr<RpcServer> server;
};

class ImpatientRpcTest : public RpcTest {
 protected:
  ImpatientRpcTest() : RpcTest(std::chrono::milliseconds{200}) {}
};

TEST_F(RpcTest, AnswersCarryTheIdOfTheRequest) {
  EXPECT_EQ(ask(R"({"version":1,"id":"a","method":"show.gateway"})")["id"], "a");
  EXPECT_EQ(ask(R"({"id":12,"method":"show.gateway"})")["id"], 12);
  EXPECT_EQ(ask(R"({"id":12,"method":"frob"})")["id"], 12);
  EXPECT_TRUE(ask(R"({"method":"show.gateway"})")["id"].is_null());
}

TEST_F(RpcTest, BadRequestsAreAnsweredAndTheConversationGoesOn) {
  Conversation client(loop, serve());
  const std::pair<const char*, const char*> requests[] = {
      {"this is not JSON", "bad_json"},
      {"{\"id\":1", "bad_json"},
      {"[]", "bad_request"},
      {"17", "bad_request"},
      {R"({"id":{},"method":"show.gateway"})", "bad_request"},
      {R"({"id":1})", "bad_request"},
      {R"({"id":1,"method":5})", "bad_request"},
      {R"({"id":1,"method":"show.peers","params":[]})", "bad_request"},
      {R"({"version":2,"id":1,"method":"show.gateway"})", "unsupported_version"},
      {R"({"id":1,"method":"frob"})", "unknown_method"},
      {R"({"id":1,"method":"show.peers","params":{"limit":"many"}})", "bad_params"},
      {R"({"id":1,"method":"show.peers","params":{"sort":"colour"}})", "bad_params"},
      {R"({"id":1,"method":"show.peer","params":{"peer":"nobody"}})", "not_found"},
      {R"({"id":1,"method":"reload","params":{"dry_run":"yes"}})", "bad_params"},
      {R"({"id":1,"method":"reload","params":{"confirm_seconds":90000}})", "bad_params"},
      {R"({"id":1,"method":"confirm"})", "invalid"},
      {R"({"id":1,"method":"explain.route","params":{"address":"here"}})", "bad_params"},
      {R"({"id":1,"method":"explain.packet","params":{"from":"wan","source":"10.0.0.1","destination":"10.0.0.2"}})",
       "not_found"},
      {R"({"id":1,"method":"log.level","params":{"level":"loud"}})", "bad_params"},
      {R"({"id":1,"method":"interface.create","params":{"name":"a/b"}})", "bad_params"},
      {R"({"id":1,"method":"interface.create","params":{"name":"wg9","private_key":"x"}})", "bad_params"},
      {R"({"id":1,"method":"interface.create","params":{"name":"wg9","private_key":5}})", "bad_params"},
      {R"({"id":1,"method":"interface.create","params":{"name":"wg9","listen_port":65536}})", "bad_params"},
      {R"({"id":1,"method":"interface.create","params":{"name":"wg9","addresses":["10.0.0.1"]}})",
       "bad_params"},
      {R"({"id":1,"method":"interface.create","params":{"name":"wg0"}})", "exists"},
      {R"({"id":1,"method":"interface.up","params":{"name":"wg7"}})", "not_found"},
      {R"({"id":1,"method":"port.restart","params":{"port":"wan7"}})", "not_found"},
      {R"({"id":1,"method":"interface.export","params":{"name":"wg7"}})", "not_found"},
      {R"({"id":1,"method":"subscribe","params":{"interface":5}})", "bad_params"}};
  for (const auto& [request, expected] : requests)
    EXPECT_EQ(code(Json::parse(client.ask(std::string(request) + "\n"), nullptr, false)), expected)
        << request;
  EXPECT_EQ(client.ask("\n  \r\n"), "");
  EXPECT_FALSE(client.ended());
  EXPECT_TRUE(gateway.calls.empty());
}

TEST_F(RpcTest, ABadParamIsNamedWithWhatIsAllowed) {
  struct Row {
    const char* method;
    const char* params;
    const char* message;
  };
  const Row rows[] = {
      {"show.peers", R"({"limit":-1})", "limit is a whole number from 0 to 4294967295"},
      {"show.peers", R"({"limit":1.5})", "limit is a whole number from 0 to 4294967295"},
      {"show.peers", R"({"interface":5})", "interface is a text"},
      {"show.peers", R"({"active":1})", "active is true or false"},
      {"show.peer", "{}", "peer is missing"},
      {"explain.packet", "{}", "from is missing"},
      {"explain.packet", R"({"from":"a","source":"x"})", "source is an IP address"},
      {"explain.packet", R"({"from":"a","source":"10.0.0.1","destination":"::1"})",
       "destination has another IP version than the source"},
      {"explain.packet", R"({"from":"a","source":"::2","destination":"::1","protocol":"gre"})",
       "protocol is tcp, udp, icmp or a number from 0 to 255"},
      {"explain.packet", R"({"from":"a","source":"::2","destination":"::1","vlan":4095})",
       "vlan is a whole number from 0 to 4094"},
      {"show.flows", R"({"limit":-1})", "limit is a whole number from 0 to 4294967295"},
      {"reload", R"({"confirm_seconds":86401})", "confirm_seconds is a whole number from 0 to 86400"},
      {"interface.create", R"({"name":"wg9","mtu":575})", "mtu is a whole number from 576 to 9520"},
      {"interface.create", R"({"name":"wg9","private_key":5})", "private_key is a text"},
      {"interface.create", R"({"name":"wg9","addresses":[1]})", "addresses is a list of texts"}};
  for (const auto& [method, params, message] : rows) {
    const Json answer = call(method, Json::parse(params));
    ASSERT_EQ(code(answer), "bad_params") << message;
    EXPECT_EQ(answer["error"]["message"].get<std::string>(), message);
  }
  EXPECT_TRUE(gateway.calls.empty());
}

TEST_F(RpcTest, RequestsInPiecesAndSeveralAtOnce) {
  Conversation client(loop, serve());
  const std::string request = R"({"id":1,"method":"show.drops"})";
  for (const char byte : request) EXPECT_EQ(client.ask({&byte, 1}), "");
  EXPECT_NE(client.ask("\n").find("\"bad_tag\""), std::string::npos);
  const auto both = client.ask(request + "\n" + R"({"id":2,"method":"show.ports"})" + "\n");
  EXPECT_LT(both.find("\"id\":1"), both.find("\"id\":2"));
}

TEST_F(RpcTest, ShowMethods) {
  EXPECT_EQ(call("show.gateway")["result"]["dpdk_version"], "DPDK 22.11.9");
  EXPECT_EQ(call("show.interfaces")["result"]["interfaces"][0]["name"], "wg0");
  EXPECT_EQ(call("show.interfaces")["result"]["interfaces"][0]["handshakes"]["bad_mac1"], 3);
  EXPECT_EQ(call("show.ports")["result"]["ports"][0]["rx_missed"], 9);
  EXPECT_EQ(call("show.workers")["result"]["workers"][0]["cycles_per_packet"]["classify"], 20.5);
  EXPECT_EQ(call("show.workers")["result"]["workers"][0]["queues"]["handshake"]["depth"], 3);
  EXPECT_EQ(call("show.drops")["result"]["drops"][0]["per_worker"], Json({2, 3}));
  EXPECT_EQ(call("show.peer", {{"peer", "peer3"}})["result"]["allowed_ips"], Json({"10.0.0.3/32"}));
}

TEST_F(RpcTest, FlowsAreFilteredAndSayWhoCarriesThem) {
  const auto all = call("show.flows")["result"];
  EXPECT_EQ(all["carried"], 1);
  EXPECT_EQ(all["max"], 1024);
  EXPECT_EQ(all["reasons"]["not_assured"], 1);
  ASSERT_EQ(all["flows"].size(), 2u);
  EXPECT_EQ(all["flows"][0]["carried_by"], "workers");
  EXPECT_EQ(all["flows"][0]["leaves_from"], "203.0.113.2:61001");
  EXPECT_EQ(all["flows"][0]["packets"], Json({10, 20}));
  EXPECT_EQ(all["flows"][0]["reason"], nullptr);
  EXPECT_EQ(all["flows"][1]["carried_by"], "linux");
  EXPECT_EQ(all["flows"][1]["reason"], "not_assured");
  EXPECT_EQ(call("show.flows", {{"limit", 1}})["result"]["flows"].size(), 1u);
  EXPECT_EQ(call("show.flows", {{"address", "10.9.9.9"}})["result"]["flows"].size(), 0u);
  EXPECT_EQ(code(call("show.flows", {{"limit", "many"}})), "bad_params");
}

TEST_F(RpcTest, PeersAreFilteredSortedAndLimited) {
  gateway.handshakes["peer2"] = WallTime{std::chrono::milliseconds{1'700'000'000'250}};
  const auto names = [&](const Json& params) {
    std::string line;
    const auto result = call("show.peers", params)["result"];
    for (const auto& peer : result["peers"]) line += peer["name"].get<std::string>() + " ";
    return line + "of " + result["total"].dump();
  };
  EXPECT_EQ(names({{"interface", "wg0"}}), "peer0 peer1 peer2 peer3 peer4 of 5");
  EXPECT_EQ(names({{"sort", "rx"}, {"limit", 2}}), "peer4 peer3 of 6");
  EXPECT_EQ(names({{"active", true}}), "peer2 of 1");
  EXPECT_EQ(names({{"peer", "eer3"}}), "peer3 of 1");
  EXPECT_EQ(names({{"peer", "10.0.0.4"}}), "peer4 of 1");
  EXPECT_EQ(names({{"sort", "handshake"}, {"limit", 1}}), "peer2 of 6");
  EXPECT_EQ(names({{"sort", "drops"}, {"limit", 1}}), "peer2 of 6");
  EXPECT_EQ(names({{"peer", "zzz"}}), "of 0");
  const auto peer = call("show.peer", {{"peer", "peer2"}})["result"];
  EXPECT_DOUBLE_EQ(peer["last_handshake"].get<double>(), 1'700'000'000.25);
  EXPECT_EQ(peer["drops"]["replayed"], 4);
}

TEST_F(RpcTest, ManyPeersAreStreamedWhileOthersAreServed) {
  gateway.add_peers("wg2", kManyPeers);
  Conversation lazy(loop, serve());
  lazy.say("{\"id\":1,\"method\":\"show.peers\",\"params\":{\"interface\":\"wg2\"}}\n");
  for (int i = 0; i < 20; ++i) loop.run_once(std::chrono::milliseconds{0});
  EXPECT_EQ(call("show.gateway")["result"]["pid"], 4711);
  const auto answer = Json::parse(lazy.hear(), nullptr, false);
  ASSERT_TRUE(answer.is_object());
  EXPECT_EQ(answer["result"]["peers"].size(), kManyPeers);
}

TEST_F(RpcTest, TheReadOnlySocketNeitherChangesNorTellsSecrets) {
  for (const char* method :
       {"reload", "confirm", "rollback", "diff", "save", "interface.create", "interface.up", "interface.down",
        "interface.delete", "interface.export", "port.restart", "log.level", "stop"})
    EXPECT_EQ(code(call(method, {{"name", "wg0"}}, RpcRole::kRead)), "forbidden") << method;
  EXPECT_TRUE(gateway.calls.empty());
  EXPECT_FALSE(gateway.stopped);
  gateway.wg0().peers[0].preshared_key = secret_of(0x55);
  std::string everything;
  for (const char* method : {"show.gateway", "show.interfaces", "show.peers", "show.ports", "show.workers",
                             "show.drops", "show.flows"})
    everything += call(method, Json::object(), RpcRole::kRead).dump();
  everything += call("explain.peer", {{"peer", "peer0"}}, RpcRole::kRead).dump();
  EXPECT_NE(everything.find("\"has_preshared_key\":true"), std::string::npos);
  for (const auto& secret : {config::reveal(secret_of(0x55)), config::reveal(clamped(secret_of(7))),
                             config::reveal(secret_of(7)), hex_of(key_of(0x55)), hex_of(key_of(7))})
    EXPECT_EQ(everything.find(secret), std::string::npos);
}

TEST_F(RpcTest, ChangesAreCarriedOutAndReported) {
  std::string seen;
  on_change = [&](const RpcCaller& caller, const std::string& method) {
    EXPECT_EQ(caller.uid, getuid());
    EXPECT_EQ(caller.pid, getpid());
    seen += method + " ";
  };
  const auto created = call("interface.create", {{"name", "wg5"},
                                                 {"private_key", config::reveal(secret_of(3))},
                                                 {"listen_port", 5},
                                                 {"mtu", 1400},
                                                 {"addresses", {"10.5.0.1/24"}},
                                                 {"up", false}});
  EXPECT_TRUE(created.contains("result")) << created;
  const auto& wg5 = gateway.interfaces_by_name["wg5"];
  EXPECT_EQ(wg5.private_key, secret_of(3));
  EXPECT_EQ(wg5.listen_port, UdpPort{5});
  EXPECT_EQ(wg5.mtu, 1400);
  EXPECT_FALSE(wg5.enabled);
  EXPECT_EQ(config::to_string(wg5.addresses.at(0)), "10.5.0.1/24");
  call("interface.up", {{"name", "wg5"}});
  EXPECT_TRUE(gateway.interfaces_by_name["wg5"].enabled);
  call("interface.down", {{"name", "wg5"}});
  EXPECT_FALSE(gateway.interfaces_by_name["wg5"].enabled);
  call("interface.delete", {{"name", "wg5"}});
  EXPECT_FALSE(gateway.interfaces_by_name.contains("wg5"));
  call("log.level", {{"level", "debug"}, {"interface", "wg0"}});
  call("port.restart", {{"port", "wan0"}});
  EXPECT_EQ(gateway.calls, (std::vector<std::string>{"log wg0 debug", "port.restart wan0"}));
  call("stop");
  EXPECT_TRUE(gateway.stopped);
  EXPECT_EQ(seen,
            "interface.create interface.up interface.down interface.delete log.level port.restart stop ");
}

TEST_F(RpcTest, ExportIsWholeAndEscaped) {
  gateway.wg0().peers[0].name = "quote\" back\\slash";
  const auto answer = call("interface.export", {{"name", "wg0"}});
  ASSERT_TRUE(answer.contains("result")) << answer;
  const auto text = answer["result"]["text"].get<std::string>();
  EXPECT_NE(text.find("PrivateKey = "), std::string::npos);
  EXPECT_NE(text.find("quote\" back\\slash"), std::string::npos) << text;
  EXPECT_NE(call("interface.export", {{"name", "wg0"}, {"format", "x"}})["error"]["code"], nullptr);
}

// It is read in slices; a change between two of them begins it again, and at last it is read at once.
TEST_F(RpcTest, ExportIsOfOneMoment) {
  const auto peers_in = [this] {
    const auto answer = call("interface.export", {{"name", "wg0"}});
    const auto text = answer.at("result").at("text").get<std::string>();
    EXPECT_EQ(text.find("[Interface]"), text.rfind("[Interface]"));
    std::size_t count = 0;
    for (auto at = text.find("[Peer]"); at != std::string::npos; at = text.find("[Peer]", at + 1)) ++count;
    return count;
  };
  const std::size_t all = peers_in();
  ASSERT_GE(all, 2u);
  for (const unsigned changes : {1u, 3u, 1000u}) {
    gateway.config_changes = changes;
    EXPECT_EQ(peers_in(), all) << changes;
    gateway.config_changes = 0;
  }
}

TEST_F(RpcTest, LateAnswersFindTheirRequests) {
  gateway.defer_plans = true;
  Conversation client(loop, serve());
  EXPECT_EQ(client.ask("{\"id\":1,\"method\":\"reload\",\"params\":{\"dry_run\":true}}\n"), "");
  EXPECT_EQ(client.ask("{\"id\":2,\"method\":\"diff\"}\n"), "");
  EXPECT_EQ(gateway.calls, (std::vector<std::string>{"reload dry", "diff"}));
  PlanOutcome plan;
  plan.plan = {"wg0: add peer carol"};
  gateway.deferred[1](plan);
  gateway.deferred[0](gateway.plan);
  const auto answers = client.hear();
  const auto first = Json::parse(answers.substr(0, answers.find('\n')));
  EXPECT_EQ(first["id"], 2);
  EXPECT_EQ(first["result"]["plan"][0], "wg0: add peer carol");
  EXPECT_NE(answers.find("\"id\":1", answers.find('\n')), std::string::npos);
  gateway.deferred[0](plan);  // a second answer has no receiver
  EXPECT_EQ(client.hear(), "");
}

TEST_F(RpcTest, LateAnswersSurviveTheClientAndAHalfClose) {
  gateway.defer_plans = true;
  {
    Conversation gone(loop, serve());
    gone.ask("{\"id\":1,\"method\":\"reload\"}\n");
  }
  Conversation half(loop, serve());
  half.ask("{\"id\":1,\"method\":\"reload\"}\n");
  half.end_of_input();
  EXPECT_EQ(half.hear(), "");
  PlanOutcome refused;
  refused.errors = {{EINVAL, "a.yaml:3:5: listen_port: too large"}};
  gateway.deferred[0](refused);
  gateway.deferred[1](refused);
  EXPECT_NE(half.hear().find("\"ok\":false"), std::string::npos);
  EXPECT_TRUE(half.ended());
  gateway.defer_plans = false;
}

TEST_F(RpcTest, LateAnswersSurviveTheServer) {
  gateway.defer_plans = true;
  Conversation client(loop, serve());
  client.ask("{\"id\":1,\"method\":\"reload\"}\n");
  server.reset();
  gateway.deferred[0]({});
  EXPECT_TRUE(client.ended());
}

TEST_F(RpcTest, TooManyUnansweredRequestsAreRefused) {
  gateway.defer_plans = true;
  Conversation client(loop, serve());
  for (unsigned i = 0; i < kRpcInFlightMax; ++i)
    EXPECT_EQ(client.ask("{\"id\":1,\"method\":\"save\"}\n"), "");
  EXPECT_EQ(code(Json::parse(client.ask("{\"id\":1,\"method\":\"save\"}\n"))), "busy");
}

TEST_F(RpcTest, EventsReachSubscribersOnly) {
  Conversation all(loop, serve(RpcRole::kRead)), one(loop, serve()), none(loop, serve());
  EXPECT_NE(all.ask("{\"id\":1,\"method\":\"subscribe\"}\n").find("\"subscribed\":true"), std::string::npos);
  one.ask("{\"id\":1,\"method\":\"subscribe\",\"params\":{\"interface\":\"wg1\"}}\n");
  GatewayEvent event;
  event.kind = GatewayEventKind::kPeerUp;
  event.interface = "wg0";
  event.peer = "alice";
  server->publish(event);
  const auto heard = Json::parse(all.hear(), nullptr, false);
  ASSERT_TRUE(heard.is_object());
  EXPECT_EQ(heard["event"]["peer"], "alice");
  EXPECT_EQ(one.hear() + none.hear(), "");
  event.interface = "wg1";
  server->publish(event);
  EXPECT_NE(one.hear(), "");
  EXPECT_NE(one.ask("{\"id\":2,\"method\":\"show.gateway\"}\n").find("4711"), std::string::npos);
  one.ask("{\"id\":1,\"method\":\"unsubscribe\"}\n");
  server->publish(event);
  EXPECT_EQ(one.hear(), "");
}

TEST_F(RpcTest, ASlowSubscriberLosesEventsAndIsTold) {
  Conversation slow(loop, serve());
  slow.ask("{\"id\":1,\"method\":\"subscribe\"}\n");
  GatewayEvent event;
  event.kind = GatewayEventKind::kPeerRoamed;
  event.detail = std::string(1000, 'x');
  for (int i = 0; i < 3000; ++i) server->publish(event);
  const auto first = slow.hear();
  EXPECT_LT(first.size(), 2'000'000U);  // what the socket and the backlog hold
  server->publish(event);
  const auto told = slow.hear();
  EXPECT_NE(told.find("events_lost"), std::string::npos) << told.substr(0, 200);
}

TEST_F(RpcTest, OversizedRequestsAreRefused) {
  Conversation client(loop, serve());
  const std::string block(1 << 16, ' ');
  bool open = true;
  for (int i = 0; i < 1600 && open; ++i) open = client.say(block);  // 100 MB if it were let
  EXPECT_FALSE(open);
  EXPECT_EQ(server->clients(), 0U);
}

TEST_F(RpcTest, AReaderSendsShortLines) {
  const std::string request = R"({"id":1,"method":"show.drops"})";
  const std::string longest = request + std::string(kRpcReadRequestMax - request.size(), ' ');
  EXPECT_TRUE(ask(longest, RpcRole::kRead).contains("result"));
  EXPECT_EQ(code(ask(longest + " ", RpcRole::kRead)), "too_large");
  EXPECT_TRUE(ask(longest + " ", RpcRole::kAdmin).contains("result"));
}

TEST_F(RpcTest, NestingIsBoundedBeforeTheLineIsParsed) {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_EQ(code(ask(nested(16))), "bad_request") << "parsed: an array is no request";
  EXPECT_EQ(code(ask(nested(17))), "bad_json");
  EXPECT_EQ(code(ask(std::string(500'000, '['))), "bad_json");
  EXPECT_EQ(code(ask(std::string(100'000, '[') + std::string(100'000, ']'))), "bad_json");
  EXPECT_EQ(ask(R"({"id":"[[[[[[[[[[\"[[[[[[[[[[","method":"frob"})")["error"]["code"], "unknown_method")
      << "brackets of a string do not count";
}

TEST_F(RpcTest, OneRequestOfEachCallerInARoundOfTheLoop) {
  const std::string request = R"({"id":1,"method":"frob"})";
  std::string many;
  for (int i = 0; i < 100; ++i) many += request + "\n";
  Conversation greedy(loop, serve(RpcRole::kRead));
  greedy.say(many);
  loop.run_once(std::chrono::milliseconds{0});
  Conversation other(loop, serve(RpcRole::kRead));
  other.say(request + "\n");
  for (int round = 0; round < 3; ++round) loop.run_once(std::chrono::milliseconds{0});
  const auto lines = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  EXPECT_EQ(lines(other.heard()), 1) << "answered while the other one waits its turns";
  const std::string first = greedy.heard();
  EXPECT_LE(lines(first), 4);
  EXPECT_EQ(lines(first + greedy.hear()), 100) << "none is lost";
}

TEST_F(RpcTest, BlankLinesTakeNoRounds) {
  Conversation client(loop, serve(RpcRole::kRead));
  client.say(std::string(10'000, '\n') + R"({"id":1,"method":"frob"})" + "\n");
  for (int round = 0; round < 20; ++round) loop.run_once(std::chrono::milliseconds{0});
  const std::string heard = client.heard();
  EXPECT_EQ(std::count(heard.begin(), heard.end(), '\n'), 1) << "blank lines are no requests: " << heard;
}

TEST_F(RpcTest, RequestsBeforeAHalfCloseAreAllAnswered) {
  Conversation client(loop, serve());
  client.say(
      "{\"id\":1,\"method\":\"frob\"}\n{\"id\":2,\"method\":\"frob\"}\n{\"id\":3,\"method\":\"frob\"}\n");
  client.end_of_input();
  const std::string heard = client.hear();
  EXPECT_EQ(std::count(heard.begin(), heard.end(), '\n'), 3);
  EXPECT_TRUE(client.ended());
}

TEST_F(ImpatientRpcTest, FiftyClientsAndHangingOnes) {
  std::vector<std::unique_ptr<Conversation>> clients;
  for (int i = 0; i < 50; ++i) {
    clients.push_back(std::make_unique<Conversation>(loop, serve()));
    EXPECT_NE(clients.back()->ask("{\"id\":1,\"method\":\"show.gateway\"}\n"), "");
  }
  EXPECT_LE(server->clients(), 8U);
  clients.back()->say("{\"id\":1,");
  const auto until = EventLoop::Clock::now() + std::chrono::milliseconds{500};
  while (EventLoop::Clock::now() < until) loop.run_once(std::chrono::milliseconds{20});
  EXPECT_TRUE(clients.back()->ended());
}

TEST_F(RpcTest, ReadersCannotCrowdOutTheAdministrator) {
  std::vector<std::unique_ptr<Conversation>> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(std::make_unique<Conversation>(loop, serve(RpcRole::kRead)));
    readers.back()->ask("{\"id\":1,\"method\":\"subscribe\"}\n");
  }
  EXPECT_EQ(call("show.gateway")["result"]["pid"], 4711);
}

TEST(RpcSocketFiles, ModesAndRemoval) {
  char name[] = "/tmp/linegate-rpc-XXXXXX";
  const std::string directory = mkdtemp(name);
  const RpcSockets sockets{directory + "/run/control.sock", directory + "/run/read.sock", "", ""};
  EventLoop loop;
  FakeGateway gateway;
  const RpcTargets targets{gateway, gateway, gateway, {}};
  {
    RpcServer server(loop, targets, sockets);
    for (const auto& path : {sockets.admin_path, sockets.read_path}) {
      struct stat file {};
      ASSERT_EQ(stat(path.c_str(), &file), 0) << path;
      EXPECT_EQ(file.st_mode & 0777, 0660U);
    }
    EXPECT_THROW(RpcServer(loop, targets, sockets), std::system_error);
  }
  EXPECT_FALSE(std::filesystem::exists(sockets.admin_path));
  EXPECT_THROW(RpcServer(loop, targets, {sockets.admin_path, "", "no-such-group-here", ""}),
               std::system_error);
  EXPECT_EQ(read_socket_beside("/run/linegate/control.sock"), "/run/linegate/read.sock");
  EXPECT_EQ(read_socket_beside("/run/linegate/west.sock"), "/run/linegate/west-read.sock");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace wg::control::test
