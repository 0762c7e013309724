#include "control/kernel/change_log.h"

namespace wg::control {
namespace {

bool same_change(const Change& a, const Change& b) {
  if (a.index() != b.index()) return false;
  if (const auto* route = std::get_if<RouteChanged>(&a)) {
    const auto& other = std::get<RouteChanged>(b);
    return route->table == other.table && route->prefix == other.prefix;
  }
  if (const auto* neighbour = std::get_if<NeighbourChanged>(&a)) {
    const auto& other = std::get<NeighbourChanged>(b);
    return neighbour->ifindex == other.ifindex && neighbour->address == other.address;
  }
  if (const auto* address = std::get_if<AddressChanged>(&a)) {
    const auto& other = std::get<AddressChanged>(b);
    return address->ifindex == other.ifindex && address->address == other.address;
  }
  if (const auto* link = std::get_if<LinkChanged>(&a))
    return link->ifindex == std::get<LinkChanged>(b).ifindex;
  return true;
}

}  // namespace

void ChangeLog::note(const Change& change) {
  if (!changes_.empty() && same_change(changes_.back(), change)) return;
  changes_.push_back(change);
}

}  // namespace wg::control
