// DPDK's telemetry socket answers for us too: dpdk-telemetry.py -f linegate, then /linegate/workers or
// /linegate/drops.
#pragma once

namespace wg::dataplane {
class Dataplane;
}

namespace wg::control {

// Once, after the dataplane started; it must outlive the process's telemetry thread. The callbacks read
// counters (atomics) only.
void register_telemetry(dataplane::Dataplane& dataplane);
void unregister_telemetry();

}  // namespace wg::control
