// DPDK's environment without devices and ports that are rings in memory: once per process, no root.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "dataplane/io/port.h"

struct rte_mempool;
struct rte_ring;

namespace wg::test {

// Large pages are what a gateway runs on; ordinary ones are always to be had.
enum class Pages { ordinary, huge };

// Starts EAL on the calling thread (once); throws std::runtime_error.
void start_environment(unsigned memory_mb, Pages pages = Pages::ordinary);

// EAL binds the thread that starts it to one core, and threads made by it inherit that: undo it for this
// thread.
void run_on_any_core();

// A port whose wire is a pair of rings: put frames into `arriving`, take them out of `leaving`.
struct RingPort {
  rte_ring* arriving = nullptr;
  rte_ring* leaving = nullptr;
  std::unique_ptr<dataplane::Port> port;
};

// `size`: a power of two. Ports live as long as the process. `workers` share one queue each way.
RingPort make_ring_port(const std::string& name, unsigned size, rte_mempool* pool, std::uint16_t workers = 1);

}  // namespace wg::test
