// The changes of the kernel's state, in order, for those who follow it.
#pragma once

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
  // Consecutive repeats are noted once. During a dump nothing is noted: it reports state and not changes.
  void note(const Change& change);
  [[nodiscard]] std::vector<Change> take() { return std::exchange(changes_, {}); }
  [[nodiscard]] bool empty() const { return changes_.empty(); }
  void clear() { changes_.clear(); }

  [[nodiscard]] bool loading() const { return loading_; }  // a dump is being read
  void set_loading(bool loading) { loading_ = loading; }

 private:
  std::vector<Change> changes_;
  bool loading_ = false;
};

}  // namespace wg::control
