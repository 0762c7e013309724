// A port of the generator or of the forwarder, with ARP for what is at its two ends. One thread has it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "bench/vf/frames.h"
#include "dataplane/counters.h"
#include "dataplane/io/port.h"

struct rte_mempool;
struct rte_mbuf;

namespace wg::bench {

inline constexpr std::uint16_t kBurst = 32;

class Wire {
 public:
  // `own`: the addresses at this end; `gateway`: the one at the other end whose MAC address is learnt.
  // Throws std::runtime_error with DPDK's reason.
  Wire(const std::string& name, const std::string& device, std::uint16_t descriptors, rte_mempool* pool,
       const ArpNetwork& network);

  std::uint16_t receive(rte_mbuf** packets) noexcept { return port_.receive(0, packets, kBurst, counters_); }
  // Returns how many the wire took; it frees the rest.
  std::uint16_t transmit(rte_mbuf** packets, std::uint16_t count) noexcept;
  void send(dataplane::Bytes frame);

  // Answers it, or learns from it, if it is ARP.
  void take_arp(dataplane::Bytes frame);
  void ask_for_gateway();
  [[nodiscard]] bool gateway_known() const { return gateway_.has_value(); }
  void forget_gateway() { gateway_.reset(); }
  [[nodiscard]] Ends ends() const { return {port_.facts().mac, gateway_.value_or(MacAddress{})}; }
  [[nodiscard]] bool link_up() const { return port_.link_up(); }
  [[nodiscard]] const dataplane::Port& port() const { return port_; }
  // A virtual wire refuses a packet because the far end has not emptied its ring: the packet is lost there.
  // A card refuses one because it is not yet sent: then it was never offered.
  [[nodiscard]] bool is_virtual() const { return virtual_; }

 private:
  rte_mempool* pool_;
  const bool virtual_;
  const ArpNetwork network_;
  dataplane::WorkerCounters counters_;
  dataplane::Port port_;
  std::optional<MacAddress> gateway_;
};

[[nodiscard]] dataplane::Bytes frame_of(const rte_mbuf* packet);

}  // namespace wg::bench
