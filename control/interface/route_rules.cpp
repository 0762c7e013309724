#include "control/interface/route_rules.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "control/convert.h"

namespace wg::control {

namespace {

// No group is routed into a tunnel by these routes, and fe80::/64 is on every link.
bool may_be_unreachable(const config::Prefix& prefix) {
  const IpAddress address = to_dataplane(prefix.address);
  const bool group = address.v6 ? address.bytes[0] == 0xff : address.bytes[0] >> 4 == 0xe;
  return !group && !is_link_local(address);
}

config::Prefix network_of(const config::InterfaceAddress& own) {
  return config::prefix_of(own.address, own.length);
}

}  // namespace

RouteRules RouteRules::of(const config::Interface& value) {
  return {value.routes, value.table, value.on_loss, value.addresses};
}

std::uint32_t RouteRules::table() const {
  return table_set.value_or(std::uint32_t{RT_TABLE_MAIN});
}

bool RouteRules::is_connected(const config::Prefix& prefix) const {
  return std::any_of(addresses.begin(), addresses.end(), [&](const config::InterfaceAddress& own) {
    return own.length <= prefix.length && config::contains(network_of(own), prefix);
  });
}

bool RouteRules::is_routed(const config::Prefix& prefix) const {
  // A default route would capture the outer packets of the interface itself: the operator decides
  // (docs/operations.md).
  if (routes == config::Routes::kOff || (prefix.length == 0 && !table_set)) return false;
  return table_set.has_value() || !is_connected(prefix);
}

bool RouteRules::may_stand_behind(const config::Prefix& prefix) const {
  return on_loss == config::OnLoss::kUnreachable && is_routed(prefix) && may_be_unreachable(prefix);
}

bool RouteRules::is_network(const config::Prefix& prefix) const {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const config::InterfaceAddress& own) { return network_of(own) == prefix; });
}

bool RouteRules::has_ipv4() const {
  return std::any_of(addresses.begin(), addresses.end(),
                     [](const config::InterfaceAddress& own) { return own.address.is_v4(); });
}

bool RouteRules::is_last_ipv4(const config::InterfaceAddress& address) const {
  return address.address.is_v4() &&
         std::none_of(addresses.begin(), addresses.end(), [&](const config::InterfaceAddress& own) {
           return own.address.is_v4() && !(own == address);
         });
}

bool RouteRules::is_network_on_loss(const config::Prefix& network) const {
  return on_loss == config::OnLoss::kUnreachable && routes != config::Routes::kOff &&
         network.length < network.address.bits() && may_be_unreachable(network) && is_network(network);
}

std::set<config::Prefix> RouteRules::networks_on_loss() const {
  std::set<config::Prefix> networks;
  for (const config::InterfaceAddress& own : addresses)
    if (is_network_on_loss(network_of(own))) networks.insert(network_of(own));
  return networks;
}

bool RouteNeeds::has_route(const RouteRules& rules, const config::Prefix& prefix) const {
  return rules.is_routed(prefix) && book.holds(prefix);
}

bool RouteNeeds::is_unreachable_behind(const RouteRules& rules, const config::Prefix& prefix) const {
  return rules.may_stand_behind(prefix) &&
         (book.holds(prefix) || (kept.contains(prefix) && !is_covered(rules, prefix)));
}

bool RouteNeeds::is_covered(const RouteRules& rules, const config::Prefix& prefix) const {
  for (unsigned length = 0; length < prefix.length; ++length)
    if (has_route(rules, config::prefix_of(prefix.address, length))) return true;
  return false;
}

}  // namespace wg::control
