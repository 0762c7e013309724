// The kernel's routes of the allowed IPs of an interface: which prefixes need one, how they reach the kernel
// in few messages, and what stands behind them.
//
// Behind the route of each prefix stands an unreachable one of a high metric, for as long as the interface
// is configured: when the route is lost (the netdev goes down, another program deletes it), its packets are
// refused instead of leaving in clear by the default route (docs/decisions/0041-no-clear-text.md). Prefixes
// without a peer may be kept that way too.
//
// What concerns all prefixes takes steps, since there may be very many: another setting or address, up and
// down, a comparison.
//
// W: Interface and InterfacePeers. Control thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "config/types.h"
#include "control/interface/peer_book.h"
#include "control/interface/prefix_walk.h"
#include "control/interface/route_requests.h"
#include "control/interface/route_rules.h"

namespace wg::control {

class AllowedRoutes {
 public:
  AllowedRoutes(const PeerBook& book, RouteRequests requests, RouteRules rules);

  // ---- what decides about the routes. The kernel follows with advance().
  void set_routes(config::Routes routes, std::optional<std::uint32_t> table);
  void set_on_loss(config::OnLoss on_loss);
  // With the last IPv4 address of a device Linux drops its IPv4 routes (fib_disable_ip).
  void set_addresses(const std::vector<config::InterfaceAddress>& addresses);

  // ---- the netdev
  // It went up: the kernel has dropped its routes when it went down. The first of them are set at once, the
  // others by advance().
  void go_up();
  void go_down();
  // For a netdev that is about to lose its routes: to drop very many takes Linux tens of milliseconds, so
  // they go before, in steps. False: there are few left, or none.
  bool withdraw_some();
  [[nodiscard]] const RouteRules& rules() const { return now_; }
  // The interface is about to go. Once its peers are gone too, nothing of it is left in the kernel.
  void end();
  // Before, in steps. False: no prefix is kept any more.
  bool forget_some();

  // The routes of allowed IPs that were added or removed; the book knows of it. Gathered until flush().
  void change(RouteVerb verb, const std::vector<config::Prefix>& prefixes);
  void flush() { requests_.flush(); }
  // A prefix stays unreachable while no peer has it, or does no more.
  void keep(const config::Prefix& prefix);
  void forget(const config::Prefix& prefix);

  // ---- comparing with Linux. What is missing is put back by advance().
  // Everything, in steps.
  void compare() { walks_.compared = PrefixWalk(); }
  // A route of this prefix has changed in Linux.
  void note(std::uint32_t table, const config::Prefix& prefix);
  // Once a second: what was noted a second ago is compared. Until then it may be a change that is not
  // complete.
  void compare_noted();
  // Missing routes among the noted prefixes: those that should have one and have none.
  [[nodiscard]] std::vector<config::Prefix> lost() const;
  // How many routes were put back since the last call.
  [[nodiscard]] std::size_t take_put_back() { return requests_.take_added(); }
  void advance(std::chrono::steady_clock::time_point until);
  // The kernel has not all routes yet that go_up() or another rule asks for.
  [[nodiscard]] bool is_following() const { return walks_.set || walks_.followed; }
  [[nodiscard]] bool has_more_to_do() const {
    return is_following() || walks_.compared || !due_.empty() || !leftovers_.empty();
  }
  // Unreachable routes of an earlier run that crashed. Those that are not wanted are removed once the peers
  // have come.
  void adopt(std::vector<RouteSpec> leftovers) { leftovers_ = std::move(leftovers); }

 private:
  using Prefixes = std::vector<config::Prefix>;
  [[nodiscard]] std::optional<Prefixes> next(std::optional<PrefixWalk>& walk, std::size_t count) const;

  void change_rules(RouteRules rules);
  void follow_from(RouteRules rules);
  void set_behind(const config::Prefix& prefix);
  void set_unless_before(const config::Prefix& prefix);
  void drop(const config::Prefix& prefix);
  void drop_of(const RouteRules& rules, const config::Prefix& prefix);
  void drop_route_of(const RouteRules& rules, const config::Prefix& prefix);
  void drop_those_before(const config::Prefix& prefix);
  void set_networks();
  void drop_networks_of(const RouteRules& rules);
  void reconsider_kept_within(const config::Prefix& prefix);
  void reconsider_all();
  [[nodiscard]] bool lacks_route(const config::Prefix& prefix) const;
  void compare_prefix(const config::Prefix& prefix);
  void compare_unreachable(const config::Prefix& prefix, std::uint32_t table, bool wanted);
  void compare_networks();
  // The next steps of the walks; false: that was all.
  bool set_some();
  bool follow_some();
  bool compare_some();
  bool compare_some_noted();
  bool remove_some_leftovers();

  const PeerBook& book_;
  std::set<config::Prefix> kept_;
  RouteNeeds needs_;
  RouteRequests requests_;
  RouteRules now_;
  std::vector<RouteRules> before_;  // of which routes may be left; empty: none
  bool up_ = false;
  struct Walks {                          // nullopt: all are done, or nothing is to be done
    std::optional<PrefixWalk> set;        // routes of an interface that goes up
    std::optional<PrefixWalk> followed;   // from `before_` to `now_`
    std::optional<PrefixWalk> compared;   // with Linux
    std::optional<PrefixWalk> withdrawn;  // it stays at its end until the netdev goes down or up
  } walks_;
  std::vector<config::Prefix> noted_, settling_, due_;  // since the last look, the one before, and before
  std::vector<RouteSpec> leftovers_;
};

}  // namespace wg::control
