// Programs at interfaces: what they send enters the journey here, and here is decided what goes to those
// beside the peers. It leaves by core/egress.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/core/burst_context.h"
#include "dataplane/core/bursts.h"
#include "dataplane/core/core.h"
#include "dataplane/core/egress.h"
#include "dataplane/io/program_ring.h"

namespace wg::dataplane {

class Program {
 public:
  explicit Program(Core& core) : core_(core) {}

  // At most kPollBurst packets of this worker's queue, whole and from a source that is the program's. Returns
  // how many were looked at. The inner side sends as Linux would in its place.
  std::size_t take(const BurstContext& at, InterfaceId id, SendBurst& send) noexcept;
  // The same for a routed program: its packets need a route.
  std::size_t take(const BurstContext& at, InterfaceId id, InnerBurst& inner) noexcept;

  // ---- routed programs, beside the peers: their sources are their allowed IPs
  // Packets to their addresses, whatever peers have these too.
  void deliver_to_routed(const BurstContext& at, SendBurst& send, Egress& egress) noexcept;
  // Drops what peers have sent from their addresses, of the packets from `first` on.
  void refuse_sources_of_routed(const BurstContext& at, InnerBurst& inner, std::size_t first) noexcept;

 private:
  struct Taken {
    std::size_t looked_at = 0, good = 0;
    rte_mbuf* packet[kPollBurst];
  };

  void read(InterfaceId id, ProgramRing& ring, Taken& taken) noexcept;
  void read_each(InterfaceId id, const ProgramRing& ring, ProgramQueue& queue, std::size_t n,
                 Taken& taken) noexcept;
  void read_split(InterfaceId id, const ProgramRing& ring, ProgramQueue& queue, std::size_t there,
                  Taken& taken) noexcept;
  void count_split(bool is_first) noexcept;
  static std::span<std::uint8_t> room_of(rte_mbuf* packet) noexcept;
  void accept(InterfaceId id, const ProgramRing& ring, rte_mbuf* packet, std::size_t length,
              Taken& taken) noexcept;
  bool judge(const ProgramRing& ring, rte_mbuf* packet) noexcept;

  Core& core_;
};

}  // namespace wg::dataplane
