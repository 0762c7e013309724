// Whether the gateway can do its work now: what /readyz of the metrics endpoint answers.
#pragma once

#include <string>
#include <vector>

#include "control/api/status_source.h"

namespace wg::control {

// The missing conditions, one sentence each; empty: ready. Cheap: it does not walk the peers' figures more
// than StatusSource::interfaces() does. Control thread.
std::vector<std::string> what_is_missing(const StatusSource& status);

}  // namespace wg::control
