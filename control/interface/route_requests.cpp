#include "control/interface/route_requests.h"

#include <algorithm>

#include "control/convert.h"

namespace wg::control {

namespace {

constexpr std::size_t kRoutesWaiting = 256;        // to set them takes most of a millisecond
constexpr std::uint32_t kMetrics = 2'000'000'000;  // so many for the names of interfaces

}  // namespace

// FNV-1a.
std::uint32_t metric_of_unreachable(const std::string& interface) {
  std::uint32_t hash = 0x811c9dc5;
  for (const char c : interface) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x01000193;
  return config::kGreatestMetric + 1 + hash % kMetrics;
}

RouteRequests::RouteRequests(Linux calls, Logger log, Netdev netdev)
    : linux_(std::move(calls)),
      log_(std::move(log)),
      netdev_(std::move(netdev)),
      metric_(metric_of_unreachable(netdev_.name)) {}

void RouteRequests::change_route(RouteVerb verb, const config::Prefix& prefix, std::uint32_t table) {
  RouteSpec route = RouteSpec::via_device(to_dataplane(prefix), netdev_.ifindex);
  route.table = table;
  queue(verb, std::move(route));
}

void RouteRequests::change_unreachable(RouteVerb verb, const config::Prefix& prefix, std::uint32_t table) {
  RouteSpec route;
  route.prefix = to_dataplane(prefix);
  route.type = RTN_UNREACHABLE;
  route.table = table;
  route.metric = metric_;
  queue(verb, std::move(route));
}

void RouteRequests::queue(RouteVerb verb, RouteSpec route) {
  if (verb != verb_ || waiting_.size() >= kRoutesWaiting) flush();
  verb_ = verb;
  waiting_.push_back(std::move(route));
}

void RouteRequests::flush() {
  if (waiting_.empty()) return;
  const std::vector<RouteSpec> routes = std::exchange(waiting_, {});
  const BatchOutcome outcome = linux_.change(verb_, routes);
  // Routes that are there already do not count: they were not missing.
  if (verb_ == RouteVerb::kAdd) added_ += outcome.done;
  if (outcome.failed != 0 && verb_ == RouteVerb::kReplace) {
    log_->write(log_event::routes_failed, {}, "{} of {} routes: {}", outcome.failed, routes.size(),
                outcome.first_failure.error().text);
  }
}

bool RouteRequests::sees_route(const config::Prefix& prefix, std::uint32_t table) const {
  const std::uint32_t metric = prefix.address.is_v4() ? 0 : kIpv6Metric;
  const std::vector<Route>* routes = linux_.find(table, to_dataplane(prefix));
  return routes != nullptr && std::any_of(routes->begin(), routes->end(), [&](const Route& route) {
           const auto& hops = route.forwarding->nexthops;
           return route.metric == metric && hops.size() == 1 && hops[0].ifindex == netdev_.ifindex;
         });
}

bool RouteRequests::sees_unreachable(const config::Prefix& prefix, std::uint32_t table) const {
  const std::vector<Route>* routes = linux_.find(table, to_dataplane(prefix));
  return routes != nullptr && std::any_of(routes->begin(), routes->end(), [&](const Route& route) {
           return route.metric == metric_ && route.forwarding->type == RTN_UNREACHABLE;
         });
}

}  // namespace wg::control
