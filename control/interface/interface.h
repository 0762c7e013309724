// A WireGuard interface: the protocol engine, its TUN netdev and kernel sockets, its peers and their allowed
// IPs, as the daemon holds them. Implements the engine's Host.
//
// Only the control thread calls. What can fail at the kernel's hands throws std::runtime_error with a
// sentence in the constructor, or returns a Refusal later; nothing is half done then.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "config/types.h"
#include "control/api/status.h"
#include "control/interface/remembered_peers.h"
#include "control/kernel/udp_socket.h"
#include "control/log.h"
#include "control/log_limit.h"
#include "control/noise/engine.h"
#include "control/services.h"
#include "dataplane/io/tun.h"
#include "dataplane/lpm/lpm.h"

namespace wg::control {

// What the control thread keeps of a peer beside the engine and the workers.
struct PeerRecord {
  dataplane::Peer* slot = nullptr;
  config::Key public_key;
  std::string name;
  std::set<config::Prefix> allowed_ips;      // a set: one peer may have 100 000
  std::optional<config::Endpoint> endpoint;  // as configured; may be a host name
  std::uint16_t keepalive_seconds = 0;
  NextHopKey next_hop;  // the path's; ifindex 0: none
  bool next_hop_unresolved = false;
  std::uint32_t exit_link = 0;  // by which the path leaves; 0: only the kernel knows
  bool name_unresolved = false;
  bool endpoint_restored = false;  // from before the start, and nothing has come from there yet
  std::unique_ptr<std::deque<PeerEvent>> events;  // the daemon's own events; null until the first
  std::unique_ptr<LogLimits> log_limits;          // null until the first line
};

class Interface final : public noise::Host {
 public:
  // Creates the netdev with its addresses and routes and, when enabled, opens the listen port and goes up.
  // `value.peers` is ignored. `auto_mtu` is used where the value says auto.
  Interface(Services& services, std::string name, const config::Interface& value, std::uint16_t auto_mtu);
  ~Interface() override;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] dataplane::InterfaceId id() const { return id_; }
  [[nodiscard]] std::uint32_t ifindex() const { return tun_->ifindex(); }
  [[nodiscard]] noise::Engine& engine() { return *engine_; }
  [[nodiscard]] const noise::Engine& engine() const { return *engine_; }
  [[nodiscard]] const Logger& log() const { return log_; }
  [[nodiscard]] std::uint16_t listen_port() const {
    return socket_.is_open() ? socket_.port() : configured_port_;
  }
  [[nodiscard]] std::uint32_t fwmark() const { return fwmark_; }
  [[nodiscard]] bool is_up() const { return engine_->is_up(); }
  [[nodiscard]] bool takes_short_cut() const { return settings_.forwarding == config::Forwarding::kShortCut; }
  [[nodiscard]] std::uint16_t mtu() const { return mtu_; }
  // While the wall clock is behind timestamps that have been sent: by how much.
  [[nodiscard]] std::optional<std::chrono::seconds> clock_behind() const { return clock_behind_; }

  // ---- one per action of a plan
  Expected<> set_enabled(bool enabled);
  // Opens the new port before it closes the old one: a taken port changes nothing. The port that is
  // configured already changes nothing either: 0 keeps the port that was drawn.
  Expected<> set_listen_port(std::uint16_t port);
  Expected<> set_fwmark(std::uint32_t fwmark);
  void set_private_key(const std::optional<config::SecretKey>& key);
  Expected<> add_address(const config::InterfaceAddress& address);
  Expected<> remove_address(const config::InterfaceAddress& address);
  Expected<> set_mtu(std::optional<std::uint16_t> mtu, std::uint16_t auto_mtu);
  void set_routes(config::Routes routes, std::optional<std::uint32_t> table);
  // All live settings at once (config/settings.h); other members of `settings` are ignored.
  void apply(const config::Interface& settings);
  // The level of an interface without one of its own is the gateway's, which may have changed.
  void apply_log_level();

  // ---- peers
  PeerRecord* add_peer(const config::Peer& value);  // nullptr: the table is full, or our own key
  // So many will be added by single calls, none of which shall take long.
  void expect_peers(std::size_t count);
  void remove_peer(const config::Key& key);
  void set_peer_name(const config::Key& key, const std::string& name);
  // The endpoint that is configured already changes nothing, unless `forced`: it then ends roaming.
  void set_peer_endpoint(const config::Key& key, const std::optional<config::Endpoint>& endpoint,
                         bool forced = false);
  void set_preshared_key(const config::Key& key, const std::optional<config::SecretKey>& psk);
  void set_keepalive(const config::Key& key, std::uint16_t seconds);
  void set_peer_mtu(const config::Key& key, std::optional<std::uint16_t> mtu);
  // Moves the prefix from the peer that holds it, in one step.
  void add_allowed_ip(const config::Key& key, const config::Prefix& prefix);
  void remove_allowed_ip(const config::Key& key, const config::Prefix& prefix);
  // Sends the routes of prefixes that were added or removed since the last call to the kernel, in few
  // messages.
  void flush_routes();

  [[nodiscard]] PeerRecord* find(const config::Key& key);
  [[nodiscard]] PeerRecord* find_name(const std::string& name);
  [[nodiscard]] PeerRecord* find_slot(std::uint32_t slot);
  [[nodiscard]] const std::unordered_map<config::Key, std::unique_ptr<PeerRecord>>& peers() const {
    return peers_;
  }

  // ---- endpoints over a restart
  // Peers that are added from now on get theirs back and an initiation (remembered_peers.h).
  void restore_endpoints(std::vector<RememberedPeer> peers);
  [[nodiscard]] bool remembers_endpoints() const { return settings_.remember_endpoints; }
  // One step of a walk over all peers; as noise::Engine::heard_peers.
  std::size_t list_heard(std::size_t from, std::size_t count, std::vector<RememberedPeer>& out) const;
  void expire_remembered();

  // ---- input
  void on_handshake(const dataplane::HandshakeMessage& message, const noise::Now& at);
  void on_event(const dataplane::Event& event, PacketPtr packet);
  void on_resolved(PeerRecord& record, const ResolvedName& result);
  void on_routes_changed(const RoutesChanged& changed = {true, {}});
  void on_neighbours_changed(const std::vector<NextHopKey>& keys);
  // The netdev was set up or down, or its MTU changed, by somebody else (ip link).
  void on_link(const Link& link);
  // Queued handshakes and timers, until then at the latest but for a few; the rest by the next call.
  void advance(std::chrono::steady_clock::time_point until);
  [[nodiscard]] BootTime next_deadline() const { return engine_->next_deadline(); }

  // ---- noise::Host
  void send_handshake(const Endpoint& to, const Endpoint& from, std::span<const std::uint8_t> message,
                      std::uint8_t tos) override;
  void send_keepalive(dataplane::Peer& peer) override;
  bool release_staged(dataplane::Peer& peer) override;
  void drop_staged(dataplane::Peer& peer) override;
  [[nodiscard]] bool has_staged(const dataplane::Peer& peer) override;
  void endpoint_changed(dataplane::Peer& peer, const Endpoint& remote, const Endpoint& local) override;
  void retire(std::function<void()> free) override;
  void event(const dataplane::Peer* peer, const noise::PeerEvent& event) override;

 private:
  Expected<> go_up();
  void go_down();
  Expected<> open_socket(UdpSocket& socket, std::uint16_t port) const;
  void watch_socket();
  void unwatch_socket();
  void receive(bool v6);
  void receive_data(const ReceivedDatagram& datagram);
  bool post(const dataplane::Peer& peer, dataplane::CommandType type, PacketPtr packet);
  bool answer_by_port(const Endpoint& to, const Endpoint& from, std::span<const std::uint8_t> message,
                      std::uint8_t tos);
  void restore_endpoint(PeerRecord& record);
  void forget_remembered(PeerRecord& record);
  void watch_strays();
  void on_stray(const dataplane::Event& event);
  void use_configured_endpoints();
  void stage(const dataplane::Event& event, PacketPtr packet);
  void send_sealed(const dataplane::Event& event, const rte_mbuf& packet);
  [[nodiscard]] bool may_roam_to(const PeerRecord& record, const dataplane::Endpoint& remote) const;
  [[nodiscard]] dataplane::Endpoint on_its_link(const PeerRecord& record, dataplane::Endpoint remote,
                                                const dataplane::Endpoint& local) const;
  void note(PeerRecord& record, PeerEvent&& event);
  void forget_name(const PeerRecord& record);
  void set_path(PeerRecord& record, std::unique_ptr<dataplane::Path> path);
  void build_path(PeerRecord& record, const Endpoint& remote, const Endpoint& local);
  void install_path(PeerRecord& record, const OuterRoute& route, const Endpoint& remote,
                    const Endpoint& local);
  [[nodiscard]] OuterRoute outer_route(const Endpoint& remote, Endpoint local) const;
  void apply_endpoint(PeerRecord& record);
  [[nodiscard]] dataplane::Endpoint literal(const config::Endpoint& endpoint) const;
  void insert_prefix(const config::Prefix& prefix, std::uint32_t slot);
  void erase_prefix(const config::Prefix& prefix);
  [[nodiscard]] bool wants_route(const config::Prefix& prefix) const;
  [[nodiscard]] RouteSpec route_of(const config::Prefix& prefix) const;
  [[nodiscard]] std::vector<config::Prefix> routed_prefixes() const;
  void adjust_routes(const std::vector<config::Prefix>& before);
  void send_routes(RouteVerb verb, const std::vector<config::Prefix>& prefixes);
  void change_routes(RouteVerb verb, const std::vector<config::Prefix>& prefixes);
  void log_event(PeerRecord* record, const noise::PeerEvent& event);
  LogLimits& log_limits_of(PeerRecord* record);
  void announce(const char* kind, const PeerRecord& record, const std::string& detail = {});
  void publish_settings();

  Services& services_;
  std::string name_;
  Logger log_;
  std::unique_ptr<dataplane::TunDevice> tun_;
  lpm::Lpm4 allowed4_;
  lpm::Lpm6 allowed6_;
  dataplane::InterfaceId id_{};
  std::uint16_t configured_port_ = 0;
  std::uint32_t fwmark_ = 0;
  std::uint16_t mtu_ = 1420;
  config::Routes routes_ = config::Routes::kAuto;
  std::optional<std::uint32_t> table_;
  config::Interface settings_;  // the live settings alone; no key, no peer
  std::vector<config::InterfaceAddress> addresses_;
  RouteVerb waiting_verb_ = RouteVerb::kReplace;
  std::vector<config::Prefix> waiting_routes_;  // for flush_routes()
  UdpSocket socket_;
  std::unordered_map<config::Key, std::unique_ptr<PeerRecord>> peers_;
  std::unordered_map<std::uint32_t, PeerRecord*> by_slot_;
  std::unordered_map<std::string, PeerRecord*> by_name_;
  std::optional<std::chrono::seconds> clock_behind_;
  LogLimits stranger_log_limits_;                  // one for all who are no peers
  std::vector<dataplane::PeerRef> stale_sources_;  // found while sending; the engine is told afterwards
  RememberedPeers remembered_;
  std::vector<dataplane::PeerRef> no_answer_;  // from a restored endpoint; the engine is told afterwards
  std::unique_ptr<noise::Engine> engine_;      // last: its destructor still calls the Host
};

}  // namespace wg::control
