#include "control/kernel/link_table.h"

#include <utility>

namespace wg::control {

const Link* LinkTable::find(std::uint32_t ifindex) const {
  const auto at = links_.find(ifindex);
  return at == links_.end() ? nullptr : &at->second;
}

const Link* LinkTable::find(const std::string& name) const {
  for (const auto& [ifindex, link] : links_) {
    if (link.name == name) return &link;
  }
  return nullptr;
}

std::uint32_t LinkTable::table_of_vrf(std::uint32_t vrf_ifindex) const {
  const Link* vrf = find(vrf_ifindex);
  return vrf == nullptr ? 0 : vrf->vrf_table;
}

std::uint32_t LinkTable::vrf_of_link(std::uint32_t ifindex) const {
  const Link* at = find(ifindex);
  if (at == nullptr) return 0;
  if (at->vrf_table != 0) return ifindex;
  return table_of_vrf(at->master) != 0 ? at->master : 0;
}

std::optional<Link> LinkTable::put(const Link& link) {
  const auto [at, is_new] = links_.try_emplace(link.ifindex, link);
  if (is_new) return std::nullopt;
  return std::exchange(at->second, link);
}

}  // namespace wg::control
