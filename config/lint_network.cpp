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
    for (const Address& hop : port.gateways) {
      std::string subnets;
      bool reached = is_link_local(hop);
      for (const InterfaceAddress& own : port.addresses) {
        const Prefix subnet = prefix_of(own.address, own.length);
        reached = reached || contains(subnet, hop);
        if (own.address.family == hop.family) subnets += (subnets.empty() ? "" : ", ") + to_string(subnet);
      }
      // Without an address of the family, a DHCP client may bring one.
      if (reached || subnets.empty()) continue;
      add_warning(
          gateway, port.where.of("gateway"), "ports." + name + ".gateway",
          to_string(hop) + " is in no subnet of this port (" + subnets + "): Linux refuses such a route",
          problems);
    }
}

void check_default_routes(const Gateway& gateway, Problems& problems) {
  std::map<Family, std::string> first;
  for (const auto& [name, port] : gateway.ports)
    for (const Address& hop : port.gateways) {
      const auto [owner, fresh] = first.try_emplace(hop.family, name);
      if (!fresh)
        add_warning(gateway, port.where.of("gateway"), "ports." + name + ".gateway",
                    "port " + owner->second + " has a gateway for " + (hop.is_v4() ? "IPv4" : "IPv6") +
                        " too: there is one default route, and the later port takes it",
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
