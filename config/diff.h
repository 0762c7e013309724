// The actions that turn one configuration into another: a pure function from two values to an
// ordered list of typed actions. Applying is the control thread's part.
//
// Both values must have passed validate(). Compared is what runs (see runtime_view): a peer that is
// not enabled counts as absent, orders of lists and places of keys in files do not matter. What did
// not change gives no action, so sessions, counters and learned endpoints of the others survive.
//
// Order: notices of what needs a restart; control; removed interfaces and ports (their names, devices
// and listen ports are free afterwards); ports; listen ports; then in every interface what it gains
// (new peers, moved and added prefixes), and only then in every interface what it loses. So a prefix
// that moves is one MoveAllowedIp between two peers that both exist, and no prefix is ever without
// an owner in between. A prefix that stays without a peer is kept before its peer loses it, and
// forgotten after all. An interface is switched off first and switched on last.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "config/settings.h"
#include "config/types.h"

namespace wg::config {

// Which peer an action is about; the label (name or key) is for words only.
struct PeerName {
  std::string interface;
  Key key;
  std::string label;
  bool operator==(const PeerName&) const = default;
};

// A change that the running process cannot make; the old value stays in force.
struct NeedsRestart {
  std::string key;   // e.g. dpdk.workers
  std::string from;  // in words
  std::string to;
};

// Other values of settings (settings.h), which have no effect but that they hold from now on.
template <class Owner>
struct ChangeSettings {
  std::string name;  // of the interface or port; dpdk, flows or control
  SettingSet rows;   // which of settings_of<Owner>() differ
  Owner value;       // all live settings as they shall be; everything else as by default
};

// Control.
struct SetMetrics {
  std::optional<MetricsListen> listen;
  bool per_peer;
};
struct SetControlSocket {
  std::string path, admin_group, read_group;
};

// Ports. A change of device, queues, vlan or mac is a RemovePort and an AddPort.
struct AddPort {
  std::string port;
  Port value;
};
struct RemovePort {
  std::string port;
};
struct AddPortAddress {
  std::string port;
  InterfaceAddress address;
};
struct RemovePortAddress {
  std::string port;
  InterfaceAddress address;
};
struct SetPortGateways {
  std::string port;
  std::vector<PortGateway> gateways;
};
struct SetPortMtu {
  std::string port;
  std::uint16_t mtu;
};

// Interfaces.
struct AddInterface {
  std::string interface;
  Interface value;
};  // `value.peers` is empty: AddPeer follows
struct RemoveInterface {
  std::string interface;
  std::size_t peers;
};  // with all its peers
struct SetInterfaceEnabled {
  std::string interface;
  bool enabled;
};
// Leaves the peers alone; a peer that has this key has a RemovePeer of its own.
struct SetInterfaceKey {
  std::string interface;
  std::optional<SecretKey> key;
};
struct SetListenPort {
  std::string interface;
  UdpPort port;
};
struct SetFwmark {
  std::string interface;
  std::uint32_t fwmark;
};
struct AddInterfaceAddress {
  std::string interface;
  InterfaceAddress address;
};
struct RemoveInterfaceAddress {
  std::string interface;
  InterfaceAddress address;
};
struct SetInterfaceMtu {
  std::string interface;
  std::optional<std::uint16_t> mtu;
};
struct SetRoutes {
  std::string interface;
  Routes routes;
  std::optional<std::uint32_t> table;
};
// A prefix without a peer stays unreachable, or does no more.
struct KeepPrefix {
  std::string interface;
  Prefix prefix;
};
struct ForgetPrefix {
  std::string interface;
  Prefix prefix;
};

// Peers.
struct AddPeer {
  PeerName peer;
  Peer value;
};  // `value.allowed_ips` without those that a MoveAllowedIp brings
struct RemovePeer {
  PeerName peer;
};  // holds no prefix any more that another peer gets, unless an AddPeer of the same peer follows
struct SetPeerName {
  PeerName peer;
  std::string name;
};
struct SetPeerEndpoint {
  PeerName peer;
  std::optional<Endpoint> endpoint;
  bool forced;  // also when it is configured already: it then replaces what roaming has learnt
};
struct SetPresharedKey {
  PeerName peer;
  std::optional<SecretKey> key;
};
struct SetKeepalive {
  PeerName peer;
  std::chrono::seconds interval;
};
struct SetPeerMtu {
  PeerName peer;
  std::optional<std::uint16_t> mtu;
};
struct AddAllowedIp {
  PeerName peer;
  Prefix prefix;
};
struct MoveAllowedIp {
  PeerName from;
  PeerName to;
  Prefix prefix;
};
struct RemoveAllowedIp {
  PeerName peer;
  Prefix prefix;
};

using Action =
    std::variant<NeedsRestart, ChangeSettings<Dpdk>, ChangeSettings<Control>, ChangeSettings<Flows>,
                 ChangeSettings<Port>, ChangeSettings<Interface>, SetMetrics, SetControlSocket, AddPort,
                 RemovePort, AddPortAddress, RemovePortAddress, SetPortGateways, SetPortMtu, AddInterface,
                 RemoveInterface, SetInterfaceEnabled, SetInterfaceKey, SetListenPort, SetFwmark,
                 AddInterfaceAddress, RemoveInterfaceAddress, SetInterfaceMtu, SetRoutes, AddPeer, RemovePeer,
                 SetPeerName, SetPeerEndpoint, SetPresharedKey, SetKeepalive, SetPeerMtu, AddAllowedIp,
                 MoveAllowedIp, RemoveAllowedIp, KeepPrefix, ForgetPrefix>;

struct Plan {
  std::vector<Action> actions;
  [[nodiscard]] bool empty() const { return actions.empty(); }
  [[nodiscard]] bool needs_restart() const;
};

// Facts about a change of peers that two values cannot express; `wg set` can.
struct PeerEffects {
  // Removed and added again (RemovePeer and AddPeer): they start afresh, although both values have them.
  std::vector<Key> recreated;
  // The endpoint was given: it takes effect even where the values have the same one.
  std::vector<Key> endpoint_explicit;
};

// Every action is idempotent: carried out where it holds already, it changes nothing; but for a forced
// SetPeerEndpoint, which only `effects` bring about. So diff(next, running) is the way back from any point
// of the plan.
[[nodiscard]] Plan diff(const Gateway& running, const Gateway& next, const PeerEffects& effects = {});

// Gives every key of `next` that needs a restart the value it has in `running`: what is left is what a
// reload reaches.
void keep_until_restart(const Gateway& running, Gateway& next);

// One action in words, e.g. "wg0: peer alice: takes 10.0.0.0/24 from bob". Never a secret.
[[nodiscard]] std::string describe(const Action& action);
// The plan, one line per action; "nothing to change" when it is empty.
[[nodiscard]] std::string describe(const Plan& plan);

// The part of a configuration that runs: peers that are not enabled, file paths and positions are left out,
// lists whose order means nothing are sorted. Two values with equal views have an empty diff.
[[nodiscard]] Gateway runtime_view(const Gateway& gateway);

}  // namespace wg::config
