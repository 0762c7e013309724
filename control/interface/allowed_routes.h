// The kernel's routes of the allowed IPs of an interface: which prefixes need one, and how they reach the
// kernel in few messages.
//
// W: Interface and InterfacePeers. Control thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/types.h"
#include "control/interface/core.h"

namespace wg::control {

class AllowedRoutes {
 public:
  AllowedRoutes(const InterfaceCore& core, config::Routes routes, std::optional<std::uint32_t> table)
      : core_(core), routes_(routes), table_(table) {}

  // Which routes there shall be, and where.
  void configure(config::Routes routes, std::optional<std::uint32_t> table);
  // The netdev went up: the kernel has dropped its routes when it went down.
  void go_up();
  void go_down();
  // The netdev is about to be deleted, and its routes with it: nothing reaches the kernel any more.
  void abandon() { up_ = false; }

  // The routes of allowed IPs that were added or removed. Batched until flush(): one netlink exchange per
  // 4096 routes.
  void change(RouteVerb verb, const std::vector<config::Prefix>& prefixes);
  void flush();

  // The prefixes that need a route, sorted.
  [[nodiscard]] std::vector<config::Prefix> routed() const;
  // The addresses have changed, which decide what needs a route; `before` is routed() of before.
  void adjust(const std::vector<config::Prefix>& before);
  // With the last IPv4 address of a device Linux drops its IPv4 routes (fib_disable_ip).
  void restore() { send(RouteVerb::kReplace, routed()); }

 private:
  [[nodiscard]] bool wants(const config::Prefix& prefix) const;
  [[nodiscard]] RouteSpec route_of(const config::Prefix& prefix) const;
  void send(RouteVerb verb, const std::vector<config::Prefix>& prefixes);

  const InterfaceCore& core_;
  config::Routes routes_;
  std::optional<std::uint32_t> table_;
  bool up_ = false;
  RouteVerb waiting_verb_ = RouteVerb::kReplace;
  std::vector<config::Prefix> waiting_;
};

}  // namespace wg::control
