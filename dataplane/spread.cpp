// One peer over several cores, in order. A tunnel is one outer 5-tuple, so a port gives all of it to one
// worker; that worker stays the owner of its packets and of their order, and lets workers without work of
// their own do the crypto, which is most of a packet's cost.
//
//   owner:  sessions or headers | reserve, publish ................. oldest done? release | replay, out
//   any:                                      claim, open or seal, complete
//
// While a burst is in flight every later one goes the same way, so nothing overtakes. The owner holds its
// epoch against the reclaimer until the oldest burst in flight is finished: sessions, paths and snapshot
// stay.
#include <rte_cycles.h>

#include <algorithm>

#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {
constexpr std::uint64_t kSlowHelpNs = 2'000'000;
constexpr BootTime kMistrustNs = 100'000'000;
}  // namespace

// Help is worth its hand-over when more is waiting than this burst, somebody has time, and there is enough to
// do: a packet's lines travel to the helper's cache and back, which at small packets costs what the help
// saves.
bool Worker::wants_help(const BurstContext& at, std::span<const crypto::AeadOp> ops) const noexcept {
  constexpr std::size_t kWorthBytes = kPollBurst * 256;
  if (!options_.spread || !backlog_ || at.now < spread_again_ || workers_with_time() == 0) return false;
  std::size_t bytes = 0;
  for (const crypto::AeadOp& op : ops) bytes += op.length;
  return bytes >= kWorthBytes;
}

std::size_t Worker::workers_with_time() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(team_.begin(), team_.end(), [this](const std::unique_ptr<Worker>& other) {
        return other.get() != this && other->has_time_.load(std::memory_order_relaxed);
      }));
}

// A slot for the burst at hand, or null: the owner does it itself, at once. Behind bursts in flight every
// burst needs one, so that it does not overtake them.
Worker::CryptoJob* Worker::reserve_job(const BurstContext& at, CryptoJob::Kind kind,
                                       std::span<const crypto::AeadOp> ops) noexcept {
  if (jobs_.in_flight() == 0 && !wants_help(at, ops)) return nullptr;
  CryptoJob* job = jobs_.reserve();
  if (job == nullptr) return nullptr;  // only when a step made more bursts than room_for_step() foresees
  job->kind = kind;
  job->context = at;
  job->handed_at = rte_rdtsc();
  return job;
}

void Worker::publish_job() noexcept {
  jobs_.publish();
  for (const std::unique_ptr<Worker>& other : team_) {
    if (other.get() == this || !other->has_time_.load(std::memory_order_relaxed)) continue;
    return other->doorbell_.ring();  // a system call only when it sleeps
  }
}

// Reports the epoch of the oldest reference held: this loop's, unless bursts of earlier loops are in flight.
std::uint64_t Worker::hold_epoch() noexcept {
  const std::uint64_t epoch = quiescence_.epoch();
  std::uint64_t oldest = epoch;
  jobs_.for_each_in_flight([&](const CryptoJob& job) { oldest = std::min(oldest, job.context.epoch); });
  quiescence_.report_as_of(options_.id, oldest);
  return epoch;
}

void Worker::work_on(OrderedRing<CryptoJob>::Claim claim) {
  CryptoJob& job = claim.job();
  if (job.kind == CryptoJob::Kind::open) {
    open(job.data);
  } else {
    seal(job.send, *job.context.view);
  }
  claim.complete();
}

// Leaves one burst for each worker with time while more is arriving; otherwise does the oldest itself.
bool Worker::work_on_own_jobs(const BurstContext& at) {
  if (jobs_.in_flight() == 0) return false;
  if (!backlog_ || jobs_.unclaimed() > workers_with_time() || !room_for_step()) {
    stage_started_ = rte_rdtsc();
    if (auto claim = jobs_.claim()) work_on(claim);
  }
  release_finished_jobs(at.now);
  return true;
}

// Tells the team whether this worker has time, and if so does one burst of somebody's. True when it did.
bool Worker::share_time(bool has_time) {
  has_time = has_time && options_.spread;
  if (has_time_.load(std::memory_order_relaxed) != has_time)
    has_time_.store(has_time, std::memory_order_relaxed);
  if (!has_time) return false;
  for (std::size_t i = 0; i < team_.size(); ++i) {
    helped_last_ = helped_last_ + 1 < team_.size() ? helped_last_ + 1 : 0;
    Worker& other = *team_[helped_last_];
    if (&other == this) continue;
    if (auto claim = other.jobs_.claim()) {
      stage_started_ = rte_rdtsc();
      counters_.helped_bursts.add(1);
      work_on(claim);
      return true;
    }
  }
  return false;
}

void Worker::release_finished_jobs(BootTime now) {
  for (std::size_t i = 0; i < kJobs; ++i) {
    CryptoJob* job = jobs_.oldest();
    if (job == nullptr) return;
    release_job(*job, now);
  }
}

// The stages behind the crypto, under the snapshot and the epoch the burst was prepared with.
void Worker::release_job(CryptoJob& job, BootTime now) {
  // The time goes on for it as for everybody: what it notes may not be older than what others noted.
  const BurstContext at = job.context.resumed(now);
  const bool opened = job.kind == CryptoJob::Kind::open;
  stage_started_ = rte_rdtsc();
  // All slots full of the largest packets take less: the scheduler has taken a helper off its core meanwhile,
  // as it does where workers have no cores of their own. Do without for a while.
  if ((stage_started_ - job.handed_at) * ns_per_clock_ >> kNsShift > kSlowHelpNs) {
    counters_.spread_stalls.add(1);
    spread_again_ = now + kMistrustNs;
  }
  if (opened) {
    data_.take(job.data);
    for (std::size_t i = 0; i < data_.n; ++i) __builtin_prefetch(data_.op[i].data);  // in the helper's cache
  } else {
    send_.take(job.send);
  }
  const std::size_t packets = opened ? data_.n : send_.n;
  jobs_.release();
  counters_.spread_bursts.add(1);
  if (opened) {
    finish_receive(at);
  } else {
    transmit_sealed(at);
  }
  route_and_send(at);
  count_latency(at, packets);
}

// Before the lcore ends: helpers finish what they have claimed, the rest is done here.
void Worker::finish_all_jobs(BootTime now) {
  while (jobs_.in_flight() != 0) {
    if (auto claim = jobs_.claim()) work_on(claim);
    release_finished_jobs(now);
  }
  free_refused();
}

}  // namespace wg::dataplane
