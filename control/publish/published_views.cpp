#include "control/publish/published_views.h"

#include <memory>
#include <utility>

namespace wg::control {

bool PublishedViews::set_filters(std::map<std::uint32_t, std::vector<MacAddress>> filters) {
  std::erase_if(filters, [this](const auto& entry) { return !owners_.untagged_port_of(entry.first); });
  if (filters == filters_) return false;
  filters_ = std::move(filters);
  return true;
}

// For each port, the VLAN devices on its TAP.
dataplane::ById<dataplane::PortIndex, dataplane::VlanIds> PublishedViews::vlans_of_ports() const {
  dataplane::ById<dataplane::PortIndex, dataplane::VlanIds> vlans(next_.ports.size());
  for (const auto& [ifindex, link] : mirror_.links()) {
    const auto parent = owners_.untagged_port_of(link.parent);
    if (!parent || !link.vlan_id || !link.vlan_8021q || !link.up) continue;
    dataplane::VlanIds& ids = vlans[*parent];
    if (*link.vlan_id >= ids.up.size() || !rules_.keeps_its_frames(link)) continue;
    ids.up.set(*link.vlan_id);
    for (const bool v6 : {false, true})
      ids.linux_forwards[v6 ? 1 : 0][*link.vlan_id] = rules_.forwards_from(link, v6);
  }
  return vlans;
}

// `ip link set PORT down` stops the workers too. A TAP that the mirror has not read of yet is not up.
void PublishedViews::refresh_port(dataplane::PortIndex index, const Link* tap) {
  dataplane::PortView& view = next_.ports[index];
  view.up = tap != nullptr && tap->up;
  const bool own = view.up && rules_.keeps_its_frames(*tap);
  view.untagged = own && !view.has_own_vlan;
  for (const bool v6 : {false, true}) view.linux_forwards[v6 ? 1 : 0] = own && rules_.forwards_from(*tap, v6);
  if (tap == nullptr) return;
  if (tap->mac) view.mac = *tap->mac;
  const auto filter = filters_.find(tap->ifindex);
  const bool filtered = filter != filters_.end();
  view.other_macs = filtered ? std::make_shared<const std::vector<MacAddress>>(filter->second) : nullptr;
  // A TAP cannot filter, so the kernel makes it promiscuous once for all other addresses.
  view.all_macs = tap->promiscuity > (filtered ? 1u : 0u);
}

void PublishedViews::refresh() {
  if (!std::exchange(stale_, false)) return;
  const auto vlans = vlans_of_ports();
  for (const dataplane::PortIndex index : owners_.ports().ids()) {
    if (owners_.ports()[index] == 0) continue;
    const Link* tap = mirror_.link(owners_.ports()[index]);
    refresh_port(index, tap);
    const bool none = vlans[index].up.none() || tap == nullptr || !rules_.keeps_its_frames(*tap);
    next_.ports[index].vlans = none ? nullptr : std::make_shared<const dataplane::VlanIds>(vlans[index]);
  }
  for (const dataplane::InterfaceId id : owners_.interfaces().ids()) {
    if (owners_.interfaces()[id] == 0) continue;
    const Link* tun = mirror_.link(owners_.interfaces()[id]);
    for (const bool v6 : {false, true})
      next_.interfaces[id].linux_forwards[v6 ? 1 : 0] = tun != nullptr && rules_.forwards_from(*tun, v6);
  }
  refresh_local_addresses();
}

void PublishedViews::refresh_local_addresses() {
  std::vector<IpAddress> all;
  for (const auto& [ifindex, link] : mirror_.links()) {
    for (const LocalAddress& address : mirror_.addresses(ifindex)) all.push_back(address.prefix.address);
  }
  next_.local_addresses = dataplane::LocalAddresses(all);
  const auto first = [this](std::uint32_t ifindex, bool v6) {
    for (const LocalAddress& address : mirror_.addresses(ifindex)) {
      if (address.prefix.address.v6 == v6 && !is_link_local(address.prefix.address))
        return address.prefix.address;
    }
    return IpAddress{};
  };
  IpAddress any4, any6;
  for (const dataplane::PortIndex i : owners_.ports().ids()) {
    next_.ports[i].icmp_source4 = first(owners_.ports()[i], false);
    next_.ports[i].icmp_source6 = first(owners_.ports()[i], true);
    if (any4.is_zero()) any4 = next_.ports[i].icmp_source4;
    if (any6.is_zero()) any6 = next_.ports[i].icmp_source6;
  }
  for (const dataplane::InterfaceId i : owners_.interfaces().ids()) {
    const IpAddress own4 = first(owners_.interfaces()[i], false), own6 = first(owners_.interfaces()[i], true);
    next_.interfaces[i].icmp_source4 = own4.is_zero() ? any4 : own4;
    next_.interfaces[i].icmp_source6 = own6.is_zero() ? any6 : own6;
  }
}

void PublishedViews::refresh_listen_ports() {
  auto ports = std::make_shared<dataplane::ListenPorts>();
  ports->fill(dataplane::kNoInterface);
  for (const dataplane::InterfaceView& view : next_.interfaces) {
    if (view.present && view.listen_port != dataplane::kAnyPort)
      (*ports)[number_of(view.listen_port)] = view.id;
  }
  if (next_.listen_ports == nullptr || *ports != *next_.listen_ports) next_.listen_ports = std::move(ports);
}

}  // namespace wg::control
