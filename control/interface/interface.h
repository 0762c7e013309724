// A WireGuard interface: the protocol engine, and the parts that connect it to Linux and to the workers.
//
//   Netdev          the TUN in Linux: addresses, MTU, up or down
//   ListenSocket    the kernel's UDP sockets: listen port, mark
//   PeerBook        the peers, and the tables of their allowed IPs
//   AllowedRoutes   the kernel's routes of allowed IPs
//   InterfacePeers  peers come, change and go
//   PeerEndpoints   configured, resolved and remembered endpoints
//   PeerPaths       how sealed packets leave for a peer
//   PeerNotes       history, log and event stream
//   EngineHost      the surroundings of the engine
//   WorkerEvents    what the workers report
//
// Only the control thread calls. What can fail at the kernel's hands throws std::runtime_error with a
// sentence in the constructor, or returns a Refusal later; nothing is half done then.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "config/types.h"
#include "control/interface/allowed_routes.h"
#include "control/interface/core.h"
#include "control/interface/engine_host.h"
#include "control/interface/interface_peers.h"
#include "control/interface/worker_events.h"
#include "control/kernel/wanted_link.h"

namespace wg::control {

class Interface final {
 public:
  // Creates the netdev with its addresses and routes and, when enabled, opens the listen port and goes up.
  // `value.peers` is ignored. `auto_mtu` is used where the value says auto.
  Interface(Services& services, const std::string& name, const config::Interface& value,
            std::uint16_t auto_mtu);
  ~Interface();
  Interface(const Interface&) = delete;
  Interface& operator=(const Interface&) = delete;

  [[nodiscard]] const std::string& name() const { return core_.name; }
  [[nodiscard]] dataplane::InterfaceId id() const { return core_.id; }
  [[nodiscard]] std::uint32_t ifindex() const { return core_.netdev.ifindex(); }
  [[nodiscard]] noise::Engine& engine() { return *engine_; }
  [[nodiscard]] const noise::Engine& engine() const { return *engine_; }
  [[nodiscard]] const Logger& log() const { return core_.log; }
  [[nodiscard]] UdpPort listen_port() const { return core_.socket.port(); }
  [[nodiscard]] std::uint32_t fwmark() const { return core_.socket.fwmark(); }
  [[nodiscard]] bool is_up() const { return engine_->is_up(); }
  [[nodiscard]] bool takes_short_cut() const { return settings_.forwarding == config::Forwarding::kShortCut; }
  [[nodiscard]] bool remembers_endpoints() const { return settings_.remember_endpoints; }
  [[nodiscard]] std::uint16_t mtu() const { return core_.netdev.mtu(); }
  // While the wall clock is behind timestamps that have been sent: by how much.
  [[nodiscard]] std::optional<std::chrono::seconds> clock_behind() const { return host_.clock_behind(); }

  [[nodiscard]] const PeerBook& book() const { return core_.book; }
  [[nodiscard]] InterfacePeers& peers() { return peers_; }
  [[nodiscard]] PeerEndpoints& endpoints() { return endpoints_; }
  [[nodiscard]] const PeerEndpoints& endpoints() const { return endpoints_; }
  [[nodiscard]] PeerPaths& paths() { return paths_; }

  // ---- one per action of a plan
  Expected<> set_enabled(bool enabled);
  Expected<> set_listen_port(UdpPort port);
  Expected<> set_fwmark(std::uint32_t fwmark);
  void set_private_key(const std::optional<config::SecretKey>& key);
  // Peers and routes follow most of these in steps, here and in advance(). When all have, Linux has the
  // routes, and after set_enabled() and set_private_key() no worker uses a session from before. False: there
  // is more.
  bool follow(std::chrono::steady_clock::time_point until);
  Expected<> add_address(const config::InterfaceAddress& address);
  Expected<> remove_address(const config::InterfaceAddress& address, bool undone);
  Expected<> set_mtu(std::optional<std::uint16_t> mtu, std::uint16_t auto_mtu);
  void set_routes(config::Routes routes, std::optional<std::uint32_t> table);
  // All live settings at once (config/settings.h); other members of `settings` are ignored.
  void apply(const config::Interface& settings);
  // The level of an interface without one of its own is the gateway's, which may have changed.
  void apply_log_level();
  [[nodiscard]] AllowedRoutes& routes() { return routes_; }
  // The wanted state of its netdev; the caller adds up or down.
  [[nodiscard]] WantedLink wanted() const;

  // ---- input
  void on_handshake(const dataplane::HandshakeMessage& message, const noise::Now& at);
  void on_event(const dataplane::Event& event, PacketPtr packet) {
    events_.on_event(event, std::move(packet));
  }
  // The netdev was set up or down, or its MTU changed, by another program (ip link).
  void on_link(const Link& link);
  // Queued handshakes and timers, until then at the latest but for a few; the rest by the next call.
  void advance(std::chrono::steady_clock::time_point until);
  [[nodiscard]] BootTime next_deadline() const { return engine_->next_deadline(); }

 private:
  void add_view();
  Expected<> go_up();
  void go_down();
  void on_datagram(const ReceivedDatagram& datagram);
  void publish_settings();

  InterfaceCore core_;
  config::Interface settings_;  // the live settings alone; no key, no peer
  AllowedRoutes routes_;
  bool open_ = false;  // to workers, which carry its traffic
  PeerPaths paths_;
  PeerNotes notes_;
  PeerEndpoints endpoints_;
  EngineHost host_;
  WorkerEvents events_;
  InterfacePeers peers_;
  std::unique_ptr<noise::Engine> engine_;  // last: its destructor still calls the host
};

}  // namespace wg::control
