#include "control/interface/peer_paths.h"

#include <algorithm>
#include <utility>

#include "control/clock.h"
#include "control/interface/peer_endpoints.h"

namespace wg::control {

namespace {

constexpr std::uint32_t kSlotsAtOnce = 64;  // between two looks at the clock
constexpr std::chrono::microseconds kFirstStep{500};

}  // namespace

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
  waiting_.routes.add(changed);
}

void PeerPaths::on_neighbours_changed(const std::vector<NextHopKey>& keys) {
  if (waiting_.routes.everywhere) return;
  waiting_.neighbours.insert(keys.begin(), keys.end());
  if (waiting_.neighbours.size() <= RoutesChanged::kPrefixesMax) return;
  waiting_.routes = RoutesChanged::all();
  waiting_.neighbours.clear();
}

// ---------------------------------------------------------------- looking at them again

// A first step at once: for few peers everything is done when the change is answered.
void PeerPaths::renew() {
  waiting_ = {RoutesChanged::all(), {}, true};
  walked_ = {};
  advance(std::chrono::steady_clock::now() + kFirstStep);
}

// The walk goes by slot, because peers may come and go between two steps. A new one already has a path by the
// routes of its time.
void PeerPaths::advance(std::chrono::steady_clock::time_point until) {
  while (has_more_to_do()) {
    if (!walked_.any()) begin_walk();
    const std::uint32_t end = std::min(core_.book.slots(), next_slot_ + kSlotsAtOnce);
    for (; next_slot_ < end; ++next_slot_)
      if (PeerRecord* record = core_.book.find_slot(next_slot_)) look_at(*record);
    if (next_slot_ >= core_.book.slots()) walked_ = {};
    if (std::chrono::steady_clock::now() >= until) return;
  }
}

void PeerPaths::begin_walk() {
  walked_ = std::exchange(waiting_, {});
  walked_.routes.narrow();
  next_slot_ = 0;
}

void PeerPaths::look_at(PeerRecord& record) {
  const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed);
  if (path == nullptr) return;
  const Endpoint remote = path->remote, local = path->local;
  if (walked_.sources) {
    record.exit_link = 0;
    if (!core_.engine->clear_source(*record.slot)) build(record, remote, local);
  } else if (walked_.routes.concerns(remote.address) || walked_.routes.concerns(local.address)) {
    route_again(record, remote, local);
  } else if (walked_.neighbours.contains(record.next_hop)) {
    build(record, remote, local);
  }
}

void PeerPaths::route_again(PeerRecord& record, const Endpoint& remote, const Endpoint& local) {
  if (takes_configured_scope(record, remote)) return;
  const OuterRoute route = outer_route(remote, local);
  // The source is remembered until its address disappears, or the path leaves by another link: a provider
  // takes only its own sources (protocol C5-6, and the kernel's send4()).
  const bool moved = route.link != 0 && record.exit_link != 0 && route.link != record.exit_link;
  if (!local.address.is_zero() && (moved || !core_.services.mirror.is_local(local.address))) {
    record.exit_link = 0;
    core_.engine->clear_source(*record.slot);
  } else {
    install_route(record, route, remote, local);
  }
}

// A link that was deleted and created again has another index: the endpoint with its zone is set again.
bool PeerPaths::takes_configured_scope(const PeerRecord& record, const Endpoint& remote) {
  if (!record.endpoint || record.endpoint->zone.empty()) return false;
  const Endpoint configured = literal_endpoint(*record.endpoint, core_.services.mirror);
  const bool same = configured.address == remote.address && configured.port == remote.port;
  if (!same || configured.scope == 0 || configured.scope == remote.scope) return false;
  core_.engine->set_endpoint(*record.slot, configured, now());
  return true;
}

}  // namespace wg::control
