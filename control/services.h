// Services that every part of the gateway uses: DPDK, the kernel's interfaces, and what goes to the workers.
// Made first and destroyed last; the parts hold references.
#pragma once

#include <functional>

#include "control/api/control_counters.h"
#include "control/api/status.h"
#include "control/command_port.h"
#include "control/kernel/ipsec_policies.h"
#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/kernel/resolver.h"
#include "control/loop/event_loop.h"
#include "control/noise/types.h"
#include "control/publish/publisher.h"
#include "control/round_times.h"
#include "control/staging.h"
#include "dataplane/counters.h"
#include "dataplane/dataplane.h"

namespace wg::control {

struct Services {
  // Starts DPDK; the workers do not run yet. Throws std::runtime_error.
  explicit Services(const dataplane::DataplaneOptions& options)
      : dataplane(options),
        publisher(dataplane, mirror, netlink),
        commands(dataplane.workers(), drops),
        staging(drops) {}
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  EventLoop loop;
  dataplane::DropCounters drops;  // W: the control thread. R: status, telemetry
  dataplane::Dataplane dataplane;
  NetlinkConfigure netlink;
  NetlinkMirror mirror;
  IpsecPolicies ipsec;
  Publisher publisher;
  Resolver resolver;
  ControlCounters counters;  // W: the control thread, those rows that its parts count as they go
  RoundTimes rounds;         // W: the control thread. R: any
  CommandPort commands;
  Staging staging;
  noise::SystemRandom random;
  bool key_captures_allowed = false;         // W: Gateway, once
  std::function<void(GatewayEvent&&)> emit;  // to the event stream
  std::function<bool()> has_subscribers;     // of the event stream; without one no event need be made
};

}  // namespace wg::control
