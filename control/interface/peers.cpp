// The peers of an interface: slots, cryptokey routes, endpoints and the paths to them.
#include <sodium.h>

#include <algorithm>

#include "control/clock.h"
#include "control/convert.h"
#include "control/interface/interface.h"

namespace wg::control {

namespace {

noise::Key raw_key(const config::Key& key) {
  return key.bytes;
}

}  // namespace

PeerRecord* Interface::find(const config::Key& key) {
  const auto at = peers_.find(key);
  return at == peers_.end() ? nullptr : at->second.get();
}

PeerRecord* Interface::find_name(const std::string& name) {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : at->second;
}

PeerRecord* Interface::find_slot(std::uint32_t slot) {
  const auto at = by_slot_.find(slot);
  return at == by_slot_.end() ? nullptr : at->second;
}

PeerRecord* Interface::add_peer(const config::Peer& value) {
  if (PeerRecord* known = find(value.public_key)) return known;
  dataplane::Peer* slot = services_.dataplane.peers().add(id_);
  if (slot == nullptr) {
    log_->error("peer {}: the peer table is full", config::label_of(value));
    return nullptr;
  }
  if (engine_->add_peer(*slot, raw_key(value.public_key), now()) != noise::AddPeerResult::kAdded) {
    services_.dataplane.peers().remove(*slot);
    return nullptr;
  }
  auto owned = std::make_unique<PeerRecord>();
  PeerRecord& record = *owned;
  record.slot = slot;
  record.public_key = value.public_key;
  peers_[value.public_key] = std::move(owned);
  by_slot_[slot->slot] = &record;
  set_peer_name(value.public_key, value.name);
  if (value.preshared_key) set_preshared_key(value.public_key, value.preshared_key);
  if (value.mtu) set_peer_mtu(value.public_key, value.mtu);
  for (const config::Prefix& prefix : value.allowed_ips) {
    insert_prefix(prefix, slot->slot);
    record.allowed_ips.insert(prefix);
  }
  change_routes(RouteVerb::kReplace, value.allowed_ips);
  if (value.endpoint) set_peer_endpoint(value.public_key, value.endpoint);
  restore_endpoint(record);
  if (value.persistent_keepalive.count() != 0) {
    set_keepalive(value.public_key, static_cast<std::uint16_t>(value.persistent_keepalive.count()));
  }
  announce("peer_added", record);
  return &record;
}

void Interface::expect_peers(std::size_t count) {
  const auto make_room = [count](auto& table) {
    if (table.size() + count > table.bucket_count()) table.reserve(table.size() + count);
  };
  make_room(peers_);
  make_room(by_slot_);
  make_room(by_name_);
  engine_->expect_peers(count);
}

void Interface::remove_peer(const config::Key& key) {
  const auto at = peers_.find(key);
  if (at == peers_.end()) return;
  PeerRecord& record = *at->second;
  announce("peer_removed", record);
  // Nothing may find the peer any more before its slot is given back (protocol C4-8).
  for (const config::Prefix& prefix : record.allowed_ips) erase_prefix(prefix);
  change_routes(RouteVerb::kRemove, {record.allowed_ips.begin(), record.allowed_ips.end()});
  services_.resolver.forget(record.slot->slot);
  services_.staging.drop(record.slot->slot);
  forget_remembered(record);
  engine_->remove_peer(*record.slot);
  set_path(record, nullptr);
  dataplane::Peer* slot = record.slot;
  dataplane::PeerTable& table = services_.dataplane.peers();
  retire([&table, slot] { table.remove(*slot); });
  by_slot_.erase(slot->slot);
  forget_name(record);
  peers_.erase(at);
}

// Within one plan a name may pass from peer to peer, so it may belong to another peer already.
void Interface::forget_name(const PeerRecord& record) {
  const auto at = by_name_.find(record.name);
  if (at != by_name_.end() && at->second == &record) by_name_.erase(at);
}

void Interface::set_peer_name(const config::Key& key, const std::string& name) {
  PeerRecord* record = find(key);
  if (record == nullptr) return;
  forget_name(*record);
  record->name = name;
  if (!name.empty()) by_name_[name] = record;
}

void Interface::set_peer_endpoint(const config::Key& key, const std::optional<config::Endpoint>& endpoint,
                                  bool forced) {
  PeerRecord* record = find(key);
  if (record == nullptr || (!forced && record->endpoint == endpoint)) return;
  record->endpoint = endpoint;
  apply_endpoint(*record);
}

// A literal address is used at once; a name goes to the resolver and counts as unknown until it answers.
void Interface::apply_endpoint(PeerRecord& record) {
  services_.resolver.forget(record.slot->slot);
  record.name_unresolved = record.endpoint_restored = false;
  if (!record.endpoint) {
    // A live session keeps its learnt endpoint; without one the peer has none.
    if (!engine_->peer_status(*record.slot, now()).has_session)
      engine_->set_endpoint(*record.slot, {}, now());
    return;
  }
  if (const std::string* host = record.endpoint->name()) {
    record.name_unresolved = true;
    constexpr std::chrono::milliseconds kRefresh = std::chrono::minutes(5);
    if (!services_.resolver.watch(record.slot->slot, *host, record.endpoint->port, kRefresh)) {
      log_->error("peer {}: too many endpoints given as host names", record.name);
    }
    return;
  }
  engine_->set_endpoint(*record.slot, literal(*record.endpoint), now());
}

// A zone whose link does not exist (yet) counts as none; on_routes_changed() checks again.
Endpoint Interface::literal(const config::Endpoint& endpoint) const {
  Endpoint remote;
  remote.address = to_dataplane(*endpoint.address());
  remote.port = endpoint.port;
  if (!endpoint.zone.empty()) {
    if (const Link* link = services_.mirror.link(endpoint.zone)) remote.scope = link->ifindex;
  }
  return remote;
}

void Interface::on_resolved(PeerRecord& record, const ResolvedName& result) {
  if (result.endpoints.empty()) {
    record.name_unresolved = true;
    log_->warn("peer {}: endpoint {}: {}", record.name, result.host, result.error);
    PeerEvent event;
    event.kind = PeerEventKind::kNameUnresolved;
    event.detail = result.host + ": " + result.error;
    return note(record, std::move(event));
  }
  const bool first = record.name_unresolved;
  record.name_unresolved = false;
  const noise::PeerStatus status = engine_->peer_status(*record.slot, now());
  // Re-resolution must not undo roaming of a live session: it matters when the peer is silent.
  if ((!first || record.endpoint_restored) && status.has_session) return;
  if (record.endpoint_restored) return;  // use_configured_endpoints() asks again when nothing answers there
  if (std::find(result.endpoints.begin(), result.endpoints.end(), status.remote) != result.endpoints.end())
    return;
  engine_->set_endpoint(*record.slot, result.endpoints.front(), now());
}

void Interface::set_preshared_key(const config::Key& key, const std::optional<config::SecretKey>& psk) {
  PeerRecord* record = find(key);
  if (record == nullptr) return;
  noise::PresharedKey raw{};
  if (psk) std::copy(psk->bytes().begin(), psk->bytes().end(), raw.begin());
  engine_->set_preshared_key(*record->slot, raw, now());
  sodium_memzero(raw.data(), raw.size());
}

void Interface::set_keepalive(const config::Key& key, std::uint16_t seconds) {
  PeerRecord* record = find(key);
  if (record == nullptr) return;
  record->keepalive_seconds = seconds;
  engine_->set_keepalive(*record->slot, seconds, now());
}

void Interface::set_peer_mtu(const config::Key& key, std::optional<std::uint16_t> mtu) {
  if (PeerRecord* record = find(key)) record->slot->mtu.store(mtu.value_or(0), std::memory_order_relaxed);
}

// ---------------------------------------------------------------- allowed IPs

void Interface::insert_prefix(const config::Prefix& prefix, std::uint32_t slot) {
  const IpPrefix p = to_dataplane(prefix);
  std::optional<lpm::Value> holder;
  if (p.address.v6) {
    holder = allowed6_.find_exact({p.address.bytes}, p.length);
    allowed6_.insert({p.address.bytes}, p.length, slot);
  } else {
    holder = allowed4_.find_exact(p.address.v4_host_order(), p.length);
    allowed4_.insert(p.address.v4_host_order(), p.length, slot);
  }
  if (holder && *holder != slot) {
    if (PeerRecord* loser = find_slot(*holder)) loser->allowed_ips.erase(prefix);
  }
}

void Interface::erase_prefix(const config::Prefix& prefix) {
  const IpPrefix p = to_dataplane(prefix);
  if (p.address.v6) {
    allowed6_.remove({p.address.bytes}, p.length);
  } else {
    allowed4_.remove(p.address.v4_host_order(), p.length);
  }
}

void Interface::add_allowed_ip(const config::Key& key, const config::Prefix& prefix) {
  PeerRecord* record = find(key);
  if (record == nullptr) return;
  record->allowed_ips.insert(prefix);
  insert_prefix(prefix, record->slot->slot);
  change_routes(RouteVerb::kReplace, {prefix});
}

void Interface::remove_allowed_ip(const config::Key& key, const config::Prefix& prefix) {
  PeerRecord* record = find(key);
  if (record == nullptr || record->allowed_ips.erase(prefix) == 0) return;
  erase_prefix(prefix);
  change_routes(RouteVerb::kRemove, {prefix});
}

// ---------------------------------------------------------------- paths

void Interface::set_path(PeerRecord& record, std::unique_ptr<dataplane::Path> path) {
  const dataplane::Path* old = record.slot->path.exchange(path.release(), std::memory_order_acq_rel);
  if (old != nullptr) retire([old] { delete old; });
}

OuterRoute Interface::outer_route(const Endpoint& remote, Endpoint local) const {
  local.port = listen_port();
  return services_.publisher.resolve_outer_route(remote, local, fwmark_, tun_->ifindex());
}

void Interface::install_path(PeerRecord& record, const OuterRoute& route, const Endpoint& remote,
                             const Endpoint& local) {
  record.next_hop = route.next_hop;
  record.next_hop_unresolved = route.unresolved;
  if (route.link != 0) record.exit_link = route.link;
  services_.publisher.want_neighbour(route.next_hop);
  Endpoint from = local;
  from.port = listen_port();
  set_path(record, make_path(route, remote, from, 0));
}

void Interface::build_path(PeerRecord& record, const Endpoint& remote, const Endpoint& local) {
  install_path(record, outer_route(remote, local), remote, local);
}

void Interface::endpoint_changed(dataplane::Peer& peer, const Endpoint& remote, const Endpoint& local) {
  PeerRecord* record = find_slot(peer.slot);
  if (record == nullptr) return;
  if (remote.known()) return build_path(*record, remote, local);
  record->next_hop = {};
  set_path(*record, nullptr);
}

void Interface::on_routes_changed(const RoutesChanged& changed) {
  for (const auto& [key, record] : peers_) {
    const dataplane::Path* path = record->slot->path.load(std::memory_order_relaxed);
    if (path == nullptr) continue;
    const Endpoint remote = path->remote, local = path->local;
    if (!changed.concerns(remote.address) && !changed.concerns(local.address)) continue;
    if (record->endpoint && !record->endpoint->zone.empty()) {
      // A link that was deleted and made again has another index.
      const Endpoint configured = literal(*record->endpoint);
      const bool same = configured.address == remote.address && configured.port == remote.port;
      if (same && configured.scope != 0 && configured.scope != remote.scope) {
        engine_->set_endpoint(*record->slot, configured, now());
        continue;
      }
    }
    const OuterRoute route = outer_route(remote, local);
    // The source is remembered until its address disappears, or the path leaves by another link: a provider
    // takes only its own sources (protocol C5-6, and the kernel's send4()).
    const bool moved = route.link != 0 && record->exit_link != 0 && route.link != record->exit_link;
    if (!local.address.is_zero() && (moved || !services_.mirror.is_local(local.address))) {
      record->exit_link = 0;
      engine_->clear_source(*record->slot);
    } else {
      install_path(*record, route, remote, local);
    }
  }
}

void Interface::on_neighbours_changed(const std::vector<NextHopKey>& keys) {
  for (const auto& [key, record] : peers_) {
    if (record->next_hop.ifindex == 0 || std::find(keys.begin(), keys.end(), record->next_hop) == keys.end())
      continue;
    if (const dataplane::Path* path = record->slot->path.load(std::memory_order_relaxed)) {
      const Endpoint remote = path->remote, local = path->local;
      build_path(*record, remote, local);
    }
  }
}

}  // namespace wg::control
