// Interfaces that are bound to a connection of the control socket: no matter of the file. A reload leaves
// them as they run, `save` does not write them, and they go with their connection.
#pragma once

#include <cstdint>
#include <string>

#include "config/types.h"

namespace wg::control {

// Those of `running` become part of `next`, and no other: neither one that has gone meanwhile, nor one whose
// name the file takes for itself.
void keep_bound_interfaces(const config::Gateway& running, config::Gateway& next);
// True: there were some.
bool remove_bound_interfaces(config::Gateway& value);
bool remove_interfaces_bound_to(std::uint64_t connection, config::Gateway& value);
// The name of the interface with this id; empty: none has it.
[[nodiscard]] std::string holder_of_id(const config::Gateway& value, const std::string& id);

}  // namespace wg::control
