// Where an address is routed to, as a flow needs to know it: one port or interface with `forwarding: flows`,
// by a route that the workers read as Linux does.
#pragma once

#include "control/flows/flow_follower.h"
#include "control/kernel/netlink_mirror.h"
#include "control/publish/publisher.h"
#include "dataplane/dataplane.h"

namespace wg::control {

class FlowWays {
 public:
  FlowWays(const NetlinkMirror& mirror, const Publisher& publisher, const dataplane::Dataplane& dataplane)
      : mirror_(mirror), publisher_(publisher), dataplane_(dataplane) {}

  [[nodiscard]] FlowWay of(const IpAddress& address) const;

 private:
  [[nodiscard]] bool has_choice(const Resolved& route) const;
  [[nodiscard]] bool peer_has_mtu(dataplane::FlowIngress ingress, const IpAddress& address) const;

  const NetlinkMirror& mirror_;
  const Publisher& publisher_;
  const dataplane::Dataplane& dataplane_;
};

}  // namespace wg::control
