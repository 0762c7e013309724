#include "control/kernel/wanted_link.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace wg::control {
namespace {

using Kind = Deviation::Kind;

std::string words_of(const RouteSpec& route) {
  std::string text = route.prefix.length == 0 ? "default route" : "route " + to_string(route.prefix);
  if (route.nexthops.front().gateway) text += " via " + dataplane::to_string(*route.nexthops.front().gateway);
  return route.metric == 0 ? text : text + " metric " + std::to_string(route.metric);
}

// The route that stands at the place of `wanted`: the same prefix and metric.
const Route* in_its_place(const RouteSpec& wanted, const NetlinkMirror& mirror) {
  const std::vector<Route>* routes = mirror.routes().find(wanted.table, wanted.prefix.network());
  if (routes == nullptr) return nullptr;
  const Route* found = nullptr;
  for (const Route& route : *routes) {
    if (route.metric != wanted.metric_in_force() || route.is_selective()) continue;
    const auto& hops = route.forwarding->nexthops;
    const NextHopSpec& hop = wanted.nexthops.front();
    const bool same = hops.size() == 1 && hops[0].ifindex == hop.ifindex && hops[0].gateway == hop.gateway;
    if (same || found == nullptr) found = &route;
    if (same) break;
  }
  return found;
}

bool leads_as_wanted(const RouteSpec& wanted, const Route& route) {
  const auto& hops = route.forwarding->nexthops;
  const NextHopSpec& hop = wanted.nexthops.front();
  return hops.size() == 1 && hops[0].ifindex == hop.ifindex && hops[0].gateway == hop.gateway;
}

// "via 192.0.2.9 dev mgmt"
std::string words_of(const Route& route, const NetlinkMirror& mirror) {
  std::string text;
  for (const NextHop& hop : route.forwarding->nexthops) {
    if (hop.gateway) text += (text.empty() ? "via " : " via ") + dataplane::to_string(*hop.gateway);
    if (const Link* link = mirror.link(hop.ifindex)) text += (text.empty() ? "dev " : " dev ") + link->name;
  }
  return text.empty() ? "of another kind" : text;
}

void compare_link(const WantedLink& wanted, const Link& link, std::vector<Deviation>& out) {
  if (link.up != wanted.up)
    out.push_back(
        {Kind::kUpOrDown, 0, wanted.what + ": " + (link.up ? "up instead of down" : "down instead of up")});
  if (wanted.mtu != 0 && link.mtu != wanted.mtu)
    out.push_back(
        {Kind::kMtu, 0,
         wanted.what + ": MTU " + std::to_string(link.mtu) + " instead of " + std::to_string(wanted.mtu)});
  if (wanted.mac && link.mac && *link.mac != *wanted.mac)
    out.push_back(
        {Kind::kMac, 0,
         wanted.what + ": MAC address " + to_string(*link.mac) + " instead of " + to_string(*wanted.mac)});
}

void compare_addresses(const WantedLink& wanted, const NetlinkMirror& mirror, std::vector<Deviation>& out) {
  const std::vector<LocalAddress>& there = mirror.addresses(wanted.ifindex);
  for (std::size_t i = 0; i < wanted.addresses.size(); ++i) {
    const IpPrefix& address = wanted.addresses[i];
    const bool found = std::any_of(there.begin(), there.end(),
                                   [&](const LocalAddress& local) { return local.prefix == address; });
    if (!found)
      out.push_back({Kind::kAddress, i, wanted.what + ": address " + to_string(address) + " is missing"});
  }
}

void compare_routes(const WantedLink& wanted, const NetlinkMirror& mirror, std::vector<Deviation>& out) {
  for (std::size_t i = 0; i < wanted.routes.size(); ++i) {
    const RouteSpec& route = wanted.routes[i];
    const Route* there = in_its_place(route, mirror);
    if (there != nullptr && leads_as_wanted(route, *there)) continue;
    std::string text = wanted.what + ": " + words_of(route) + " is missing";
    if (there != nullptr) text += ", another stands in its place (" + words_of(*there, mirror) + ")";
    out.push_back({Kind::kRoute, i, std::move(text), there != nullptr});
  }
}

void compare_wire(const WantedLink& wanted, const NetlinkMirror& mirror, std::vector<Deviation>& out) {
  const Link* wire = wanted.wire ? mirror.link(wanted.wire->ifindex) : nullptr;
  if (wire == nullptr) return;
  const std::string what = wanted.what + ": its wire " + wire->name;
  if (!wire->up) out.push_back({Kind::kWireDown, 0, what + " is down"});
  if (!wire->noarp) out.push_back({Kind::kWireArp, 0, what + " answers ARP requests by itself"});
  if (wanted.wire->promiscuous && wire->promiscuity == 0)
    out.push_back({Kind::kWirePromiscuous, 0, what + " is not promiscuous"});
  if (wire->mtu < wanted.wire->least_mtu)
    out.push_back({Kind::kWireMtu, 0,
                   what + " has an MTU of " + std::to_string(wire->mtu) + " instead of " +
                       std::to_string(wanted.wire->least_mtu)});
}

// Switching forwarding on for all sets every link: those that are off stay so.
Expected<> write_wanted(const WantedSysctl& wanted) {
  return wanted.path == kIpForward && wanted.value == "1" ? enable_ipv4_forwarding()
                                                          : write_sysctl(wanted.path, wanted.value);
}

// Done, or `taken` when the kernel says that something is there.
Expected<bool> unless_there(const Expected<>& added) {
  if (added) return true;
  if (added.error().code == EEXIST) return false;
  return added.error();
}

Expected<bool> done(const Expected<>& result) {
  if (!result) return result.error();
  return true;
}

}  // namespace

void WantedLink::allow_ipv6() {
  if (std::any_of(addresses.begin(), addresses.end(), [](const IpPrefix& own) { return own.address.v6; }))
    sysctls.push_back({"net/ipv6/conf/" + name + "/disable_ipv6", "0"});
}

std::vector<Deviation> deviations(const WantedLink& wanted, const NetlinkMirror& mirror) {
  std::vector<Deviation> out;
  const Link* link = mirror.link(wanted.ifindex);
  if (link == nullptr) return out;
  compare_link(wanted, *link, out);
  compare_wire(wanted, mirror, out);
  if (!link->up || !wanted.up) return out;
  if (!mirror.state().switches().forwards(wanted.ifindex, false))
    out.push_back({Kind::kForwarding, 0,
                   wanted.what + ": net.ipv4.conf." + link->name + ".forwarding is 0 instead of 1"});
  compare_addresses(wanted, mirror, out);
  compare_routes(wanted, mirror, out);
  return out;
}

std::vector<Deviation> sysctl_deviations(const WantedLink& wanted) {
  std::vector<Deviation> out;
  for (std::size_t i = 0; i < wanted.sysctls.size(); ++i) {
    const WantedSysctl& sysctl = wanted.sysctls[i];
    const Expected<std::string> now = read_sysctl(sysctl.path);
    if (!now || *now == sysctl.value) continue;  // or its link has gone, or has another name
    std::string name = sysctl.path;
    std::replace(name.begin(), name.end(), '/', '.');
    out.push_back(
        {Kind::kSysctl, i, wanted.what + ": " + name + " is " + *now + " instead of " + sysctl.value});
  }
  return out;
}

Expected<bool> put_back(const WantedLink& wanted, const Deviation& deviation, NetlinkConfigure& netlink) {
  switch (deviation.kind) {
    case Kind::kUpOrDown:
      return done(netlink.set_up(wanted.ifindex, wanted.up));
    case Kind::kMtu:
      return done(netlink.set_mtu(wanted.ifindex, wanted.mtu));
    case Kind::kMac:
      return done(netlink.set_mac(wanted.ifindex, *wanted.mac));
    case Kind::kForwarding:
      return done(set_forwarding(wanted.name, IpVersion::kV4, Switch::kOn));
    case Kind::kAddress:
      return unless_there(netlink.add_address(wanted.ifindex, wanted.addresses[deviation.index]));
    case Kind::kRoute:
      return unless_there(netlink.add_route(wanted.routes[deviation.index]));
    case Kind::kSysctl:
      return done(write_wanted(wanted.sysctls[deviation.index]));
    case Kind::kWireDown:
      return done(netlink.set_up(wanted.wire->ifindex, true));
    case Kind::kWireArp:
      return done(netlink.set_noarp(wanted.wire->ifindex, true));
    case Kind::kWirePromiscuous:
      return done(netlink.set_promiscuous(wanted.wire->ifindex, true));
    case Kind::kWireMtu:
      return done(netlink.set_mtu(wanted.wire->ifindex, wanted.wire->least_mtu));
  }
  return false;
}

}  // namespace wg::control
