// The workers' view of Linux's settings: which ports are up, which frames and packets of ports and
// interfaces they may handle, the gateway's own addresses, and the listen ports.
//
// W: Publisher, on the control thread.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "control/kernel/netlink_mirror.h"
#include "control/publish/link_owners.h"
#include "control/publish/short_cut_rules.h"
#include "dataplane/snapshot.h"

namespace wg::control {

class PublishedViews {
 public:
  // All outlive this object. `next`: the snapshot that is being prepared; its ports, interfaces, addresses
  // and listen ports are written here.
  PublishedViews(const NetlinkMirror& mirror, const LinkOwners& owners, const ShortCutRules& rules,
                 dataplane::Snapshot& next)
      : mirror_(mirror), owners_(owners), rules_(rules), next_(next) {}

  // The MAC addresses beside its own that each TAP listens to, by ifindex. False: nothing has changed.
  [[nodiscard]] bool set_filters(std::map<std::uint32_t, std::vector<MacAddress>> filters);
  // Everything is read again by the next refresh().
  void make_stale() { stale_ = true; }
  void refresh();
  // From the interfaces of `next`, which their owners change.
  void refresh_listen_ports();

 private:
  void refresh_port(dataplane::PortIndex index, const Link* tap);
  [[nodiscard]] dataplane::ById<dataplane::PortIndex, dataplane::VlanIds> vlans_of_ports() const;
  void refresh_local_addresses();

  const NetlinkMirror& mirror_;
  const LinkOwners& owners_;
  const ShortCutRules& rules_;
  dataplane::Snapshot& next_;
  bool stale_ = true;
  std::map<std::uint32_t, std::vector<MacAddress>> filters_;  // by ifindex, of ports alone
};

}  // namespace wg::control
