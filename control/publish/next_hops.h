// The next hops that the workers see, and the MAC addresses of the neighbours they need. Indices never move:
// a route's longest-prefix match holds them.
//
// W: Publisher. Only the control thread calls.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "control/publish/next_hop_key.h"
#include "dataplane/lpm/lpm.h"
#include "dataplane/snapshot.h"

namespace wg::control {

// A port, or a VLAN device on top of one.
struct PortLink {
  std::uint16_t port;
  std::optional<std::uint16_t> vlan;
};

class NextHops {
 public:
  using MacAddresses = std::unordered_map<NextHopKey, MacAddress, NextHopKeyHash>;

  // `next`: the snapshot that is being prepared. This writes its next_hops and reads its ports.
  NextHops(NetlinkMirror& mirror, NetlinkConfigure& netlink, dataplane::Snapshot& next)
      : mirror_(mirror), netlink_(netlink), next_(next) {}

  // The index of a next hop; it is made when it is asked for the first time.
  [[nodiscard]] lpm::Value simple(dataplane::HopKind kind, std::uint16_t interface_id, std::uint16_t mtu);
  [[nodiscard]] lpm::Value via(const PortLink& link, const NextHopKey& neighbour, std::uint16_t mtu);

  // The mirror has news of a neighbour. False: neither its MAC address nor whether it is usable has changed.
  bool update(const NextHopKey& key);
  // Reads everything anew from the mirror. `on_port` says whether a link is a port, or on top of one.
  void reload(const std::function<bool(std::uint32_t ifindex)>& on_port);
  // Usable neighbours on ports.
  [[nodiscard]] const MacAddresses& resolved() const { return macs_; }

  // Asks the kernel to resolve what is unresolved and in use; keeps used entries from going stale unnoticed.
  void want(const NextHopKey& key);
  void refresh();

  // Whether the workers must see a new snapshot, since the last call.
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }

 private:
  struct Use {
    NextHopKey neighbour;  // ifindex 0: none
    PortLink link{};
  };
  struct ViaKey {
    NextHopKey neighbour;
    std::uint16_t mtu;
    friend bool operator==(const ViaKey&, const ViaKey&) = default;
  };
  struct ViaHash {
    std::size_t operator()(const ViaKey& key) const noexcept {
      return NextHopKeyHash{}(key.neighbour) * 31 + key.mtu;
    }
  };
  void fill(std::size_t index);
  void ask(const NextHopKey& key);

  NetlinkMirror& mirror_;
  NetlinkConfigure& netlink_;
  dataplane::Snapshot& next_;
  std::vector<Use> uses_;  // parallel to next_.next_hops
  std::map<std::tuple<int, std::uint32_t, std::uint16_t>, lpm::Value> simple_;
  std::unordered_map<ViaKey, lpm::Value, ViaHash> via_;
  MacAddresses macs_;
  std::unordered_map<NextHopKey, unsigned, NextHopKeyHash> wanted_;  // rounds left of refreshing
  bool changed_ = false;
};

}  // namespace wg::control
