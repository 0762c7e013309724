// Where an inner packet goes: out of a port, into a WireGuard interface, or to Linux. RFC 1812 5.2, 5.3.
#pragma once

#include <cstdint>

#include "dataplane/core/core.h"
#include "dataplane/core/egress.h"
#include "dataplane/core/flow_burst.h"

namespace wg::dataplane {

class Route {
 public:
  Route(Core& core, Egress& egress) : core_(core), egress_(egress) {}

  // Empties `inner`: into `send` what an interface sends, out what leaves by a port or is Linux's. Linux also
  // answers for what is too large or has no TTL left.
  [[gnu::flatten]] void run(const BurstContext& at, InnerBurst& inner, SendBurst& send);
  // The same for packets of connections that Linux has accepted, by the destinations with which they leave.
  // They are rewritten last, when nothing refuses them; otherwise Linux gets the packet as it came.
  // Empties `packets`.
  [[gnu::flatten]] void run_carried(const BurstContext& at, InnerBurst& packets, const FlowBurst& carried,
                                    SendBurst& send);

  // The decision about packets that share next hop and origin.
  struct ForwardingDecision {
    enum class Kind : std::uint8_t {  // as WatchRoute
      kInterface,
      kPort,
      kKernel,
      kHairpinOff,  // this and what follows: refused
      kBlackhole,
    };
    Kind kind;
    bool from_tunnel;
    bool within_port;         // Kind::kPort: the one it came in by; Linux's, unless it changes the VLAN
    std::uint16_t mtu;        // the least on the way
    std::uint16_t mss_clamp;  // 0: off
    const NextHop* hop;
    PacketOrigin origin;  // with the interface that sends, for Kind::kInterface
  };
  // But for special addresses, TTL and size. The control thread asks too.
  [[nodiscard]] static ForwardingDecision decide(const Snapshot& view, const NextHop& hop,
                                                 const PacketOrigin& origin) noexcept;

 private:
  static void look_up_routes(const Snapshot& view, const InnerBurst& inner, lpm::Value* route);
  static void look_up_new_destinations(const Snapshot& view, const InnerBurst& packets,
                                       const FlowBurst& carried, const NextHop** hop);
  [[nodiscard]] static ForwardingDecision decide_carried(const Snapshot& view, const NextHop& hop,
                                                         const PacketOrigin& origin) noexcept;
  void carry_run(const BurstContext& at, InnerBurst& packets, const FlowBurst& carried, std::size_t begin,
                 std::size_t end, const ForwardingDecision& decision, SendBurst& send);
  void forward_run(const BurstContext& at, InnerBurst& inner, std::size_t begin, std::size_t end,
                   const ForwardingDecision& decision, SendBurst& send);
  void forward_to_port(const BurstContext& at, InnerBurst& inner, std::size_t begin, std::size_t end,
                       const ForwardingDecision& decision);
  [[gnu::noinline]] void forward_within_port(const BurstContext& at, InnerBurst& inner, std::size_t begin,
                                             std::size_t end, const ForwardingDecision& decision);
  void forward_to_interface(const BurstContext& at, InnerBurst& inner, std::size_t begin, std::size_t end,
                            const ForwardingDecision& decision, SendBurst& send);
  [[nodiscard]] static bool may_forward(const InnerBurst& inner, std::size_t i,
                                        const ForwardingDecision& decision);
  [[nodiscard]] static std::size_t lower_ttls(InnerBurst& inner, std::size_t begin, std::size_t end,
                                              const ForwardingDecision& decision);
  static void put_for_interface(const InnerBurst& inner, std::size_t i, const ForwardingDecision& decision,
                                SendBurst& send);
  [[gnu::noinline]] void keep_back(const BurstContext& at, InnerBurst& inner, std::size_t i,
                                   const ForwardingDecision& decision);
  void refuse(const BurstContext& at, InnerBurst& inner, std::size_t i, const ForwardingDecision& decision);
  void punt(const BurstContext& at, const InnerBurst& inner, std::size_t i);
  [[gnu::cold]] void watch(const InnerBurst& inner, std::size_t begin, std::size_t end,
                           const ForwardingDecision& decision);

  Core& core_;
  Egress& egress_;
};

}  // namespace wg::dataplane
