#include "control/publish/link_owners.h"

namespace wg::control {

std::optional<PortLink> LinkOwners::port_of(std::uint32_t ifindex) const {
  if (const auto port = ports_.owner_of(ifindex)) return PortLink{*port, {}};
  const Link* link = mirror_.link(ifindex);
  if (link == nullptr || !link->vlan_id) return std::nullopt;
  const auto parent = ports_.owner_of(link->parent);
  if (!parent) return std::nullopt;
  return PortLink{*parent, link->vlan_id};
}

}  // namespace wg::control
