#include "control/interface/allowed_routes.h"

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <utility>

#include "control/convert.h"

namespace wg::control {

namespace {

constexpr std::size_t kRoutesWaiting = 4096;

}  // namespace

bool AllowedRoutes::wants(const config::Prefix& prefix) const {
  // A default route would capture the outer packets of the interface itself: the operator decides
  // (docs/operations.md).
  if (routes_ == config::Routes::kOff || (prefix.length == 0 && !table_)) return false;
  return table_.has_value() || !core_.netdev.is_connected(prefix);
}

RouteSpec AllowedRoutes::route_of(const config::Prefix& prefix) const {
  RouteSpec route = RouteSpec::via_device(to_dataplane(prefix), core_.netdev.ifindex());
  if (table_) route.table = *table_;
  return route;
}

std::vector<config::Prefix> AllowedRoutes::routed() const {
  std::vector<config::Prefix> prefixes = core_.book.allowed_ips();
  std::erase_if(prefixes, [this](const config::Prefix& prefix) { return !wants(prefix); });
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

void AllowedRoutes::configure(config::Routes routes, std::optional<std::uint32_t> table) {
  const std::vector<config::Prefix> prefixes = core_.book.allowed_ips();
  change(RouteVerb::kRemove, prefixes);
  flush();
  routes_ = routes;
  table_ = table;
  change(RouteVerb::kReplace, prefixes);
  flush();
}

void AllowedRoutes::go_up() {
  up_ = true;
  change(RouteVerb::kReplace, core_.book.allowed_ips());
  flush();
}

void AllowedRoutes::go_down() {
  flush();
  up_ = false;
}

void AllowedRoutes::adjust(const std::vector<config::Prefix>& before) {
  flush();
  const std::vector<config::Prefix> now = routed();
  std::vector<config::Prefix> gone, fresh;
  std::set_difference(before.begin(), before.end(), now.begin(), now.end(), std::back_inserter(gone));
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(), std::back_inserter(fresh));
  send(RouteVerb::kReplace, fresh);
  send(RouteVerb::kRemove, gone);
}

void AllowedRoutes::change(RouteVerb verb, const std::vector<config::Prefix>& prefixes) {
  if (verb != waiting_verb_ || waiting_.size() >= kRoutesWaiting) flush();
  waiting_verb_ = verb;
  std::copy_if(prefixes.begin(), prefixes.end(), std::back_inserter(waiting_),
               [this](const config::Prefix& prefix) { return wants(prefix); });
}

void AllowedRoutes::flush() {
  if (!waiting_.empty()) send(waiting_verb_, std::exchange(waiting_, {}));
}

void AllowedRoutes::send(RouteVerb verb, const std::vector<config::Prefix>& prefixes) {
  if (prefixes.empty() || !up_) return;
  std::vector<RouteSpec> routes;
  routes.reserve(prefixes.size());
  for (const config::Prefix& prefix : prefixes) routes.push_back(route_of(prefix));
  const BatchOutcome outcome = core_.services.netlink.change_routes(verb, routes);
  if (outcome.failed != 0 && verb != RouteVerb::kRemove) {
    core_.log->warn("{} of {} routes: {}", outcome.failed, routes.size(), outcome.first_failure.error().text);
  }
}

}  // namespace wg::control
