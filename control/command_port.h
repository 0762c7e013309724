// The one way from the control thread to a worker: a command, and the packet that belongs to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "control/packet_ptr.h"
#include "dataplane/counters.h"
#include "dataplane/worker.h"

namespace wg::control {

// Control thread. The workers and the counters outlive it.
class CommandPort {
 public:
  using Workers = std::span<const std::unique_ptr<dataplane::Worker>>;

  CommandPort(Workers workers, dataplane::DropCounters& drops) : workers_(workers), drops_(drops) {}

  // Commands of equal keys reach the same worker, in order. The worker then owns the packet. False: its
  // mailbox is full; `when_full` is counted and the packet is back in its pool.
  bool post(std::uint32_t key, dataplane::Command command, PacketPtr packet,
            dataplane::DropReason when_full) const;

  // Half of each mailbox is kept for established peers. Callers that answer unknown hosts ask first.
  [[nodiscard]] bool has_room_for_unknown_hosts(std::uint32_t key) const;

 private:
  [[nodiscard]] dataplane::Worker& worker_of(std::uint32_t key) const {
    return *workers_[key % workers_.size()];
  }

  Workers workers_;
  dataplane::DropCounters& drops_;
};

}  // namespace wg::control
