// Which paths may lead elsewhere after routes or links changed.
#pragma once

#include <vector>

#include "control/kernel/types.h"

namespace wg::control {

struct RoutesChanged {
  bool everywhere = false;
  std::vector<IpPrefix> prefixes;  // only towards (or from) these; sorted, none within another

  // Brings `prefixes` into that form.
  void narrow();
  [[nodiscard]] bool any() const { return everywhere || !prefixes.empty(); }
  [[nodiscard]] bool concerns(const IpAddress& address) const;
};

}  // namespace wg::control
