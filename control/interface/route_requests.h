// Requests for the kernel's routes of an interface, gathered: one netlink exchange per 256 routes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/types.h"
#include "control/kernel/netlink_configure.h"
#include "control/kernel/route_table.h"
#include "control/log.h"

namespace wg::control {

// The metric of the unreachable routes of an interface: above kGreatestMetric, and another one for each name,
// so that of two interfaces with one prefix each has its own.
[[nodiscard]] std::uint32_t metric_of_unreachable(const std::string& interface);

class RouteRequests {
 public:
  struct Linux {
    std::function<BatchOutcome(RouteVerb, std::span<const RouteSpec>)> change;
    // As the mirror knows them, which may be a moment behind.
    std::function<const std::vector<Route>*(std::uint32_t table, const IpPrefix&)> find;
  };
  struct Netdev {
    std::string name;
    std::uint32_t ifindex;
  };
  RouteRequests(Linux calls, Logger log, Netdev netdev);

  // ---- of the next flush(), or an earlier one
  void change_route(RouteVerb verb, const config::Prefix& prefix, std::uint32_t table);
  // The unreachable route behind it.
  void change_unreachable(RouteVerb verb, const config::Prefix& prefix, std::uint32_t table);
  void remove(RouteSpec route) { queue(RouteVerb::kRemove, std::move(route)); }
  void flush();
  // How many routes kAdd has added since the last call: they were missing.
  [[nodiscard]] std::size_t take_added() { return std::exchange(added_, 0); }

  // ---- what the mirror knows
  [[nodiscard]] bool sees_route(const config::Prefix& prefix, std::uint32_t table) const;
  [[nodiscard]] bool sees_unreachable(const config::Prefix& prefix, std::uint32_t table) const;

 private:
  void queue(RouteVerb verb, RouteSpec route);

  Linux linux_;
  Logger log_;
  Netdev netdev_;
  std::uint32_t metric_;
  RouteVerb verb_ = RouteVerb::kReplace;  // of those that wait
  std::vector<RouteSpec> waiting_;
  std::size_t added_ = 0;
};

}  // namespace wg::control
