#include "control/kernel/nexthop_table.h"

#include <algorithm>

namespace wg::control {

const NexthopObject* NexthopTable::find(std::uint32_t id) const {
  const auto at = objects_.find(id);
  return at == objects_.end() ? nullptr : &at->second;
}

bool NexthopTable::contains(std::uint32_t id, std::uint32_t object) const {
  if (id == object) return true;
  const NexthopObject* group = find(id);
  if (group == nullptr) return false;
  return std::find(group->members.begin(), group->members.end(), object) != group->members.end();
}

std::vector<std::uint32_t> NexthopTable::objects_via(std::uint32_t ifindex) const {
  std::vector<std::uint32_t> ids;
  for (const auto& [id, object] : objects_) {
    if (object.hop && object.hop->ifindex == ifindex) ids.push_back(id);
  }
  return ids;
}

NexthopTable::Effect NexthopTable::put(const NexthopObject& object) {
  const auto [at, is_new] = objects_.try_emplace(object.id, object);
  if (is_new) return Effect::kNew;
  if (at->second == object) return Effect::kUnchanged;
  at->second = object;
  return Effect::kChanged;
}

NexthopTable::Removed NexthopTable::remove(std::uint32_t id) {
  Removed removed;
  removed.known = objects_.erase(id) != 0;
  if (!removed.known) return removed;
  for (auto& [group_id, group] : objects_) {
    if (std::erase(group.members, id) == 0) continue;
    (group.members.empty() ? removed.emptied : removed.smaller).push_back(group_id);
  }
  return removed;
}

}  // namespace wg::control
