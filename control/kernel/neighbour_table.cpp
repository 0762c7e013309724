#include "control/kernel/neighbour_table.h"

#include <linux/neighbour.h>

#include <utility>

namespace wg::control {
namespace {

bool same_to_users(const Neighbour& a, const Neighbour& b) {
  constexpr unsigned kFailed = NUD_FAILED;
  return a.usable() == b.usable() && a.mac == b.mac && (a.state & kFailed) == (b.state & kFailed);
}

}  // namespace

const Neighbour* NeighbourTable::find(std::uint32_t ifindex, const IpAddress& address) const {
  const auto list = links_.find(ifindex);
  if (list == links_.end()) return nullptr;
  const auto at = list->second.find(address);
  return at == list->second.end() ? nullptr : &at->second;
}

void NeighbourTable::for_each(std::uint32_t ifindex,
                              const std::function<void(const Neighbour&)>& visit) const {
  const auto list = links_.find(ifindex);
  if (list == links_.end()) return;
  for (const auto& [address, neighbour] : list->second) visit(neighbour);
}

bool NeighbourTable::put(const Neighbour& neighbour) {
  auto& list = links_[neighbour.ifindex];
  const auto [at, is_new] = list.try_emplace(neighbour.address, neighbour);
  if (is_new) return true;
  return !same_to_users(std::exchange(at->second, neighbour), neighbour);
}

bool NeighbourTable::remove(const Neighbour& neighbour) {
  const auto list = links_.find(neighbour.ifindex);
  return list != links_.end() && list->second.erase(neighbour.address) != 0;
}

bool NeighbourTable::free_some(std::size_t most) {
  for (; most != 0 && !links_.empty(); --most) {
    auto& list = links_.begin()->second;
    if (list.empty()) {
      links_.erase(links_.begin());
    } else {
      list.erase(list.begin());
    }
  }
  return !links_.empty();
}

}  // namespace wg::control
