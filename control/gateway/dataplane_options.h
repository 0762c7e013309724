// From the configuration to what the dataplane is started with.
#pragma once

#include "config/types.h"
#include "dataplane/dataplane.h"

namespace wg::control {

// Throws std::runtime_error when more workers are asked for than there are cores.
[[nodiscard]] dataplane::DataplaneOptions dataplane_options(const config::Gateway& value);

}  // namespace wg::control
