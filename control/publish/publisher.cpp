#include "control/publish/publisher.h"

#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "dataplane/io/program_ring.h"

namespace wg::control {

namespace {

// A host on a link can make a change as often as it likes; this bounds what the snapshots of that cost.
constexpr std::chrono::milliseconds kHopsInterval{1};

}  // namespace

RoutesChanged Publisher::take_routes_changed() {
  RoutesChanged taken = std::exchange(routes_changed_, {});
  taken.narrow();
  return taken;
}

Publisher::Publisher(dataplane::Dataplane& dataplane, NetlinkMirror& mirror, NetlinkConfigure& netlink)
    : dataplane_(dataplane),
      mirror_(mirror),
      owners_(mirror),
      rules_(mirror),
      routes_({mirror, netlink, owners_, rules_, dataplane, next_}),
      views_(mirror, owners_, rules_, next_) {
  next_.keypairs = &dataplane.keypairs();
  next_.peers = &dataplane.peers();
}

dataplane::PortIndex Publisher::add_port(const dataplane::PortView& view, std::uint32_t ifindex) {
  const dataplane::PortIndex index = owners_.add_port(ifindex);
  next_.ports.resize(owners_.ports().size());
  next_.ports[index] = view;
  routes_.start_over();
  touch_views();
  return index;
}

void Publisher::remove_port(dataplane::PortIndex index) {
  owners_.remove(index);
  next_.ports[index] = {};
  on_removed();
}

void Publisher::release_ports() {
  if (!routes_.stale() && !routes_changed_.any()) owners_.release_ports();
}

dataplane::InterfaceId Publisher::add_interface(const dataplane::InterfaceView& view, std::uint32_t ifindex) {
  const dataplane::InterfaceId id = owners_.add_interface(ifindex);
  next_.interfaces.resize(owners_.interfaces().size());
  next_.interfaces[id] = view;
  next_.interfaces[id].id = id;
  next_.interfaces[id].present = true;
  routes_.start_over();
  touch_views();
  return id;
}

void Publisher::remove_interface(dataplane::InterfaceId id) {
  owners_.remove(id);
  next_.interfaces[id] = {};
  list_rings();
  on_removed();
}

void Publisher::set_ring(dataplane::InterfaceId id, dataplane::ProgramRing* ring) {
  interface(id).ring = ring;
  list_rings();
}

void Publisher::list_rings() {
  next_.rings.clear();
  for (const dataplane::InterfaceId id : next_.interfaces.ids())
    if (next_.interfaces[id].ring != nullptr) next_.rings.push_back(id);
}

void Publisher::on_removed() {
  routes_.start_over();
  routes_changed_.everywhere = true;
  touch();
}

dataplane::FlowIngress Publisher::flow_ingress(std::uint32_t ifindex) const {
  using dataplane::FlowIngress;
  if (const auto id = owners_.interface_of(ifindex))
    return next_.interfaces[*id].flows && inner_program(next_.interfaces[*id].ring) == nullptr
               ? FlowIngress::interface(*id)
               : FlowIngress();
  const auto link = port_of(ifindex);
  if (!link || !next_.ports[link->port].flows) return {};
  return FlowIngress::port(link->port, link->vlan.value_or(0));
}

// ---------------------------------------------------------------- what Linux says

void Publisher::on_changes(const std::vector<Change>& changes) {
  for (const Change& change : changes) std::visit([this](const auto& kind) { on_change(kind); }, change);
}

void Publisher::on_change(const RouteChanged& route) {
  routes_changed_.add(route.prefix);
  if (!routes_.update(route)) start_over();
}

void Publisher::on_change(const NeighbourChanged& neighbour) {
  const NextHopKey key{neighbour.ifindex, neighbour.address};
  if (routes_.update(key)) changed_neighbours_.push_back(key);
}

void Publisher::on_change(const AddressChanged& changed) {
  touch_views();
  routes_.on_own_address(changed.address.v6);
}

// After a change of links or rules, or a resync.
void Publisher::start_over() {
  routes_.start_over();
  routes_changed_.everywhere = true;
  touch_views();
}

void Publisher::touch_views() {
  views_.make_stale();
  touch();
}

void Publisher::set_ipsec(bool policies) {
  if (routes_.set_ipsec(policies)) start_over();
}

void Publisher::set_filters(std::map<std::uint32_t, std::vector<MacAddress>> filters) {
  if (views_.set_filters(std::move(filters))) touch_views();
}

// ---------------------------------------------------------------- paths

OuterRoute Publisher::resolve_outer_route(const Endpoint& remote, const Endpoint& local, std::uint32_t fwmark,
                                          std::uint32_t own_ifindex) const {
  OuterRoute out;
  const Resolved route = mirror_.resolve(
      remote.address, {fwmark, 0, remote.scope, local.address, IPPROTO_UDP, local.port, remote.port});
  out.source = route.source;
  out.mtu = route.mtu16();
  if (route.type != RTN_UNICAST) {
    out.kind = route.type == RTN_LOCAL ? OuterRoute::Kind::kKernel : OuterRoute::Kind::kNone;
    return out;
  }
  if (route.ifindex == own_ifindex) {
    out.kind = OuterRoute::Kind::kLoop;
    return out;
  }
  out.kind = OuterRoute::Kind::kKernel;
  if (route.unsure || routes_.ipsec()) return out;
  out.link = route.ifindex;
  const auto link = port_of(route.ifindex);
  if (!link || next_.ports[link->port].port == nullptr) return out;
  out.next_hop = {route.ifindex, route.next_hop(remote.address)};
  if (route.neighbour != NeighbourState::kUsable) {
    out.unresolved = true;
    return out;
  }
  out.kind = OuterRoute::Kind::kPort;
  out.port = link->port;
  out.vlan = link->vlan;
  out.destination_mac = route.mac;
  const Link* exit = mirror_.link(route.ifindex);
  out.source_mac = exit != nullptr && exit->mac ? *exit->mac : next_.ports[link->port].mac;
  return out;
}

void Publisher::flush() {
  routes_.refresh();
  flush_settings();
}

void Publisher::flush_settings() {
  if (!routes_.stale()) owners_.release_interfaces();
  views_.refresh();
  if (routes_.hops().take_changed()) touch();
  if (dirty_) publish();
}

void Publisher::flush_paced(BootTime now, std::chrono::steady_clock::time_point until) {
  const bool compares = routes_.stale();
  if (compares) routes_.refresh(until);
  if (!dirty_ && !compares && (!routes_.hops().changed() || now < hops_due_)) return;
  hops_due_ = now + kHopsInterval;
  flush_settings();
}

std::optional<BootTime> Publisher::next_flush() const {
  if (routes_.stale()) return BootTime{};
  return routes_.hops().changed() ? std::optional(hops_due_) : std::nullopt;
}

void Publisher::publish() {
  routes_.hops().trim();
  views_.refresh_listen_ports();
  next_.generation = ++generation_;
  auto snapshot = std::make_unique<dataplane::Snapshot>(next_);
  if (snapshot->flows == nullptr) {
    for (dataplane::PortView& port : snapshot->ports) port.flows = false;
    for (dataplane::InterfaceView& interface : snapshot->interfaces) interface.flows = false;
  }
  // Packets of peers go to the program inside: no short cut, no way between peers.
  for (dataplane::InterfaceView& interface : snapshot->interfaces)
    if (inner_program(interface.ring) != nullptr) interface.short_cut = interface.flows = false;
  dataplane_.publish(std::move(snapshot));
  dirty_ = false;
  routes_.hops().published();
}

}  // namespace wg::control
