// The settings and addresses that decide which routes the prefixes of an interface need, as a value, so that
// those of before and those of now can be compared.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "config/types.h"
#include "control/interface/peer_book.h"

namespace wg::control {

struct RouteRules {
  config::Routes routes;
  std::optional<std::uint32_t> table_set;  // nullopt: the main table, without a default route
  config::OnLoss on_loss;
  std::vector<config::InterfaceAddress> addresses;

  // The parts of `value` in use.
  [[nodiscard]] static RouteRules of(const config::Interface& value);

  [[nodiscard]] std::uint32_t table() const;
  // A peer that has this prefix gets a route.
  [[nodiscard]] bool is_routed(const config::Prefix& prefix) const;
  // Such a prefix may have an unreachable route behind it.
  [[nodiscard]] bool may_stand_behind(const config::Prefix& prefix) const;
  // It is the network of an address. The kernel makes its route, in the main table.
  [[nodiscard]] bool is_network(const config::Prefix& prefix) const;
  // Such a network that has an unreachable route behind it, in the main table.
  [[nodiscard]] bool is_network_on_loss(const config::Prefix& network) const;
  [[nodiscard]] std::set<config::Prefix> networks_on_loss() const;

  [[nodiscard]] bool has_ipv4() const;
  [[nodiscard]] bool is_last_ipv4(const config::InterfaceAddress& address) const;

  friend bool operator==(const RouteRules&, const RouteRules&) = default;

 private:
  // The route of an own address leads all of the prefix here.
  [[nodiscard]] bool is_connected(const config::Prefix& prefix) const;
};

// The routes that a prefix needs by some rules, with the peers there are and the prefixes that stay
// unreachable without one.
struct RouteNeeds {
  const PeerBook& book;
  const std::set<config::Prefix>& kept;

  [[nodiscard]] bool has_route(const RouteRules& rules, const config::Prefix& prefix) const;
  [[nodiscard]] bool is_unreachable_behind(const RouteRules& rules, const config::Prefix& prefix) const;

 private:
  // A shorter prefix of a peer takes the packets.
  [[nodiscard]] bool is_covered(const RouteRules& rules, const config::Prefix& prefix) const;
};

}  // namespace wg::control
