// DPDK's telemetry socket answers for us too: dpdk-telemetry.py -f linegate, then /linegate/workers or
// /linegate/drops.
#pragma once

namespace wg::dataplane {
class Dataplane;
class DropCounters;
}  // namespace wg::dataplane

namespace wg::control {

// Once, after the dataplane started. Both must outlive the process's telemetry thread. The callbacks read
// counters (atomics) only. `control_drops`: of the control thread.
void register_telemetry(dataplane::Dataplane& dataplane, const dataplane::DropCounters& control_drops);
void unregister_telemetry();

}  // namespace wg::control
