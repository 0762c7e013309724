// The routes that the workers see: the longest-prefix match of Linux's tables main and local, and the next
// hops that its prefixes lead to. Prefix changes reach the workers at once, one prefix at a time; next hops
// with the next snapshot.
//
// W: Publisher, on the control thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/publish/link_owners.h"
#include "control/publish/next_hops.h"
#include "control/publish/short_cut_rules.h"
#include "dataplane/dataplane.h"

namespace wg::control {

class PublishedRoutes {
 public:
  // All outlive this object. `next`: the snapshot that is being prepared; its routes and next hops are
  // written here, its ports are read.
  struct Parts {
    NetlinkMirror& mirror;
    NetlinkConfigure& netlink;
    const LinkOwners& owners;
    const ShortCutRules& rules;
    dataplane::Dataplane& dataplane;
    dataplane::Snapshot& next;
  };
  explicit PublishedRoutes(const Parts& parts);

  // ---- what Linux says
  // False: one prefix is not all that this changes, so everything has to start over.
  [[nodiscard]] bool update(const RouteChanged& route);
  // False: neither its MAC address nor whether it is usable has changed.
  [[nodiscard]] bool update(const NextHopKey& neighbour);
  // One of our own addresses of that IP version came or went.
  void on_own_address(bool v6);
  // Whether Linux has IPsec policies: then it routes everything. False: nothing has changed.
  [[nodiscard]] bool set_ipsec(bool policies);
  [[nodiscard]] bool ipsec() const { return ipsec_; }

  // All prefixes are compared with Linux's, by refresh(): at once, or until `until` and the rest by the next
  // call. What Linux changes meanwhile is followed.
  void start_over() { stale_ = true; }
  [[nodiscard]] bool stale() const { return stale_ || walk_.has_value(); }
  using Clock = std::chrono::steady_clock;
  void refresh(Clock::time_point until = Clock::time_point::max());

  // The workers' decision about a packet to there; null: leave it to the kernel.
  [[nodiscard]] const dataplane::NextHop* next_hop_for(const IpAddress& destination) const;
  // Then the main table alone does not decide about routes.
  [[nodiscard]] bool in_vrf() const { return in_vrf_; }
  [[nodiscard]] std::size_t size() const { return routes4_.size() + routes6_.size(); }
  [[nodiscard]] NextHops& hops() { return hops_; }
  [[nodiscard]] const NextHops& hops() const { return hops_; }

 private:
  // Which prefixes are still to be compared: hosts, those of the workers' tables part by part, then Linux's,
  // table by table.
  struct Walk {
    std::vector<IpPrefix> listed;
    std::optional<std::size_t> part4, part6;  // of the workers' tables, to be listed
    std::size_t table;                        // of kTables
    std::optional<IpPrefix> last;
  };
  void begin_walk();
  [[nodiscard]] bool walk_on(Clock::time_point until);
  [[nodiscard]] bool list_part();
  void update_prefix(const IpPrefix& prefix);
  void update_hosts_within(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_for(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_for_host(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_of(const Resolved& route, bool v6);

  NetlinkMirror& mirror_;
  const LinkOwners& owners_;
  const ShortCutRules& rules_;
  dataplane::Snapshot& next_;
  lpm::Lpm4 routes4_;
  lpm::Lpm6 routes6_;
  NextHops hops_;
  bool stale_ = true;         // a walk is to begin
  std::optional<Walk> walk_;  // the one that is on its way
  bool ipsec_ = false;
  bool in_vrf_ = false;  // a port or an interface is: the main table is not the truth for all, Linux routes
};

}  // namespace wg::control
