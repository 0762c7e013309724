#include "control/flows/flow_ways.h"

#include <linux/rtnetlink.h>

#include <algorithm>

namespace wg::control {

using dataplane::FlowIngress;

namespace {

FlowWay refused(FlowRefusal refusal) {
  return {{}, refusal};
}

}  // namespace

FlowWay FlowWays::of(const IpAddress& address) const {
  if (!mirror_.rules_are_default(address.v6) || publisher_.in_vrf())
    return refused(FlowRefusal::policy_routing);
  const Resolved route = mirror_.resolve(address);
  if (route.type == RTN_LOCAL) return refused(FlowRefusal::local);
  // The scope of a link-local address is not in the packet.
  if (route.type != RTN_UNICAST || is_link_local(address)) return refused(FlowRefusal::no_route);
  if (has_choice(route)) return refused(FlowRefusal::several_next_hops);
  const FlowIngress ingress = publisher_.flow_ingress(route.ifindex);
  if (ingress == FlowIngress()) return refused(FlowRefusal::not_flows);
  if (peer_has_mtu(ingress, address)) return refused(FlowRefusal::peer_mtu);
  return {ingress, FlowRefusal::kNone};
}

// Linux may take another one than the workers, who know only the first.
bool FlowWays::has_choice(const Resolved& route) const {
  const std::vector<Route>* routes = mirror_.routes().find(route.table, route.prefix);
  return routes != nullptr && std::any_of(routes->begin(), routes->end(), [](const Route& candidate) {
           return candidate.forwarding->nexthop_id != 0 || candidate.forwarding->nexthops.size() > 1;
         });
}

// A worker that finds a packet too big for the peer answers with the packet as it leaves, which the sender of
// a rewritten one would not recognise. Linux rewrites such answers.
bool FlowWays::peer_has_mtu(FlowIngress ingress, const IpAddress& address) const {
  const dataplane::Snapshot* view = dataplane_.current();
  if (view == nullptr) return false;
  for (const dataplane::InterfaceView& interface : view->interfaces) {
    if (!interface.present || FlowIngress::interface(interface.id) != ingress) continue;
    const lpm::Value slot = address.v6 ? interface.allowed6->lookup(address.bytes.data())
                                       : interface.allowed4->lookup(address.v4_host_order());
    return slot != lpm::kNoMatch && view->peers->at(slot).mtu.load(std::memory_order_relaxed) != 0;
  }
  return false;
}

}  // namespace wg::control
