#include "dataplane/stage/route.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "dataplane/core/extent.h"
#include "dataplane/core/look_up_addresses.h"
#include "dataplane/flow/rewrite.h"
#include "dataplane/packet/address_class.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/tcp_mss.h"

namespace wg::dataplane {

namespace {

using checksum_detail::load;

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

// Special addresses, and IPv4 options, which need a router that reads them.
bool is_for_linux(const std::uint8_t* l3, bool v6) {
  if (v6) [[unlikely]]
    return is_special(*header_at<Ipv6Header>(l3));
  const auto& ip = *header_at<Ipv4Header>(l3);
  return ip.version_ihl != kIpv4WithoutOptions || is_special(ip);
}

std::uint8_t ttl_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->hop_limit : header_at<Ipv4Header>(l3)->ttl;
}

void decrement_ttl(std::uint8_t* l3, bool v6) {
  if (v6) [[unlikely]] {
    --header_at<Ipv6Header>(l3)->hop_limit;
  } else {
    ipv4_decrement_ttl(header_at<Ipv4Header>(l3));
  }
}

// The next hop's header, in front of the IP header; the EtherType is the packet's. Held in registers for a
// run of packets: what is written to a packet might be the next hop, as far as the compiler knows.
class LinkHeader {
 public:
  explicit LinkHeader(const NextHop& hop) noexcept : length_(hop.header_length) {
    if (length_ < kEthernetHeaderSize) return;  // not a port's
    const std::uint8_t* const end = hop.header.data() + length_;
    first_ = load<std::uint64_t>(hop.header.data());
    middle_ = load<std::uint64_t>(end - kWord - kVlanTagSize);
    last_[0] = last_[1] = load<std::uint64_t>(end - kWord);
    const Be16 types[2] = {Be16{ether_type::kIpv4}, Be16{ether_type::kIpv6}};
    for (std::size_t v6 = 0; v6 < 2; ++v6)
      std::memcpy(reinterpret_cast<std::uint8_t*>(&last_[v6]) + kWord - sizeof(Be16), &types[v6],
                  sizeof(Be16));
  }
  [[nodiscard]] std::size_t length() const noexcept { return length_; }
  void write(std::uint8_t* l3, bool v6) const noexcept {
    std::memcpy(l3 - length_, &first_, kWord);
    if (length_ != kEthernetHeaderSize) [[unlikely]]
      std::memcpy(l3 - kVlanTagSize - kWord, &middle_, kWord);
    std::memcpy(l3 - kWord, &last_[v6 ? 1 : 0], kWord);
  }

 private:
  static constexpr std::size_t kWord = sizeof(std::uint64_t);

  std::size_t length_;
  std::uint64_t first_ = 0, middle_ = 0, last_[2] = {};  // they overlap; the last one by family
};

// TTL, MSS and the next hop's header. False: there is no room for the header, nothing is changed.
bool prepare_for_port(InnerBurst& inner, std::size_t i, const LinkHeader& header, std::uint16_t mss_clamp) {
  rte_mbuf* packet = inner.packet[i];
  std::uint8_t* l3 = inner.l3[i];
  const bool v6 = inner.v6[i];
  const std::uint16_t length = inner.length[i];
  if (headroom(*packet, l3) < header.length()) [[unlikely]]
    return false;
  decrement_ttl(l3, v6);
  if (mss_clamp != 0) clamp_tcp_mss(l3, length, v6, mss_clamp);
  set_extent(*packet, l3 - header.length(), length + header.length());
  packet->ol_flags = 0;
  header.write(l3, v6);
  return true;
}

}  // namespace

void Route::run(const BurstContext& at, InnerBurst& inner, SendBurst& send) {
  std::array<lpm::Value, kBurst> route;
  look_up_routes(*at.view, inner, route.data());
  const std::span<const NextHop> hops = at.view->next_hops;
  const std::size_t n = inner.n;
  for (std::size_t i = 0; i < n;) {
    // Neighbours mostly share both.
    std::size_t end = i + 1;
    while (end < n && route[end] == route[i] && inner.origin[end] == inner.origin[i]) ++end;
    const NextHop& hop = route[i] < hops.size() ? hops[route[i]] : kKernelHop;
    forward_run(at, inner, i, end, decide(*at.view, hop, inner.origin[i]), send);
    i = end;
  }
  inner.clear();
}

void Route::look_up_routes(const Snapshot& view, const InnerBurst& inner, lpm::Value* route) {
  look_up_addresses<AddressOf::kDestination, kBurst>(*view.routes4, *view.routes6, inner.l3.data(),
                                                     inner.v6.data(), inner.destination4.data(), inner.n,
                                                     inner.n6, route);
}

Route::ForwardingDecision Route::decide(const Snapshot& view, const NextHop& hop,
                                        const PacketOrigin& origin) noexcept {
  using Kind = ForwardingDecision::Kind;
  const bool from_tunnel = origin.from == From::kTunnel;
  ForwardingDecision decision{Kind::kKernel, from_tunnel, false, hop.mtu, 0, &hop, origin};
  // `forwarding: kernel` leaves everything to Linux; with its own forwarding off Linux refuses.
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
      if (!from_tunnel) {
        // Otherwise Linux routes between ports: a firewall may stand there.
        if (!view.ports[origin.port()].port_to_port || !view.ports[hop.port].port_to_port) return decision;
        decision.kind = Kind::kPort;
        decision.within_port = origin.port() == hop.port;
        return decision;
      }
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
                        const ForwardingDecision& decision, SendBurst& send) {
  using Kind = ForwardingDecision::Kind;
  if (core_.watcher.on()) [[unlikely]]
    watch(inner, begin, end, decision);
  if (decision.within_port) [[unlikely]]
    return forward_within_port(at, inner, begin, end, decision);
  if (decision.kind == Kind::kPort) return forward_to_port(at, inner, begin, end, decision);
  if (decision.kind == Kind::kInterface) return forward_to_interface(at, inner, begin, end, decision, send);
  for (std::size_t i = begin; i < end; ++i) keep_back(at, inner, i, decision);
}

void Route::watch(const InnerBurst& inner, std::size_t begin, std::size_t end,
                  const ForwardingDecision& decision) {
  using Kind = ForwardingDecision::Kind;
  static_assert(static_cast<int>(Kind::kBlackhole) == static_cast<int>(WatchRoute::kBlackhole));
  const bool port = decision.kind == Kind::kPort;
  const std::uint16_t to = port ? number_of(decision.hop->port) : number_of(decision.origin.interface_id);
  core_.watcher.routed(inner, begin, end, static_cast<WatchRoute>(decision.kind), to, decision.mtu);
}

void Route::forward_to_port(const BurstContext& at, InnerBurst& inner, std::size_t begin, std::size_t end,
                            const ForwardingDecision& decision) {
  const LinkHeader header(*decision.hop);
  std::size_t forwarded = 0;
  for (std::size_t i = begin; i < end; ++i) {
    if (may_forward(inner, i, decision) && prepare_for_port(inner, i, header, decision.mss_clamp))
        [[likely]] {
      inner.packet[begin + forwarded++] = inner.packet[i];
    } else {
      keep_back(at, inner, i, decision);
    }
  }
  egress_.transmit(at, decision.hop->port, {inner.packet.data() + begin, forwarded});
  Counter& counter = decision.from_tunnel ? core_.counters.short_cut_to_port : core_.counters.port_to_port;
  counter.add(forwarded);
}

// Back by the link it came from is Linux's: it also tells the sender of the shorter way.
void Route::forward_within_port(const BurstContext& at, InnerBurst& inner, std::size_t begin, std::size_t end,
                                const ForwardingDecision& decision) {
  const std::uint16_t leaves_in = decision.hop->vlan();
  for (std::size_t i = begin; i < end;) {
    const std::uint16_t came_in = vlan_of(inner.origin[i], inner.l3[i]);
    std::size_t next = i + 1;
    while (next < end && vlan_of(inner.origin[next], inner.l3[next]) == came_in) ++next;
    if (came_in != leaves_in) {
      forward_to_port(at, inner, i, next, decision);
    } else {
      for (std::size_t k = i; k < next; ++k) punt(at, inner, k);
    }
    i = next;
  }
}

void Route::forward_to_interface(const BurstContext& at, InnerBurst& inner, std::size_t begin,
                                 std::size_t end, const ForwardingDecision& decision, SendBurst& send) {
  const std::size_t first = send.n;
  send.note_interface(decision.origin.interface_id);
  const std::size_t all = lower_ttls(inner, begin, end, decision);
  send.put_run(inner, begin, all, decision.origin);
  for (std::size_t i = all; i < end; ++i) {
    if (may_forward(inner, i, decision)) {
      put_for_interface(inner, i, decision, send);
    } else {
      keep_back(at, inner, i, decision);
    }
  }
  Counter& counter = decision.from_tunnel ? core_.counters.hairpin : core_.counters.short_cut_from_port;
  counter.add(send.n - first);
}

bool Route::may_forward(const InnerBurst& inner, std::size_t i, const ForwardingDecision& decision) {
  const std::uint8_t* l3 = inner.l3[i];
  const bool v6 = inner.v6[i];
  return !is_for_linux(l3, v6) && ttl_of(l3, v6) > 1 && inner.length[i] <= decision.mtu;
}

// Lowers the TTLs of packets [begin, end), up to the first that may not be forwarded; returns its place.
std::size_t Route::lower_ttls(InnerBurst& inner, std::size_t begin, std::size_t end,
                              const ForwardingDecision& decision) {
  std::size_t i = begin;
  for (; i < end && may_forward(inner, i, decision); ++i) {
    decrement_ttl(inner.l3[i], inner.v6[i]);
    if (decision.mss_clamp != 0) clamp_tcp_mss(inner.l3[i], inner.length[i], inner.v6[i], decision.mss_clamp);
  }
  return i;
}

void Route::put_for_interface(const InnerBurst& inner, std::size_t i, const ForwardingDecision& decision,
                              SendBurst& send) {
  std::uint8_t* l3 = inner.l3[i];
  const bool v6 = inner.v6[i];
  decrement_ttl(l3, v6);
  if (decision.mss_clamp != 0) clamp_tcp_mss(l3, inner.length[i], v6, decision.mss_clamp);
  send.put(inner.packet[i], l3, inner.length[i], v6, inner.destination4[i], decision.origin);
}

// Takes packets that are not forwarded: Linux's, or refused.
void Route::keep_back(const BurstContext& at, InnerBurst& inner, std::size_t i,
                      const ForwardingDecision& decision) {
  if (decision.kind == ForwardingDecision::Kind::kKernel || is_for_linux(inner.l3[i], inner.v6[i]))
    return punt(at, inner, i);
  refuse(at, inner, i, decision);
}

// Packets that a router answers, or cuts into fragments, are Linux's: only its stack knows the source
// address, the way back and the limits of its ICMP errors.
void Route::refuse(const BurstContext& at, InnerBurst& inner, std::size_t i,
                   const ForwardingDecision& decision) {
  using Kind = ForwardingDecision::Kind;
  rte_mbuf* packet = inner.packet[i];
  if (decision.kind == Kind::kHairpinOff) return core_.drop(packet, DropReason::hairpin_off);
  if (decision.kind == Kind::kBlackhole) return core_.drop(packet, DropReason::blackhole);
  if (ttl_of(inner.l3[i], inner.v6[i]) > 1 && inner.length[i] <= decision.mtu)
    return core_.drop(packet, DropReason::no_headroom);
  punt(at, inner, i);
}

// ---------------------------------------------------------------- connections that Linux has accepted

void Route::run_carried(const BurstContext& at, InnerBurst& packets, const FlowBurst& carried,
                        SendBurst& send) {
  std::array<const NextHop*, kBurst> hop;
  look_up_new_destinations(*at.view, packets, carried, hop.data());
  for (std::size_t i = 0; i < packets.n;) {
    std::size_t end = i + 1;
    while (end < packets.n && hop[end] == hop[i] && packets.origin[end] == packets.origin[i]) ++end;
    carry_run(at, packets, carried, i, end, decide_carried(*at.view, *hop[i], packets.origin[i]), send);
    i = end;
  }
  packets.clear();
}

void Route::look_up_new_destinations(const Snapshot& view, const InnerBurst& packets,
                                     const FlowBurst& carried, const NextHop** hop) {
  std::array<lpm::Value, kBurst> value;
  if (packets.n6 == 0) {
    view.routes4->lookup_burst(packets.destination4.data(), value.data(), packets.n);
  } else {
    for (std::size_t i = 0; i < packets.n; ++i)
      value[i] = packets.v6[i] ? view.routes6->lookup(carried.back[i]->addresses.data())
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
  ForwardingDecision decision{Kind::kKernel, from_tunnel, false, hop.mtu, 0, &hop, origin};
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
void Route::carry_run(const BurstContext& at, InnerBurst& packets, const FlowBurst& carried,
                      std::size_t begin, std::size_t end, const ForwardingDecision& decision,
                      SendBurst& send) {
  using Kind = ForwardingDecision::Kind;
  const BootSeconds now = in_seconds(at.now);
  const LinkHeader header(*decision.hop);
  std::size_t forwarded = 0;
  if (core_.watcher.on()) [[unlikely]]
    watch(packets, begin, end, decision);
  if (decision.kind == Kind::kInterface) send.note_interface(decision.origin.interface_id);
  for (std::size_t i = begin; i < end; ++i) {
    const std::uint8_t* l3 = packets.l3[i];
    if (decision.kind == Kind::kKernel) {
      punt(at, packets, i);
      continue;
    }
    if (decision.kind > Kind::kKernel || ttl_of(l3, packets.v6[i]) <= 1 || packets.length[i] > decision.mtu)
        [[unlikely]] {
      refuse(at, packets, i, decision);
      continue;
    }
    FlowDirection& direction = *carried.direction[i];
    direction.note_carried(packets.length[i], now);
    if (direction.rewritten) rewrite(packets.l3[i], direction, *carried.back[i]);
    if (decision.kind == Kind::kInterface) {
      put_for_interface(packets, i, decision, send);
    } else if (prepare_for_port(packets, i, header, decision.mss_clamp)) {
      egress_.transmit(at, decision.hop->port, packets.packet[i]);
    } else {
      core_.drop(packets.packet[i], DropReason::no_headroom);
      continue;
    }
    ++forwarded;
  }
  core_.counters.flows_carried.add(forwarded);
}

void Route::punt(const BurstContext& at, const InnerBurst& inner, std::size_t i) {
  settle(inner, i);
  const PacketOrigin& origin = inner.origin[i];
  if (origin.from == From::kPort) return egress_.punt_to_tap(at, origin.port(), inner.packet[i]);
  egress_.punt_to_tun(at, origin.interface(), inner.packet[i]);
}

}  // namespace wg::dataplane
