// The next hops that the workers see, and the MAC addresses of the neighbours they need. A route's
// longest-prefix match holds their indices, so a hop never moves. Hops are counted by the prefixes that lead
// to them. What no prefix leads to is forgotten, because any host on a link can make neighbours come and go.
//
// An index is used again once no worker can meet its old meaning. A hop that is forgotten first says "kernel"
// in a snapshot; when each worker has passed that snapshot, the index is free. A worker that finds the reused
// index in the tables before it sees the new snapshot lets the kernel decide.
//
// W: Publisher. Only the control thread calls.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/publish/link_owners.h"
#include "control/publish/next_hop_key.h"
#include "dataplane/lpm/lpm.h"
#include "dataplane/snapshot.h"
#include "dataplane/thread/quiescence.h"

namespace wg::control {

// The common properties of packets to one next hop.
struct HopUse {
  std::uint16_t mtu = 0;  // IP bytes; of a hop without a neighbour, 0: no limit of its own
  bool v6 = false;        // the IP version of the packets, not of the neighbour (RFC 5549)

  friend auto operator<=>(const HopUse&, const HopUse&) = default;
};

class NextHops {
 public:
  using MacAddresses = std::unordered_map<NextHopKey, MacAddress, NextHopKeyHash>;

  // `next`: the snapshot that is being prepared. This writes its next_hops and reads its ports.
  NextHops(NetlinkMirror& mirror, NetlinkConfigure& netlink, dataplane::Snapshot& next,
           dataplane::Quiescence& quiescence)
      : mirror_(mirror), netlink_(netlink), next_(next), quiescence_(quiescence) {}

  // The index of a next hop; it is made when there is none like it. The caller holds it next. A neighbour
  // whose MAC address is unknown is asked for when the first hop through it is made.
  [[nodiscard]] lpm::Value simple(dataplane::HopKind kind, dataplane::InterfaceId interface_id,
                                  const HopUse& use);
  [[nodiscard]] lpm::Value via(const PortLink& link, const NextHopKey& neighbour, const HopUse& use);
  // A prefix leads to the hop from now on, or does so no longer. The hop is forgotten with its last prefix.
  void hold(lpm::Value index) { ++entries_[index].prefixes; }
  void release(lpm::Value index);
  // `next` was published: what was released before is free once all workers have passed that snapshot.
  void published();
  // Takes free indices off the end of the table, and memory that is mostly unused. Call it before a snapshot
  // is made.
  void trim();
  // Neighbours that prefixes lead to.
  [[nodiscard]] std::size_t neighbours() const { return hops_of_.size(); }

  // The mirror has updated a neighbour. False: neither its MAC address nor whether it is usable has changed.
  bool update(const NextHopKey& key);
  // Reads everything again from the mirror. `on_port` says whether a link is a port, or on top of one.
  void reload(const std::function<bool(std::uint32_t ifindex)>& on_port);
  // Usable neighbours on ports.
  [[nodiscard]] const MacAddresses& resolved() const { return macs_; }

  // Asks the kernel to resolve what a path needs. refresh() asks again, for paths and for the neighbours that
  // prefixes lead to, so that entries do not go stale unnoticed.
  void want(const NextHopKey& key);
  void refresh();

  // Whether the workers must see a new snapshot, since the last call of take_changed().
  [[nodiscard]] bool changed() const { return changed_; }
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }

 private:
  using SimpleKey = std::tuple<dataplane::HopKind, dataplane::InterfaceId, HopUse>;
  struct Entry {
    SimpleKey simple{};    // of a hop without a neighbour
    NextHopKey neighbour;  // ifindex 0: none
    PortLink link{};
    std::size_t prefixes = 0;
  };
  // Shared with what waits for the workers' quiescence, which may outlive this object.
  using Free = std::set<lpm::Value>;

  [[nodiscard]] lpm::Value allocate();
  void fill(std::size_t index);
  void ask(const NextHopKey& key);

  NetlinkMirror& mirror_;
  NetlinkConfigure& netlink_;
  dataplane::Snapshot& next_;
  dataplane::Quiescence& quiescence_;
  std::vector<Entry> entries_;         // parallel to next_.next_hops
  std::vector<lpm::Value> forgotten_;  // since the last snapshot
  std::shared_ptr<Free> free_ = std::make_shared<Free>();
  std::map<SimpleKey, lpm::Value> simple_;
  // Usually one each: one per MTU and IP version of the routes through the neighbour.
  std::unordered_map<NextHopKey, std::vector<lpm::Value>, NextHopKeyHash> hops_of_;
  MacAddresses macs_;
  std::unordered_map<NextHopKey, unsigned, NextHopKeyHash> wanted_;  // by paths: rounds left
  bool changed_ = false;
};

}  // namespace wg::control
