// Programs that are the inner side of an interface: what they send enters the journey here. What goes to them
// leaves by core/egress.h.
#pragma once

#include <cstddef>

#include "dataplane/core/burst_context.h"
#include "dataplane/core/bursts.h"
#include "dataplane/core/core.h"
#include "dataplane/io/program_ring.h"

namespace wg::dataplane {

class Program {
 public:
  explicit Program(Core& core) : core_(core) {}

  // At most kPollBurst packets of this worker's queue, whole and from a source that is the program's. Returns
  // how many were looked at.
  std::size_t take(const BurstContext& at, InterfaceId id, SendBurst& send) noexcept;

 private:
  bool copy(ProgramQueue& queue, rte_mbuf& packet) noexcept;
  bool judge(const ProgramRing& ring, rte_mbuf* packet) noexcept;

  Core& core_;
};

}  // namespace wg::dataplane
