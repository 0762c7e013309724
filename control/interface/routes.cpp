// The kernel's routes of allowed IPs: which prefixes need one, and how they reach the kernel in few messages.
#include <algorithm>
#include <iterator>
#include <utility>

#include "control/convert.h"
#include "control/interface/interface.h"

namespace wg::control {

namespace {

constexpr std::size_t kRoutesWaiting = 4096;

}  // namespace

bool Interface::wants_route(const config::Prefix& prefix) const {
  // A default route would capture the outer packets of the interface itself: the operator decides
  // (docs/operations.md).
  if (routes_ == config::Routes::kOff || (prefix.length == 0 && !table_)) return false;
  return std::none_of(addresses_.begin(), addresses_.end(), [&](const config::InterfaceAddress& own) {
    return !table_ && own.length <= prefix.length &&
           config::contains(config::prefix_of(own.address, own.length), prefix);
  });
}

RouteSpec Interface::route_of(const config::Prefix& prefix) const {
  RouteSpec route = RouteSpec::via_device(to_dataplane(prefix), tun_->ifindex());
  if (table_) route.table = *table_;
  return route;
}

// Sorted.
std::vector<config::Prefix> Interface::routed_prefixes() const {
  std::vector<config::Prefix> prefixes;
  for (const auto& [key, record] : peers_) {
    std::copy_if(record->allowed_ips.begin(), record->allowed_ips.end(), std::back_inserter(prefixes),
                 [this](const config::Prefix& prefix) { return wants_route(prefix); });
  }
  std::sort(prefixes.begin(), prefixes.end());
  return prefixes;
}

void Interface::adjust_routes(const std::vector<config::Prefix>& before) {
  flush_routes();
  const std::vector<config::Prefix> now = routed_prefixes();
  std::vector<config::Prefix> gone, fresh;
  std::set_difference(before.begin(), before.end(), now.begin(), now.end(), std::back_inserter(gone));
  std::set_difference(now.begin(), now.end(), before.begin(), before.end(), std::back_inserter(fresh));
  send_routes(RouteVerb::kReplace, fresh);
  send_routes(RouteVerb::kRemove, gone);
}

// Batched until flush_routes(): one netlink exchange per 4096 routes instead of one per route.
void Interface::change_routes(RouteVerb verb, const std::vector<config::Prefix>& prefixes) {
  if (verb != waiting_verb_ || waiting_routes_.size() >= kRoutesWaiting) flush_routes();
  waiting_verb_ = verb;
  std::copy_if(prefixes.begin(), prefixes.end(), std::back_inserter(waiting_routes_),
               [this](const config::Prefix& prefix) { return wants_route(prefix); });
}

void Interface::flush_routes() {
  if (!waiting_routes_.empty()) send_routes(waiting_verb_, std::exchange(waiting_routes_, {}));
}

void Interface::send_routes(RouteVerb verb, const std::vector<config::Prefix>& prefixes) {
  if (prefixes.empty() || !engine_ || !engine_->is_up()) return;
  std::vector<RouteSpec> routes;
  routes.reserve(prefixes.size());
  for (const config::Prefix& prefix : prefixes) routes.push_back(route_of(prefix));
  const BatchOutcome outcome = services_.netlink.change_routes(verb, routes);
  if (outcome.failed != 0 && verb != RouteVerb::kRemove) {
    log_->warn("{} of {} routes: {}", outcome.failed, routes.size(), outcome.first_failure.error().text);
  }
}

}  // namespace wg::control
