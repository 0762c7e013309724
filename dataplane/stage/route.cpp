#include "dataplane/stage/route.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "dataplane/core/look_up_destinations.h"
#include "dataplane/flow/rewrite.h"
#include "dataplane/packet/address_class.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/tcp_mss.h"

namespace wg::dataplane {

namespace {

constexpr NextHop kKernelHop{};

// Never forwarded.
bool is_special(const Ipv4Header& ip) {
  return is_special_v4(ip.destination.data()) || is_special_v4(ip.source.data());
}

bool is_special(const Ipv6Header& ip) {
  const auto special = [](const Ipv6Bytes& a) {
    return is_special_v6(a.data()) || is_link_local_v6(a.data());
  };
  return special(ip.source) || special(ip.destination);
}

// Special addresses, and IPv4 options, which want a router that reads them.
bool is_for_linux(const std::uint8_t* l3, bool v6) {
  if (v6) return is_special(*header_at<Ipv6Header>(l3));
  const auto& ip = *header_at<Ipv4Header>(l3);
  return is_special(ip) || ip.header_length() != kIpv4HeaderSize;
}

std::uint8_t ttl_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->hop_limit : header_at<Ipv4Header>(l3)->ttl;
}

void decrement_ttl(std::uint8_t* l3, bool v6) {
  if (v6) {
    --header_at<Ipv6Header>(l3)->hop_limit;
  } else {
    ipv4_decrement_ttl(header_at<Ipv4Header>(l3));
  }
}

// The next hop's header in front of the IP header; the EtherType is the packet's.
void write_ethernet(std::uint8_t* l3, const NextHop& hop, bool v6) {
  std::uint8_t* ethernet = l3 - hop.header_length;
  if (hop.header_length == kEthernetHeaderSize) {
    std::memcpy(ethernet, hop.header.data(), kEthernetHeaderSize);
  } else {
    std::memcpy(ethernet, hop.header.data(), kEthernetHeaderSize + kVlanTagSize);
  }
  *header_at<Be16>(l3 - sizeof(Be16)) = Be16{v6 ? ether_type::kIpv6 : ether_type::kIpv4};
}

}  // namespace

void Route::run(const BurstContext& at, InnerBurst& inner, SendBurst& send, Icmp& icmp) {
  std::array<const NextHop*, kBurst> hop;
  look_up_routes(*at.view, inner, hop.data());
  for (std::size_t i = 0; i < inner.n;) {
    // Neighbours mostly share both.
    std::size_t end = i + 1;
    while (end < inner.n && hop[end] == hop[i] && inner.origin[end] == inner.origin[i]) ++end;
    forward_run(at, inner, i, end, decide(*at.view, *hop[i], inner.origin[i]), send, icmp);
    i = end;
  }
  inner.clear();
}

void Route::look_up_routes(const Snapshot& view, const InnerBurst& inner, const NextHop** hop) {
  std::array<lpm::Value, kBurst> value;
  look_up_destinations<kBurst>(*view.routes4, *view.routes6, inner.l3.data(), inner.v6.data(),
                               inner.destination4.data(), inner.n, inner.n6, value.data());
  const std::span<const NextHop> hops = view.next_hops;
  for (std::size_t i = 0; i < inner.n; ++i) hop[i] = value[i] < hops.size() ? &hops[value[i]] : &kKernelHop;
}

Route::ForwardingDecision Route::decide(const Snapshot& view, const NextHop& hop,
                                        const PacketOrigin& origin) noexcept {
  using Kind = ForwardingDecision::Kind;
  const bool from_tunnel = origin.from == From::kTunnel;
  ForwardingDecision decision{Kind::kKernel, from_tunnel, hop.mtu, 0, &hop, origin};
  // `forwarding: kernel` wants Linux to see everything; with its own forwarding off Linux refuses.
  if (from_tunnel && !(view.interfaces[origin.interface()].short_cut &&
                       view.interfaces[origin.interface()].is_forwarded(hop.ip_version)))
    return decision;
  switch (hop.kind) {
    case HopKind::kInterface: {
      const InterfaceView& interface = view.interfaces[hop.interface_id];
      if (!interface.up || !interface.short_cut) return decision;
      const bool hairpin = from_tunnel && origin.interface() == hop.interface_id;
      decision.kind = hairpin && !interface.hairpin ? Kind::kHairpinOff : Kind::kInterface;
      decision.mtu = std::min(interface.mtu, hop.mtu);
      decision.mss_clamp = interface.mss_clamp;
      decision.origin.interface_id = hop.interface_id;
      return decision;
    }
    case HopKind::kPort:
      // Between two ports Linux routes: we are the short cut to and from tunnels only.
      if (!from_tunnel) return decision;
      decision.kind = Kind::kPort;
      decision.mss_clamp = view.interfaces[origin.interface()].mss_clamp;
      return decision;
    case HopKind::kDrop:
      decision.kind = Kind::kBlackhole;
      return decision;
    case HopKind::kKernel:
      return decision;
  }
  return decision;
}

// Packets [begin, end) share next hop and origin.
void Route::forward_run(const BurstContext& at, InnerBurst& inner, std::size_t begin, std::size_t end,
                        const ForwardingDecision& decision, SendBurst& send, Icmp& icmp) {
  using Kind = ForwardingDecision::Kind;
  std::size_t forwarded = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint8_t* l3 = inner.l3[i];
    if (is_for_linux(l3, inner.v6[i]) || decision.kind == Kind::kKernel) {
      punt(at, inner, i);
    } else if (decision.kind > Kind::kKernel || ttl_of(l3, inner.v6[i]) <= 1 ||
               inner.length[i] > decision.mtu) [[unlikely]] {
      refuse(at, inner, i, decision, icmp);
    } else if (decision.kind == Kind::kInterface) {
      forward_to_interface(inner, i, decision, send);
      ++forwarded;
    } else {
      forwarded += forward_to_port(at, inner, i, decision) ? 1 : 0;
    }
  }
  Counter& counter = decision.kind == Kind::kPort ? core_.counters.short_cut_to_port
                     : decision.from_tunnel       ? core_.counters.hairpin
                                                  : core_.counters.short_cut_from_port;
  if (forwarded != 0) counter.add(forwarded);
}

// False: dropped.
bool Route::forward_to_port(const BurstContext& at, InnerBurst& inner, std::size_t i,
                            const ForwardingDecision& decision) {
  const NextHop& hop = *decision.hop;
  rte_mbuf* packet = inner.packet[i];
  std::uint8_t* l3 = inner.l3[i];
  decrement_ttl(l3, inner.v6[i]);
  if (decision.mss_clamp != 0) clamp_tcp_mss(l3, inner.length[i], inner.v6[i], decision.mss_clamp);
  if (packet->data_off < hop.header_length) [[unlikely]] {
    core_.drop(packet, DropReason::no_headroom);
    return false;
  }
  const std::uint16_t length = static_cast<std::uint16_t>(inner.length[i] + hop.header_length);
  packet->data_off = static_cast<std::uint16_t>(packet->data_off - hop.header_length);
  packet->data_len = length;
  packet->pkt_len = length;
  write_ethernet(l3, hop, inner.v6[i]);
  egress_.transmit(at, hop.port, packet);
  return true;
}

void Route::forward_to_interface(InnerBurst& inner, std::size_t i, const ForwardingDecision& decision,
                                 SendBurst& send) {
  rte_mbuf* packet = inner.packet[i];
  std::uint8_t* l3 = inner.l3[i];
  const std::uint16_t length = inner.length[i];
  packet->data_off = static_cast<std::uint16_t>(packet->data_off + decision.origin.l2_length);
  packet->data_len = length;  // without Ethernet's padding
  packet->pkt_len = length;
  decrement_ttl(l3, inner.v6[i]);
  if (decision.mss_clamp != 0) clamp_tcp_mss(l3, length, inner.v6[i], decision.mss_clamp);
  send.push(packet, l3, length, inner.v6[i], inner.destination4[i], decision.origin, nullptr);
}

// Too big and fragmentable goes to Linux, whose stack fragments; not fragmentable is answered.
void Route::refuse(const BurstContext& at, InnerBurst& inner, std::size_t i,
                   const ForwardingDecision& decision, Icmp& icmp) {
  using Kind = ForwardingDecision::Kind;
  rte_mbuf* packet = inner.packet[i];
  const PacketOrigin& origin = inner.origin[i];
  const auto answer = [&](IcmpError error, DropReason reason) {
    icmp.answer(at, error, packet, origin.l2_length, origin, decision.mtu);
    core_.drop(packet, reason);
  };
  if (decision.kind == Kind::kHairpinOff) return core_.drop(packet, DropReason::hairpin_off);
  if (decision.kind == Kind::kBlackhole) return core_.drop(packet, DropReason::blackhole);
  if (ttl_of(inner.l3[i], inner.v6[i]) <= 1) return answer(IcmpError::kTtlExceeded, DropReason::ttl_exceeded);
  if (!inner.v6[i] && !header_at<Ipv4Header>(inner.l3[i])->dont_fragment()) return punt(at, inner, i);
  answer(IcmpError::kTooBig, DropReason::too_big);
}

// ---------------------------------------------------------------- connections that Linux has accepted

void Route::run_carried(const BurstContext& at, FlowBurst& carried, SendBurst& send, Icmp& icmp) {
  const InnerBurst& packets = carried.packets;
  std::array<const NextHop*, kBurst> hop;
  look_up_new_destinations(*at.view, carried, hop.data());
  for (std::size_t i = 0; i < packets.n;) {
    std::size_t end = i + 1;
    while (end < packets.n && hop[end] == hop[i] && packets.origin[end] == packets.origin[i]) ++end;
    carry_run(at, carried, i, end, decide_carried(*at.view, *hop[i], packets.origin[i]), send, icmp);
    i = end;
  }
}

void Route::look_up_new_destinations(const Snapshot& view, const FlowBurst& carried, const NextHop** hop) {
  const InnerBurst& packets = carried.packets;
  std::array<lpm::Value, kBurst> value;
  if (packets.n6 == 0) {
    view.routes4->lookup_burst(packets.destination4.data(), value.data(), packets.n);
  } else {
    for (std::size_t i = 0; i < packets.n; ++i)
      value[i] = packets.v6[i] ? view.routes6->lookup(carried.back[i]->source.data())
                               : view.routes4->lookup(packets.destination4[i]);
  }
  const std::span<const NextHop> hops = view.next_hops;
  for (std::size_t i = 0; i < packets.n; ++i) hop[i] = value[i] < hops.size() ? &hops[value[i]] : &kKernelHop;
}

// Both sides have `flows`, and Linux has said yes: so from anywhere to anywhere.
Route::ForwardingDecision Route::decide_carried(const Snapshot& view, const NextHop& hop,
                                                const PacketOrigin& origin) noexcept {
  using Kind = ForwardingDecision::Kind;
  const bool from_tunnel = origin.from == From::kTunnel;
  ForwardingDecision decision{Kind::kKernel, from_tunnel, hop.mtu, 0, &hop, origin};
  if (from_tunnel && !view.interfaces[origin.interface()].is_forwarded(hop.ip_version)) return decision;
  if (hop.kind == HopKind::kInterface) {
    const InterfaceView& interface = view.interfaces[hop.interface_id];
    if (!interface.up || !interface.flows) return decision;
    const bool hairpin = from_tunnel && origin.interface() == hop.interface_id;
    decision.kind = hairpin && !interface.hairpin ? Kind::kHairpinOff : Kind::kInterface;
    decision.mtu = std::min(interface.mtu, hop.mtu);
    decision.origin.interface_id = hop.interface_id;
  } else if (hop.kind == HopKind::kPort && view.ports[hop.port].flows) {
    decision.kind = Kind::kPort;
  }
  return decision;
}

// Packets [begin, end) share next hop and origin.
void Route::carry_run(const BurstContext& at, FlowBurst& carried, std::size_t begin, std::size_t end,
                      const ForwardingDecision& decision, SendBurst& send, Icmp& icmp) {
  using Kind = ForwardingDecision::Kind;
  InnerBurst& packets = carried.packets;
  const auto seconds = static_cast<std::uint32_t>(at.now / 1'000'000'000u);
  std::size_t forwarded = 0;
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint8_t* l3 = packets.l3[i];
    if (decision.kind == Kind::kKernel) {
      punt(at, packets, i);
      continue;
    }
    if (decision.kind > Kind::kKernel || ttl_of(l3, packets.v6[i]) <= 1 || packets.length[i] > decision.mtu)
        [[unlikely]] {
      refuse(at, packets, i, decision, icmp);
      continue;
    }
    FlowDirection& direction = *carried.direction[i];
    direction.note_carried(packets.length[i], seconds);
    if (direction.rewritten) rewrite(packets.l3[i], direction, *carried.back[i]);
    ++forwarded;
    if (decision.kind == Kind::kInterface) {
      forward_to_interface(packets, i, decision, send);
      continue;
    }
    rte_mbuf* const packet = packets.packet[i];  // to a port it has to start at its IP header
    packet->data_off = static_cast<std::uint16_t>(packet->data_off + decision.origin.l2_length);
    if (!forward_to_port(at, packets, i, decision)) {
      --forwarded;
    }
  }
  core_.counters.flows_carried.add(forwarded);
}

void Route::punt(const BurstContext& at, const InnerBurst& inner, std::size_t i) {
  const PacketOrigin& origin = inner.origin[i];
  if (origin.from == From::kPort) return egress_.punt_to_tap(at, origin.port(), inner.packet[i]);
  egress_.punt_to_tun(at, origin.interface(), inner.packet[i]);
}

}  // namespace wg::dataplane
