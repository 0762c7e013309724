// The kernel's routes of the allowed IPs of an interface: which prefixes need one, how they reach the kernel
// in few messages, and what stands behind them.
//
// Behind the route of each prefix stands an unreachable one of a high metric, for as long as the interface
// is configured: when the route is lost (the netdev goes down, another program deletes it), its packets are
// refused instead of leaving in clear by the default route (docs/decisions/0041-no-clear-text.md). Prefixes
// without a peer may be kept that way too.
//
// W: Interface and InterfacePeers. Control thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "config/types.h"
#include "control/interface/peer_book.h"
#include "control/kernel/netlink_configure.h"
#include "control/kernel/route_table.h"
#include "control/log.h"

namespace wg::control {

// The metric of the unreachable routes of an interface: above kGreatestMetric, and another one for each name,
// so that of two interfaces with one prefix each has its own.
[[nodiscard]] std::uint32_t metric_of_unreachable(const std::string& interface);

class AllowedRoutes {
 public:
  // Requests to Linux.
  struct Linux {
    std::function<BatchOutcome(RouteVerb, std::span<const RouteSpec>)> change;
    // As the mirror knows them, which may be a moment behind.
    std::function<const std::vector<Route>*(std::uint32_t table, const IpPrefix&)> find;
  };
  struct Netdev {
    std::string name;
    std::uint32_t ifindex;
  };
  // The parts of `value` in use: routes, table, addresses and on_loss.
  AllowedRoutes(const PeerBook& book, Linux calls, Logger log, Netdev netdev, const config::Interface& value);

  // Which routes there shall be, and where.
  void configure(config::Routes routes, std::optional<std::uint32_t> table);
  // The unreachable routes behind them. The kernel follows with advance().
  void set_on_loss(config::OnLoss on_loss);
  // The netdev went up: the kernel has dropped its routes when it went down. The first of them are set at
  // once, the others by advance().
  void go_up();
  [[nodiscard]] bool is_going_up() const { return next_.set.has_value(); }
  void go_down();
  // The interface is about to go. Once its peers are gone too, nothing of it is left in the kernel.
  void end();

  // The routes of allowed IPs that were added or removed; the book knows of it. Batched until flush(): one
  // netlink exchange per 256 routes.
  void change(RouteVerb verb, const std::vector<config::Prefix>& prefixes);
  void flush();
  // A prefix stays unreachable while no peer has it, or does no more.
  void keep(const config::Prefix& prefix);
  void forget(const config::Prefix& prefix);

  // The addresses have changed, which decide what needs a route. With the last IPv4 address of a device Linux
  // drops its IPv4 routes (fib_disable_ip).
  void set_addresses(const std::vector<config::InterfaceAddress>& addresses);

  // ---- comparing with Linux. What is missing is put back by advance().
  // Everything, in steps.
  void compare() { next_.compared = 0; }
  // A route of this prefix has changed in Linux.
  void note(std::uint32_t table, const config::Prefix& prefix);
  // Once a second: what was noted a second ago is compared. Until then it may be a change that is not
  // complete.
  void compare_noted();
  // Missing routes among the noted prefixes: those that should have one and have none.
  [[nodiscard]] std::vector<config::Prefix> lost() const;
  // How many routes were put back since the last call.
  [[nodiscard]] std::size_t take_put_back() { return std::exchange(put_back_, 0); }
  void advance(std::chrono::steady_clock::time_point until);
  [[nodiscard]] bool has_more_to_do() const { return next_.set || next_.compared || !due_.empty(); }
  // Unreachable routes of an earlier run that crashed. Those that are not wanted are removed once the peers
  // have come.
  void adopt(std::vector<RouteSpec> leftovers) { leftovers_ = std::move(leftovers); }

 private:
  [[nodiscard]] bool is_routed(const config::Prefix& prefix) const;
  [[nodiscard]] bool may_stand_behind(const config::Prefix& prefix) const;
  [[nodiscard]] bool may_be_there(const config::Prefix& prefix) const;
  [[nodiscard]] bool is_unreachable_behind(const config::Prefix& prefix) const;
  [[nodiscard]] bool is_connected(const config::Prefix& prefix) const;
  [[nodiscard]] bool is_covered(const config::Prefix& prefix) const;
  [[nodiscard]] bool is_network(const config::Prefix& prefix) const;
  [[nodiscard]] std::set<config::Prefix> networks() const;
  [[nodiscard]] RouteSpec route_of(const config::Prefix& prefix) const;
  [[nodiscard]] RouteSpec unreachable(const config::Prefix& prefix, std::uint32_t table) const;
  [[nodiscard]] std::uint32_t table() const { return table_.value_or(std::uint32_t{RT_TABLE_MAIN}); }
  [[nodiscard]] std::vector<config::Prefix> within(const std::set<config::Prefix>& networks) const;
  void queue(RouteVerb verb, RouteSpec route);
  void queue_all(RouteVerb verb);
  void change_networks(RouteVerb verb);
  void reconsider_kept_within(const config::Prefix& prefix);
  [[nodiscard]] bool lacks_route(const config::Prefix& prefix) const;
  void compare_prefix(const config::Prefix& prefix);
  void compare_unreachable(const config::Prefix& prefix, std::uint32_t table, bool wanted);
  void compare_kept_and_networks();
  bool set_some();
  bool compare_some();
  void remove_leftovers();

  const PeerBook& book_;
  Linux linux_;
  Logger log_;
  Netdev netdev_;
  std::uint32_t metric_;
  config::Routes routes_;
  std::optional<std::uint32_t> table_;
  config::OnLoss on_loss_;
  std::vector<config::InterfaceAddress> addresses_;
  std::set<config::Prefix> kept_;
  bool up_ = false;
  RouteVerb waiting_verb_ = RouteVerb::kReplace;
  std::vector<RouteSpec> waiting_;
  struct NextSlots {                        // nullopt: all are done, or nothing is to be done
    std::optional<std::uint32_t> set;       // routes of an interface that goes up
    std::optional<std::uint32_t> compared;  // with Linux
  } next_;
  bool other_on_loss_ = false;                          // that is why
  std::vector<config::Prefix> noted_, settling_, due_;  // since the last look, the one before, and before
  std::size_t put_back_ = 0;
  std::vector<RouteSpec> leftovers_;
};

}  // namespace wg::control
