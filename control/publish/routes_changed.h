// Which paths may lead elsewhere after routes or links changed.
#pragma once

#include <cstddef>
#include <vector>

#include "control/kernel/types.h"

namespace wg::control {

struct RoutesChanged {
  bool everywhere = false;
  std::vector<IpPrefix> prefixes;  // only towards (or from) these; sorted, none within another

  // Beyond this many prefixes it is cheaper to look at every path.
  static constexpr std::size_t kPrefixesMax = 4096;

  [[nodiscard]] static RoutesChanged all() { return {true, {}}; }
  void add(const IpPrefix& prefix);
  void add(const RoutesChanged& more);
  // Brings `prefixes` into that form.
  void narrow();
  [[nodiscard]] bool any() const { return everywhere || !prefixes.empty(); }
  [[nodiscard]] bool concerns(const IpAddress& address) const;
};

}  // namespace wg::control
