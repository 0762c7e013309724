#include "control/interface/peer_endpoints.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "control/clock.h"
#include "control/convert.h"

namespace wg::control {

namespace {

constexpr std::chrono::nanoseconds kFreshFor = RememberedPeers::kFreshFor;
constexpr std::size_t kTriesPerAddress = 2;  // initiations without an answer

// How many of the newest events are initiations to `remote`, with nothing between them. The number of
// attempts does not say it: each packet of a persistent keepalive may begin another handshake.
std::size_t unanswered_initiations(const std::vector<noise::PeerEvent>& events, const Endpoint& remote) {
  std::size_t count = 0;
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    if (event->kind != noise::PeerEventKind::kInitiationSent || event->remote != remote) break;
    count += event->count;
  }
  return count;
}

}  // namespace

// A zone whose link does not exist (yet) counts as none; PeerPaths::on_routes_changed() checks again.
Endpoint literal_endpoint(const config::Endpoint& endpoint, const NetlinkMirror& mirror) {
  Endpoint remote;
  remote.address = to_dataplane(*endpoint.address());
  remote.port = endpoint.port;
  if (!endpoint.zone.empty()) {
    if (const Link* link = mirror.link(endpoint.zone)) remote.scope = link->ifindex;
  }
  return remote;
}

// A literal address is used at once; a name goes to the resolver and counts as unknown until it answers.
void PeerEndpoints::apply(PeerRecord& record) {
  core_.services.resolver.forget(record.slot->slot);
  record.name_unresolved = record.endpoint_restored = false;
  record.candidates.clear();
  if (!record.endpoint) {
    // A live session keeps its learnt endpoint; without one the peer has none.
    if (!core_.engine->peer_status(*record.slot, now()).has_session)
      core_.engine->set_endpoint(*record.slot, {}, now());
    return;
  }
  if (const std::string* host = record.endpoint->name()) {
    record.name_unresolved = true;
    constexpr std::chrono::milliseconds kRefresh = std::chrono::minutes(5);
    if (!core_.services.resolver.watch(record.slot->slot, *host, record.endpoint->port, kRefresh)) {
      core_.log->write(log_event::name_table_full, {.peer = record.name},
                       "peer {}: too many endpoints given as host names", record.name);
    }
    return;
  }
  core_.engine->set_endpoint(*record.slot, literal_endpoint(*record.endpoint, core_.services.mirror), now());
}

void PeerEndpoints::on_resolved(PeerRecord& record, const ResolvedName& result) {
  if (result.endpoints.empty()) {
    record.name_unresolved = true;
    core_.log->write(log_event::name_unresolved, {.peer = record.name}, "peer {}: endpoint {}: {}",
                     record.name, result.host, result.error);
    PeerEvent event;
    event.kind = PeerEventKind::kNameUnresolved;
    event.detail = result.host + ": " + result.error;
    return notes_.note(record, std::move(event));
  }
  record.candidates = result.endpoints;
  const bool first = record.name_unresolved;
  record.name_unresolved = false;
  const noise::PeerSession status = core_.engine->peer_status(*record.slot, now());
  // Re-resolution must not undo roaming of a live session: it matters when the peer is silent.
  if ((!first || record.endpoint_restored) && status.has_session) return;
  if (record.endpoint_restored) return;  // leave_silent_ones() tries again when nothing answers there
  if (std::find(result.endpoints.begin(), result.endpoints.end(), status.remote) != result.endpoints.end())
    return;
  core_.engine->set_endpoint(*record.slot, result.endpoints.front(), now());
}

void PeerEndpoints::load(std::vector<RememberedPeer> peers) {
  remembered_.load(std::move(peers), now());
}

// After the configured endpoint, which the restored one replaces as if the peer had roamed there.
void PeerEndpoints::restore(PeerRecord& record) {
  if (!core_.engine->is_up()) return;
  const noise::Now at = now();
  const auto known = remembered_.claim(record.public_key, record.slot->slot, at);
  if (!known) return;
  record.endpoint_restored = true;
  Endpoint local;
  local.address = known->local;
  core_.engine->restore_endpoint(*record.slot, known->remote, local, known->heard_at, at);
  core_.services.counters.endpoints_restored.add(1);
  watch_strays();
}

// The peer has a session, or is gone.
void PeerEndpoints::forget_restored(PeerRecord& record) {
  record.endpoint_restored = false;
  remembered_.forget(record.public_key);
  watch_strays();
}

void PeerEndpoints::expire_restored() {
  remembered_.expire(now());
  watch_strays();
}

// Whether workers shall report transport data that no session opens.
void PeerEndpoints::watch_strays() {
  const dataplane::InterfaceView& view = std::as_const(core_.services.publisher).interface(core_.id);
  if (view.report_strays != remembered_.watching())
    core_.services.publisher.interface(core_.id).report_strays = remembered_.watching();
}

// Nothing of it is authentic. What a forger of the very address can cause is one initiation in 5 s to where
// the peer was, and only until it has a session.
void PeerEndpoints::on_stray(const dataplane::Event& event) {
  const auto slot = remembered_.slot_at(event.remote);
  PeerRecord* record = slot ? core_.book.find_slot(*slot) : nullptr;
  if (record != nullptr && core_.engine->on_stray(*record->slot, now()))
    core_.services.counters.strays_answered.add(1);
}

// The next address of its name. One that a peer has roamed to is not among them and is kept: the resolver is
// asked again (EngineHost::event()).
void PeerEndpoints::try_next(PeerRecord& record) {
  const auto& all = record.candidates;
  const Endpoint present = core_.engine->peer_status(*record.slot, now()).remote;
  const auto at = std::find(all.begin(), all.end(), present);
  if (all.size() < 2 || at == all.end()) return;
  if (unanswered_initiations(core_.engine->peer_events(*record.slot), present) < kTriesPerAddress) return;
  const Endpoint& next = std::next(at) == all.end() ? all.front() : *std::next(at);
  const std::string remote = dataplane::to_string(next);
  core_.log->write(log_event::next_address, {.peer = record.name, .remote = remote},
                   "peer {}: no answer from {}, trying {}", record.name, dataplane::to_string(present),
                   remote);
  core_.engine->set_endpoint(*record.slot, next, now());
}

// A peer that was restored to where it no longer is has moved meanwhile.
void PeerEndpoints::leave_silent_ones() {
  for (const dataplane::PeerRef& ref : std::exchange(no_answer_, {})) {
    PeerRecord* record = core_.book.find_slot(ref.slot);
    if (record == nullptr || !(record->slot->ref() == ref) || !record->endpoint) continue;
    if (record->endpoint_restored)
      apply(*record);
    else
      try_next(*record);
  }
}

std::size_t PeerEndpoints::list_heard(std::size_t from, std::size_t count,
                                      std::vector<RememberedPeer>& out) const {
  const noise::Now at = now();
  if (from == 0) {
    // A peer not heard of since the start keeps its remembered endpoint while that is fresh: for a start soon
    // after.
    std::vector<RememberedPeer> unheard = remembered_.list(at);
    out.insert(out.end(), unheard.begin(), unheard.end());
  }
  std::vector<noise::HeardPeer> heard;
  const std::size_t next =
      core_.engine->heard_peers(from, count, std::max(at.boot - kFreshFor, kNever), heard);
  for (const noise::HeardPeer& peer : heard) {
    if (peer.remote.scope != 0) continue;  // its link has another number after the start
    out.push_back({{peer.key}, peer.remote, peer.local.address, at.wall - elapsed(at.boot, peer.heard)});
  }
  return next;
}

void PeerEndpoints::set(PeerRecord& record, const std::optional<config::Endpoint>& endpoint, bool forced) {
  if (!forced && record.endpoint == endpoint) return;
  record.endpoint = endpoint;
  apply(record);
}

void PeerEndpoints::remove(PeerRecord& record) {
  core_.services.resolver.forget(record.slot->slot);
  forget_restored(record);
}

}  // namespace wg::control
