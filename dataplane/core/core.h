// The parts that every stage may use beside its own state and what its signature names: options, packet pool,
// counters, the mailboxes to control, and the end of a refused packet. One per worker, touched by its thread
// alone but where a member says otherwise.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "dataplane/base/processor.h"
#include "dataplane/core/burst_context.h"
#include "dataplane/core/bursts.h"
#include "dataplane/core/watcher.h"
#include "dataplane/core/worker_options.h"
#include "dataplane/counters.h"
#include "dataplane/crypto/aead.h"
#include "dataplane/io/tun.h"
#include "dataplane/messages.h"

namespace wg::dataplane {

class Core {
 public:
  // `engine`: the AEAD variant, chosen once. `pool`: packets this worker makes. Both outlive it.
  Core(const WorkerOptions& worker_options, const crypto::AeadEngine& aead_engine, rte_mempool* packet_pool);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Refused packets go back to the pool together, when the loop ends.
  void drop(rte_mbuf* packet, DropReason reason) noexcept {
    counters.drop(reason);
    if (watcher.on()) [[unlikely]]
      watcher.dropped(packet, reason);
    if (refused_.n == kBurst) [[unlikely]]
      free_refused();
    refused_.packet[refused_.n++] = packet;
  }
  void free_refused() noexcept {
    if (refused_.n != 0) return_refused();
  }

  // False: the mailbox is full, nothing was posted, the loss is counted.
  bool post(const Event& event) noexcept;
  bool post(const HandshakeMessage& message) noexcept;
  // Posts the request unless it has been raised and not been answered yet.
  void request_handshake(Peer& peer, PeerRequest request, EventType type) noexcept;
  // Has something been posted since the last call?
  [[nodiscard]] bool take_posted() noexcept {
    const bool posted = posted_;
    posted_ = false;
    return posted;
  }

  // A counter of a peer, which only workers write: a sole worker needs no locked instruction.
  void count(std::atomic<std::uint64_t>& counter, std::uint64_t n) const noexcept {
    if (options.sole)
      return counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    counter.fetch_add(n, std::memory_order_relaxed);
  }

  // ---- clocks of the stages: each lasts from the end of the one before. A reading of the TSC costs as much
  // as a stage does for several packets, so only the stages of one loop in several are timed.
  [[nodiscard]] static std::uint64_t tsc() noexcept { return processor::cycle_counter(); }
  // `now`: the TSC.
  void begin_loop(std::uint64_t now) noexcept {
    timed_ = until_timed_ == 0;
    until_timed_ = timed_ ? options.timed_loops - 1 : until_timed_ - 1;
    stage_started_ = now;
  }
  // For a burst that starts here; 0: this loop is not timed.
  [[nodiscard]] std::uint64_t burst_started() const noexcept { return timed_ ? stage_started_ : 0; }
  void restart_stage() noexcept {
    if (timed_) stage_started_ = tsc();
  }
  void count_stage(Stage stage, std::size_t packets) noexcept {
    if (!timed_) return;
    const std::uint64_t now = tsc();
    counters.stage_cycles[static_cast<std::size_t>(stage)].add(now - stage_started_);
    counters.stage_packets[static_cast<std::size_t>(stage)].add(packets);
    stage_started_ = now;
  }
  // From the burst's poll, in a timed loop, to now: in this loop or, for what went by a job, a later one.
  void count_latency(const BurstContext& at, std::size_t packets) noexcept {
    if (at.started_at != 0) counters.latency.add(nanoseconds_of(tsc() - at.started_at), packets);
  }
  [[nodiscard]] std::uint64_t nanoseconds_of(std::uint64_t clocks) const noexcept {
    return clocks * ns_per_clock_ >> kNsShift;
  }

  const WorkerOptions options;
  const crypto::AeadEngine& engine;
  const crypto::AeadScratchPtr scratch;
  rte_mempool* const pool;
  Watcher watcher;
  WorkerMailboxes mailboxes;  // the other end: control
  WorkerCounters counters;    // R: any thread

 private:
  void return_refused() noexcept;

  static constexpr unsigned kNsShift = 24;
  const std::uint64_t ns_per_clock_;  // fixed point: no division per burst
  std::uint64_t stage_started_ = 0;   // TSC; of a timed loop
  std::uint32_t until_timed_ = 0;     // loops
  bool timed_ = false;                // this loop
  bool posted_ = false;               // something waits for control
  OutQueue refused_;
};

}  // namespace wg::dataplane
