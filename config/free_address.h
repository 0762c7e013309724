// Which address of an interface's subnet a new peer may get.
#pragma once

#include <optional>
#include <string>

#include "config/types.h"

namespace wg::config {

// The lowest host address of the subnet of `own` that neither the interface nor an allowed prefix of a peer
// has, enabled or not. The network's and the broadcast address are not hosts, and a prefix as wide as the
// subnet or wider (a default route) takes nothing away. nullopt: the subnet is full.
[[nodiscard]] std::optional<Address> free_address(const Interface& interface, const InterfaceAddress& own);

// Why a new peer of `interface` cannot have `address`, as the rest of a sentence ("is our own address at
// interfaces.wg0"). nullopt: it can.
[[nodiscard]] std::optional<std::string> why_not_free(const Gateway& gateway, const Interface& interface,
                                                      const Address& address);

}  // namespace wg::config
