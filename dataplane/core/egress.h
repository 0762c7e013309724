// The only owner of outgoing queues: what leaves by a port, what is punted to Linux by a TAP or a TUN, and
// what goes to the program that is an interface's inner side in place of Linux. Queues fill while a burst
// runs and are flushed at its end, under the same context.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/core/core.h"
#include "dataplane/io/segmentation.h"

namespace wg::dataplane {

class ProgramQueue;

class Egress {
 public:
  explicit Egress(Core& core);

  void begin_loop() noexcept { punts_left_ = core_.options.punt_budget; }

  // All take the packets; a run has at most kBurst.
  void transmit(const BurstContext& at, PortIndex port, rte_mbuf* packet) noexcept {
    if (!at.port_is_live(port)) [[unlikely]]
      return core_.drop(packet, DropReason::port_down);
    OutQueue& out = ports_[port];
    if (out.n == kBurst) [[unlikely]]
      hand_over(at, port, out);
    out.packet[out.n++] = packet;
  }
  // The same for a run of packets: the port is asked for once.
  void transmit(const BurstContext& at, PortIndex port, std::span<rte_mbuf* const> packets) noexcept {
    if (!at.port_is_live(port)) [[unlikely]] {
      for (rte_mbuf* packet : packets) core_.drop(packet, DropReason::port_down);
      return;
    }
    OutQueue& out = ports_[port];
    if (out.n + packets.size() > kBurst) [[unlikely]]
      hand_over(at, port, out);
    std::copy(packets.begin(), packets.end(), out.packet.begin() + static_cast<std::ptrdiff_t>(out.n));
    out.n += packets.size();
  }
  void punt_to_tap(const BurstContext& at, PortIndex port, rte_mbuf* packet) noexcept;
  // To the interface's inner side: Linux, or the program of its ring.
  void punt_to_tun(const BurstContext& at, InterfaceId interface_id, rte_mbuf* packet) noexcept;
  // To the program beside the interface's peers, which there is.
  void give_to_routed(const BurstContext& at, InterfaceId interface_id, rte_mbuf* packet) noexcept;

  // Hands everything that this burst produced to ports, TAPs, TUNs and programs.
  void flush(const BurstContext& at) noexcept;

 private:
  void hand_over(const BurstContext& at, PortIndex port, OutQueue& out) noexcept;
  [[gnu::cold]] void hand_over_watched(const BurstContext& at, PortIndex port, OutQueue& out) noexcept;
  void punt(const KernelInterface* to, OutQueue& out, rte_mbuf* packet) noexcept;
  std::size_t write(KernelInterface& to, OutQueue& out, Counter& written) noexcept;
  void give_to_program(ProgramRing& ring, OutQueue& out, rte_mbuf* packet) noexcept;
  std::size_t write(ProgramRing& to, OutQueue& out) noexcept;
  std::size_t drop_unfit(const ProgramQueue& queue, OutQueue& out, std::size_t n) noexcept;
  std::size_t put_each(ProgramQueue& queue, OutQueue& out, std::size_t n, std::size_t room) noexcept;
  std::size_t put_joined(ProgramQueue& queue, OutQueue& out, std::size_t n, std::size_t room) noexcept;
  void put_group(ProgramQueue& queue, OutQueue& out, const Coalescer::Group& group) noexcept;
  std::size_t flush_ports(const BurstContext& at) noexcept;
  std::size_t flush_punts(const BurstContext& at) noexcept;

  Core& core_;
  std::uint32_t punts_left_ = 0;            // of this loop
  ById<PortIndex, OutQueue> ports_, taps_;  // sized by control's limits
  ById<InterfaceId, OutQueue> tuns_;        // or the rings in their place
  ById<InterfaceId, OutQueue> routed_;      // rings of routed programs
};

}  // namespace wg::dataplane
