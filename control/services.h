// What interfaces and ports use of the gateway that owns them. References, valid as long as the gateway.
#pragma once

#include <cstdint>
#include <functional>

#include "control/api/status.h"
#include "control/command_port.h"
#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/kernel/resolver.h"
#include "control/loop/event_loop.h"
#include "control/noise/types.h"
#include "control/publish/publisher.h"
#include "control/staging.h"
#include "dataplane/counters.h"
#include "dataplane/dataplane.h"

namespace wg::control {

struct Services {
  dataplane::Dataplane& dataplane;
  EventLoop& loop;
  NetlinkConfigure& netlink;
  NetlinkMirror& mirror;
  Publisher& publisher;
  Resolver& resolver;
  Staging& staging;
  CommandPort& commands;
  dataplane::DropCounters& drops;  // W: the control thread. R: status, telemetry
  noise::Random& random;
  std::function<void(GatewayEvent&&)> emit;  // to the event stream
  std::function<bool()> anybody_listens;     // to it; else an event need not be made
};

}  // namespace wg::control
