// Opens the cards of a configuration as a start would, and tells what they refuse: `check --probe`. In a
// process that is no gateway.
#pragma once

#include <string>
#include <vector>

#include "config/types.h"

namespace wg::control {

struct ProbedCard {
  std::string port;
  std::string error;                  // why it cannot be opened; empty: it can
  std::string found;                  // of a card that was opened: driver, queues, features
  std::vector<std::string> concerns;  // what it does not do, in one sentence each
};

// One for each port on a PCI device, which is closed again. Once per process. Throws std::runtime_error when
// DPDK does not start.
std::vector<ProbedCard> probe_cards(const config::Gateway& value);

}  // namespace wg::control
