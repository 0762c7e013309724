#include <algorithm>

#include "config/lint_parts.h"
#include "config/paths.h"

namespace wg::config {
namespace {

// A subnet that a port or an interface is in.
struct Placed {
  Prefix subnet;
  std::string owner;  // ports.lan0
  Position at;
};

bool is_link_local(const Address& address) {
  return !address.is_v4() && address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

void check_gateways(const Gateway& gateway, Problems& problems) {
  for (const auto& [name, port] : gateway.ports)
    for (const PortGateway& gateway_of_port : port.gateways) {
      const Address& hop = gateway_of_port.address;
      std::string subnets;
      bool reached = is_link_local(hop), any_subnet = false;
      for (const InterfaceAddress& own : port.addresses) {
        const Prefix subnet = prefix_of(own.address, own.length);
        reached = reached || contains(subnet, hop);
        any_subnet = any_subnet || (own.address.family == hop.family && own.length < own.address.bits());
        if (own.address.family == hop.family) subnets += (subnets.empty() ? "" : ", ") + to_string(subnet);
      }
      // Without an address of the family, a DHCP client may bring one. A hoster's /32 has its gateway
      // outside.
      if (reached || !any_subnet) continue;
      add_warning(
          gateway, port.where.of("gateway"), "ports." + name + ".gateway",
          to_string(hop) + " is in no subnet of this port (" + subnets + "): it is taken to be on the link",
          problems);
    }
}

// Linux has one default route of each metric.
void check_default_routes(const Gateway& gateway, Problems& problems) {
  constexpr std::uint32_t kIpv6Default = 1024;
  std::map<std::pair<Family, std::uint32_t>, std::string> first;
  for (const auto& [name, port] : gateway.ports)
    for (const PortGateway& hop : port.gateways) {
      const bool v4 = hop.address.is_v4();
      const std::uint32_t metric = hop.metric == 0 && !v4 ? kIpv6Default : hop.metric;
      const auto [owner, fresh] = first.try_emplace({hop.address.family, metric}, name);
      if (!fresh)
        add_warning(gateway, port.where.of("gateway"), "ports." + name + ".gateway",
                    "port " + owner->second + " has a gateway for " + (v4 ? "IPv4" : "IPv6") +
                        " with the same metric: only one of the two is used; give each a metric of its own",
                    problems);
    }
}

template <class Owner>
void place(const Owner& owner, const std::string& path, std::vector<Placed>& all) {
  for (std::size_t i = 0; i < owner.addresses.size(); ++i) {
    const InterfaceAddress& own = owner.addresses[i];
    if (own.length == own.address.bits() || is_link_local(own.address)) continue;
    all.push_back(
        {prefix_of(own.address, own.length), path, nth(owner.where.addresses, i, owner.where.self)});
  }
}

void check_subnets(const Gateway& gateway, Problems& problems) {
  std::vector<Placed> all;
  for (const auto& [name, port] : gateway.ports) place(port, "ports." + name, all);
  for (const auto& [name, interface] : gateway.interfaces) place(interface, "interfaces." + name, all);
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t k = 0; k < i; ++k) {
      if (all[i].owner == all[k].owner) continue;
      if (!contains(all[i].subnet, all[k].subnet) && !contains(all[k].subnet, all[i].subnet)) continue;
      add_warning(gateway, all[i].at, all[i].owner + ".addresses",
                  to_string(all[i].subnet) + " overlaps " + to_string(all[k].subnet) + " of " + all[k].owner +
                      ": hosts of one of the two are not reached",
                  problems);
    }
}

}  // namespace

void lint_network(const Gateway& gateway, Problems& problems) {
  check_gateways(gateway, problems);
  check_default_routes(gateway, problems);
  check_subnets(gateway, problems);
}

}  // namespace wg::config
