// The control thread's clocks, as the protocol engine takes them.
#pragma once

#include "control/noise/types.h"

namespace wg::control {

// CLOCK_BOOTTIME and CLOCK_REALTIME, read together.
noise::Now now();

}  // namespace wg::control
