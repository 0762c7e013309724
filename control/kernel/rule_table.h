// The mirrored routing rules (`ip rule`), by priority.
#pragma once

#include <array>
#include <vector>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

class RuleTable {
 public:
  [[nodiscard]] const std::vector<RoutingRule>& of(bool v6) const { return rules_[v6 ? 1 : 0]; }
  // True when the rules are the kernel's defaults (local, main, default, VRFs). Then local + main, or a VRF's
  // table, decide everything and may be published as one table.
  [[nodiscard]] bool are_default(bool v6) const;
  // True when no rule selects by a property that a lookup does not know (source, interface, ports, user).
  [[nodiscard]] bool are_evaluated(bool v6) const;

  bool put(const RoutingRule& rule);     // false: it was known
  bool remove(const RoutingRule& rule);  // false: it was not known
  void clear();

 private:
  std::array<std::vector<RoutingRule>, 2> rules_;  // IPv4, IPv6
};

}  // namespace wg::control
