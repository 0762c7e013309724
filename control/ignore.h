// The one way to discard a refusal.
#pragma once

#include "dataplane/base/expected.h"

namespace wg::control {

// Discards the result of an optional request. A failure is logged at level debug with `why` the gateway can
// do without it.
void ignore(const Expected<>& result, const char* why);

}  // namespace wg::control
