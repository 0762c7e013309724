// The one way to discard the result of a kernel request.
#pragma once

#include "control/kernel/types.h"

namespace wg::control {

// Discards the result of an optional request. A failure is logged at level debug with `why` the gateway can
// do without it.
void ignore(const KernelResult& result, const char* why);

}  // namespace wg::control
