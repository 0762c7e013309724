// One peer over several cores, in order. A tunnel is one outer 5-tuple, so a port gives all of it to one
// worker. That worker owns its packets and their order; workers without work of their own do the crypto,
// which is most of a packet's cost.
//
//   owner        finds sessions, or writes headers
//                offer()
//   any worker         claims, opens or seals, completes
//   owner        next_finished(), when the oldest is done
//                replay window, or transmit
//                release()
//
// While a burst is in flight every later one goes the same way, so nothing overtakes. The owner holds its
// epoch against the reclaimer until the oldest burst in flight is finished: sessions, paths and snapshot
// stay.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/core/core.h"
#include "dataplane/stage/crypto.h"
#include "dataplane/thread/doorbell.h"
#include "dataplane/thread/ordered_ring.h"

namespace wg::dataplane {

// A burst between the stages in front of the crypto and those behind it.
struct CryptoJob {
  enum class Kind : std::uint8_t { kOpen, kSeal };
  Kind kind;
  BurstContext context;      // under which the burst has been prepared and will be finished
  std::uint64_t offered_at;  // TSC
  DataBurst data;            // Kind::kOpen
  SendBurst send;            // Kind::kSeal
};

class CryptoSharing {
 public:
  static constexpr std::size_t kJobs = 16;

  // `doorbell`: this worker's.
  CryptoSharing(Core& core, Crypto& crypto, Doorbell& doorbell);

  // The members that may help each other; before the workers run. The span's members outlive the last help.
  void join(std::vector<CryptoSharing*> team) { team_ = std::move(team); }
  [[nodiscard]] bool has_team() const noexcept { return team_.size() > 1; }
  void begin_loop() noexcept { backlog_ = false; }
  // A poll filled its burst: more is waiting.
  void note_backlog() noexcept { backlog_ = true; }

  // ---- the owner
  // True: the burst is a job now and `data` or `send` is empty. False: the owner does the crypto, at once.
  [[nodiscard]] bool offer(const BurstContext& at, DataBurst& data) noexcept;
  [[nodiscard]] bool offer(const BurstContext& at, SendBurst& send) noexcept;
  // May one more burst be polled? What it can cause finds free slots then.
  [[nodiscard]] bool has_room() const noexcept { return jobs_.free() >= kJobsPerStep; }
  [[nodiscard]] bool has_jobs() const noexcept { return jobs_.in_flight() != 0; }
  // Leaves one burst for each idle worker while more is arriving; otherwise does the oldest itself.
  void do_own_share();
  void do_oldest();
  // The oldest job when its crypto is done, else null: the caller runs its last stages in place, then calls
  // release(). What these offer goes behind the other bursts in flight; without any it is done at once.
  [[nodiscard]] CryptoJob* next_finished(BootTime now) noexcept;
  void release() noexcept {
    jobs_.release();
    held_ = 0;
  }
  // The oldest epoch under which a burst in flight was prepared; `current` without one.
  [[nodiscard]] std::uint64_t oldest_epoch(std::uint64_t current) const noexcept;

  // ---- a helper
  // Tells the team whether this worker is idle, and if so does one burst of another's. True when it did.
  bool help_another_worker(bool idle);
  void stop_helping() noexcept { idle_.store(false, std::memory_order_relaxed); }

 private:
  // The most jobs that one step of the owner offers: what it polled to open, the rounds of a send, and the
  // slot that a finished job holds meanwhile.
  static constexpr std::size_t kJobsPerStep = 1 + kSendRounds + 1;

  [[nodiscard]] bool wants_help(BootTime now, std::span<const crypto::AeadOp> ops) const noexcept;
  [[nodiscard]] std::size_t idle_workers() const noexcept;
  CryptoJob* reserve(const BurstContext& at, CryptoJob::Kind kind, std::span<const crypto::AeadOp> ops);
  void publish() noexcept;
  void work_on(OrderedRing<CryptoJob>::Claim claim);

  Core& core_;
  Crypto& crypto_;
  Doorbell& doorbell_;
  OrderedRing<CryptoJob> jobs_{kJobs};  // this worker's bursts; claimed by any worker of the team
  std::vector<CryptoSharing*> team_;    // this worker's among them
  std::size_t held_ = 0;                // 1 while the last stages of the oldest job run in its slot
  std::size_t helped_last_ = 0;         // index into team_
  BootTime share_again_at_ = kNever;    // no offers before: a helper was off its core
  bool backlog_ = false;                // of this loop
  std::atomic<bool> idle_{false};       // W: this worker. R: the team
};

}  // namespace wg::dataplane
