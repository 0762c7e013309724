// The counters of the control thread beside drops and handshake messages. W: control. R: any thread.
//
// A row here is all that a counter costs beside the line that counts, as in dataplane/counters.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

#include "dataplane/counters.h"

namespace wg::control {

// X(name, unit, what it counts)
#define LINEGATE_CONTROL_COUNTERS(X)                                                                      \
  X(log_lines_dropped, lines, "Log lines dropped because the log's reader is too slow")                   \
  X(log_lines_limited, lines, "Log lines withheld because a peer caused too many")                        \
  X(tasks_failed, tasks, "Tasks of the control thread abandoned: no memory, or a system call failed")     \
  X(key_captures, captures, "Captures that recorded private keys, for laboratories")                      \
  X(netlink_resyncs, times, "Times netlink notifications were lost and the state was read again")         \
  X(put_back, things, "Addresses, routes and settings that Linux had lost and that were put back")        \
  X(endpoints_restored, peers, "Peers whose endpoint was known from before the start")                    \
  X(strays_answered, messages, "Initiations because a peer used a session from before the start")         \
  X(flows_taken_over, connections, "Connections given to the workers")                                    \
  X(flows_handed_back, connections, "Connections that ended or went back to Linux")                       \
  X(flow_timeouts_refreshed, times, "Times the timeout of a connection that workers carry was refreshed") \
  X(flow_events_lost, times,                                                                              \
    "Times events of connection tracking were lost, and all entries were read again")                     \
  X(flow_rule_changes, times, "New generations of nftables: all connections had to earn the mark again")

// The same for what the control thread itself does in a round.
#define LINEGATE_ROUND_COUNTERS(X)                                     \
  X(rounds, rounds, "Rounds of the control thread")                    \
  X(slow_rounds, rounds, "Rounds of the control thread of over 20 ms") \
  X(roams_withheld, times, "Times a peer's endpoint was not moved, because it had just been")

struct ControlCounters {
#define LINEGATE_MEMBER(name, unit, text) dataplane::Counter name;
  LINEGATE_CONTROL_COUNTERS(LINEGATE_MEMBER)
  LINEGATE_ROUND_COUNTERS(LINEGATE_MEMBER)
#undef LINEGATE_MEMBER
};

inline void copy_counters(const ControlCounters& from, ControlCounters& to) noexcept {
#define LINEGATE_COPY(name, unit, text) to.name.set(from.name.get());
  LINEGATE_CONTROL_COUNTERS(LINEGATE_COPY)
  LINEGATE_ROUND_COUNTERS(LINEGATE_COPY)
#undef LINEGATE_COPY
}

struct ControlCounterFacts {
  const char* name;
  const char* unit;
  const char* text;
};

inline constexpr ControlCounterFacts kControlCounterFacts[] = {
#define LINEGATE_FACTS(name, unit, text) {#name, #unit, text},
    LINEGATE_CONTROL_COUNTERS(LINEGATE_FACTS) LINEGATE_ROUND_COUNTERS(LINEGATE_FACTS)
#undef LINEGATE_FACTS
};
inline constexpr std::size_t kControlCounters = std::size(kControlCounterFacts);

// Parallel to kControlCounterFacts.
using ControlCounterValues = std::array<std::uint64_t, kControlCounters>;

[[nodiscard]] inline ControlCounterValues values_of(const ControlCounters& counters) noexcept {
#define LINEGATE_VALUE(name, unit, text) counters.name.get(),
  return {LINEGATE_CONTROL_COUNTERS(LINEGATE_VALUE) LINEGATE_ROUND_COUNTERS(LINEGATE_VALUE)};
#undef LINEGATE_VALUE
}

}  // namespace wg::control
