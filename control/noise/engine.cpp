// Configuration of an interface and its peers.
#include "control/noise/engine.h"

#include "control/noise/engine_state.h"
#include "dataplane/crypto/constant_time.h"

namespace wg::noise {

using namespace std::chrono_literals;

Engine::State::State(Host& h, dataplane::KeypairTable& k, Random& r, EngineOptions o)
    : host(h),
      keypairs(k),
      random(r),
      options(o),
      checker(r),
      limiter(r),
      intake(o),
      peers(r),
      unclaimed(r) {}

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

// ---- private key

namespace {

bool same_key(const Identity* identity, const Key& clamped) {
  return identity != nullptr &&
         crypto::equal(identity->static_key.private_key.bytes.data(), clamped.data(), kKeySize);
}

}  // namespace

Peer* Engine::set_private_key(const std::optional<Key>& key, const Now& now) {
  State& s = *s_;
  const bool removes = !key || is_zero(*key);
  Secret wanted;
  if (!removes) {
    wanted.bytes = *key;
    clamp(wanted.bytes);
  }
  if (removes ? s.identity == nullptr : same_key(s.identity, wanted.bytes)) return nullptr;

  s.arenas->identities.destroy(std::exchange(s.identity, nullptr));
  Peer* own = nullptr;
  if (!removes) {
    s.identity = s.arenas->identities.create(make_identity(wanted.bytes));
    s.checker.set_public_key(s.identity->static_key.public_key);
    if (PeerState* const same = s.peers.find(s.identity->static_key.public_key)) {
      own = same->peer;
      s.remove(*same);
    }
  }
  s.adopt_private_key(now);
  return own;
}

// Protocol C4-10: sessions of the old identity seal nothing more, but still open what arrives.
void Engine::State::adopt_private_key(const Now& now) {
  counters.count(Outcome::kBadMac1, intake.queued());  // queued messages were addressed to the old key
  intake.clear();
  peers.for_each([&](PeerState& p) {
    forget_handshake(p);
    p.retransmit_at = kNever;
    p.last_sent_handshake = kNever;
    p.static_static = StaticStatic::kUnknown;
    for (Keypair* const keypair : {p.current, p.next}) {
      if (keypair != nullptr) keypair->sending_valid.store(false, std::memory_order_release);
    }
    p.peer->requested.fetch_and(~dataplane::kHandshakeRequests, std::memory_order_relaxed);
    note(p, PeerEventKind::kPrivateKeyChanged, now.boot);
    if (identity != nullptr && up && host.has_staged(*p.peer)) send_initiation(p, false, now);
    arm(p, now.boot);
  });
}

bool Engine::has_private_key() const {
  return s_->identity != nullptr;
}
Key Engine::private_key() const {
  return has_private_key() ? s_->identity->static_key.private_key.bytes : Key{};
}
PublicKey Engine::public_key() const {
  return has_private_key() ? s_->identity->static_key.public_key : Key{};
}

// ---- up and down

void Engine::up(const Now& now) {
  State& s = *s_;
  if (s.up) return;
  s.up = true;
  s.peers.for_each([&](PeerState& p) {
    p.peer->requested.fetch_and(~dataplane::kHandshakeRequests, std::memory_order_relaxed);
    if (p.persistent_keepalive != 0s) {
      s.start_keepalives(p, now);
    } else if (s.host.has_staged(*p.peer)) {
      s.send_initiation(p, false, now);
    }
    s.arm(p, now.boot);
  });
}

void Engine::down(const Now&) {
  State& s = *s_;
  if (!s.up) return;
  s.up = false;
  s.counters.count(Outcome::kInterfaceDown, s.intake.queued());
  s.intake.clear();
  s.starts.clear();
  s.peers.for_each([&s](PeerState& p) {
    s.host.drop_staged(*p.peer);
    s.stop_timers(p);
    s.wipe_session(p);
    p.last_sent_handshake = kNever;
  });
}

bool Engine::is_up() const {
  return s_->up;
}

// ---- peers

AddPeerResult Engine::add_peer(Peer& peer, const PublicKey& key, const Now& now) {
  State& s = *s_;
  if (s.identity != nullptr && s.identity->static_key.public_key == key) return AddPeerResult::kOwnKey;
  if (s.peers.find(key) != nullptr) return AddPeerResult::kDuplicate;

  PeerState& p = s.peers.add(peer, key);
  p.secrets = s.arenas->peer_secrets.create();
  p.latest_timestamp = s.unclaimed.take(key);
  p.jitter = s.draw_jitter();
  s.wheel.reserve_id(p.id);
  peer.requested.store(0, std::memory_order_relaxed);  // requests left by the previous peer of this slot
  s.arm(p, now.boot);
  return AddPeerResult::kAdded;
}

void Engine::expect_peers(std::size_t count) {
  s_->peers.expect(count);
}

void Engine::remove_peer(Peer& peer) {
  if (PeerState* const p = s_->peers.find(peer)) s_->remove(*p);
}

// Unpublishes everything first. The keypairs are freed once no worker can hold them (protocol C4-8).
void Engine::State::remove(PeerState& p) {
  unclaimed.keep({p.public_key, p.latest_timestamp});  // first: it needs memory
  timestamps_dirty = true;
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
  PeerState* const p = s_->peers.find(peer);
  if (p == nullptr || crypto::equal(p->secrets->preshared_key.bytes.data(), key.data(), kKeySize)) return;
  p->secrets->preshared_key.bytes = key;
  s_->note(*p, PeerEventKind::kPresharedKeyChanged, now.boot);
}

PresharedKey Engine::preshared_key(const Peer& peer) const {
  const PeerState* const p = s_->peers.find(peer);
  return p == nullptr ? PresharedKey{} : p->secrets->preshared_key.bytes;
}

void Engine::set_keepalive(Peer& peer, std::chrono::seconds interval, const Now& now) {
  PeerState* const p = s_->peers.find(peer);
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
  PeerState* const p = s_->peers.find(peer);
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
  PeerState* const p = s_->peers.find(peer);
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
  PeerState* const p = s_->peers.find(ref);
  if (p == nullptr || (p->remote == remote && p->local == local)) return true;
  if (p->roamed_at != kNever && elapsed(now.boot, p->roamed_at) < kRoamInterval) return false;
  p->roamed_at = now.boot;
  s_->roam(*p, remote, local, now.boot);
  return true;
}

}  // namespace wg::noise
