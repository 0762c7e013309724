#include "control/gateway/worker_watch.h"

#include <rte_cycles.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace wg::control {

using namespace std::chrono_literals;

namespace {

constexpr std::chrono::seconds kStallAlarm{3}, kStallAbort{15};

}  // namespace

WorkerWatch::WorkerWatch(const dataplane::Dataplane& dataplane, Logger log)
    : dataplane_(dataplane), log_(std::move(log)), watched_(dataplane.workers().size()) {}

void WorkerWatch::check() {
  for (std::size_t i = 0; i < watched_.size(); ++i) {
    const dataplane::Worker& worker = *dataplane_.workers()[i];
    sample(worker.counters(), watched_[i]);
    check_heartbeat(i, worker.heartbeat());
  }
}

void WorkerWatch::sample(const dataplane::WorkerCounters& counters, Watched& watched) {
  const std::uint64_t busy = counters.busy_cycles.get(), idle = counters.idle_cycles.get(), at = rte_rdtsc();
  if (watched.at != 0 && at > watched.at) {
    const double elapsed = static_cast<double>(at - watched.at);
    const double awake = static_cast<double>(busy - watched.busy + idle - watched.idle) / elapsed;
    // A worker that neither works nor polls sleeps.
    watched.shares = {static_cast<double>(busy - watched.busy) / elapsed, std::clamp(1 - awake, 0.0, 1.0)};
  }
  watched.busy = busy;
  watched.idle = idle;
  watched.at = at;
}

void WorkerWatch::check_heartbeat(std::size_t worker, std::uint64_t heartbeat) {
  Watched& watched = watched_[worker];
  watched.stalled = heartbeat == watched.heartbeat ? watched.stalled + 1s : 0s;
  watched.heartbeat = heartbeat;
  if (watched.stalled == kStallAlarm)
    log_->write(log_event::worker_stalled, {}, "worker {} has made no progress for {} s", worker,
                kStallAlarm.count());
  if (watched.stalled != kStallAbort) return;
  log_->write(log_event::worker_stuck, {}, "worker {} is stuck: aborting, the supervisor restarts us",
              worker);
  stop_log();
  std::abort();
}

}  // namespace wg::control
