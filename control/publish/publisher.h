// From what Linux knows to what the workers see: keeps the route mirror's longest-prefix match, the next hops
// with their MAC addresses, the paths to endpoints, and publishes snapshots when something changed.
//
// Only the control thread calls. Prefix changes reach the workers at once, one prefix at a time; everything
// else with the next flush().
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "control/kernel/netlink_configure.h"
#include "control/kernel/netlink_mirror.h"
#include "dataplane/dataplane.h"

namespace wg::control {

// A neighbour on a link: what a path or a route needs a MAC address for.
struct NextHopKey {
  std::uint32_t ifindex = 0;
  IpAddress address;
  friend bool operator==(const NextHopKey&, const NextHopKey&) = default;
};
struct NextHopKeyHash {
  std::size_t operator()(const NextHopKey& key) const noexcept;
};

// How packets for an outer address leave.
struct Way {
  enum class Kind : std::uint8_t { port, kernel, loop, none };
  Kind kind = Kind::none;
  std::uint16_t port = 0;   // index, Kind::port
  NextHopKey next_hop;      // what to watch; ifindex 0: nothing
  bool unresolved = false;  // a port leads there, but the neighbour's MAC is unknown
  IpAddress source;         // what the kernel would choose
  std::uint16_t mtu = 1500;
  MacAddress destination_mac{}, source_mac{};
  std::optional<std::uint16_t> vlan;  // tag of the VLAN device on top of the port
};

// Which paths may lead elsewhere after routes or links changed.
struct RoutesChanged {
  bool everywhere = false;
  std::vector<IpPrefix> prefixes;  // only towards (or from) these; sorted, none within another
  // Brings `prefixes` into that form.
  void narrow();
  [[nodiscard]] bool any() const { return everywhere || !prefixes.empty(); }
  [[nodiscard]] bool concerns(const IpAddress& address) const;
};

class Publisher {
 public:
  Publisher(dataplane::Dataplane& dataplane, NetlinkMirror& mirror, NetlinkConfigure& netlink);

  // ---- what is published. Indices are reused; views are changed in place and published by flush().
  std::uint16_t add_port(const dataplane::PortView& view, std::uint32_t ifindex);
  void remove_port(std::uint16_t index);
  [[nodiscard]] dataplane::PortView& port(std::uint16_t index) { return touch(), next_.ports[index]; }
  std::uint16_t add_interface(const dataplane::InterfaceView& view, std::uint32_t ifindex);
  void remove_interface(std::uint16_t id);
  [[nodiscard]] dataplane::InterfaceView& interface(std::uint16_t id) {
    return touch(), next_.interfaces[id];
  }
  void touch() { dirty_ = true; }

  // ---- what Linux says
  void on_changes(const std::vector<Change>& changes);
  // Since the last call.
  [[nodiscard]] RoutesChanged take_routes_changed();
  // Neighbours whose MAC or usability changed since the last call.
  [[nodiscard]] std::vector<NextHopKey> take_changed_neighbours() {
    return std::exchange(changed_neighbours_, {});
  }

  // ---- paths
  [[nodiscard]] Way way_to(const Endpoint& remote, std::uint32_t fwmark, std::uint32_t own_ifindex) const;
  // Headers for sealed packets from `local` to `remote` by that way.
  [[nodiscard]] static std::unique_ptr<dataplane::Path> make_path(const Way& way, const Endpoint& remote,
                                                                  const Endpoint& local, std::uint8_t tos);
  // What the workers would do with a packet to there; null: leave it to the kernel.
  [[nodiscard]] const dataplane::NextHop* hop_to(const IpAddress& destination) const;
  // Asks the kernel to resolve what is unresolved and in use; keeps used entries from going stale unnoticed.
  void want_neighbour(const NextHopKey& key);
  void refresh_neighbours();

  // Publishes when something changed.
  void flush();
  [[nodiscard]] std::size_t routes() const { return routes4_.size() + routes6_.size(); }

 private:
  // A port, or a VLAN device on top of one.
  struct PortLink {
    std::uint16_t port;
    std::optional<std::uint16_t> vlan;
  };
  [[nodiscard]] std::optional<PortLink> port_of(std::uint32_t ifindex) const;
  [[nodiscard]] std::optional<std::uint16_t> interface_of(std::uint32_t ifindex) const;
  void note_route(const IpPrefix& prefix);
  void rebuild_routes();
  void update_prefix(const IpPrefix& prefix);
  void update_hosts_within(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_for(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_for_host(const IpPrefix& prefix);
  [[nodiscard]] lpm::Value value_of(const Resolved& route);
  [[nodiscard]] lpm::Value hop_via(const PortLink& link, const NextHopKey& neighbour, std::uint16_t mtu);
  [[nodiscard]] lpm::Value simple_hop(dataplane::HopKind kind, std::uint16_t interface_id, std::uint16_t mtu);
  void fill_hop(dataplane::NextHop& hop, const PortLink& link, const NextHopKey& neighbour);
  void refresh_local_addresses();
  void ask_neighbour(const NextHopKey& key);

  dataplane::Dataplane& dataplane_;
  NetlinkMirror& mirror_;
  NetlinkConfigure& netlink_;
  lpm::Lpm4 routes4_;
  lpm::Lpm6 routes6_;
  dataplane::Snapshot next_;  // copied by flush()
  bool dirty_ = true;
  bool rebuild_ = true;
  bool in_vrf_ = false;  // a port or an interface is: the main table is not the truth for all, Linux routes
  RoutesChanged routes_changed_;
  bool local_addresses_stale_ = true;
  std::uint64_t generation_ = 0;
  std::vector<NextHopKey> changed_neighbours_;

  struct HopUse {
    NextHopKey neighbour;  // ifindex 0: none
    PortLink link{};
  };
  std::vector<HopUse> hop_use_;  // parallel to next_.next_hops
  std::map<std::tuple<int, std::uint32_t, std::uint16_t>, lpm::Value> simple_hops_;
  struct GatewayHopKey {
    NextHopKey neighbour;
    std::uint16_t mtu;
    friend bool operator==(const GatewayHopKey&, const GatewayHopKey&) = default;
  };
  struct GatewayHopHash {
    std::size_t operator()(const GatewayHopKey& key) const noexcept {
      return NextHopKeyHash{}(key.neighbour) * 31 + key.mtu;
    }
  };
  std::unordered_map<GatewayHopKey, lpm::Value, GatewayHopHash> gateway_hops_;
  std::unordered_map<std::uint32_t, std::uint16_t> port_by_ifindex_, interface_by_ifindex_;
  std::vector<std::uint32_t> port_ifindex_, interface_ifindex_;
  std::unordered_map<NextHopKey, MacAddress, NextHopKeyHash> known_macs_;  // usable neighbours on our ports
  std::unordered_map<NextHopKey, unsigned, NextHopKeyHash> wanted_;        // rounds left of refreshing
};

}  // namespace wg::control
