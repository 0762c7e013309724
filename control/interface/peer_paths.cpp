#include "control/interface/peer_paths.h"

#include <algorithm>
#include <utility>

#include "control/clock.h"
#include "control/interface/peer_endpoints.h"

namespace wg::control {

void PeerPaths::install(PeerRecord& record, std::unique_ptr<dataplane::Path> path) {
  const dataplane::Path* old = record.slot->path.exchange(path.release(), std::memory_order_acq_rel);
  if (old != nullptr) core_.services.dataplane.quiescence().retire([old] { delete old; });
}

OuterRoute PeerPaths::outer_route(const Endpoint& remote, Endpoint local) const {
  local.port = core_.socket.port();
  return core_.services.publisher.resolve_outer_route(remote, local, core_.socket.fwmark(),
                                                      core_.netdev.ifindex());
}

void PeerPaths::install_route(PeerRecord& record, const OuterRoute& route, const Endpoint& remote,
                              const Endpoint& local) {
  record.next_hop = route.next_hop;
  record.next_hop_unresolved = route.unresolved;
  if (route.link != 0) record.exit_link = route.link;
  core_.services.publisher.want_neighbour(route.next_hop);
  Endpoint from = local;
  from.port = core_.socket.port();
  install(record, make_path(route, remote, from, 0));
}

void PeerPaths::build(PeerRecord& record, const Endpoint& remote, const Endpoint& local) {
  install_route(record, outer_route(remote, local), remote, local);
}

void PeerPaths::lead_to(PeerRecord& record, const Endpoint& remote, const Endpoint& local) {
  if (remote.known()) return build(record, remote, local);
  record.next_hop = {};
  install(record, nullptr);
}

void PeerPaths::remove(PeerRecord& record) {
  install(record, nullptr);
}

void PeerPaths::on_routes_changed(const RoutesChanged& changed) {
  for (const auto& [key, record] : core_.book.records()) {
    const dataplane::Path* path = record->slot->path.load(std::memory_order_relaxed);
    if (path == nullptr) continue;
    const Endpoint remote = path->remote, local = path->local;
    if (!changed.concerns(remote.address) && !changed.concerns(local.address)) continue;
    if (record->endpoint && !record->endpoint->zone.empty()) {
      // A link that was deleted and made again has another index.
      const Endpoint configured = literal_endpoint(*record->endpoint, core_.services.mirror);
      const bool same = configured.address == remote.address && configured.port == remote.port;
      if (same && configured.scope != 0 && configured.scope != remote.scope) {
        core_.engine->set_endpoint(*record->slot, configured, now());
        continue;
      }
    }
    const OuterRoute route = outer_route(remote, local);
    // The source is remembered until its address disappears, or the path leaves by another link: a provider
    // takes only its own sources (protocol C5-6, and the kernel's send4()).
    const bool moved = route.link != 0 && record->exit_link != 0 && route.link != record->exit_link;
    if (!local.address.is_zero() && (moved || !core_.services.mirror.is_local(local.address))) {
      record->exit_link = 0;
      core_.engine->clear_sources(record->slot);
    } else {
      install_route(*record, route, remote, local);
    }
  }
}

void PeerPaths::on_neighbours_changed(const std::vector<NextHopKey>& keys) {
  for (const auto& [key, record] : core_.book.records()) {
    if (record->next_hop.ifindex == 0 || std::find(keys.begin(), keys.end(), record->next_hop) == keys.end())
      continue;
    if (const dataplane::Path* path = record->slot->path.load(std::memory_order_relaxed)) {
      const Endpoint remote = path->remote, local = path->local;
      build(*record, remote, local);
    }
  }
}

}  // namespace wg::control
