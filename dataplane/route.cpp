// Where an inner packet goes: out of a port, into a WireGuard interface, or to Linux. RFC 1812 5.2, 5.3.
#include <rte_mbuf.h>

#include <algorithm>

#include "dataplane/io/port.h"
#include "dataplane/look_up_destinations.h"
#include "dataplane/packet/address_class.h"
#include "dataplane/packet/checksum.h"
#include "dataplane/worker.h"

namespace wg::dataplane {

namespace {

constexpr NextHop kKernelHop{};
constexpr std::uint8_t kTcpOptionEnd = 0, kTcpOptionNop = 1, kTcpOptionMss = 2;

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

std::uint8_t ttl_of(const std::uint8_t* l3, bool v6) {
  return v6 ? header_at<Ipv6Header>(l3)->hop_limit : header_at<Ipv4Header>(l3)->ttl;
}

}  // namespace

void Worker::route_burst(const BurstContext& at) {
  std::array<const NextHop*, kBurst> hop;
  look_up_routes(at, hop.data());
  Way way{};
  for (std::size_t i = 0; i < inner_.n; ++i) {
    // Neighbours mostly share both.
    if (i == 0 || hop[i] != hop[i - 1] || !(inner_.origin[i] == inner_.origin[i - 1]))
      way = way_of(at, *hop[i], inner_.origin[i]);
    forward(at, i, way);
  }
  inner_.n = inner_.n6 = 0;
}

void Worker::look_up_routes(const BurstContext& at, const NextHop** hop) {
  std::array<lpm::Value, kBurst> value;
  look_up_destinations<kBurst>(*at.view->routes4, *at.view->routes6, inner_.l3.data(), inner_.v6.data(),
                               inner_.destination4.data(), inner_.n, inner_.n6, value.data());
  const std::span<const NextHop> hops = at.view->next_hops;
  for (std::size_t i = 0; i < inner_.n; ++i) hop[i] = value[i] < hops.size() ? &hops[value[i]] : &kKernelHop;
}

Worker::Way Worker::way_of(const BurstContext& at, const NextHop& hop,
                           const SendOrigin& origin) const noexcept {
  const bool from_tunnel = origin.from == From::tunnel;
  Way way{Way::Kind::kernel, from_tunnel, hop.mtu, 0, &hop, origin};
  // `forwarding: kernel` wants Linux to see everything.
  if (from_tunnel && !at.view->interfaces[origin.id].short_cut) return way;
  switch (hop.kind) {
    case HopKind::interface: {
      const InterfaceView& interface = at.view->interfaces[hop.interface_id];
      if (!interface.up || !interface.short_cut) return way;
      const bool hairpin = from_tunnel && origin.id == hop.interface_id;
      way.kind = hairpin && !interface.hairpin ? Way::Kind::hairpin_off : Way::Kind::interface;
      way.mtu = std::min(interface.mtu, hop.mtu);
      way.mss_clamp = interface.mss_clamp;
      way.origin.interface_id = hop.interface_id;
      return way;
    }
    case HopKind::port:
      // Between two ports Linux routes: we are the short cut to and from tunnels only.
      if (!from_tunnel) return way;
      way.kind = Way::Kind::port;
      way.mss_clamp = at.view->interfaces[origin.id].mss_clamp;
      return way;
    case HopKind::drop:
      way.kind = Way::Kind::blackhole;
      return way;
    case HopKind::kernel:
      return way;
  }
  return way;
}

void Worker::forward(const BurstContext& at, std::size_t i, const Way& way) {
  const std::uint8_t* l3 = inner_.l3[i];
  // IPv4 options want a router that reads them.
  const bool odd = inner_.v6[i] ? is_special(*header_at<Ipv6Header>(l3))
                                : is_special(*header_at<Ipv4Header>(l3)) ||
                                      header_at<Ipv4Header>(l3)->header_length() != kIpv4HeaderSize;
  if (odd || way.kind == Way::Kind::kernel) return to_kernel(at, i);
  if (way.kind > Way::Kind::kernel || ttl_of(l3, inner_.v6[i]) <= 1 || inner_.length[i] > way.mtu)
      [[unlikely]]
    return refuse_way(at, i, way);
  if (way.kind == Way::Kind::interface) return forward_to_interface(i, way);
  forward_to_port(at, i, way);
}

void Worker::forward_to_port(const BurstContext& at, std::size_t i, const Way& way) {
  const NextHop& hop = *way.hop;
  rte_mbuf* packet = inner_.packet[i];
  std::uint8_t* l3 = inner_.l3[i];
  decrement_ttl(l3, inner_.v6[i]);
  if (way.mss_clamp != 0) clamp_mss(l3, inner_.length[i], inner_.v6[i], way.mss_clamp);
  if (packet->data_off < hop.header_length) [[unlikely]]
    return drop(packet, DropReason::no_headroom);
  const std::uint16_t length = static_cast<std::uint16_t>(inner_.length[i] + hop.header_length);
  packet->data_off = static_cast<std::uint16_t>(packet->data_off - hop.header_length);
  packet->data_len = length;
  packet->pkt_len = length;
  std::uint8_t* ethernet = l3 - hop.header_length;
  if (hop.header_length == kEthernetHeaderSize) {
    std::memcpy(ethernet, hop.header.data(), kEthernetHeaderSize);
  } else {
    std::memcpy(ethernet, hop.header.data(), kEthernetHeaderSize + kVlanTagSize);
  }
  *header_at<Be16>(l3 - sizeof(Be16)) = Be16{inner_.v6[i] ? ether_type::kIpv6 : ether_type::kIpv4};
  counters_.short_cut_to_port.add(1);
  transmit(at, hop.port, packet);
}

void Worker::forward_to_interface(std::size_t i, const Way& way) {
  rte_mbuf* packet = inner_.packet[i];
  std::uint8_t* l3 = inner_.l3[i];
  const std::uint16_t length = inner_.length[i];
  packet->data_off = static_cast<std::uint16_t>(packet->data_off + way.origin.l2_length);
  packet->data_len = length;  // without Ethernet's padding
  packet->pkt_len = length;
  decrement_ttl(l3, inner_.v6[i]);
  if (way.mss_clamp != 0) clamp_mss(l3, length, inner_.v6[i], way.mss_clamp);
  (way.from_tunnel ? counters_.hairpin : counters_.short_cut_from_port).add(1);
  queue_send(packet, l3, length, inner_.v6[i], inner_.destination4[i], way.origin, nullptr);
}

// Too big and fragmentable goes to Linux, whose stack fragments; not fragmentable is answered.
void Worker::refuse_way(const BurstContext& at, std::size_t i, const Way& way) {
  rte_mbuf* packet = inner_.packet[i];
  const SendOrigin& origin = inner_.origin[i];
  const auto answer = [&](IcmpError error, DropReason reason) {
    send_icmp(at, error, packet, origin.l2_length, origin, error == IcmpError::too_big ? way.mtu : 0);
    drop(packet, reason);
  };
  if (way.kind == Way::Kind::hairpin_off) return drop(packet, DropReason::hairpin_off);
  if (way.kind == Way::Kind::blackhole) return answer(IcmpError::no_route, DropReason::blackhole);
  if (ttl_of(inner_.l3[i], inner_.v6[i]) <= 1)
    return answer(IcmpError::ttl_exceeded, DropReason::ttl_exceeded);
  if (!inner_.v6[i] && !header_at<Ipv4Header>(inner_.l3[i])->dont_fragment()) return to_kernel(at, i);
  answer(IcmpError::too_big, DropReason::too_big);
}

void Worker::decrement_ttl(std::uint8_t* l3, bool v6) {
  if (v6) {
    --header_at<Ipv6Header>(l3)->hop_limit;
  } else {
    ipv4_decrement_ttl(header_at<Ipv4Header>(l3));
  }
}

// Lowers the MSS option of a SYN (RFC 9293 3.7.1) so that segments fit the tunnel without path MTU discovery.
void Worker::clamp_mss(std::uint8_t* l3, std::size_t length, bool v6, std::uint16_t mss) {
  const std::size_t ip_length = v6 ? kIpv6HeaderSize : kIpv4HeaderSize;
  const std::uint8_t protocol =
      v6 ? header_at<Ipv6Header>(l3)->next_header : header_at<Ipv4Header>(l3)->protocol;
  if (protocol != ip_protocol::kTcp || (!v6 && header_at<Ipv4Header>(l3)->fragment_offset() != 0)) return;
  TcpView tcp;
  if (parse_tcp({l3 + ip_length, length - ip_length}, &tcp) != Parse::kOk ||
      (tcp.header->flags & TcpHeader::kSyn) == 0)
    return;
  const auto limit = static_cast<std::uint16_t>(v6 ? mss - 20 : mss);
  auto* header = header_at<TcpHeader>(l3 + ip_length);
  std::uint8_t* option = l3 + ip_length + kTcpHeaderSize;
  const std::uint8_t* end = l3 + ip_length + tcp.header_length;
  while (option < end && *option != kTcpOptionEnd) {
    if (*option == kTcpOptionNop) {
      ++option;
      continue;
    }
    if (end - option < 2 || option[1] < 2 || option[1] > end - option) return;
    if (*option == kTcpOptionMss && option[1] == 4) {
      auto* value = header_at<Be16>(option + 2);
      if (value->value() <= limit) return;
      // An option at an odd offset straddles two checksum words: its bytes count swapped there.
      const bool odd = ((option + 2 - (l3 + ip_length)) & 1) != 0;
      const auto word = [odd](std::uint16_t v) {
        return Be16{odd ? static_cast<std::uint16_t>(v << 8 | v >> 8) : v};
      };
      header->checksum = checksum_update(header->checksum, word(value->value()), word(limit));
      *value = Be16{limit};
      return;
    }
    option += option[1];
  }
}

void Worker::to_kernel(const BurstContext& at, std::size_t i) {
  const SendOrigin& origin = inner_.origin[i];
  if (origin.from == From::port) return punt_to_tap(at, origin.id, inner_.packet[i]);
  punt_to_tun(at, origin.id, inner_.packet[i]);
}

void Worker::punt_to_tap(const BurstContext& at, std::uint16_t port_index, rte_mbuf* packet) {
  if (at.view->ports[port_index].tap == nullptr) return drop(packet, DropReason::punt_off);
  OutQueue& out = tap_out_[port_index];
  if (punts_left_ == 0 || out.n == kBurst) return drop(packet, DropReason::punt_budget);
  --punts_left_;
  out.packet[out.n++] = packet;
}

void Worker::punt_to_tun(const BurstContext& at, std::uint16_t interface_id, rte_mbuf* packet) {
  if (at.view->interfaces[interface_id].tun == nullptr) return drop(packet, DropReason::punt_off);
  OutQueue& out = tun_out_[interface_id];
  if (punts_left_ == 0 || out.n == kBurst) return drop(packet, DropReason::punt_budget);
  --punts_left_;
  out.packet[out.n++] = packet;
}

}  // namespace wg::dataplane
