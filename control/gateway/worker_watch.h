// Watches that every worker makes progress, and measures what share of their time they are busy.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "control/log.h"
#include "dataplane/dataplane.h"

namespace wg::control {

class WorkerWatch {
 public:
  struct Shares {
    double busy = 0, sleep = 0;  // 0 to 1, of the last second
  };

  WorkerWatch(const dataplane::Dataplane& dataplane, Logger log);

  // Once a second. After 3 s without progress an error is logged, after 15 s the process aborts: nothing that
  // a stuck worker may still hold can be freed, and the supervisor restarts us.
  void check();
  [[nodiscard]] Shares shares(std::size_t worker) const { return watched_[worker].shares; }

 private:
  struct Watched {
    std::uint64_t busy = 0, idle = 0, at = 0;  // TSC clocks; at 0: never sampled
    Shares shares;
    std::uint64_t heartbeat = 0;
    std::chrono::seconds stalled{0};
  };
  static void sample(const dataplane::WorkerCounters& counters, Watched& watched);
  void check_heartbeat(std::size_t worker, std::uint64_t heartbeat);

  const dataplane::Dataplane& dataplane_;
  Logger log_;
  std::vector<Watched> watched_;  // by worker
};

}  // namespace wg::control
