// Tries first what a plan could fail at, while everything still runs as before.
#pragma once

#include <vector>

#include "config/diff.h"
#include "control/gateway/objects.h"
#include "control/kernel/netlink_configure.h"
#include "dataplane/base/expected.h"

namespace wg::control {

// Names and listen ports that are taken, all of them; empty: nothing stands in the way.
[[nodiscard]] std::vector<Refusal> preflight(const config::Plan& plan, NetlinkConfigure& netlink,
                                             const Objects& objects);

}  // namespace wg::control
