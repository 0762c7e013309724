// The options a worker is started with.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace wg::dataplane {

struct WorkerOptions {
  std::uint16_t id = 0;
  bool adaptive_idle = true;
  std::chrono::nanoseconds spin{50'000};        // busy polling before the first sleep
  std::chrono::nanoseconds max_sleep{500'000};  // bound on the latency an idle worker adds
  // Handshake messages posted per loop; the rest is shed unhashed. Unused budget accumulates for up to four
  // loops, so that a burst after a pause is not shed as a flood.
  std::uint32_t handshake_budget = 16;
  std::uint32_t punt_budget = 64;  // packets given to TUN and TAP queues per loop
  std::uint32_t icmp_per_second = 1000;
  bool spread = true;  // let idle workers seal and open for busy ones
  bool sole = false;   // there is no other worker
  // One of so many loops has its stages timed. A number that no other interval of the loop has a factor in
  // common with, so that what is done every few loops gets its share.
  std::uint32_t timed_loops = 7;
  std::function<void()> on_start = {};  // in the worker's thread, before its loop; empty: nothing
};

}  // namespace wg::dataplane
