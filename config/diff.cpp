#include "config/diff.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "config/describe_values.h"

namespace wg::config {
namespace {

template <class T>
std::vector<T> sorted(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return values;
}

// In `a` and not in `b`.
template <class T>
std::vector<T> minus(const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> out;
  const auto left = sorted(a);
  const auto right = sorted(b);
  std::set_difference(left.begin(), left.end(), right.begin(), right.end(), std::back_inserter(out));
  return out;
}

template <class T>
bool same_set(const std::vector<T>& a, const std::vector<T>& b) {
  return a == b || (a.size() == b.size() && sorted(a) == sorted(b));
}

using Actions = std::vector<Action>;

// ---------------------------------------------------------------- dpdk and control

void notice_restart(Actions& out, std::string key, std::string from, std::string to) {
  if (from != to) out.emplace_back(NeedsRestart{std::move(key), std::move(from), std::move(to)});
}

template <class Owner>
void diff_settings(Actions& out, const std::string& name, const Owner& old, const Owner& now) {
  const SettingSet rows = differing_settings(old, now, Change::kLive);
  if (!rows.empty()) out.emplace_back(ChangeSettings<Owner>{name, rows, live_settings(now)});
}

template <class Owner>
void notice_restart_settings(Actions& out, const std::string& name, const Owner& old, const Owner& now) {
  for (const auto& row : settings_of<Owner>())
    if (row.change == Change::kRestart)
      notice_restart(out, name + "." + std::string(row.key), row.text(old), row.text(now));
}

void diff_restart(Actions& out, const Gateway& running, const Gateway& next) {
  notice_restart(out, "dpdk.workers", words_of(running.dpdk.workers), words_of(next.dpdk.workers));
  notice_restart(out, "dpdk.eal", words_of(running.dpdk.eal), words_of(next.dpdk.eal));
  notice_restart_settings(out, "dpdk", running.dpdk, next.dpdk);
  notice_restart_settings(out, "control", running.control, next.control);
}

void diff_control(Actions& out, const Gateway& running, const Gateway& next) {
  const Control& old = running.control;
  const Control& now = next.control;
  diff_settings(out, "dpdk", running.dpdk, next.dpdk);
  diff_settings(out, "flows", running.flows, next.flows);
  diff_settings(out, "control", old, now);
  if (old.metrics != now.metrics || old.metrics_per_peer != now.metrics_per_peer)
    out.emplace_back(SetMetrics{now.metrics, now.metrics_per_peer});
  if (old.socket != now.socket || old.admin_group != now.admin_group || old.read_group != now.read_group)
    out.emplace_back(SetControlSocket{now.socket, now.admin_group, now.read_group});
}

// ---------------------------------------------------------------- addresses

// Adds before removes, so that the device is not bare in between; but an address that only changes
// its length is removed first, because Linux refuses to have an IPv6 address twice.
template <class Add, class Remove>
void diff_addresses(Actions& out, const std::string& name, const std::vector<InterfaceAddress>& running,
                    const std::vector<InterfaceAddress>& next) {
  const auto gained = minus(next, running);
  const auto lost = minus(running, next);
  const auto returns = [&](const InterfaceAddress& address) {
    return std::any_of(gained.begin(), gained.end(),
                       [&](const InterfaceAddress& other) { return other.address == address.address; });
  };
  for (const auto& address : lost)
    if (returns(address)) out.emplace_back(Remove{name, address});
  for (const auto& address : gained) out.emplace_back(Add{name, address});
  for (const auto& address : lost)
    if (!returns(address)) out.emplace_back(Remove{name, address});
}

// ---------------------------------------------------------------- ports

bool same_hardware(const Port& a, const Port& b) {
  return a.device == b.device && a.queues == b.queues && a.vlan == b.vlan && a.mac == b.mac;
}

void remove_ports(Actions& out, const Gateway& running, const Gateway& next) {
  for (const auto& [name, port] : running.ports) {
    const auto kept = next.ports.find(name);
    if (kept == next.ports.end() || !same_hardware(port, kept->second)) out.emplace_back(RemovePort{name});
  }
}

void diff_port(Actions& out, const std::string& name, const Port& old, const Port& now) {
  if (old.mtu != now.mtu) out.emplace_back(SetPortMtu{name, now.mtu});
  diff_addresses<AddPortAddress, RemovePortAddress>(out, name, old.addresses, now.addresses);
  if (!same_set(old.gateways, now.gateways)) out.emplace_back(SetPortGateways{name, now.gateways});
  diff_settings(out, name, old, now);
}

void add_ports(Actions& out, const Gateway& running, const Gateway& next) {
  for (const auto& [name, port] : next.ports) {
    const auto old = running.ports.find(name);
    if (old == running.ports.end() || !same_hardware(old->second, port))
      out.emplace_back(AddPort{name, port});
    else
      diff_port(out, name, old->second, port);
  }
}

// ---------------------------------------------------------------- listen ports

struct PortChange {
  std::string interface;
  UdpPort now;
  UdpPort wanted;
};

// Interfaces may hand listen ports to each other. A port is bound only when it is free again;
// where they pass ports round in a ring, one of them goes to any free port first.
void diff_listen_ports(Actions& out, const Gateway& running, const Gateway& next) {
  std::vector<PortChange> open;
  for (const auto& [name, interface] : next.interfaces) {
    const auto old = running.interfaces.find(name);
    if (old != running.interfaces.end() && old->second.listen_port != interface.listen_port)
      open.push_back({name, old->second.listen_port, interface.listen_port});
  }
  const auto bindable = [&](const PortChange& change) {
    return std::none_of(open.begin(), open.end(), [&](const PortChange& other) {
      return &other != &change && other.now != kAnyPort && other.now == change.wanted;
    });
  };
  while (!open.empty()) {
    const auto ready = std::find_if(open.begin(), open.end(), bindable);
    if (ready == open.end()) {
      const auto holder = std::find_if(open.begin(), open.end(),
                                       [](const PortChange& change) { return change.now != kAnyPort; });
      out.emplace_back(SetListenPort{holder->interface, kAnyPort});
      holder->now = kAnyPort;
      continue;
    }
    out.emplace_back(SetListenPort{ready->interface, ready->wanted});
    open.erase(ready);
  }
}

// ---------------------------------------------------------------- peers

struct Holding {
  Prefix prefix;
  const Peer* peer;
  bool whole;  // the peer comes or goes with it
};

bool by_prefix(const Holding& a, const Holding& b) {
  return a.prefix < b.prefix;
}

// A peer with the first bytes of its key beside it: comparing seldom visits the peer.
struct Keyed {
  std::uint64_t head;
  const Peer* peer;
  bool operator<(const Keyed& other) const {
    return head != other.head ? head < other.head : peer->public_key < other.peer->public_key;
  }
};

std::uint64_t head_of(const Key& key) {
  std::uint64_t head = 0;
  for (std::size_t i = 0; i < sizeof head; ++i) head = head << 8 | key.bytes[i];
  return head;
}

// Enabled peers in the order of their keys.
std::vector<Keyed> running_peers(const std::vector<Peer>& peers) {
  std::vector<Keyed> out;
  out.reserve(peers.size());
  for (const Peer& peer : peers)
    if (peer.enabled) out.push_back({head_of(peer.public_key), &peer});
  std::sort(out.begin(), out.end());
  return out;
}

// PeerEffects for looking up.
struct EffectsByKey {
  explicit EffectsByKey(const PeerEffects& effects)
      : recreated(effects.recreated.begin(), effects.recreated.end()),
        endpoint_explicit(effects.endpoint_explicit.begin(), effects.endpoint_explicit.end()) {}
  std::unordered_set<Key> recreated, endpoint_explicit;
};

// The peers of one interface, before and after. Only peers that change are looked at closely.
class PeersDiff {
 public:
  PeersDiff(std::string interface, const std::vector<Peer>& running, const std::vector<Peer>& next,
            const EffectsByKey& effects)
      : interface_(std::move(interface)), effects_(effects) {
    match(running_peers(running), running_peers(next));
    std::sort(lost_.begin(), lost_.end(), by_prefix);
    std::sort(gained_.begin(), gained_.end(), by_prefix);
  }

  void emit_gains(Actions& out) {
    for (const Peer* peer : recreated_) out.emplace_back(RemovePeer{ref(*peer)});
    for (const Peer* peer : added_) out.emplace_back(AddPeer{ref(*peer), without_moved(*peer)});
    for (const auto& [old, now] : changed_) emit_changes(out, *old, *now);
    for (const Holding& gain : gained_) {
      if (const Peer* from = loser_of(gain.prefix))
        out.emplace_back(MoveAllowedIp{ref(*from), ref(*gain.peer), gain.prefix});
      else if (!gain.whole)
        out.emplace_back(AddAllowedIp{ref(*gain.peer), gain.prefix});
    }
  }

  void emit_losses(Actions& out) {
    for (const Holding& loss : lost_)
      if (!loss.whole && !is_gained(loss.prefix))
        out.emplace_back(RemoveAllowedIp{ref(*loss.peer), loss.prefix});
    for (const Peer* peer : removed_) out.emplace_back(RemovePeer{ref(*peer)});
  }

 private:
  void match(const std::vector<Keyed>& running, const std::vector<Keyed>& next) {
    auto old = running.begin();
    auto now = next.begin();
    while (old != running.end() || now != next.end()) {
      if (now == next.end() || (old != running.end() && *old < *now)) {
        removed_.push_back(old->peer);
        hold(lost_, *old->peer, old->peer->allowed_ips, true);
        ++old;
      } else if (old == running.end() || *now < *old) {
        added_.push_back(now->peer);
        hold(gained_, *now->peer, now->peer->allowed_ips, true);
        ++now;
      } else {
        match_one(*old++->peer, *now++->peer);
      }
    }
  }

  void match_one(const Peer& old, const Peer& now) {
    if (effects_.recreated.contains(now.public_key)) {
      recreated_.push_back(&old);
      added_.push_back(&now);
      return hold(gained_, now, now.allowed_ips, true);
    }
    changed_.emplace_back(&old, &now);
    if (old.allowed_ips == now.allowed_ips) return;
    hold(lost_, old, minus(old.allowed_ips, now.allowed_ips), false);
    hold(gained_, now, minus(now.allowed_ips, old.allowed_ips), false);
  }

  static void hold(std::vector<Holding>& list, const Peer& peer, const std::vector<Prefix>& prefixes,
                   bool whole) {
    for (const Prefix& prefix : prefixes) list.push_back({prefix, &peer, whole});
  }

  // Without the prefixes that a MoveAllowedIp brings.
  Peer without_moved(const Peer& peer) const {
    Peer value = peer;
    std::erase_if(value.allowed_ips, [&](const Prefix& prefix) { return loser_of(prefix) != nullptr; });
    value.where.allowed_ips.clear();
    return value;
  }

  void emit_changes(Actions& out, const Peer& old, const Peer& now) {
    if (old.name != now.name) out.emplace_back(SetPeerName{ref(old), now.name});
    if (old.preshared_key != now.preshared_key)
      out.emplace_back(SetPresharedKey{ref(now), now.preshared_key});
    const bool forced = effects_.endpoint_explicit.contains(now.public_key);
    if (forced || old.endpoint != now.endpoint)
      out.emplace_back(SetPeerEndpoint{ref(now), now.endpoint, forced});
    if (old.persistent_keepalive != now.persistent_keepalive)
      out.emplace_back(SetKeepalive{ref(now), now.persistent_keepalive});
    if (old.mtu != now.mtu) out.emplace_back(SetPeerMtu{ref(now), now.mtu});
  }

  static const Peer* find(const std::vector<Holding>& list, const Prefix& prefix) {
    const auto found = std::lower_bound(list.begin(), list.end(), Holding{prefix, nullptr, false}, by_prefix);
    return found != list.end() && found->prefix == prefix ? found->peer : nullptr;
  }
  const Peer* loser_of(const Prefix& prefix) const { return find(lost_, prefix); }
  bool is_gained(const Prefix& prefix) const { return find(gained_, prefix) != nullptr; }

  PeerName ref(const Peer& peer) const { return {interface_, peer.public_key, label_of(peer)}; }

  std::string interface_;
  const EffectsByKey& effects_;
  std::vector<const Peer*> added_, removed_, recreated_;      // in the order of keys
  std::vector<std::pair<const Peer*, const Peer*>> changed_;  // in both; perhaps without a change
  std::vector<Holding> lost_, gained_;
};

// ---------------------------------------------------------------- interfaces

void diff_interface(Actions& out, const std::string& name, const Interface& old, const Interface& now) {
  if (old.enabled && !now.enabled) out.emplace_back(SetInterfaceEnabled{name, false});
  if (old.private_key != now.private_key) out.emplace_back(SetInterfaceKey{name, now.private_key});
  if (old.fwmark != now.fwmark) out.emplace_back(SetFwmark{name, now.fwmark});
  if (old.mtu != now.mtu) out.emplace_back(SetInterfaceMtu{name, now.mtu});
  diff_addresses<AddInterfaceAddress, RemoveInterfaceAddress>(out, name, old.addresses, now.addresses);
  if (old.routes != now.routes || old.table != now.table)
    out.emplace_back(SetRoutes{name, now.routes, now.table});
  diff_settings(out, name, old, now);
}

// Prefixes without a peer. Two interfaces without any are the usual case.
void diff_ownerless(Actions& keep, Actions& forget, const std::string& name, const Interface& old,
                    const Interface& now) {
  const auto before = ownerless_prefixes(old);
  const auto after = ownerless_prefixes(now);
  if (before == after) return;
  for (const Prefix& prefix : minus(after, before)) keep.emplace_back(KeepPrefix{name, prefix});
  for (const Prefix& prefix : minus(before, after)) forget.emplace_back(ForgetPrefix{name, prefix});
}

void remove_interfaces(Actions& out, const Gateway& running, const Gateway& next) {
  for (const auto& [name, interface] : running.interfaces)
    if (!next.interfaces.contains(name))
      out.emplace_back(RemoveInterface{name, running_peers(interface.peers).size()});
}

// An interface is created without peers: they follow as actions of their own, so that a failure can
// name the peer.
Interface without_peers(const Interface& interface) {
  Interface bare = interface;
  bare.peers.clear();
  bare.kept.clear();
  return bare;
}

void diff_interfaces(Actions& out, const Gateway& running, const Gateway& next, const PeerEffects& given) {
  const EffectsByKey effects(given);
  std::vector<PeersDiff> losses;
  Actions forgotten;
  const Interface none;
  for (const auto& [name, interface] : next.interfaces) {
    const auto old = running.interfaces.find(name);
    const bool fresh = old == running.interfaces.end();
    if (fresh)
      out.emplace_back(AddInterface{name, without_peers(interface)});
    else
      diff_interface(out, name, old->second, interface);
    const Interface& before = fresh ? none : old->second;
    diff_ownerless(out, forgotten, name, before, interface);
    PeersDiff& peers = losses.emplace_back(name, before.peers, interface.peers, effects);
    peers.emit_gains(out);
  }
  for (PeersDiff& peers : losses) peers.emit_losses(out);
  std::move(forgotten.begin(), forgotten.end(), std::back_inserter(out));
  for (const auto& [name, interface] : next.interfaces) {
    const auto old = running.interfaces.find(name);
    if (old != running.interfaces.end() && !old->second.enabled && interface.enabled)
      out.emplace_back(SetInterfaceEnabled{name, true});
  }
}

void reduce_to_runtime(Interface& interface) {
  interface.private_key_file.clear();
  interface.peer_files.clear();
  interface.addresses = sorted(std::move(interface.addresses));
  interface.kept = ownerless_prefixes(interface);
  std::erase_if(interface.peers, [](const Peer& peer) { return !peer.enabled; });
  for (Peer& peer : interface.peers) {
    peer.preshared_key_file.clear();
    peer.where = {};
    peer.allowed_ips = sorted(std::move(peer.allowed_ips));
  }
  std::sort(interface.peers.begin(), interface.peers.end(),
            [](const Peer& a, const Peer& b) { return a.public_key < b.public_key; });
  interface.where = {};
}

}  // namespace

bool Plan::needs_restart() const {
  return std::any_of(actions.begin(), actions.end(),
                     [](const Action& action) { return std::holds_alternative<NeedsRestart>(action); });
}

Plan diff(const Gateway& running, const Gateway& next, const PeerEffects& effects) {
  Plan plan;
  diff_restart(plan.actions, running, next);
  diff_control(plan.actions, running, next);
  remove_interfaces(plan.actions, running, next);
  remove_ports(plan.actions, running, next);
  add_ports(plan.actions, running, next);
  diff_listen_ports(plan.actions, running, next);
  diff_interfaces(plan.actions, running, next, effects);
  return plan;
}

void keep_until_restart(const Gateway& running, Gateway& next) {
  next.dpdk.workers = running.dpdk.workers;
  next.dpdk.eal = running.dpdk.eal;
  copy_settings(running.dpdk, next.dpdk, Change::kRestart);
  copy_settings(running.control, next.control, Change::kRestart);
}

Gateway runtime_view(const Gateway& gateway) {
  Gateway view = gateway;
  view.sources = {};
  view.dpdk.where = {};
  view.control.where = {};
  for (auto& [name, port] : view.ports) {
    port.addresses = sorted(std::move(port.addresses));
    port.gateways = sorted(std::move(port.gateways));
    port.where = {};
  }
  for (auto& [name, interface] : view.interfaces) reduce_to_runtime(interface);
  return view;
}

}  // namespace wg::config
