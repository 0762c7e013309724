#include "control/kernel/switch_table.h"

#include <linux/netconf.h>

#include <algorithm>

namespace wg::control {

SwitchTable::Switches SwitchTable::find(bool v6, std::int64_t ifindex) const {
  const auto& links = links_[v6 ? 1 : 0];
  const auto at = links.find(ifindex);
  return at == links.end() ? Switches{} : at->second;
}

bool SwitchTable::forwards(std::uint32_t ifindex, bool v6) const {
  const Switches link = find(v6, ifindex);
  return v6 ? find(v6, NETCONFA_IFINDEX_ALL).forwarding || link.force_forwarding : link.forwarding;
}

int SwitchTable::rp_filter(std::uint32_t ifindex) const {
  return std::max(find(false, ifindex).rp_filter, find(false, NETCONFA_IFINDEX_ALL).rp_filter);
}

bool SwitchTable::put(const ParsedSwitches& told) {
  Switches& link = links_[told.v6 ? 1 : 0][told.ifindex];
  const Switches before = link;
  link.forwarding = told.forwarding.value_or(link.forwarding);
  link.force_forwarding = told.force_forwarding.value_or(link.force_forwarding);
  link.rp_filter = told.rp_filter.value_or(link.rp_filter);
  return link != before;
}

void SwitchTable::remove_link(std::uint32_t ifindex) {
  for (auto& links : links_) links.erase(ifindex);
}

}  // namespace wg::control
