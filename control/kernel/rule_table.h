// The mirrored routing rules (`ip rule`), by priority.
#pragma once

#include <array>
#include <functional>
#include <vector>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

class RuleTable {
 public:
  [[nodiscard]] const std::vector<RoutingRule>& of(bool v6) const { return rules_[v6 ? 1 : 0]; }
  // True when the rules are the kernel's defaults (local, main, default, VRFs). Then local + main, or a VRF's
  // table, decide everything and may be published as one table.
  [[nodiscard]] bool are_default(bool v6) const;
  // The same for packets that are forwarded. Further rules may be there, as long as they select only what
  // this machine sends itself: by outgoing interface, by `iif lo`, or by one of its own addresses, which no
  // packet from a network may have as its source. `is_local` names those.
  [[nodiscard]] bool are_default_for_forwarded(bool v6,
                                               const std::function<bool(const IpAddress&)>& is_local) const;

  bool put(const RoutingRule& rule);     // false: it was known
  bool remove(const RoutingRule& rule);  // false: it was not known

 private:
  std::array<std::vector<RoutingRule>, 2> rules_;  // IPv4, IPv6
};

}  // namespace wg::control
