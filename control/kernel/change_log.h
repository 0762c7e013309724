// The changes of the kernel's state, in order, for those who follow it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "control/kernel/types.h"

namespace wg::control {

struct LinkChanged {
  std::uint32_t ifindex;
};
struct AddressChanged {
  std::uint32_t ifindex;
  IpAddress address;
};
// A route of `prefix` in `table` was added or removed, or resolves differently (a nexthop's link went down).
struct RouteChanged {
  std::uint32_t table;
  IpPrefix prefix;
};
struct NeighbourChanged {
  std::uint32_t ifindex;
  IpAddress address;
};
struct RulesChanged {};
// A sysctl that switch_table.h holds has changed.
struct SwitchesChanged {};
// Everything may have changed: publish from scratch. Changes reported before this one may be discarded.
struct Resynced {};
using Change = std::variant<LinkChanged, AddressChanged, RouteChanged, NeighbourChanged, RulesChanged,
                            SwitchesChanged, Resynced>;

class ChangeLog {
 public:
  // Consecutive repeats are noted once.
  void note(const Change& change);
  [[nodiscard]] std::vector<Change> take() { return std::exchange(changes_, {}); }
  [[nodiscard]] bool empty() const { return changes_.empty(); }
  [[nodiscard]] std::size_t size() const { return changes_.size(); }
  void clear() { changes_.clear(); }

 private:
  std::vector<Change> changes_;
};

}  // namespace wg::control
