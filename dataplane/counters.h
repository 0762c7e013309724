// The counters of a worker. W: the one worker (plain adds through relaxed atomics). R: any thread, any time.
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
enum class Shown : std::uint8_t { kOverview, kDetail };

// X(name, unit, where it shows, what it counts). Those of every loop and burst first: they share two lines.
// "Clocks" are those of the TSC.
#define LINEGATE_WORKER_COUNTERS(X)                                                                      \
  X(loops, loops, kDetail, "Loops of the worker")                                                        \
  X(busy_loops, loops, kDetail, "Loops that found work")                                                 \
  X(busy_cycles, clocks, kOverview, "Clocks of the TSC in loops that found work")                        \
  X(idle_cycles, clocks, kOverview, "Clocks of the TSC in loops that found none")                        \
  X(rx_packets, packets, kOverview, "Frames received from ports")                                        \
  X(tx_packets, packets, kOverview, "Frames handed to ports")                                            \
  X(opened_packets, packets, kOverview, "Transport data messages that authenticated")                    \
  X(opened_bytes, bytes, kDetail, "Inner bytes of them, with padding")                                   \
  X(sealed_packets, packets, kOverview, "Transport data messages sealed")                                \
  X(sealed_bytes, bytes, kDetail, "Inner bytes of them, with padding")                                   \
  X(short_cut_to_port, packets, kDetail, "Packets from a peer to a port past the kernel")                \
  X(short_cut_from_port, packets, kDetail, "Packets from a port to a peer past the kernel")              \
  X(hairpin, packets, kDetail, "Packets from a peer to a peer past the kernel")                          \
  X(keepalives_received, packets, kDetail, "Keepalives that authenticated")                              \
  X(spread_bursts, bursts, kOverview, "Own bursts whose crypto the team was offered")                    \
  X(helped_bursts, bursts, kOverview, "Bursts of other workers sealed or opened here")                   \
  X(spread_stalls, bursts, kOverview, "Own bursts that waited 2 ms for a helper off its core")           \
  X(port_to_port, packets, kDetail, "Packets from a port to a port past the kernel")                     \
  X(to_tun, packets, kOverview, "Packets written to TUNs")                                               \
  X(from_tun, packets, kOverview, "Packets read from TUNs")                                              \
  X(to_tap, packets, kDetail, "Frames written to TAPs")                                                  \
  X(from_tap, packets, kDetail, "Frames read from TAPs")                                                 \
  X(to_kernel_socket, packets, kDetail, "Sealed messages handed to the kernel's UDP socket")             \
  X(staged, packets, kDetail, "Packets handed to the control thread to wait for a session")              \
  X(handshakes_posted, messages, kDetail, "Handshake messages posted to the control thread")             \
  X(events_posted, events, kDetail, "Events posted to the control thread, staged packets among them")    \
  X(events_lost, events, kDetail, "Events that found the control thread's mailbox full")                 \
  X(strays_withheld, messages, kDetail, "Data without a session, not reported: more than 1000/s")        \
  X(icmp_sent, packets, kDetail, "ICMP errors sent")                                                     \
  X(icmp_suppressed, packets, kDetail, "ICMP errors beyond the rate limit, not sent")                    \
  X(flows_carried, packets, kDetail, "Packets of connections that Linux had accepted, carried past it")  \
  X(flows_to_linux, packets, kDetail, "Packets of `forwarding: flows` that no connection was found for") \
  X(flows_wrong_way, packets, kDetail, "Among them, from elsewhere than the connection's own side")      \
  X(to_program, packets, kDetail, "Packets put into the rings of programs")                              \
  X(from_program, packets, kDetail, "Packets taken from the rings of programs")                          \
  X(to_program_super_packets, packets, kDetail, "Super-packets put into the rings of programs")          \
  X(to_program_joined, packets, kDetail, "Packets that were joined into them")                           \
  X(from_program_super_packets, packets, kDetail, "Super-packets taken from the rings of programs")      \
  X(from_program_split, packets, kDetail, "Packets that they were split into")                           \
  X(sleeps, sleeps, kOverview, "Times the worker slept between polls")

// TUN and TAP queues of a worker together; shown with "exception_" in front. "Read" is from the kernel.
#define LINEGATE_TUN_COUNTERS(X)                                                          \
  X(read_packets, packets, kDetail, "Packets that reads of TUNs and TAPs gave")           \
  X(read_bytes, bytes, kDetail, "Bytes of them")                                          \
  X(read_calls, calls, kDetail, "Reads that returned a packet")                           \
  X(read_super_packets, packets, kDetail, "Super-packets among what was read")            \
  X(read_dropped, packets, kDetail, "Packets read and dropped; the drop reasons say why") \
  X(read_no_mbuf, times, kDetail, "Times the packet buffer pool was empty before a read") \
  X(read_errors, calls, kDetail, "Reads that failed")                                     \
  X(write_packets, packets, kDetail, "Packets that the kernel took")                      \
  X(write_bytes, bytes, kDetail, "Bytes of them")                                         \
  X(write_calls, calls, kDetail, "Writes")                                                \
  X(write_super_packets, packets, kDetail, "Super-packets written")                       \
  X(write_full, packets, kDetail, "Packets dropped: the queue was full")                  \
  X(write_errors, packets, kDetail, "Packets dropped: interface down, packet refused, or too many segments")

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

// Where a queue of a TUN, TAP or packet socket counts. A packet that it reads and drops has a reason like
// any.
struct QueueCounters {
  TunCounters& queue;
  DropCounters& drops;

  void drop_read(DropReason reason) const noexcept {
    queue.read_dropped.add(1);
    drops.add(reason);
  }
};

struct alignas(64) WorkerCounters {
  LINEGATE_WORKER_COUNTERS(LINEGATE_MEMBER)
  std::array<Counter, kStages> stage_cycles, stage_packets;
  LatencyHistogram latency;  // poll to transmit hand-over, per burst
  TunCounters exception;
  DropCounters drops;

  void drop(DropReason reason, std::uint64_t n = 1) noexcept { drops.add(reason, n); }
  [[nodiscard]] QueueCounters of_exception_path() noexcept { return {exception, drops}; }
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
