// What a worker counts. W: the one worker (plain adds through relaxed atomics). R: control, any time.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "dataplane/drop_reason.h"

namespace wg::dataplane {

// A counter with one writer: no locked instruction, and no torn or cached reads elsewhere.
class Counter {
 public:
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// The stages of worker.cpp, in the order of a packet's life; cycles are TSC clocks.
enum class Stage : std::uint8_t {
  receive_port,
  classify,
  sessions,
  open,
  replay,
  inner,
  route,
  send,
  seal,
  transmit,
  exception_in,
  exception_out,
  count_
};
inline constexpr std::size_t kStages = static_cast<std::size_t>(Stage::count_);
inline constexpr const char* kStageNames[kStages] = {
    "receive_port", "classify", "sessions", "open",     "replay",       "inner",
    "route",        "send",     "seal",     "transmit", "exception_in", "exception_out"};

// Power-of-two buckets of nanoseconds: bucket i counts values in [2^i, 2^(i+1)).
struct LatencyHistogram {
  static constexpr std::size_t kBuckets = 32;
  std::array<Counter, kBuckets> buckets;
  void add(std::uint64_t ns, std::uint64_t packets) noexcept {
    const auto i = static_cast<std::size_t>(std::bit_width(ns | 1) - 1);
    buckets[i < kBuckets ? i : kBuckets - 1].add(packets);
  }
};

// Packets that went nowhere, by reason. W: one thread. R: any.
class DropCounters {
 public:
  void add(DropReason reason, std::uint64_t n = 1) noexcept {
    counts_[static_cast<std::size_t>(reason)].add(n);
  }
  [[nodiscard]] const Counter& operator[](std::size_t reason) const noexcept { return counts_[reason]; }
  [[nodiscard]] std::uint64_t get(DropReason reason) const noexcept {
    return counts_[static_cast<std::size_t>(reason)].get();
  }

 private:
  std::array<Counter, kDropReasons> counts_;
};

struct alignas(64) WorkerCounters {
  DropCounters drops;
  Counter loops, busy_loops, sleeps;
  Counter busy_cycles, idle_cycles;      // TSC clocks in loops with and without work
  Counter rx_packets, tx_packets;        // ports
  Counter opened_packets, opened_bytes;  // authenticated transport data, plaintext bytes
  Counter sealed_packets, sealed_bytes;
  Counter keepalives_received;
  Counter to_tun, from_tun, to_tap, from_tap;
  Counter staged, handshakes_posted, events_posted, events_lost, to_kernel_socket;
  Counter icmp_sent, icmp_suppressed;
  Counter hairpin, short_cut_to_port, short_cut_from_port;
  Counter spread_stalls;  // a helper was off its core in the middle of a burst
  Counter spread_bursts,
      helped_bursts;  // bursts whose crypto was offered to the team; done for another worker
  std::array<Counter, kStages> stage_cycles, stage_packets;
  LatencyHistogram latency;  // poll to transmit hand-over, per burst

  void drop(DropReason reason, std::uint64_t n = 1) noexcept { drops.add(reason, n); }
};

}  // namespace wg::dataplane
