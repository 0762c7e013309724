// Configuration of an interface's peers.
#include "control/noise/engine.h"

#include "control/noise/engine_state.h"
#include "dataplane/crypto/constant_time.h"

namespace wg::noise {

using namespace std::chrono_literals;

Engine::State::State(Host& h, dataplane::KeypairTable& k, Random& r, EngineOptions o)
    : host(h), keypairs(k), random(r), options(o), checker(r), limiter(r), intake(o) {}

Engine::Engine(Host& host, dataplane::KeypairTable& keypairs, Random& random, EngineOptions options)
    : s_(std::make_unique<State>(host, keypairs, random, options)) {}

Engine::~Engine() {
  s_->peers.for_each([this](PeerState& p) { s_->remove(p); });
  s_->arenas->identities.destroy(s_->identity);
}

void Engine::State::note(PeerState& p, PeerEventKind kind, BootTime now, std::int64_t detail,
                         const Endpoint& remote, Source source) {
  p.events.push({now, detail, source == Source::kAuthentic ? remote : Endpoint{}, kind, 1});
  host.event(p.peer, {now, detail, remote, kind, 1});
}

// ---- peers

AddPeerResult Engine::add_peer(Peer& peer, const PublicKey& key, const Now& now) {
  State& s = *s_;
  if (s.identity != nullptr && s.identity->static_key.public_key == key) return AddPeerResult::kOwnKey;
  if (s.peers.find(key) != nullptr) return AddPeerResult::kDuplicate;

  PeerState& p = s.peers.add(peer, key);
  p.secrets = s.arenas->peer_secrets.create();
  p.followed = s.following.changes.latest();
  p.latest_timestamp = s.unclaimed.take(key);
  p.jitter = s.draw_jitter();
  s.wheel.reserve_id(p.id);
  peer.requested.store(0, std::memory_order_relaxed);  // requests left by the previous peer of this slot
  s.arm(p, now.boot);
  return AddPeerResult::kAdded;
}

void Engine::remove_peer(Peer& peer) {
  if (PeerState* const p = s_->peers.find(peer)) s_->remove(*p);
}

// Unpublishes everything first. The keypairs are freed once no worker can hold them (protocol C4-8).
void Engine::State::remove(PeerState& p) {
  unclaimed.keep({p.public_key, p.latest_timestamp});  // first: it needs memory
  timestamps.dirty = true;
  wheel.cancel(p.id);
  wipe_session(p);
  host.drop_staged(*p.peer);
  host.endpoint_changed(*p.peer, {}, {});
  p.peer->requested.fetch_and(~dataplane::kHandshakeRequests, std::memory_order_relaxed);
  arenas->peer_secrets.destroy(p.secrets);
  peers.remove(p);
}

Peer* Engine::find_peer(const PublicKey& key) const {
  PeerState* const p = s_->peers.find(key);
  return p == nullptr ? nullptr : p->peer;
}

std::size_t Engine::peer_count() const {
  return s_->peers.size();
}

void Engine::set_preshared_key(Peer& peer, const PresharedKey& key, const Now& now) {
  PeerState* const p = s_->following.find(peer, now);
  if (p == nullptr || crypto::equal(p->secrets->preshared_key.bytes.data(), key.data(), kKeySize)) return;
  p->secrets->preshared_key.bytes = key;
  s_->note(*p, PeerEventKind::kPresharedKeyChanged, now.boot);
}

PresharedKey Engine::preshared_key(const Peer& peer) const {
  const PeerState* const p = s_->peers.find(peer);
  return p == nullptr ? PresharedKey{} : p->secrets->preshared_key.bytes;
}

void Engine::set_keepalive(Peer& peer, std::chrono::seconds interval, const Now& now) {
  PeerState* const p = s_->following.find(peer, now);
  if (p == nullptr || p->persistent_keepalive == interval) return;
  const bool switched_on = p->persistent_keepalive == 0s;
  p->persistent_keepalive = interval;
  p->persistent_base = now.boot;
  if (interval == 0s) p->queued_to_start = false;
  if (switched_on && s_->up) s_->start_keepalives(*p, now);
  s_->arm(*p, now.boot);
}

// ---- endpoints

void Engine::set_endpoint(Peer& peer, const Endpoint& remote, const Now& now) {
  PeerState* const p = s_->following.find(peer, now);
  if (p == nullptr || p->remote == remote) return;
  s_->set_endpoint(*p, remote, {});
  s_->note(*p, PeerEventKind::kEndpointSet, now.boot, 0, remote);
  if (s_->up && s_->host.has_staged(peer) && !usable(p->current, now.boot)) {
    s_->send_initiation(*p, false, now);
    s_->arm(*p, now.boot);
  }
}

void Engine::restore_endpoint(Peer& peer, const Endpoint& remote, const Endpoint& local, WallTime heard,
                              const Now& now) {
  PeerState* const p = s_->following.find(peer, now);
  if (p == nullptr || !s_->up) return;
  s_->set_endpoint(*p, remote, local);
  s_->note(*p, PeerEventKind::kEndpointRestored, now.boot, 0, remote);
  if (std::exchange(p->queued_to_start, true)) return;
  s_->starts.push_heard(peer.ref(), heard);
}

void Engine::State::set_endpoint(PeerState& p, const Endpoint& remote, const Endpoint& local) {
  p.remote = remote;
  p.local = local;
  host.endpoint_changed(*p.peer, remote, local);
}

// An authenticated packet came from `remote` to `local` (protocol C5-5, C5-6).
void Engine::State::roam(PeerState& p, const Endpoint& remote, const Endpoint& local, BootTime now) {
  const bool moved = p.remote != remote;
  if (!moved && p.local == local) return;
  set_endpoint(p, remote, local);
  if (moved) note(p, PeerEventKind::kRoamed, now, 0, remote);
}

bool Engine::State::clear_source(PeerState& p) {
  if (p.local == Endpoint{}) return false;
  set_endpoint(p, p.remote, {});
  return true;
}

bool Engine::clear_source(Peer& peer) {
  PeerState* const p = s_->peers.find(peer);
  return p != nullptr && s_->clear_source(*p);
}

// A host that relays a peer's packets from ever other ports moves its endpoint with each of them.
bool Engine::on_roamed(PeerRef ref, const Endpoint& remote, const Endpoint& local, const Now& now) {
  PeerState* const p = s_->following.find(ref, now);
  if (p == nullptr || (p->remote == remote && p->local == local)) return true;
  if (p->roamed_at != kNever && elapsed(now.boot, p->roamed_at) < kRoamInterval) return false;
  p->roamed_at = now.boot;
  s_->roam(*p, remote, local, now.boot);
  return true;
}

}  // namespace wg::noise
