#include "control/interface/allowed_routes.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "control/convert.h"

namespace wg::control {

namespace {

constexpr std::size_t kRoutesWaiting = 256;     // to set them takes most of a millisecond
constexpr std::uint32_t kSlotsAtOnce = 64;      // between two looks at the clock
constexpr std::uint32_t kSlotsPassed = 16'384;  // quickly, when they are of other interfaces
constexpr std::size_t kNotedAtOnce = 1024;
constexpr std::uint32_t kMetrics = 2'000'000'000;  // so many for the names of interfaces

// No group is routed into a tunnel by these routes, and fe80::/64 is on every link.
bool may_be_unreachable(const config::Prefix& prefix) {
  const IpAddress address = to_dataplane(prefix.address);
  const bool group = address.v6 ? address.bytes[0] == 0xff : address.bytes[0] >> 4 == 0xe;
  return !group && !is_link_local(address);
}

config::Prefix network_of(const config::InterfaceAddress& own) {
  return config::prefix_of(own.address, own.length);
}

}  // namespace

// FNV-1a.
std::uint32_t metric_of_unreachable(const std::string& interface) {
  std::uint32_t hash = 0x811c9dc5;
  for (const char c : interface) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x01000193;
  return config::kGreatestMetric + 1 + hash % kMetrics;
}

AllowedRoutes::AllowedRoutes(const PeerBook& book, Linux calls, Logger log, Netdev netdev,
                             const config::Interface& value)
    : book_(book),
      linux_(std::move(calls)),
      log_(std::move(log)),
      netdev_(std::move(netdev)),
      metric_(metric_of_unreachable(netdev_.name)),
      routes_(value.routes),
      table_(value.table),
      on_loss_(value.on_loss),
      addresses_(value.addresses) {
  change_networks(RouteVerb::kReplace);
}

// ---------------------------------------------------------------- what there shall be

// The route of an own address leads all of the prefix here.
bool AllowedRoutes::is_connected(const config::Prefix& prefix) const {
  return std::any_of(addresses_.begin(), addresses_.end(), [&](const config::InterfaceAddress& own) {
    return own.length <= prefix.length && config::contains(network_of(own), prefix);
  });
}

bool AllowedRoutes::is_routed(const config::Prefix& prefix) const {
  // A default route would capture the outer packets of the interface itself: the operator decides
  // (docs/operations.md).
  if (routes_ == config::Routes::kOff || (prefix.length == 0 && !table_)) return false;
  return table_.has_value() || !is_connected(prefix);
}

// A shorter prefix of a peer takes the packets.
bool AllowedRoutes::is_covered(const config::Prefix& prefix) const {
  for (unsigned length = 0; length < prefix.length; ++length) {
    const config::Prefix wider = config::prefix_of(prefix.address, length);
    if (book_.holds(wider) && is_routed(wider)) return true;
  }
  return false;
}

bool AllowedRoutes::may_stand_behind(const config::Prefix& prefix) const {
  return on_loss_ == config::OnLoss::kUnreachable && is_routed(prefix) && may_be_unreachable(prefix);
}

bool AllowedRoutes::is_unreachable_behind(const config::Prefix& prefix) const {
  return may_stand_behind(prefix) && (book_.holds(prefix) || (kept_.contains(prefix) && !is_covered(prefix)));
}

bool AllowedRoutes::is_network(const config::Prefix& prefix) const {
  return std::any_of(addresses_.begin(), addresses_.end(),
                     [&](const config::InterfaceAddress& own) { return network_of(own) == prefix; });
}

// Those of the addresses: the kernel makes their routes, in the table main.
std::set<config::Prefix> AllowedRoutes::networks() const {
  std::set<config::Prefix> networks;
  if (on_loss_ == config::OnLoss::kWithdraw || routes_ == config::Routes::kOff) return networks;
  for (const config::InterfaceAddress& own : addresses_) {
    if (own.length < own.address.bits() && may_be_unreachable(network_of(own)))
      networks.insert(network_of(own));
  }
  return networks;
}

RouteSpec AllowedRoutes::route_of(const config::Prefix& prefix) const {
  RouteSpec route = RouteSpec::via_device(to_dataplane(prefix), netdev_.ifindex);
  route.table = table();
  return route;
}

RouteSpec AllowedRoutes::unreachable(const config::Prefix& prefix, std::uint32_t table) const {
  RouteSpec route;
  route.prefix = to_dataplane(prefix);
  route.type = RTN_UNREACHABLE;
  route.table = table;
  route.metric = metric_;
  return route;
}

// ---------------------------------------------------------------- up, down, settings

void AllowedRoutes::configure(config::Routes routes, std::optional<std::uint32_t> table) {
  const config::OnLoss on_loss = on_loss_;
  if (next_.compared) on_loss_ = config::OnLoss::kUnreachable;  // some may stand still
  queue_all(RouteVerb::kRemove);
  on_loss_ = on_loss;
  routes_ = routes;
  table_ = table;
  queue_all(RouteVerb::kReplace);
}

void AllowedRoutes::queue_all(RouteVerb verb) {
  std::vector<config::Prefix> prefixes = book_.allowed_ips();
  prefixes.insert(prefixes.end(), kept_.begin(), kept_.end());
  for (const config::Prefix& prefix : prefixes) {
    if (up_ && is_routed(prefix) && book_.holds(prefix)) queue(verb, route_of(prefix));
    if (is_unreachable_behind(prefix)) queue(verb, unreachable(prefix, table()));
  }
  change_networks(verb);
  flush();
}

// Those of the peers' prefixes may be many: compare() changes them in steps.
void AllowedRoutes::set_on_loss(config::OnLoss on_loss) {
  if (on_loss == on_loss_) return;
  const auto change_others = [this](RouteVerb verb) {
    for (const config::Prefix& prefix : kept_)
      if (is_unreachable_behind(prefix)) queue(verb, unreachable(prefix, table()));
    change_networks(verb);
  };
  change_others(RouteVerb::kRemove);
  on_loss_ = on_loss;
  change_others(RouteVerb::kReplace);
  other_on_loss_ = true;
  compare();
}

// While not all is compared one may stand that is not wanted any more.
bool AllowedRoutes::may_be_there(const config::Prefix& prefix) const {
  return is_routed(prefix) && may_be_unreachable(prefix) &&
         (on_loss_ == config::OnLoss::kUnreachable || next_.compared.has_value());
}

void AllowedRoutes::go_up() {
  flush();
  up_ = true;
  next_.set = 0;
  set_some();
}

// About kRoutesWaiting routes of the peers in the next slots. False: that was all.
bool AllowedRoutes::set_some() {
  const std::uint32_t slots = book_.slots();
  const std::uint32_t end = slots - *next_.set < kSlotsPassed ? slots : *next_.set + kSlotsPassed;
  for (std::size_t routes = 0; *next_.set < end && routes < kRoutesWaiting; ++*next_.set) {
    const PeerRecord* record = book_.find_slot(*next_.set);
    if (record == nullptr) continue;
    routes += record->allowed_ips.size();
    for (const config::Prefix& prefix : record->allowed_ips)
      if (is_routed(prefix)) queue(RouteVerb::kReplace, route_of(prefix));
  }
  flush();
  if (*next_.set >= slots) next_.set.reset();
  return next_.set.has_value();
}

void AllowedRoutes::go_down() {
  flush();
  up_ = false;
  next_.set.reset();
}

void AllowedRoutes::end() {
  up_ = false;
  next_.set.reset();
  if (next_.compared) on_loss_ = config::OnLoss::kUnreachable;  // then those of the peers go with them
  next_.compared.reset();
  for (const config::Prefix& prefix : std::exchange(kept_, {})) {
    if (!book_.holds(prefix)) queue(RouteVerb::kRemove, unreachable(prefix, table()));
  }
  change_networks(RouteVerb::kRemove);
  for (RouteSpec& route : std::exchange(leftovers_, {})) queue(RouteVerb::kRemove, std::move(route));
  flush();
}

// ---------------------------------------------------------------- changes

void AllowedRoutes::queue(RouteVerb verb, RouteSpec route) {
  if (verb != waiting_verb_ || waiting_.size() >= kRoutesWaiting) flush();
  waiting_verb_ = verb;
  waiting_.push_back(std::move(route));
}

// Behind a kept prefix stands what the book says now.
void AllowedRoutes::change(RouteVerb verb, const std::vector<config::Prefix>& prefixes) {
  for (const config::Prefix& prefix : prefixes) {
    if (up_ && is_routed(prefix)) queue(verb, route_of(prefix));
    const bool wanted = is_unreachable_behind(prefix);
    if (verb == RouteVerb::kRemove ? !wanted && may_be_there(prefix) : wanted)
      queue(verb, unreachable(prefix, table()));
    reconsider_kept_within(prefix);
  }
}

// A peer's prefix came or went: prefixes kept within it belong to that peer, or to none.
void AllowedRoutes::reconsider_kept_within(const config::Prefix& prefix) {
  for (auto at = kept_.lower_bound(prefix); at != kept_.end() && config::contains(prefix, *at); ++at) {
    if (*at == prefix || book_.holds(*at) || !may_be_there(*at)) continue;
    queue(is_unreachable_behind(*at) ? RouteVerb::kReplace : RouteVerb::kRemove, unreachable(*at, table()));
  }
}

void AllowedRoutes::keep(const config::Prefix& prefix) {
  kept_.insert(prefix);
  if (is_unreachable_behind(prefix)) queue(RouteVerb::kReplace, unreachable(prefix, table()));
}

void AllowedRoutes::forget(const config::Prefix& prefix) {
  const bool was_kept = kept_.erase(prefix) != 0;
  if (was_kept && !is_unreachable_behind(prefix) && may_be_there(prefix))
    queue(RouteVerb::kRemove, unreachable(prefix, table()));
}

void AllowedRoutes::flush() {
  if (waiting_.empty()) return;
  const std::vector<RouteSpec> routes = std::exchange(waiting_, {});
  const BatchOutcome outcome = linux_.change(waiting_verb_, routes);
  // Routes that are there already do not count: they were not missing.
  if (waiting_verb_ == RouteVerb::kAdd) put_back_ += outcome.done;
  if (outcome.failed != 0 && waiting_verb_ == RouteVerb::kReplace) {
    log_->write(log_event::routes_failed, {}, "{} of {} routes: {}", outcome.failed, routes.size(),
                outcome.first_failure.error().text);
  }
}

// ---------------------------------------------------------------- addresses

void AllowedRoutes::change_networks(RouteVerb verb) {
  for (const config::Prefix& network : networks()) queue(verb, unreachable(network, RT_TABLE_MAIN));
}

// The prefixes that an address decides about: the peers' and the kept ones within the networks.
std::vector<config::Prefix> AllowedRoutes::within(const std::set<config::Prefix>& networks) const {
  std::vector<config::Prefix> prefixes = book_.allowed_ips();
  prefixes.insert(prefixes.end(), kept_.begin(), kept_.end());
  std::erase_if(prefixes, [&](const config::Prefix& prefix) {
    return std::none_of(networks.begin(), networks.end(),
                        [&](const config::Prefix& network) { return config::contains(network, prefix); });
  });
  return prefixes;
}

void AllowedRoutes::set_addresses(const std::vector<config::InterfaceAddress>& addresses) {
  flush();
  const auto is_v4 = [](const config::InterfaceAddress& own) { return own.address.is_v4(); };
  const bool had_ipv4 = std::any_of(addresses_.begin(), addresses_.end(), is_v4);
  const bool has_ipv4 = std::any_of(addresses.begin(), addresses.end(), is_v4);
  std::set<config::Prefix> touched;
  for (const auto* list : {&std::as_const(addresses_), &addresses})
    for (const config::InterfaceAddress& own : *list) touched.insert(network_of(own));
  const std::vector<config::Prefix> prefixes = within(touched);
  const std::set<config::Prefix> networks_before = networks();
  std::vector<bool> routed, backed;
  for (const config::Prefix& prefix : prefixes) {
    routed.push_back(is_routed(prefix) && book_.holds(prefix));
    backed.push_back(is_unreachable_behind(prefix));
  }
  addresses_ = addresses;
  change_networks(RouteVerb::kReplace);
  const std::set<config::Prefix> networks_now = networks();
  // The order: no prefix is without a route in between.
  for (const RouteVerb verb : {RouteVerb::kReplace, RouteVerb::kRemove}) {
    const bool comes = verb == RouteVerb::kReplace;
    for (std::size_t i = 0; i < prefixes.size(); ++i) {
      const bool route = is_routed(prefixes[i]) && book_.holds(prefixes[i]);
      const bool behind = is_unreachable_behind(prefixes[i]);
      if (up_ && route == comes && routed[i] != comes) queue(verb, route_of(prefixes[i]));
      // A peer may have a whole network: then one route stands behind both.
      if (!comes && table() == RT_TABLE_MAIN && networks_now.contains(prefixes[i])) continue;
      if (behind == comes && backed[i] != comes) queue(verb, unreachable(prefixes[i], table()));
    }
  }
  for (const config::Prefix& network : networks_before) {
    const bool of_a_peer = table() == RT_TABLE_MAIN && is_unreachable_behind(network);
    if (!networks_now.contains(network) && !of_a_peer)
      queue(RouteVerb::kRemove, unreachable(network, RT_TABLE_MAIN));
  }
  flush();
  if (had_ipv4 && !has_ipv4 && up_) go_up();
}

// ---------------------------------------------------------------- comparing with Linux

void AllowedRoutes::compare_unreachable(const config::Prefix& prefix, std::uint32_t table, bool wanted) {
  const std::vector<Route>* routes = linux_.find(table, to_dataplane(prefix));
  const bool there = routes != nullptr && std::any_of(routes->begin(), routes->end(), [&](const Route& r) {
                       return r.metric == metric_ && r.forwarding->type == RTN_UNREACHABLE;
                     });
  // After another `on_loss` whatever the mirror says: it may not know yet of what was set a moment ago.
  if (there == wanted && !other_on_loss_) return;
  const RouteVerb add = other_on_loss_ ? RouteVerb::kReplace : RouteVerb::kAdd;  // was it ever there?
  queue(wanted ? add : RouteVerb::kRemove, unreachable(prefix, table));
}

bool AllowedRoutes::lacks_route(const config::Prefix& prefix) const {
  if (!up_ || !is_routed(prefix) || !book_.holds(prefix)) return false;
  const std::uint32_t metric = prefix.address.is_v4() ? 0 : kIpv6Metric;
  const std::vector<Route>* routes = linux_.find(table(), to_dataplane(prefix));
  return routes == nullptr || std::none_of(routes->begin(), routes->end(), [&](const Route& route) {
           const auto& hops = route.forwarding->nexthops;
           return route.metric == metric && hops.size() == 1 && hops[0].ifindex == netdev_.ifindex;
         });
}

void AllowedRoutes::compare_prefix(const config::Prefix& prefix) {
  if (lacks_route(prefix)) queue(RouteVerb::kAdd, route_of(prefix));
  if (table() == RT_TABLE_MAIN && is_network(prefix)) return;  // compared as such
  compare_unreachable(prefix, table(), is_unreachable_behind(prefix));
}

void AllowedRoutes::compare_kept_and_networks() {
  for (const config::Prefix& prefix : kept_) compare_prefix(prefix);
  const std::set<config::Prefix> wanted = networks();
  for (const config::InterfaceAddress& own : addresses_) {
    const config::Prefix network = network_of(own);
    if (table() == RT_TABLE_MAIN && book_.holds(network) && is_routed(network)) continue;
    compare_unreachable(network, RT_TABLE_MAIN, wanted.contains(network));
  }
}

// The peers of some slots. False: that was all.
bool AllowedRoutes::compare_some() {
  const std::uint32_t first = *next_.compared;
  const std::uint32_t slots = book_.slots();
  if (first == 0) compare_kept_and_networks();
  for (std::uint32_t slot = first; slot < slots && slot < first + kSlotsAtOnce; ++slot) {
    if (const PeerRecord* record = book_.find_slot(slot))
      for (const config::Prefix& prefix : record->allowed_ips) compare_prefix(prefix);
  }
  next_.compared = first + kSlotsAtOnce;
  if (*next_.compared >= slots) {
    next_.compared.reset();
    other_on_loss_ = false;
  }
  return next_.compared.has_value();
}

void AllowedRoutes::note(std::uint32_t table, const config::Prefix& prefix) {
  const bool of_peers = table == this->table() && (book_.holds(prefix) || kept_.contains(prefix));
  if (of_peers || (table == RT_TABLE_MAIN && is_network(prefix))) noted_.push_back(prefix);
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

void AllowedRoutes::remove_leftovers() {
  for (RouteSpec& route : std::exchange(leftovers_, {})) {
    const config::Prefix prefix{to_config(route.prefix.address), route.prefix.length};
    const bool ours = (route.table == table() && is_unreachable_behind(prefix)) ||
                      (route.table == RT_TABLE_MAIN && networks().contains(prefix));
    if (!ours) queue(RouteVerb::kRemove, std::move(route));
  }
}

void AllowedRoutes::advance(std::chrono::steady_clock::time_point until) {
  if (!leftovers_.empty()) remove_leftovers();
  const auto in_time = [until] { return std::chrono::steady_clock::now() < until; };
  while (next_.set && set_some() && in_time()) {
  }
  while (next_.compared && compare_some() && in_time()) {
  }
  for (std::size_t i = 0; i < kNotedAtOnce && !due_.empty() && in_time(); ++i) {
    const config::Prefix prefix = due_.back();
    due_.pop_back();
    compare_prefix(prefix);
    if (is_network(prefix) && networks().contains(prefix)) compare_unreachable(prefix, RT_TABLE_MAIN, true);
  }
  flush();
}

}  // namespace wg::control
