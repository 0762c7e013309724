// Who can change the daemon, as a matter of types: the metrics endpoint and the read-only control socket hold
// a const StatusSource, and nothing that changes or shows a secret can be called on one.
#include <gtest/gtest.h>

#include <type_traits>
#include <variant>

#include "control/api/metrics.h"
#include "control/api/rpc_access.h"
#include "tests/unit/api/fake_gateway.h"

namespace wg::control::test {
namespace {

template <typename Source>
concept Reads = requires(Source& source, const PeerFilter& filter, PeerCursor at) {
  source.status();
  source.interfaces();
  source.ports();
  source.workers();
  source.drops();
  source.visit_peers(at, filter, SliceEnd::max(), [](PeerStatus&&) {});
  source.find_peer("wg0", "peer");
  source.explain_peer("wg0", "peer");
};

template <typename Source>
concept ShowsSecrets = requires(Source& source, ConfigCursor at) {
  source.visit_config("wg0", at, SliceEnd::max(), ConfigVisitor{});
}
|| requires(Source& source) {
  source.wg_get("wg0");
};

template <typename Source>
concept Changes = requires(Source& source, WgSet set, ChangeDone done) {
  source.apply_wg_set("wg0", std::move(set), done);
}
|| requires(Source& source, PlanDone done) {
  source.reload(ReloadOptions{}, done);
}
|| requires(Source& source) {
  source.confirm();
}
|| requires(Source& source, PlanDone done) {
  source.rollback(done);
}
|| requires(Source& source, PlanDone done) {
  source.diff(done);
}
|| requires(Source& source, PlanDone done) {
  source.save(done);
}
|| requires(Source& source, config::Interface value, ChangeDone done) {
  source.interface_create("wg0", value, done);
}
|| requires(Source& source, ChangeDone done) {
  source.interface_up("wg0", done);
}
|| requires(Source& source, ChangeDone done) {
  source.interface_down("wg0", done);
}
|| requires(Source& source, ChangeDone done) {
  source.interface_delete("wg0", done);
}
|| requires(Source& source, ChangeDone done) {
  source.set_log_level("wg0", config::LogLevel::kInfo, done);
}
|| requires(Source& source) {
  source.stop();
};

// The concepts see what they look for where it is.
static_assert(Reads<FakeGateway> && ShowsSecrets<const FakeGateway> && Changes<FakeGateway>);
static_assert(Reads<const StatusSource> && ShowsSecrets<const SecretSource> && Changes<ChangeSink>);

static_assert(!Changes<StatusSource> && !ShowsSecrets<StatusSource>);
static_assert(!Changes<SecretSource> && !Changes<const ChangeSink>);
static_assert(!std::is_base_of_v<ChangeSink, StatusSource> && !std::is_base_of_v<StatusSource, ChangeSink>);

// The metrics endpoint and the read-only socket are made of a const StatusSource, not of a ChangeSink.
static_assert(std::is_constructible_v<MetricsServer, EventLoop&, const StatusSource&, MetricsOptions>);
static_assert(!std::is_constructible_v<MetricsServer, EventLoop&, ChangeSink&, MetricsOptions>);
static_assert(std::is_constructible_v<ReadAccess, const StatusSource&>);
static_assert(!std::is_constructible_v<ReadAccess, ChangeSink&>);
static_assert(!std::is_constructible_v<ReadAccess, const StatusSource&, const SecretSource&>);
static_assert(!std::is_invocable_v<ChangeMethod, const StatusSource&, Json&, const RpcAnswer&>);
static_assert(!std::is_invocable_v<SecretMethod, const StatusSource&, Json&, const RpcAnswer&>);

TEST(Access, TheReadOnlySocketAllowsMethodsOfStatusAlone) {
  FakeGateway gateway;
  const ReadAccess read(gateway);
  const AdminAccess admin(gateway, gateway, gateway, {});
  for (const char* name :
       {"show.gateway", "show.interfaces", "show.peers", "show.peer", "show.ports", "show.workers",
        "show.drops", "show.flows", "explain.peer", "explain.route", "explain.packet"}) {
    const RpcMethod* method = find_rpc_method(name);
    ASSERT_NE(method, nullptr) << name;
    EXPECT_TRUE(std::holds_alternative<ReadMethod>(method->call)) << name;
    EXPECT_TRUE(read.allows(*method) && admin.allows(*method)) << name;
  }
  for (const char* name : {"interface.export", "diff", "reload", "save", "interface.create", "interface.up",
                           "interface.down", "interface.delete", "port.restart", "log.level", "stop"}) {
    const RpcMethod* method = find_rpc_method(name);
    ASSERT_NE(method, nullptr) << name;
    EXPECT_FALSE(read.allows(*method)) << name;
    EXPECT_TRUE(admin.allows(*method)) << name;
  }
}

TEST(Access, ChangesAndExportsOfKeysAreReported) {
  FakeGateway gateway;
  std::vector<std::string> seen;
  const AdminAccess admin(gateway, gateway, gateway, [&](const RpcCaller& caller, const std::string& method) {
    seen.push_back(method + " by " + std::to_string(caller.uid));
  });
  const RpcAnswer answer{[](const Json&) {}, [](std::string_view, const std::string&) {},
                         [](const Stream::Source&) {}};
  for (const char* name : {"show.drops", "diff", "interface.export", "interface.up", "stop"}) {
    Json params = {{"name", "wg0"}};
    admin.call(*find_rpc_method(name), {1, 1000, 1000}, params, answer);
  }
  EXPECT_EQ(seen,
            (std::vector<std::string>{"interface.export by 1000", "interface.up by 1000", "stop by 1000"}));
  EXPECT_TRUE(gateway.stopped);
}

}  // namespace
}  // namespace wg::control::test
