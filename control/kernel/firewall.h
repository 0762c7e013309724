// Chains of nftables and of legacy iptables that packets on the short cut do not pass, and the disciplines
// that tc(8) has put on a link.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "control/kernel/types.h"

struct nlmsghdr;

namespace wg::control {

// One base chain; of legacy iptables a table, whose chains have fixed names; of tc a queueing discipline.
struct FirewallChain {
  std::string family;  // "ip", "ip6", "inet", "netdev"; of tc the kind: "htb"
  std::string table;   // of tc: "of" and the link
  std::string name;    // empty: legacy iptables, or tc
  std::string hook;    // "prerouting", "forward", "postrouting", "ingress", "egress", "nat", "tc"
  std::vector<std::string> links = {};  // of "ingress", "egress" and "tc"

  friend bool operator==(const FirewallChain&, const FirewallChain&) = default;
};

// In this network namespace. Those of links that are not `ours` (ports and interfaces, by name) are left out.
// Without CAP_NET_ADMIN and on a kernel without nftables there are none of nftables.
using IsOurs = std::function<bool(const std::string& link)>;
[[nodiscard]] std::vector<FirewallChain> chains_beside_short_cut(const IsOurs& ours);
// nullopt: not such a chain.
[[nodiscard]] std::optional<FirewallChain> parse_chain(const nlmsghdr* message);
// One sentence for the operator; empty: there are no such chains. `between_ports`: there are ports with
// `port_to_port`.
[[nodiscard]] std::string firewall_warning(const std::vector<FirewallChain>& chains, bool between_ports);

}  // namespace wg::control
