// A worker: one polling lcore that owns its queue of every port and TUN, and runs packets to completion.
//
// worker.cpp names every stage in order; dataplane/stage/ holds one class per stage. A stage touches what its
// signature names, its own members, and what its constructor was given of dataplane/core/; nothing else.
// Nothing here waits, allocates, throws or logs.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/core/burst_size.h"
#include "dataplane/core/idle_policy.h"
#include "dataplane/core/worker_options.h"
#include "dataplane/counters.h"
#include "dataplane/messages.h"
#include "dataplane/snapshot.h"
#include "dataplane/thread/doorbell.h"
#include "dataplane/thread/quiescence.h"

struct rte_mempool;

namespace wg::crypto {
struct AeadEngine;
}

namespace wg::dataplane {

struct BurstContext;
struct Journey;

class Worker {
 public:
  // `engine`: the AEAD variant, chosen once. `pool`: packets this worker makes. All references outlive it.
  Worker(const WorkerOptions& options, const crypto::AeadEngine& engine, rte_mempool* pool,
         Quiescence& quiescence, const std::atomic<const Snapshot*>& snapshot, Doorbell& control_doorbell);
  ~Worker();

  // The workers that may help each other; before run(). The span's workers outlive this one's run().
  void join_team(std::span<const std::unique_ptr<Worker>> team);

  // ---- the lcore
  // Polls until stop().
  void run();
  // One loop; true when there was work. `now`: one reading per loop.
  bool run_once(BootTime now);

  // ---- any thread
  void set_idle(bool adaptive, std::chrono::nanoseconds max_sleep) noexcept {
    idle_.set(adaptive, max_sleep);
  }
  void stop() noexcept {
    stopping_.store(true, std::memory_order_release);
    doorbell_.ring();
  }
  [[nodiscard]] const WorkerCounters& counters() const noexcept;
  [[nodiscard]] std::uint64_t heartbeat() const noexcept {
    return heartbeat_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] WorkerMailboxes& mailboxes() noexcept;
  [[nodiscard]] Doorbell& doorbell() noexcept { return doorbell_; }
  [[nodiscard]] std::uint16_t id() const noexcept { return id_; }

 private:
  bool run_journey(BurstContext& at);
  std::uint64_t hold_epoch() noexcept;
  void sleep_if_idle(bool worked, BootTime now);

  const std::uint16_t id_;
  Quiescence& quiescence_;
  const std::atomic<const Snapshot*>& published_;
  Doorbell& control_doorbell_;
  Doorbell doorbell_;
  IdlePolicy idle_;
  std::uint32_t loop_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> heartbeat_{0};  // W: this worker
  const std::unique_ptr<Journey> journey_;
};

}  // namespace wg::dataplane
