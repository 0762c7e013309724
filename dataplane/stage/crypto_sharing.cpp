#include "dataplane/stage/crypto_sharing.h"

#include <algorithm>
#include <chrono>

namespace wg::dataplane {

namespace {
constexpr std::uint64_t kSlowHelpNs = 2'000'000;
constexpr std::chrono::milliseconds kHelperBackoff{100};
}  // namespace

CryptoSharing::CryptoSharing(Core& core, Crypto& crypto, Doorbell& doorbell)
    : core_(core), crypto_(crypto), doorbell_(doorbell) {}

// Help is worth its hand-over when more is waiting than this burst, another worker is idle, and there is
// enough to do: a packet's lines travel to the helper's cache and back, which at small packets costs what the
// help saves.
bool CryptoSharing::wants_help(BootTime now, std::span<const crypto::AeadOp> ops) const noexcept {
  constexpr std::size_t kWorthBytes = kPollBurst * 256;
  if (!core_.options.spread || !backlog_ || now < share_again_at_ || idle_workers() == 0) return false;
  std::size_t bytes = 0;
  for (const crypto::AeadOp& op : ops) bytes += op.length;
  return bytes >= kWorthBytes;
}

std::size_t CryptoSharing::idle_workers() const noexcept {
  return static_cast<std::size_t>(
      std::count_if(team_.begin(), team_.end(), [this](const CryptoSharing* other) {
        return other != this && other->idle_.load(std::memory_order_relaxed);
      }));
}

bool CryptoSharing::offer(const BurstContext& at, DataBurst& data) noexcept {
  CryptoJob* job = reserve(at, CryptoJob::Kind::kOpen, {data.op.data(), data.n});
  if (job == nullptr) return false;
  job->data.take(data);
  publish();
  return true;
}

bool CryptoSharing::offer(const BurstContext& at, SendBurst& send) noexcept {
  CryptoJob* job = reserve(at, CryptoJob::Kind::kSeal, {send.op.data(), send.n});
  if (job == nullptr) return false;
  job->send.take(send);
  publish();
  return true;
}

// A slot for the burst at hand, or null: the owner does it itself, at once. Behind bursts in flight every
// burst needs one, so that it does not overtake them.
CryptoJob* CryptoSharing::reserve(const BurstContext& at, CryptoJob::Kind kind,
                                  std::span<const crypto::AeadOp> ops) {
  if (ops.empty() || (jobs_.in_flight() == held_ && !wants_help(at.now, ops))) return nullptr;
  CryptoJob* job = jobs_.reserve();
  if (job == nullptr) return nullptr;  // has_room() foresees that this does not happen
  job->kind = kind;
  job->context = at;
  job->offered_at = Core::tsc();
  return job;
}

void CryptoSharing::publish() noexcept {
  jobs_.publish();
  for (CryptoSharing* other : team_) {
    if (other == this || !other->idle_.load(std::memory_order_relaxed)) continue;
    return other->doorbell_.ring();  // a system call only when it sleeps
  }
}

std::uint64_t CryptoSharing::oldest_epoch(std::uint64_t current) const noexcept {
  std::uint64_t oldest = current;
  jobs_.for_each_in_flight([&](const CryptoJob& job) { oldest = std::min(oldest, job.context.epoch); });
  return oldest;
}

void CryptoSharing::work_on(OrderedRing<CryptoJob>::Claim claim) {
  CryptoJob& job = claim.job();
  if (job.kind == CryptoJob::Kind::kOpen) {
    crypto_.open(job.data);
  } else {
    crypto_.seal(job.send);
  }
  claim.complete();
}

void CryptoSharing::do_own_share() {
  if (!backlog_ || jobs_.unclaimed() > idle_workers() || !has_room()) do_oldest();
}

void CryptoSharing::do_oldest() {
  core_.restart_stage();
  if (auto claim = jobs_.claim()) work_on(claim);
}

bool CryptoSharing::help_another_worker(bool idle) {
  idle = idle && core_.options.spread;
  if (idle_.load(std::memory_order_relaxed) != idle) idle_.store(idle, std::memory_order_relaxed);
  if (!idle) return false;
  for (std::size_t i = 0; i < team_.size(); ++i) {
    helped_last_ = helped_last_ + 1 < team_.size() ? helped_last_ + 1 : 0;
    CryptoSharing& other = *team_[helped_last_];
    if (&other == this) continue;
    if (auto claim = other.jobs_.claim()) {
      core_.restart_stage();
      core_.counters.helped_bursts.add(1);
      work_on(claim);
      return true;
    }
  }
  return false;
}

CryptoJob* CryptoSharing::next_finished(BootTime now) noexcept {
  CryptoJob* job = jobs_.oldest();
  if (job == nullptr) return nullptr;
  core_.restart_stage();
  // All slots full of the largest packets take less: the scheduler has taken a helper off its core meanwhile,
  // as it does where workers have no cores of their own. Do without for a while.
  if (core_.nanoseconds_of(Core::tsc() - job->offered_at) > kSlowHelpNs) {
    core_.counters.spread_stalls.add(1);
    share_again_at_ = now + kHelperBackoff;
  }
  core_.counters.spread_bursts.add(1);
  held_ = 1;
  return job;
}

}  // namespace wg::dataplane
