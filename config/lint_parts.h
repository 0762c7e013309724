// The parts of lint() that look beyond one interface. They append to `problems`.
#pragma once

#include "config/lint.h"

namespace wg::config {

// Needs of the file that this machine does not meet: cores, interfaces, groups; the state of the clock.
void lint_machine(const Gateway& gateway, const Environment& environment, Problems& problems);

// Ports and interfaces as one network: gateways, default routes, subnets that are equal.
void lint_network(const Gateway& gateway, Problems& problems);

// A warning about the value at `at`.
void add_warning(const Gateway& gateway, const Position& at, std::string path, std::string message,
                 Problems& problems);

}  // namespace wg::config
