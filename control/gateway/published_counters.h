// Counts that other code of the control thread keeps, published once a second to where DPDK's telemetry
// thread may read them; and when drops were counted.
#pragma once

#include "control/api/control_counters.h"
#include "control/gateway/drop_times.h"
#include "control/gateway/objects.h"
#include "control/services.h"
#include "control/telemetry.h"

namespace wg::control {

// Their present values.
void collect(const Services& services, ControlCounters& counters);
// The sum of workers and control thread.
[[nodiscard]] DropCounts drop_counts(const Services& services);

// W: the control thread. R: telemetry.
class PublishedCounters {
 public:
  PublishedCounters(Services& services, const Objects& objects);

  void publish();
  [[nodiscard]] const TelemetrySources& sources() const { return sources_; }
  [[nodiscard]] const DropTimes& drop_times() const { return drop_times_; }

 private:
  Services& services_;
  const Objects& objects_;
  ControlCounters counters_;
  HandshakeCounters handshakes_;
  TelemetrySources sources_;
  DropTimes drop_times_;
};

}  // namespace wg::control
