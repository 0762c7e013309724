#include "control/publish/routes_changed.h"

#include <algorithm>
#include <iterator>

namespace wg::control {

void RoutesChanged::add(const IpPrefix& prefix) {
  if (everywhere) return;
  prefixes.push_back(prefix);
  if (prefixes.size() > kPrefixesMax) add(all());
}

void RoutesChanged::add(const RoutesChanged& more) {
  if (more.everywhere) prefixes.clear();
  everywhere = everywhere || more.everywhere;
  for (const IpPrefix& prefix : more.prefixes) add(prefix);
}

void RoutesChanged::narrow() {
  for (IpPrefix& prefix : prefixes) prefix = prefix.network();
  std::sort(prefixes.begin(), prefixes.end());
  const auto within = [](const IpPrefix& wide, const IpPrefix& prefix) {
    return wide.contains(prefix.address);
  };
  prefixes.erase(std::unique(prefixes.begin(), prefixes.end(), within), prefixes.end());
}

// Called for both ends of every path, so it is a binary search.
bool RoutesChanged::concerns(const IpAddress& address) const {
  const auto after = std::upper_bound(prefixes.begin(), prefixes.end(), IpPrefix{address, 255});
  return everywhere || (after != prefixes.begin() && std::prev(after)->contains(address));
}

}  // namespace wg::control
