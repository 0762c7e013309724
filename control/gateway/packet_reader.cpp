#include "control/gateway/packet_reader.h"

#include <netinet/in.h>

#include <algorithm>
#include <utility>

#include "control/convert.h"
#include "dataplane/core/burst_context.h"
#include "dataplane/io/program_ring.h"
#include "dataplane/packet/address_class.h"
#include "dataplane/packet/path.h"
#include "dataplane/stage/route.h"
#include "dataplane/stage/send.h"

namespace wg::control {

using dataplane::HopKind;
using dataplane::PacketOrigin;

namespace {

constexpr dataplane::NextHop kKernelHop{};

bool is_special(const IpAddress& address) {
  const std::uint8_t* const bytes = address.bytes.data();
  if (!address.v6) return dataplane::is_special_v4(bytes);
  return dataplane::is_special_v6(bytes) || dataplane::is_link_local_v6(bytes);
}

bool is_martian_source(const IpAddress& address) {
  const std::uint8_t* const bytes = address.bytes.data();
  return address.v6 ? dataplane::is_martian_source_v6(bytes) : dataplane::is_martian_source_v4(bytes);
}

bool is_ours(const dataplane::LocalAddresses& own, const IpAddress& address) {
  const std::uint8_t* const bytes = address.bytes.data();
  return address.v6 ? own.contains_v6(bytes) : own.contains_v4(bytes);
}

PacketWay way_of(dataplane::Route::ForwardingDecision::Kind kind) {
  using Decided = dataplane::Route::ForwardingDecision::Kind;
  switch (kind) {
    case Decided::kInterface:
      return PacketWay::kInterface;
    case Decided::kPort:
      return PacketWay::kPort;
    case Decided::kHairpinOff:
      return PacketWay::kHairpinOff;
    case Decided::kBlackhole:
      return PacketWay::kBlackhole;
    case Decided::kKernel:
      break;
  }
  return PacketWay::kLinux;
}

bool has_session(const dataplane::Peer& peer, const noise::Now& at) {
  const dataplane::Keypair* const current = peer.current.load(std::memory_order_relaxed);
  return current != nullptr && !current->expired(at.boot);
}

MacAddress destination_of(const dataplane::NextHop& hop) {
  MacAddress mac;
  std::copy_n(hop.header.begin(), mac.size(), mac.begin());
  return mac;
}

}  // namespace

std::string label_of(const PeerRecord& record) {
  return record.name.empty() ? config::to_string(record.public_key) : record.name;
}

std::optional<config::Prefix> allowed_prefix_of(const PeerRecord& record, const config::Address& address) {
  std::optional<config::Prefix> longest;
  for (const config::Prefix& prefix : record.allowed_ips)
    if ((!longest || prefix.length > longest->length) && config::contains(prefix, address)) longest = prefix;
  return longest;
}

namespace {

std::string prefix_text(const PeerRecord& record, const config::Address& address) {
  const auto prefix = allowed_prefix_of(record, address);
  return prefix ? config::to_string(*prefix) : "";
}

}  // namespace

PacketReader::PacketReader(const Services& services, const Objects& objects, const PacketQuery& packet,
                           RouteFacts route, const Resolved& resolved, const noise::Now& at)
    : services_(services),
      objects_(objects),
      view_(*services.dataplane.current()),
      rules_(services.mirror),
      resolved_(resolved),
      at_(at),
      v6_(!packet.destination.is_v4()),
      source_(to_dataplane(packet.source)),
      destination_(to_dataplane(packet.destination)) {
  facts_.packet = packet;
  facts_.linux_route = std::move(route);
}

Expected<PacketFacts> PacketReader::read() {
  facts_.source_is_ours = is_ours(view_.local_addresses, source_);
  facts_.destination_is_ours = is_ours(view_.local_addresses, destination_);
  facts_.special = is_special(source_) || is_special(destination_);
  read_linux();
  const std::string& from = facts_.packet.from;
  if (const GatewayPort* port = objects_.find_port(from)) {
    facts_.from = PacketFacts::From::kPort;
    read_port(*port);
  } else if (const Interface* interface = objects_.find_interface(from)) {
    facts_.from = PacketFacts::From::kInterface;
    if (Expected<> read = read_interface(*interface); !read) return read.error();
  } else if (from == kFromLinux) {
    facts_.from = PacketFacts::From::kLinux;
  } else {
    return Refusal{ENOENT, "no port and no interface " + from};
  }
  return std::move(facts_);
}

void PacketReader::read_linux() {
  facts_.linux_mtu = resolved_.mtu;
  facts_.linux_unsure = resolved_.unsure || !rules_.destination_decides(v6_) ||
                        services_.publisher.in_vrf() || services_.ipsec.any();
  const Interface* const interface = objects_.find_interface(facts_.linux_route.link);
  if (interface != nullptr && !facts_.linux_route.local) facts_.sending = sending_of(*interface);
}

// ---------------------------------------------------------------- where it comes in

const Link* PacketReader::link_of_vlan(const GatewayPort& port, std::uint16_t vlan) const {
  const Link* const own = services_.mirror.link(port.ifindex());
  if (own == nullptr) return nullptr;
  const bool tagged = port.value().vlan.has_value();
  if (vlan == port.value().vlan.value_or(0)) return own;
  const std::uint32_t tap = tagged ? own->parent : own->ifindex;
  if (vlan == 0) return services_.mirror.link(tap);
  for (const auto& [ifindex, link] : services_.mirror.links())
    if (link.parent == tap && link.vlan_id == vlan) return &link;
  return nullptr;
}

std::string PacketReader::why_vlan_is_refused(const dataplane::PortView& view, const GatewayPort& port,
                                              std::uint16_t vlan) const {
  if (!view.up || view.accepts_vlan(vlan)) return {};
  if (vlan != 0) return "no VLAN device for " + std::to_string(vlan) + " is up on " + port.name();
  if (view.has_own_vlan) return port.name() + " has its addresses in a VLAN, and the frame has no tag";
  return "frames of " + port.name() + " belong to a bridge, a bond or an ipvlan";
}

// `by_file`: the configuration leaves it to the workers.
std::string PacketReader::why_not_forwarded(bool by_file, const Link* link) const {
  if (!by_file) return facts_.packet.from + " has `forwarding: kernel`";
  if (link == nullptr) return facts_.packet.from + " is gone from Linux";
  return rules_.hindrance(*link, v6_).value_or("nothing is forwarded from " + link->name);
}

void PacketReader::read_port(const GatewayPort& port) {
  const auto owner = services_.publisher.port_of(port.ifindex());
  if (!owner || !view_.ports.has(owner->port)) {
    facts_.port_up = false;
    return;
  }
  const dataplane::PortView& view = view_.ports[owner->port];
  const std::uint16_t vlan = facts_.packet.vlan.value_or(port.value().vlan.value_or(0));
  facts_.packet.vlan = vlan == 0 ? std::nullopt : std::optional(vlan);
  facts_.port_up = view.port != nullptr && view.up;
  facts_.vlan_refused = why_vlan_is_refused(view, port, vlan);
  facts_.flows = view.flows;
  const Ingress ingress{PacketOrigin::at_port(owner->port, 0), link_of_vlan(port, vlan)};
  const bool accepted = facts_.port_up && facts_.vlan_refused.empty();
  if (accepted && !view.forwards(vlan, v6_))
    facts_.not_forwarded = why_not_forwarded(view.short_cut || view.flows, ingress.link);
  read_listener();
  read_route(ingress);
}

void PacketReader::read_listener() {
  const PacketQuery& packet = facts_.packet;
  if (!facts_.destination_is_ours || packet.protocol != IPPROTO_UDP) return;
  const auto id = (*view_.listen_ports)[number_of(packet.destination_port)];
  const Interface* const interface =
      packet.destination_port == kAnyPort ? nullptr : objects_.interface_by_id(id);
  if (interface == nullptr) return;
  facts_.listener = interface->name();
  facts_.listener_up = view_.interfaces[id].up;
  for (const auto& [key, record] : interface->book().records()) {
    const dataplane::Path* const path = record->slot->path.load(std::memory_order_relaxed);
    if (path == nullptr || path->remote.port != packet.source_port || path->remote.address != source_)
      continue;
    facts_.endpoint_of = label_of(*record);
    return;
  }
}

Expected<> PacketReader::read_interface(const Interface& interface) {
  const dataplane::InterfaceView& view = view_.interfaces[interface.id()];
  const PeerRecord* const owner = interface.book().owner_of(facts_.packet.source);
  const PeerRecord* sender = owner;
  if (!facts_.packet.peer.empty()) {
    sender = objects_.find_peer(interface.name(), facts_.packet.peer).record;
    if (sender == nullptr)
      return Refusal{ENOENT, "no peer " + facts_.packet.peer + " on interface " + interface.name()};
  }
  if (owner != nullptr) {
    facts_.source_owner = label_of(*owner);
    facts_.source_prefix = prefix_text(*owner, facts_.packet.source);
  }
  if (sender != nullptr) {
    facts_.sender = label_of(*sender);
    facts_.sender_active = has_session(*sender->slot, at_);
  }
  facts_.interface_up = view.up;
  facts_.program = inner_program(view.ring) != nullptr;
  facts_.host =
      routed_program(view.ring) != nullptr && view.ring->sources().allow(source_.bytes.data(), source_.v6);
  facts_.martian_source = facts_.source_is_ours || is_martian_source(source_);
  facts_.flows = view.flows;
  const Link* const link = services_.mirror.link(interface.ifindex());
  if (!(view.short_cut || view.flows) || !view.is_forwarded(v6_ ? 6 : 4))
    facts_.not_forwarded = why_not_forwarded(view.short_cut || view.flows, link);
  read_route({PacketOrigin::at_interface(dataplane::From::kTunnel, interface.id()), link});
  return {};
}

// ---------------------------------------------------------------- the route

const dataplane::NextHop* PacketReader::next_hop() const {
  const lpm::Value value = v6_ ? view_.routes6->lookup(destination_.bytes.data())
                               : view_.routes4->lookup(destination_.v4_host_order());
  return value < view_.next_hops.size() ? &view_.next_hops[value] : nullptr;
}

void PacketReader::read_route(const Ingress& ingress) {
  const bool v6 = v6_;
  if (ingress.link != nullptr)
    facts_.linux_refuses = rules_.forwarding_is_off(*ingress.link, v6).value_or("");
  const dataplane::NextHop* const hop = next_hop();
  const auto decision = dataplane::Route::decide(view_, hop == nullptr ? kKernelHop : *hop, ingress.origin);
  facts_.way = way_of(decision.kind);
  facts_.mtu = decision.mtu;
  if (decision.within_port && decision.hop->vlan() == facts_.packet.vlan.value_or(0))
    facts_.way = PacketWay::kLinux;
  switch (facts_.way) {
    case PacketWay::kLinux:
      facts_.why_linux = why_linux(hop, ingress.origin);
      return;
    case PacketWay::kPort:
      facts_.to = name_of_port(decision.hop->port);
      facts_.next_hop = dataplane::to_string(destination_of(*decision.hop));
      return;
    case PacketWay::kInterface:
    case PacketWay::kHairpinOff:
      if (const Interface* to = objects_.interface_by_id(decision.origin.interface_id)) {
        facts_.to = to->name();
        facts_.sending = sending_of(*to);
      }
      return;
    case PacketWay::kBlackhole:
      return;
  }
}

std::string PacketReader::why_linux(const dataplane::NextHop* hop, const PacketOrigin& origin) const {
  if (hop == nullptr || hop->kind == HopKind::kKernel) return why_no_hop();
  if (hop->kind == HopKind::kPort && origin.from == dataplane::From::kPort)
    return why_between_ports(origin.port(), hop->port);
  const Interface* const to =
      hop->kind == HopKind::kInterface ? objects_.interface_by_id(hop->interface_id) : nullptr;
  if (to == nullptr) return {};
  if (!view_.interfaces[to->id()].up) return to->name() + " is down";
  const dataplane::InterfaceView& view = view_.interfaces[to->id()];
  if (inner_program(view.ring) != nullptr) return "the inner side of " + to->name() + " is a program";
  return to->name() + (view.flows ? " has `forwarding: flows`" : " has `forwarding: kernel`");
}

std::string PacketReader::why_between_ports(dataplane::PortIndex from, dataplane::PortIndex to) const {
  for (const dataplane::PortIndex side : {from, to})
    if (!view_.ports[side].port_to_port)
      return "between two ports Linux forwards unless both have `port_to_port: true`, and " +
             name_of_port(side) + " has not";
  return "it leaves by the link by which it comes in, and Linux tells its sender of the shorter way";
}

// The reason why a route is not one of the workers' (PublishedRoutes::value_for).
std::string PacketReader::why_no_hop() const {
  const RouteFacts& route = facts_.linux_route;
  if (!rules_.destination_decides(v6_)) return "routing rules select by more than the destination";
  if (services_.publisher.in_vrf()) return "a port or an interface is in a VRF";
  if (services_.ipsec.any()) return "there are IPsec policies";
  if (route.local) return "the destination is an address of this machine";
  if (!route.refusal.empty()) return "route " + route.prefix + " is " + route.refusal;
  if (!route.routed) return "there is no route to the destination";
  if (resolved_.unsure) return "its route has several next hops, or what only Linux follows";
  if (!route.interface && !services_.publisher.port_of(resolved_.ifindex))
    return route.link + " is neither a port nor a WireGuard interface";
  if (resolved_.neighbour != NeighbourState::kUsable && !route.interface)
    return "the MAC address of " + (route.gateway.empty() ? route.address : route.gateway) + " on " +
           route.link + " is not known yet";
  return {};
}

std::string PacketReader::name_of_port(dataplane::PortIndex index) const {
  for (const auto& [name, port] : objects_.ports()) {
    const auto owner = services_.publisher.port_of(port->ifindex());
    if (owner && owner->port == index) return name;
  }
  return "?";
}

// ---------------------------------------------------------------- into a tunnel

PacketSending PacketReader::sending_of(const Interface& interface) const {
  PacketSending out;
  out.interface = interface.name();
  const dataplane::InterfaceView& view = view_.interfaces[interface.id()];
  out.program = inner_program(view.ring) != nullptr;
  out.host = routed_program(view.ring) != nullptr &&
             view.ring->sources().allow(destination_.bytes.data(), destination_.v6);
  const PeerRecord* const record = interface.book().owner_of(facts_.packet.destination);
  if (record == nullptr) return out;
  out.peer = label_of(*record);
  out.peer_prefix = prefix_text(*record, facts_.packet.destination);
  out.mtu = record->slot->mtu.load(std::memory_order_relaxed);
  out.active = dataplane::Send::can_send_to(*record->slot, at_.boot);
  const dataplane::Path* const path = record->slot->path.load(std::memory_order_relaxed);
  if (path != nullptr) read_path(interface, *record, *path, out);
  return out;
}

void PacketReader::read_path(const Interface& interface, const PeerRecord& record,
                             const dataplane::Path& path, PacketSending& out) const {
  out.endpoint = dataplane::to_string(path.remote);
  out.loop = path.port == dataplane::kLoopPath;
  out.path_mtu = path.mtu;
  out.outer_size = static_cast<std::uint32_t>(
      dataplane::Send::sealed_size(path, facts_.packet.size, out.mtu, view_.interfaces[interface.id()].mtu));
  if (out.loop) return;
  if (path.port != dataplane::kKernelPath) {
    out.port = name_of_port(path.port);
    out.port_live =
        view_.ports.has(path.port) && view_.ports[path.port].port != nullptr && view_.ports[path.port].up;
    return;
  }
  ResolveKey key{interface.fwmark(), 0,           path.remote.scope,
                 path.local.address, IPPROTO_UDP, interface.listen_port(),
                 path.remote.port};
  const Resolved way = services_.mirror.resolve(path.remote.address, key);
  out.routed = way.type == RTN_UNICAST || way.type == RTN_LOCAL;
  out.why_socket = why_socket(record, way);
}

// Publisher::resolve_outer_route(), in words.
std::string PacketReader::why_socket(const PeerRecord& record, const Resolved& way) const {
  if (way.type == RTN_LOCAL) return "the endpoint is an address of this machine";
  if (way.type != RTN_UNICAST) return "there is no route to the endpoint";
  const Link* const link = services_.mirror.link(way.ifindex);
  const std::string by = link == nullptr ? "?" : link->name;
  if (record.next_hop_unresolved)
    return "the MAC address of " + dataplane::to_string(record.next_hop.address) + " on " + by +
           " is not known yet";
  if (way.unsure || services_.ipsec.any()) return "Linux chooses the way to the endpoint";
  if (!services_.publisher.port_of(way.ifindex)) return by + ", the way to the endpoint, is no port";
  return "the way to the endpoint has changed this moment";
}

}  // namespace wg::control
