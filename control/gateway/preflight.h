// Tries first what a plan could fail at, while everything still runs as before.
#pragma once

#include <cstddef>
#include <vector>

#include "config/diff.h"
#include "control/gateway/objects.h"
#include "control/kernel/netlink_configure.h"
#include "dataplane/base/expected.h"

namespace wg::control {

// Whether it names a network interface or a listen port, which may be taken, or gives one free.
[[nodiscard]] bool may_be_refused(const config::Action& action);

// Names and listen ports that are taken, all of them; empty: the plan can begin. `to_try`: the indices, in
// order, of all actions that may_be_refused().
[[nodiscard]] std::vector<Refusal> preflight(const config::Plan& plan, const std::vector<std::size_t>& to_try,
                                             NetlinkConfigure& netlink, const Objects& objects);

}  // namespace wg::control
