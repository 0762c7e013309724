// A connection that workers carry: its two directions, each with what its packets have in front of the
// gateway and what they have behind it. Connection tracking calls these the original and the reply tuple.
//
// The packets of a direction leave with the other direction's tuple turned round: that is all that source
// NAT, destination NAT and both together do (RFC 3022; nf_conntrack's tuples).
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "dataplane/base/clocks.h"
#include "dataplane/base/ids.h"
#include "dataplane/packet/address.h"
#include "dataplane/packet/headers.h"

namespace wg::dataplane {

// Addresses, ports and protocol as packets have them.
struct FlowTuple {
  IpAddress source;
  IpAddress destination;          // of the same family
  std::uint16_t source_port = 0;  // host order
  std::uint16_t destination_port = 0;
  std::uint8_t protocol = 0;  // TCP or UDP

  friend bool operator==(const FlowTuple&, const FlowTuple&) = default;
  [[nodiscard]] FlowTuple turned_round() const {
    return {destination, source, destination_port, source_port, protocol};
  }
};

// "tcp 10.10.0.2:40000 -> 203.0.113.7:443"
[[nodiscard]] std::string to_string(const FlowTuple& tuple);

// Where packets come in: a port with its VLAN, or a WireGuard interface. Never 0, which is "nowhere".
class FlowIngress {
 public:
  constexpr FlowIngress() = default;
  [[nodiscard]] static constexpr FlowIngress port(PortIndex index, std::uint16_t vlan) {
    return FlowIngress(kPort | std::uint32_t{vlan} << 16 |
                       number_of(index));  // vlan: at most 4095; 0: untagged
  }
  [[nodiscard]] static constexpr FlowIngress interface(InterfaceId id) {
    return FlowIngress(kInterface | number_of(id));
  }
  [[nodiscard]] static constexpr FlowIngress from_bits(std::uint32_t bits) { return FlowIngress(bits); }
  [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }
  friend constexpr bool operator==(FlowIngress, FlowIngress) = default;

 private:
  static constexpr std::uint32_t kPort = 1u << 30, kInterface = 1u << 31;
  constexpr explicit FlowIngress(std::uint32_t bits) : bits_(bits) {}
  std::uint32_t bits_ = 0;
};

// One direction. W: control where nothing else is said, before the flow is published.
struct alignas(64) FlowDirection {
  // As packets have them, source first. IPv4 has room for the ports behind its addresses, as they follow each
  // other in a packet without options, and for the same of packets that leave, at kLeaving4.
  std::array<std::uint8_t, 32> addresses{};
  Be16 source_port{0}, destination_port{0};
  // The summand for the complement of the old checksum (RFC 1624, equation 3), native order.
  std::uint16_t ip_difference = 0;         // of the IPv4 header
  std::uint16_t transport_difference = 0;  // of TCP and UDP: addresses and ports
  std::atomic<std::uint32_t> ingress{0};   // FlowIngress; W: control, also while the flow is carried
  // One worker at a time carries a direction, so these are plain additions. At the moment when the packets
  // of a flow move to another queue, a count may be lost.
  std::atomic<BootSeconds> last_used{};   // W: workers
  std::atomic<std::uint32_t> packets{0};  // modulo 2^32. W: workers
  std::uint8_t protocol = 0;
  bool v6 = false;
  bool rewritten = false;               // false: packets leave as they came
  std::atomic<std::uint64_t> bytes{0};  // of IP. W: workers

  static constexpr std::size_t kEnds4 = 12, kLeaving4 = 16;  // bytes; a place in `addresses`
  // IPv4: the destination with which packets leave. Host order.
  [[nodiscard]] std::uint32_t leaving_destination4() const noexcept {
    return header_at<Be32>(addresses.data() + kLeaving4 + sizeof(Be32))->value();
  }

  // Counts, by a worker, a packet of so many IP bytes.
  void note_carried(std::uint16_t length, BootSeconds now) noexcept {
    constexpr auto kRelaxed = std::memory_order_relaxed;
    packets.store(packets.load(kRelaxed) + 1, kRelaxed);
    bytes.store(bytes.load(kRelaxed) + length, kRelaxed);
    if (last_used.load(kRelaxed) != now) last_used.store(now, kRelaxed);
  }
  [[nodiscard]] FlowTuple tuple() const;
};
static_assert(sizeof(FlowDirection) == 64);

inline constexpr std::size_t kOriginal = 0, kReply = 1;

// Two lines side by side, which processors fetch as a pair.
struct alignas(128) Flow {
  std::array<FlowDirection, 2> direction;  // kOriginal, kReply
};
static_assert(sizeof(Flow) == 128);

// Fills in both directions from the tuples of connection tracking; the counters start at zero.
void fill(Flow& flow, const FlowTuple& original, const FlowTuple& reply, FlowIngress original_ingress,
          FlowIngress reply_ingress, BootSeconds now);

}  // namespace wg::dataplane
