// The routes of an interface against a plain list of what there should be, through random changes, and with
// routes that another program deletes.
#include "control/interface/allowed_routes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "control/convert.h"
#include "dataplane/session/peer_table.h"
#include "tests/unit/gateway/log_to.h"

namespace wg::control::allowed_routes_test {
namespace {

using config::Prefix;

constexpr std::uint32_t kDevice = 7;
constexpr unsigned kPeers = 6;

Prefix prefix(const std::string& text) {
  return *config::parse_prefix(text);
}

// Routes by table, prefix and metric, as Linux keys them.
class FakeLinux {
 public:
  using Key = std::tuple<std::uint32_t, IpPrefix, std::uint32_t>;

  BatchOutcome change(RouteVerb verb, std::span<const RouteSpec> routes) {
    BatchOutcome outcome;
    most_at_once = std::max(most_at_once, routes.size());
    for (const RouteSpec& route : routes) ++(change_one(verb, route) ? outcome.done : outcome.failed);
    if (looked_at) looked_at(routes_);
    if (outcome.failed != 0) outcome.first_failure = Refusal{EEXIST, "refused"};
    return outcome;
  }
  const std::vector<Route>* find(std::uint32_t table, const IpPrefix& prefix) {
    found_.clear();
    for (const auto& [key, type] : seen_ ? *seen_ : routes_) {
      if (std::get<0>(key) != table || std::get<1>(key) != prefix) continue;
      auto forwarding = std::make_shared<Forwarding>();
      forwarding->type = type;
      if (type == RTN_UNICAST) forwarding->nexthops = {{kDevice, std::nullopt}};
      found_.push_back({std::get<2>(key), 0, std::move(forwarding)});
    }
    return found_.empty() ? nullptr : &found_;
  }
  // The mirror sees nothing of what changes from now on.
  void fall_behind() { seen_ = routes_; }
  // The link goes down.
  void drop_unicast() {
    std::erase_if(routes_, [](const auto& route) { return route.second == RTN_UNICAST; });
  }
  // Another program deletes a route; there is one.
  Key remove_any(std::mt19937& random) {
    auto at = routes_.begin();
    std::advance(at, random() % routes_.size());
    const Key key = at->first;
    routes_.erase(at);
    return key;
  }
  [[nodiscard]] const std::map<Key, std::uint8_t>& routes() const { return routes_; }

  std::size_t most_at_once = 0;                                       // routes of one exchange
  std::function<void(const std::map<Key, std::uint8_t>&)> looked_at;  // after each exchange

 private:
  bool change_one(RouteVerb verb, const RouteSpec& route) {
    const bool v6_default = route.metric == 0 && route.prefix.address.v6;
    const Key key{route.table, route.prefix, v6_default ? 1024 : route.metric};
    if (verb == RouteVerb::kRemove) return routes_.erase(key) != 0;
    if (verb == RouteVerb::kAdd && routes_.contains(key)) return false;
    routes_[key] = route.type;
    return true;
  }

  std::map<Key, std::uint8_t> routes_;
  std::optional<std::map<Key, std::uint8_t>> seen_;  // nullopt: the same
  std::vector<Route> found_;
};

// What there should be, said once more and without cleverness.
struct Wanted {
  std::map<Prefix, unsigned> owners;
  std::set<Prefix> kept;
  config::Interface value;
  bool up = false;

  [[nodiscard]] bool connected(const Prefix& p) const {
    for (const auto& own : value.addresses)
      if (config::contains(config::prefix_of(own.address, own.length), p)) return true;
    return false;
  }
  [[nodiscard]] bool routed(const Prefix& p) const {
    if (value.routes == config::Routes::kOff) return false;
    return value.table ? true : p.length != 0 && !connected(p);
  }
  [[nodiscard]] bool covered(const Prefix& p) const {
    for (const auto& [owned, owner] : owners)
      if (owned != p && config::contains(owned, p) && routed(owned)) return true;
    return false;
  }
  [[nodiscard]] std::map<FakeLinux::Key, std::uint8_t> routes() const {
    std::map<FakeLinux::Key, std::uint8_t> all;
    const std::uint32_t table = value.table.value_or(RT_TABLE_MAIN);
    const bool behind = value.on_loss == config::OnLoss::kUnreachable;
    const auto metric = metric_of_unreachable("wg0");
    const auto group = [](const Prefix& p) {
      return p.address.is_v4() ? p.address.bytes[0] >= 224 && p.address.bytes[0] < 240
                               : p.address.bytes[0] == 0xff;
    };
    for (const auto& [p, owner] : owners) {
      if (!routed(p)) continue;
      if (up) all[{table, to_dataplane(p), p.address.is_v4() ? 0 : 1024}] = RTN_UNICAST;
      if (behind && !group(p)) all[{table, to_dataplane(p), metric}] = RTN_UNREACHABLE;
    }
    for (const Prefix& p : kept)
      if (behind && routed(p) && !group(p) && !owners.contains(p) && !covered(p))
        all[{table, to_dataplane(p), metric}] = RTN_UNREACHABLE;
    for (const auto& own : value.addresses) {
      if (!behind || value.routes == config::Routes::kOff || own.length == own.address.bits()) continue;
      all[{RT_TABLE_MAIN, to_dataplane(config::prefix_of(own.address, own.length)), metric}] =
          RTN_UNREACHABLE;
    }
    return all;
  }
};

class AllowedRoutesTest : public testing::Test {
 protected:
  AllowedRoutesTest() {
    for (std::uint8_t i = 0; i < kPeers; ++i) {
      config::Key key;
      key.bytes[0] = i;
      peers[i] = &book.add(*slots.add(dataplane::InterfaceId{0}), key);
    }
    value.addresses = {*config::parse_interface_address("10.10.0.1/24")};
    wanted.value = value;
    make();
  }
  void make() {
    RouteRequests requests({[this](RouteVerb verb, auto list) { return kernel.change(verb, list); },
                            [this](std::uint32_t table, const IpPrefix& p) { return kernel.find(table, p); }},
                           silent_log(), {"wg0", kDevice});
    routes.emplace(book, std::move(requests), RouteRules::of(value));
  }
  void add(unsigned peer, const Prefix& p) {
    book.give_prefix(*peers[peer], p);
    routes->change(RouteVerb::kReplace, {p});
    wanted.owners[p] = peer;
  }
  void remove(const Prefix& p) {
    if (!wanted.owners.contains(p)) return;
    ASSERT_TRUE(book.take_prefix(*peers[wanted.owners[p]], p));
    routes->change(RouteVerb::kRemove, {p});
    wanted.owners.erase(p);
  }
  void keep(const Prefix& p) {
    routes->keep(p);
    wanted.kept.insert(p);
  }
  void forget(const Prefix& p) {
    routes->forget(p);
    wanted.kept.erase(p);
  }
  void set_up(bool up) {
    if (wanted.up == up) return;
    wanted.up = up;
    if (up) return routes->go_up();
    routes->go_down();
    kernel.drop_unicast();
  }
  void settle() {
    do routes->advance(std::chrono::steady_clock::now() + std::chrono::seconds(1));
    while (routes->has_more_to_do());
  }
  // As the second passes that a change may take to be complete.
  void look() {
    for (int i = 0; i < 2; ++i) routes->compare_noted();
    settle();
  }

  dataplane::PeerTable slots{kPeers};
  PeerBook book{lpm::immediate_reclaimer()};
  std::array<PeerRecord*, kPeers> peers{};
  config::Interface value;
  FakeLinux kernel;
  std::optional<AllowedRoutes> routes;
  Wanted wanted;
};

TEST_F(AllowedRoutesTest, AnUnreachableRouteStaysWhenTheInterfaceIsDown) {
  set_up(true);
  add(0, prefix("192.168.2.0/24"));
  settle();
  const FakeLinux::Key route{RT_TABLE_MAIN, to_dataplane(prefix("192.168.2.0/24")), 0};
  const FakeLinux::Key behind{RT_TABLE_MAIN, to_dataplane(prefix("192.168.2.0/24")),
                              metric_of_unreachable("wg0")};
  EXPECT_EQ(kernel.routes().at(route), RTN_UNICAST);
  EXPECT_EQ(kernel.routes().at(behind), RTN_UNREACHABLE);
  set_up(false);
  settle();
  EXPECT_FALSE(kernel.routes().contains(route));
  EXPECT_EQ(kernel.routes().at(behind), RTN_UNREACHABLE);
}

// Going up takes steps. Down, another peer's prefix and a peer that goes come in the middle.
TEST_F(AllowedRoutesTest, ManyRoutesAreSetInStepsWhateverComesMeanwhile) {
  const auto many = [](unsigned peer, unsigned i) {
    return prefix("172." + std::to_string(16 + peer) + "." + std::to_string(i) + ".0/24");
  };
  for (unsigned peer = 0; peer < kPeers; ++peer)
    for (unsigned i = 0; i < 200; ++i) add(peer, many(peer, i));
  const auto long_ago = std::chrono::steady_clock::time_point();
  set_up(true);
  EXPECT_TRUE(routes->is_following());
  EXPECT_TRUE(routes->has_more_to_do());
  set_up(false);
  EXPECT_FALSE(routes->has_more_to_do());
  EXPECT_EQ(kernel.routes(), wanted.routes());
  set_up(true);
  remove(many(0, 3));           // it is set
  remove(many(kPeers - 1, 3));  // it is not
  add(0, many(kPeers - 1, 4));  // from a peer behind to one in front
  std::size_t steps = 0;
  for (; routes->is_following(); ++steps) routes->advance(long_ago);
  EXPECT_GE(steps, kPeers * 200 / 256 - 1) << "one exchange with Linux each";
  EXPECT_EQ(kernel.routes(), wanted.routes());
}

// Every setting that concerns all prefixes is followed in steps, between which there is no prefix without a
// route, and prefixes come, go and move.
TEST_F(AllowedRoutesTest, AnotherRuleIsFollowedInStepsWhateverComesMeanwhile) {
  const auto many = [](unsigned peer, unsigned i) {
    return prefix("172." + std::to_string(16 + peer) + "." + std::to_string(i) + ".0/24");
  };
  for (unsigned peer = 0; peer < kPeers; ++peer)
    for (unsigned i = 0; i < 100; ++i) add(peer, many(peer, i));
  for (unsigned i = 0; i < 150; ++i) keep(prefix("10.99.0." + std::to_string(i) + "/32"));
  set_up(true);
  settle();
  const auto set_table = [&](std::optional<std::uint32_t> table) {
    wanted.value.table = table;
    routes->set_routes(wanted.value.routes, table);
  };
  const auto set_routes = [&](config::Routes which) {
    wanted.value.routes = which;
    routes->set_routes(which, wanted.value.table);
  };
  const auto set_on_loss = [&](config::OnLoss on_loss) {
    wanted.value.on_loss = on_loss;
    routes->set_on_loss(on_loss);
  };
  const auto set_addresses = [&](std::initializer_list<const char*> addresses) {
    wanted.value.addresses.clear();
    for (const char* address : addresses)
      wanted.value.addresses.push_back(*config::parse_interface_address(address));
    routes->set_addresses(wanted.value.addresses);
  };
  const std::pair<const char*, std::function<void()>> changes[] = {
      {"another table", [&] { set_table(77); }},
      {"the main table by its number", [&] { set_table(RT_TABLE_MAIN); }},
      {"the main table", [&] { set_table(std::nullopt); }},
      {"withdraw", [&] { set_on_loss(config::OnLoss::kWithdraw); }},
      {"unreachable", [&] { set_on_loss(config::OnLoss::kUnreachable); }},
      {"an address over all",
       [&] {
         set_addresses({"10.10.0.1/24", "172.16.0.1/12"});
       }},
      {"an address less", [&] { set_addresses({"10.10.0.1/24"}); }},
      {"no address", [&] { set_addresses({}); }},
      {"an address", [&] { set_addresses({"10.10.0.1/24"}); }},
      {"no routes", [&] { set_routes(config::Routes::kOff); }},
      {"routes", [&] { set_routes(config::Routes::kAuto); }},
  };
  unsigned number = 0;
  for (const auto& [what, change] : changes) {
    change();
    ASSERT_TRUE(routes->is_following()) << what;
    kernel.most_at_once = 0;
    std::size_t steps = 0;
    const auto step = [&] {
      routes->advance({});
      ++steps;
    };
    step();
    remove(many(0, number));           // it has followed already
    remove(many(kPeers - 1, number));  // it has not
    add(0, many(kPeers - 1, number + 40));
    add(kPeers - 1, many(0, number + 40));
    keep(prefix("10.98.0." + std::to_string(number) + "/32"));
    forget(prefix("10.99.0." + std::to_string(number) + "/32"));
    while (routes->is_following()) step();
    EXPECT_GE(steps, (kPeers * 100 - 2 * number + 150) / 64) << what;
    EXPECT_LE(kernel.most_at_once, 256U) << what;
    ASSERT_EQ(kernel.routes(), wanted.routes()) << what;
    settle();
    EXPECT_EQ(routes->take_put_back(), 0U) << what << ": what has not followed yet was not lost";
    ++number;
  }
}

// A packet always finds a route, of its own or an unreachable one, at every moment of a move to another table
// and back, and when an address comes over it.
TEST_F(AllowedRoutesTest, NoPrefixIsWithoutARouteWhileRulesChange) {
  for (unsigned i = 0; i < 200; ++i) add(i % kPeers, prefix("172.16." + std::to_string(i) + ".0/24"));
  set_up(true);
  settle();
  std::size_t without = 0;
  kernel.looked_at = [&](const std::map<FakeLinux::Key, std::uint8_t>& all) {
    std::set<IpPrefix> there;
    for (const auto& [key, type] : all) there.insert(std::get<1>(key));
    const bool network = there.contains(to_dataplane(prefix("172.16.0.0/12")));
    for (const auto& [p, owner] : wanted.owners) without += !network && !there.contains(to_dataplane(p));
  };
  for (const auto table : {std::optional<std::uint32_t>(77), std::optional<std::uint32_t>()}) {
    routes->set_routes(config::Routes::kAuto, table);
    while (routes->is_following()) routes->advance({});
  }
  for (const bool over_all : {true, false}) {
    auto addresses = value.addresses;
    if (over_all) addresses.push_back(*config::parse_interface_address("172.16.0.1/12"));
    routes->set_addresses(addresses);
    while (routes->is_following()) routes->advance({});
  }
  EXPECT_EQ(without, 0U);
}

// Linux takes tens of milliseconds to drop very many routes at once.
TEST_F(AllowedRoutesTest, VeryManyRoutesGoInStepsBeforeTheNetdevGoesDown) {
  for (unsigned i = 0; i < 9000; ++i)
    add(i % kPeers, prefix("172." + std::to_string(16 + i / 250) + "." + std::to_string(i % 250) + ".0/24"));
  set_up(true);
  settle();
  std::size_t steps = 0;
  for (; routes->withdraw_some(); ++steps) {
  }
  EXPECT_GE(steps, 9000U / 256);
  EXPECT_FALSE(routes->withdraw_some()) << "it stays done";
  for (const auto& [key, type] : kernel.routes()) ASSERT_NE(type, RTN_UNICAST);
  routes->note(RT_TABLE_MAIN, prefix("172.16.0.0/24"));
  look();
  EXPECT_EQ(routes->take_put_back(), 0U) << "what was withdrawn was not lost";
  set_up(false);
  EXPECT_EQ(kernel.routes(), wanted.routes());
  set_up(true);
  settle();
  EXPECT_EQ(kernel.routes(), wanted.routes());
}

// A default route comes over all kept prefixes, and goes.
TEST_F(AllowedRoutesTest, ManyKeptPrefixesAreReconsideredInSteps) {
  set_up(true);
  for (unsigned i = 0; i < 500; ++i)
    keep(prefix("172.16." + std::to_string(i / 250) + "." + std::to_string(i % 250) + "/32"));
  settle();
  for (const bool comes : {true, false}) {
    comes ? add(0, prefix("172.0.0.0/8")) : remove(prefix("172.0.0.0/8"));
    EXPECT_TRUE(routes->is_following());
    settle();
    EXPECT_EQ(kernel.routes(), wanted.routes());
  }
}

TEST_F(AllowedRoutesTest, EachInterfaceHasAMetricOfItsOwn) {
  std::set<std::uint32_t> metrics;
  for (unsigned i = 0; i < 1000; ++i) metrics.insert(metric_of_unreachable("wg" + std::to_string(i)));
  EXPECT_EQ(metrics.size(), 1000U);
  EXPECT_GT(*metrics.begin(), config::kGreatestMetric);
}

TEST_F(AllowedRoutesTest, WhatACrashLeftBehindGoesUnlessItIsWanted) {
  std::vector<RouteSpec> left(2);
  left[0].prefix = to_dataplane(prefix("192.168.2.0/24"));
  left[1].prefix = to_dataplane(prefix("192.168.3.0/24"));
  for (RouteSpec& route : left) {
    route.type = RTN_UNREACHABLE;
    route.metric = metric_of_unreachable("wg0");
  }
  kernel.change(RouteVerb::kAdd, left);
  routes->adopt(left);
  add(0, prefix("192.168.2.0/24"));
  settle();
  EXPECT_EQ(kernel.routes(), wanted.routes());
}

// What a reload has set is not in the mirror yet when the next one comes.
TEST_F(AllowedRoutesTest, AnotherOnLossIsCarriedOutThoughTheMirrorIsBehind) {
  kernel.fall_behind();
  set_up(true);
  for (unsigned i = 0; i < 40; ++i) add(i % kPeers, prefix("172.16." + std::to_string(i) + ".0/24"));
  settle();
  for (const auto on_loss : {config::OnLoss::kWithdraw, config::OnLoss::kUnreachable}) {
    wanted.value.on_loss = on_loss;
    routes->set_on_loss(on_loss);
    settle();
    EXPECT_EQ(kernel.routes(), wanted.routes());
  }
}

TEST_F(AllowedRoutesTest, WhatIsLostIsPutBackAfterASecondAndCounted) {
  std::mt19937 random(1);
  set_up(true);
  for (unsigned i = 0; i < 40; ++i) add(i % kPeers, prefix("172.16." + std::to_string(i) + ".0/24"));
  settle();
  ASSERT_EQ(kernel.routes(), wanted.routes());
  std::set<Prefix> lost;
  for (unsigned i = 0; i < 20; ++i) {
    const auto [table, p, metric] = kernel.remove_any(random);
    const Prefix gone{to_config(p.address), p.length};
    routes->note(table, gone);
    if (metric == 0) lost.insert(gone);
  }
  const std::vector<Prefix> told = routes->lost();
  EXPECT_EQ(std::set<Prefix>(told.begin(), told.end()), lost);
  routes->compare_noted();
  settle();
  EXPECT_NE(kernel.routes(), wanted.routes());  // it may be a change that is not complete
  routes->compare_noted();
  settle();
  EXPECT_EQ(kernel.routes(), wanted.routes());
  EXPECT_EQ(routes->take_put_back(), 20U);
  EXPECT_TRUE(routes->lost().empty());
}

TEST_F(AllowedRoutesTest, RandomChangesLeadToWhatThereShouldBe) {
  std::mt19937 random(7);
  const auto below = [&](unsigned n) { return static_cast<unsigned>(random() % n); };
  const auto some = [&] {
    const std::string pool[] = {"10.10.0." + std::to_string(below(4)) + "/32",
                                "172.16." + std::to_string(below(4)) + ".0/24",
                                "172.16.0.0/" + std::to_string(12 + below(8)),
                                "0.0.0.0/0",
                                "224.0.0.0/4",
                                "fd0" + std::to_string(below(3)) + "::/" + std::to_string(16 + 16 * below(4)),
                                "::/0"};
    return prefix(pool[below(std::size(pool))]);
  };
  for (unsigned step = 0; step < 6000; ++step) {
    switch (below(11)) {
      case 0:
      case 1:
      case 2:
        add(below(kPeers), some());
        break;
      case 3:
      case 4:
        remove(some());
        break;
      case 5:
        keep(some());
        break;
      case 6:
        forget(some());
        break;
      case 7:
        if (below(3) == 0) set_up(!wanted.up);
        break;
      case 8:
        wanted.value.addresses.clear();
        if (below(3) != 0) wanted.value.addresses.push_back(*config::parse_interface_address("10.10.0.1/24"));
        if (below(3) == 0)
          wanted.value.addresses.push_back(*config::parse_interface_address("172.16.1.1/18"));
        if (below(3) == 0) wanted.value.addresses.push_back(*config::parse_interface_address("fd00::1/64"));
        routes->set_addresses(wanted.value.addresses);
        break;
      case 9:
        if (below(4) != 0) break;
        wanted.value.routes = below(4) == 0 ? config::Routes::kOff : config::Routes::kAuto;
        wanted.value.table = std::nullopt;
        if (below(2) == 0) wanted.value.table = below(3) == 0 ? std::uint32_t{RT_TABLE_MAIN} : 77;
        routes->set_routes(wanted.value.routes, wanted.value.table);
        break;
      default:
        if (below(3) == 0) {
          wanted.value.on_loss = below(3) == 0 ? config::OnLoss::kWithdraw : config::OnLoss::kUnreachable;
          routes->set_on_loss(wanted.value.on_loss);
        } else {
          settle();
          if (kernel.routes().empty()) break;
          const auto [table, p, metric] = kernel.remove_any(random);
          routes->note(table, {to_config(p.address), p.length});
          look();
        }
    }
    if (below(3) != 0) continue;  // some changes come before all of the last ones is done
    settle();
    ASSERT_EQ(kernel.routes(), wanted.routes()) << "step " << step;
  }
  while (routes->forget_some()) {
  }
  routes->end();
  for (const auto& [p, owner] : std::map(wanted.owners)) remove(p);
  routes->flush();
  EXPECT_TRUE(kernel.routes().empty());
}

}  // namespace
}  // namespace wg::control::allowed_routes_test
