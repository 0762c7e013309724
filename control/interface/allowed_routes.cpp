#include "control/interface/allowed_routes.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "control/convert.h"

namespace wg::control {

namespace {

constexpr std::size_t kRoutesAtOnce = 256;   // one exchange with Linux, most of a millisecond
constexpr std::size_t kPrefixesAtOnce = 64;  // between two looks at the clock; up to four routes each
constexpr std::size_t kFewRoutes = 8192;     // Linux drops them in some 3 ms

config::Prefix network_of(const config::InterfaceAddress& own) {
  return config::prefix_of(own.address, own.length);
}

}  // namespace

AllowedRoutes::AllowedRoutes(const PeerBook& book, RouteRequests requests, RouteRules rules)
    : book_(book), needs_{book, kept_}, requests_(std::move(requests)), now_(std::move(rules)) {
  set_networks();
}

// ---------------------------------------------------------------- walks

// The next prefixes of a walk. Nullopt, and so the walk: that was all.
std::optional<AllowedRoutes::Prefixes> AllowedRoutes::next(std::optional<PrefixWalk>& walk,
                                                           std::size_t count) const {
  if (!walk->is_past_peers()) return walk->next_of_peers(book_, count);
  Prefixes prefixes = walk->next_of(kept_, count);
  if (!prefixes.empty()) return prefixes;
  walk.reset();
  return std::nullopt;
}

bool AllowedRoutes::set_some() {
  const std::optional<Prefixes> prefixes = next(walks_.set, kRoutesAtOnce);
  if (!prefixes) return false;
  for (const config::Prefix& prefix : *prefixes)
    if (needs_.has_route(now_, prefix)) requests_.change_route(RouteVerb::kReplace, prefix, now_.table());
  requests_.flush();
  return true;
}

// The order: no prefix is without a route in between.
bool AllowedRoutes::follow_some() {
  if (const std::optional<Prefixes> prefixes = next(walks_.followed, kPrefixesAtOnce)) {
    for (const config::Prefix& prefix : *prefixes) set_unless_before(prefix);
    for (const config::Prefix& prefix : *prefixes) drop_those_before(prefix);
    requests_.flush();
    return true;
  }
  for (const RouteRules& rules : before_) drop_networks_of(rules);
  requests_.flush();
  before_.clear();
  return false;
}

void AllowedRoutes::advance(std::chrono::steady_clock::time_point until) {
  const auto in_time = [until] { return std::chrono::steady_clock::now() < until; };
  while (walks_.set && set_some() && in_time()) {
  }
  while (walks_.followed && follow_some() && in_time()) {
  }
  if (is_following()) return;  // what is missing until then is not lost
  while (remove_some_leftovers() && in_time()) {
  }
  while (walks_.compared && compare_some() && in_time()) {
  }
  while (compare_some_noted() && in_time()) {
  }
  requests_.flush();
}

// ---------------------------------------------------------------- another rule

void AllowedRoutes::change_rules(RouteRules rules) {
  if (rules == now_) return;
  follow_from(std::exchange(now_, std::move(rules)));
  set_networks();
  requests_.flush();
}

// Routes of these rules may be left.
void AllowedRoutes::follow_from(RouteRules rules) {
  if (std::find(before_.begin(), before_.end(), rules) == before_.end()) before_.push_back(std::move(rules));
  walks_.followed = PrefixWalk();
}

void AllowedRoutes::set_routes(config::Routes routes, std::optional<std::uint32_t> table) {
  RouteRules rules = now_;
  rules.routes = routes;
  rules.table_set = table;
  change_rules(std::move(rules));
}

void AllowedRoutes::set_on_loss(config::OnLoss on_loss) {
  RouteRules rules = now_;
  rules.on_loss = on_loss;
  change_rules(std::move(rules));
}

void AllowedRoutes::set_addresses(const std::vector<config::InterfaceAddress>& addresses) {
  RouteRules rules = now_;
  rules.addresses = addresses;
  const bool lost_ipv4 = now_.has_ipv4() && !rules.has_ipv4();
  change_rules(std::move(rules));
  if (lost_ipv4 && up_) go_up();
}

// A route that was wanted all the time is there.
void AllowedRoutes::set_unless_before(const config::Prefix& prefix) {
  const auto always = [&](const auto& wanted) {
    return std::all_of(before_.begin(), before_.end(), [&](const RouteRules& rules) {
      return rules.table() == now_.table() && wanted(rules);
    });
  };
  const auto routed = [&](const RouteRules& rules) { return needs_.has_route(rules, prefix); };
  const auto behind = [&](const RouteRules& rules) { return needs_.is_unreachable_behind(rules, prefix); };
  if (up_ && routed(now_) && !always(routed))
    requests_.change_route(RouteVerb::kReplace, prefix, now_.table());
  if (behind(now_) && !always(behind))
    requests_.change_unreachable(RouteVerb::kReplace, prefix, now_.table());
}

void AllowedRoutes::drop_those_before(const config::Prefix& prefix) {
  for (const RouteRules& rules : before_) {
    if (book_.holds(prefix)) drop_route_of(rules, prefix);
    drop_of(rules, prefix);
  }
}

void AllowedRoutes::set_networks() {
  for (const config::Prefix& network : now_.networks_on_loss())
    requests_.change_unreachable(RouteVerb::kReplace, network, RT_TABLE_MAIN);
}

void AllowedRoutes::drop_networks_of(const RouteRules& rules) {
  for (const config::Prefix& network : rules.networks_on_loss()) {
    const bool of_a_peer = now_.table() == RT_TABLE_MAIN && needs_.is_unreachable_behind(now_, network);
    if (!of_a_peer && !now_.is_network_on_loss(network))
      requests_.change_unreachable(RouteVerb::kRemove, network, RT_TABLE_MAIN);
  }
}

// ---------------------------------------------------------------- up, down, the end

void AllowedRoutes::go_up() {
  requests_.flush();
  up_ = true;
  walks_.withdrawn.reset();
  walks_.set = PrefixWalk();
  set_some();
}

void AllowedRoutes::go_down() {
  requests_.flush();
  up_ = false;
  walks_.withdrawn.reset();
  walks_.set.reset();
}

bool AllowedRoutes::withdraw_some() {
  if (!up_ || book_.prefixes() <= kFewRoutes) return false;
  walks_.set.reset();
  if (!walks_.withdrawn) walks_.withdrawn = PrefixWalk();
  if (walks_.withdrawn->is_past_peers()) return false;
  for (const config::Prefix& prefix : walks_.withdrawn->next_of_peers(book_, kRoutesAtOnce))
    if (needs_.has_route(now_, prefix)) requests_.change_route(RouteVerb::kRemove, prefix, now_.table());
  requests_.flush();
  return true;
}

void AllowedRoutes::end() {
  up_ = false;
  walks_ = {};
  while (forget_some()) {
  }
  before_.push_back(now_);
  now_.on_loss = config::OnLoss::kWithdraw;  // so that networks go too, and those of peers with their peers
  for (const RouteRules& rules : before_) drop_networks_of(rules);
  for (RouteSpec& route : std::exchange(leftovers_, {})) requests_.remove(std::move(route));
  requests_.flush();
}

bool AllowedRoutes::forget_some() {
  for (std::size_t count = 0; count < kPrefixesAtOnce && !kept_.empty(); ++count)
    forget(config::Prefix(*kept_.begin()));
  return !kept_.empty();
}

// ---------------------------------------------------------------- changes

void AllowedRoutes::set_behind(const config::Prefix& prefix) {
  if (needs_.is_unreachable_behind(now_, prefix))
    requests_.change_unreachable(RouteVerb::kReplace, prefix, now_.table());
}

// The unreachable route that `rules` may have put behind the prefix, unless it is wanted now.
void AllowedRoutes::drop_of(const RouteRules& rules, const config::Prefix& prefix) {
  const bool wanted = rules.table() == now_.table() && needs_.is_unreachable_behind(now_, prefix);
  const bool of_network = rules.table() == RT_TABLE_MAIN && now_.is_network_on_loss(prefix);
  if (rules.may_stand_behind(prefix) && !wanted && !of_network)
    requests_.change_unreachable(RouteVerb::kRemove, prefix, rules.table());
}

void AllowedRoutes::drop_route_of(const RouteRules& rules, const config::Prefix& prefix) {
  const bool wanted = rules.table() == now_.table() && needs_.has_route(now_, prefix);
  if (up_ && rules.is_routed(prefix) && !wanted)
    requests_.change_route(RouteVerb::kRemove, prefix, rules.table());
}

// The unreachable routes behind the prefix that are not wanted.
void AllowedRoutes::drop(const config::Prefix& prefix) {
  for (const RouteRules& rules : before_) drop_of(rules, prefix);
  drop_of(now_, prefix);
}

void AllowedRoutes::change(RouteVerb verb, const std::vector<config::Prefix>& prefixes) {
  for (const config::Prefix& prefix : prefixes) {
    if (verb == RouteVerb::kRemove) {
      for (const RouteRules& rules : before_) drop_route_of(rules, prefix);
      drop_route_of(now_, prefix);
      drop(prefix);
    } else {
      if (up_ && needs_.has_route(now_, prefix))
        requests_.change_route(RouteVerb::kReplace, prefix, now_.table());
      set_behind(prefix);
      drop_those_before(prefix);
    }
    reconsider_kept_within(prefix);
  }
}

// A peer's prefix came or went: prefixes kept within it belong to that peer, or to none.
void AllowedRoutes::reconsider_kept_within(const config::Prefix& prefix) {
  std::size_t seen = 0;
  for (auto at = kept_.lower_bound(prefix); at != kept_.end() && config::contains(prefix, *at); ++at) {
    if (++seen > kPrefixesAtOnce) return reconsider_all();
    if (*at == prefix || book_.holds(*at)) continue;
    set_behind(*at);
    drop(*at);
  }
}

// In steps: as if no route were there, and each might be.
void AllowedRoutes::reconsider_all() {
  RouteRules nothing = now_;
  nothing.routes = config::Routes::kOff;
  follow_from(now_);
  follow_from(std::move(nothing));
}

void AllowedRoutes::keep(const config::Prefix& prefix) {
  kept_.insert(prefix);
  set_behind(prefix);
  drop_those_before(prefix);
}

void AllowedRoutes::forget(const config::Prefix& prefix) {
  if (kept_.erase(prefix) != 0) drop(prefix);
}

// ---------------------------------------------------------------- comparing with Linux

void AllowedRoutes::compare_unreachable(const config::Prefix& prefix, std::uint32_t table, bool wanted) {
  if (requests_.sees_unreachable(prefix, table) != wanted)
    requests_.change_unreachable(wanted ? RouteVerb::kAdd : RouteVerb::kRemove, prefix, table);
}

bool AllowedRoutes::lacks_route(const config::Prefix& prefix) const {
  return up_ && !walks_.withdrawn && needs_.has_route(now_, prefix) &&
         !requests_.sees_route(prefix, now_.table());
}

void AllowedRoutes::compare_prefix(const config::Prefix& prefix) {
  if (lacks_route(prefix)) requests_.change_route(RouteVerb::kAdd, prefix, now_.table());
  if (now_.table() == RT_TABLE_MAIN && now_.is_network(prefix)) return;  // compared as such
  compare_unreachable(prefix, now_.table(), needs_.is_unreachable_behind(now_, prefix));
}

void AllowedRoutes::compare_networks() {
  for (const config::InterfaceAddress& own : now_.addresses) {
    const config::Prefix network = network_of(own);
    if (now_.table() == RT_TABLE_MAIN && needs_.has_route(now_, network)) continue;
    compare_unreachable(network, RT_TABLE_MAIN, now_.is_network_on_loss(network));
  }
}

bool AllowedRoutes::compare_some() {
  if (!walks_.compared->has_begun()) compare_networks();
  const std::optional<Prefixes> prefixes = next(walks_.compared, kPrefixesAtOnce);
  if (!prefixes) return false;
  for (const config::Prefix& prefix : *prefixes) compare_prefix(prefix);
  return true;
}

bool AllowedRoutes::compare_some_noted() {
  for (std::size_t i = 0; i < kPrefixesAtOnce && !due_.empty(); ++i) {
    const config::Prefix prefix = due_.back();
    due_.pop_back();
    compare_prefix(prefix);
    if (now_.is_network_on_loss(prefix)) compare_unreachable(prefix, RT_TABLE_MAIN, true);
  }
  return !due_.empty();
}

void AllowedRoutes::note(std::uint32_t table, const config::Prefix& prefix) {
  const bool of_peers = table == now_.table() && (book_.holds(prefix) || kept_.contains(prefix));
  if (of_peers || (table == RT_TABLE_MAIN && now_.is_network(prefix))) noted_.push_back(prefix);
}

void AllowedRoutes::compare_noted() {
  due_.insert(due_.end(), settling_.begin(), settling_.end());
  settling_ = std::exchange(noted_, {});
}

std::vector<config::Prefix> AllowedRoutes::lost() const {
  std::set<config::Prefix> lost;
  for (const auto* list : {&noted_, &settling_, &due_})
    std::copy_if(list->begin(), list->end(), std::inserter(lost, lost.end()),
                 [this](const config::Prefix& prefix) { return lacks_route(prefix); });
  return {lost.begin(), lost.end()};
}

bool AllowedRoutes::remove_some_leftovers() {
  for (std::size_t i = 0; i < kPrefixesAtOnce && !leftovers_.empty(); ++i) {
    RouteSpec route = std::move(leftovers_.back());
    leftovers_.pop_back();
    const config::Prefix prefix{to_config(route.prefix.address), route.prefix.length};
    const bool ours = (route.table == now_.table() && needs_.is_unreachable_behind(now_, prefix)) ||
                      (route.table == RT_TABLE_MAIN && now_.is_network_on_loss(prefix));
    if (!ours) requests_.remove(std::move(route));
  }
  return !leftovers_.empty();
}

}  // namespace wg::control
