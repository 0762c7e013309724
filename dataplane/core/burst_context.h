// The context that a burst is judged under. Made once per loop, stamped by each poll, and handed to every
// stage; a burst whose crypto is done elsewhere carries its own until its last stage, so that snapshot and
// objects it was prepared with stay.
#pragma once

#include <cstddef>
#include <cstdint>

#include "dataplane/core/burst_size.h"
#include "dataplane/session/limits.h"
#include "dataplane/snapshot.h"

namespace wg::dataplane {

struct BurstContext {
  const Snapshot* view = nullptr;
  BootTime now = kNever;         // of the loop in which the stage runs
  std::uint64_t epoch = 0;       // held against the reclaimer
  std::uint64_t started_at = 0;  // TSC, of the poll; 0: its loop is not timed
  std::uint64_t live_ports = 0;  // of view: bit i, port i is there and up

  [[nodiscard]] bool port_is_live(PortIndex port) const noexcept {
    return number_of(port) < kMaxPorts && (live_ports >> number_of(port) & 1) != 0;
  }
  // The same burst, in a later loop.
  [[nodiscard]] BurstContext resumed(BootTime later) const noexcept {
    BurstContext context = *this;
    context.now = later;
    return context;
  }
};

[[nodiscard]] inline std::uint64_t live_ports(const Snapshot& view) noexcept {
  std::uint64_t live = 0;
  for (const PortIndex index : view.ports.ids())
    live |= static_cast<std::uint64_t>(view.ports[index].port != nullptr && view.ports[index].up)
            << number_of(index);
  return live;
}

}  // namespace wg::dataplane
