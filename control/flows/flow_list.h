// The rows of `show flows`, from a follower.
#pragma once

#include <cstdint>

#include "control/api/status.h"
#include "control/flows/flow_follower.h"

namespace wg::control {

// Fills in counts, reasons and at most query.limit flows: those with the most bytes first, then those that
// are Linux's.
void list_flows(const FlowFollower& follower, const FlowQuery& query, BootSeconds now, FlowsStatus& out);

}  // namespace wg::control
