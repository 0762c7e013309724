// DPDK's telemetry socket answers for us too: dpdk-telemetry.py -f linegate, then /linegate/workers,
// /linegate/worker,N, /linegate/drops or /linegate/control. docs/metrics.md lists the names.
#pragma once

#include <array>

#include "control/api/control_counters.h"
#include "control/noise/outcome.h"
#include "dataplane/counters.h"

namespace wg::dataplane {
class Dataplane;
}

namespace wg::control {

// Handshake messages by outcome, over the present interfaces.
using HandshakeCounters = std::array<dataplane::Counter, noise::kOutcomes>;

// The callbacks read it on DPDK's thread: atomics alone.
struct TelemetrySources {
  dataplane::Dataplane& dataplane;
  const dataplane::DropCounters& drops;  // of the control thread
  const ControlCounters& counters;
  const HandshakeCounters& handshakes;
};

// Once, after the dataplane started. `sources` must outlive the process's telemetry thread.
void register_telemetry(const TelemetrySources& sources);
void unregister_telemetry();

}  // namespace wg::control
