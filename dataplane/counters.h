// What a worker counts. W: the one worker (plain adds through relaxed atomics). R: any thread, any time.
//
// A row here is all that a counter costs beside the line that counts: `show workers --json`, Prometheus and
// DPDK telemetry walk the lists, and a test compares docs/metrics.md with them.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "dataplane/drop_reason.h"

namespace wg::dataplane {

// A counter with one writer: no locked instruction, and no torn or cached reads elsewhere.
class Counter {
 public:
  void add(std::uint64_t n) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// The stages of worker.cpp, in the order of a packet's life: X(name)
#define LINEGATE_STAGES(X) \
  X(receive_port)          \
  X(classify)              \
  X(sessions)              \
  X(open)                  \
  X(replay)                \
  X(inner)                 \
  X(route)                 \
  X(send)                  \
  X(seal)                  \
  X(transmit)              \
  X(exception_in)          \
  X(exception_out)

enum class Stage : std::uint8_t {
#define LINEGATE_ENUM(name) name,
  LINEGATE_STAGES(LINEGATE_ENUM)
#undef LINEGATE_ENUM
      count_
};
inline constexpr std::size_t kStages = static_cast<std::size_t>(Stage::count_);
inline constexpr const char* kStageNames[kStages] = {
#define LINEGATE_NAME(name) #name,
    LINEGATE_STAGES(LINEGATE_NAME)
#undef LINEGATE_NAME
};

// Power-of-two buckets of nanoseconds: bucket i counts values in [2^i, 2^(i+1)).
struct LatencyHistogram {
  static constexpr std::size_t kBuckets = 32;
  std::array<Counter, kBuckets> buckets;
  void add(std::uint64_t ns, std::uint64_t packets) noexcept {
    const auto i = static_cast<std::size_t>(std::bit_width(ns | 1) - 1);
    buckets[i < kBuckets ? i : kBuckets - 1].add(packets);
  }
};

// Telemetry's answer for all workers together holds 256 entries and shows the overview alone; everything else
// shows every counter.
enum class Shown : std::uint8_t { overview, detail };

// X(name, unit, where it shows, what it counts). Those of every loop and burst first: they share two lines.
// "Clocks" are those of the TSC.
#define LINEGATE_WORKER_COUNTERS(X)                                                                     \
  X(loops, loops, detail, "Loops of the worker")                                                        \
  X(busy_loops, loops, detail, "Loops that found work")                                                 \
  X(busy_cycles, clocks, overview, "Clocks of the TSC in loops that found work")                        \
  X(idle_cycles, clocks, overview, "Clocks of the TSC in loops that found none")                        \
  X(rx_packets, packets, overview, "Frames received from ports")                                        \
  X(tx_packets, packets, overview, "Frames handed to ports")                                            \
  X(opened_packets, packets, overview, "Transport data messages that authenticated")                    \
  X(opened_bytes, bytes, detail, "Inner bytes of them, with padding")                                   \
  X(sealed_packets, packets, overview, "Transport data messages sealed")                                \
  X(sealed_bytes, bytes, detail, "Inner bytes of them, with padding")                                   \
  X(short_cut_to_port, packets, detail, "Packets from a peer to a port past the kernel")                \
  X(short_cut_from_port, packets, detail, "Packets from a port to a peer past the kernel")              \
  X(hairpin, packets, detail, "Packets from a peer to a peer past the kernel")                          \
  X(keepalives_received, packets, detail, "Keepalives that authenticated")                              \
  X(spread_bursts, bursts, overview, "Own bursts whose crypto the team was offered")                    \
  X(helped_bursts, bursts, overview, "Bursts of other workers sealed or opened here")                   \
  X(spread_stalls, bursts, overview, "Own bursts that waited 2 ms for a helper off its core")           \
  X(to_tun, packets, overview, "Packets written to TUNs")                                               \
  X(from_tun, packets, overview, "Packets read from TUNs")                                              \
  X(to_tap, packets, detail, "Frames written to TAPs")                                                  \
  X(from_tap, packets, detail, "Frames read from TAPs")                                                 \
  X(to_kernel_socket, packets, detail, "Sealed messages handed to the kernel's UDP socket")             \
  X(staged, packets, detail, "Packets handed to the control thread to wait for a session")              \
  X(handshakes_posted, messages, detail, "Handshake messages posted to the control thread")             \
  X(events_posted, events, detail, "Events posted to the control thread, staged packets among them")    \
  X(events_lost, events, detail, "Events that found the control thread's mailbox full")                 \
  X(strays_withheld, messages, detail, "Data without a session, not reported: more than 1000/s")        \
  X(icmp_sent, packets, detail, "ICMP errors sent")                                                     \
  X(icmp_suppressed, packets, detail, "ICMP errors beyond the rate limit, not sent")                    \
  X(flows_carried, packets, detail, "Packets of connections that Linux had accepted, carried past it")  \
  X(flows_to_linux, packets, detail, "Packets of `forwarding: flows` that no connection was found for") \
  X(flows_wrong_way, packets, detail, "Among them, from elsewhere than the connection's own side")      \
  X(sleeps, sleeps, overview, "Times the worker slept between polls")

// TUN and TAP queues of a worker together; shown with "exception_" in front. "Read" is from the kernel.
#define LINEGATE_TUN_COUNTERS(X)                                                             \
  X(read_packets, packets, detail, "Packets that reads of TUNs and TAPs gave")               \
  X(read_bytes, bytes, detail, "Bytes of them")                                              \
  X(read_calls, calls, detail, "Reads that returned a packet")                               \
  X(read_super_packets, packets, detail, "Super-packets among what was read")                \
  X(read_malformed, packets, detail, "Read and dropped: headers that do not fit the packet") \
  X(read_too_long, packets, detail, "Read and dropped: larger than a packet buffer")         \
  X(read_no_mbuf, times, detail, "Times the packet buffer pool was empty before a read")     \
  X(read_errors, calls, detail, "Reads that failed")                                         \
  X(write_packets, packets, detail, "Packets that the kernel took")                          \
  X(write_bytes, bytes, detail, "Bytes of them")                                             \
  X(write_calls, calls, detail, "Writes")                                                    \
  X(write_super_packets, packets, detail, "Super-packets written")                           \
  X(write_full, packets, detail, "Packets dropped: the queue was full")                      \
  X(write_errors, packets, detail, "Packets dropped: interface down, packet refused, or too many segments")

#define LINEGATE_MEMBER(name, unit, shown, text) Counter name;

struct TunCounters {
  LINEGATE_TUN_COUNTERS(LINEGATE_MEMBER)
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
  LINEGATE_WORKER_COUNTERS(LINEGATE_MEMBER)
  std::array<Counter, kStages> stage_cycles, stage_packets;
  LatencyHistogram latency;  // poll to transmit hand-over, per burst
  TunCounters exception;
  DropCounters drops;

  void drop(DropReason reason, std::uint64_t n = 1) noexcept { drops.add(reason, n); }
};
#undef LINEGATE_MEMBER
static_assert(offsetof(WorkerCounters, spread_stalls) == 128, "what every burst counts fills two lines");

struct CounterFacts {
  const char* name;
  const char* unit;
  Shown shown;
  const char* text;
};

inline constexpr CounterFacts kWorkerCounterFacts[] = {
#define LINEGATE_FACTS(name, unit, shown, text) {#name, #unit, Shown::shown, text},
    LINEGATE_WORKER_COUNTERS(LINEGATE_FACTS)
#undef LINEGATE_FACTS
#define LINEGATE_FACTS(name, unit, shown, text) {"exception_" #name, #unit, Shown::shown, text},
        LINEGATE_TUN_COUNTERS(LINEGATE_FACTS)
#undef LINEGATE_FACTS
};
inline constexpr std::size_t kWorkerCounters = std::size(kWorkerCounterFacts);

// Parallel to kWorkerCounterFacts.
using CounterValues = std::array<std::uint64_t, kWorkerCounters>;

[[nodiscard]] inline CounterValues values_of(const WorkerCounters& counters) noexcept {
#define LINEGATE_VALUE(name, unit, shown, text) counters.name.get(),
#define LINEGATE_TUN_VALUE(name, unit, shown, text) counters.exception.name.get(),
  return {LINEGATE_WORKER_COUNTERS(LINEGATE_VALUE) LINEGATE_TUN_COUNTERS(LINEGATE_TUN_VALUE)};
#undef LINEGATE_VALUE
#undef LINEGATE_TUN_VALUE
}

}  // namespace wg::dataplane
