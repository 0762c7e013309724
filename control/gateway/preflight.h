// What a plan would fail at is tried first, while everything still runs as before.
#pragma once

#include "config/diff.h"
#include "control/api/change_sink.h"
#include "control/gateway/objects.h"
#include "control/kernel/netlink_configure.h"

namespace wg::control {

// Names and listen ports that are taken. False: `outcome` has the errors, and the errno of the first.
bool preflight(const config::Plan& plan, NetlinkConfigure& netlink, const Objects& objects,
               PlanOutcome& outcome);

}  // namespace wg::control
