// The chains of netfilter that packets on the short cut do not pass: of nftables, and of legacy iptables.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/kernel/types.h"

struct nlmsghdr;

namespace wg::control {

// One base chain; of legacy iptables a table, whose chains have fixed names.
struct FirewallChain {
  std::string family;  // "ip", "ip6", "inet"
  std::string table;
  std::string name;  // empty: legacy iptables
  std::string hook;  // "forward", "nat"

  friend bool operator==(const FirewallChain&, const FirewallChain&) = default;
};

// Chains in the hook forward and chains of type nat, in this network namespace. Empty without CAP_NET_ADMIN
// and on a kernel without nftables.
[[nodiscard]] std::vector<FirewallChain> chains_beside_short_cut();
// nullopt: not such a chain.
[[nodiscard]] std::optional<FirewallChain> parse_chain(const nlmsghdr* message);
// One sentence for the operator; empty: there are no such chains. `between_ports`: there are ports with
// `port_to_port`.
[[nodiscard]] std::string firewall_warning(const std::vector<FirewallChain>& chains, bool between_ports);

}  // namespace wg::control
