// Changes of a whole interface: its private key, up, down. Each takes effect at once for what arrives; the
// peers follow one by one (control/noise/whole_changes.h).
#include <algorithm>
#include <utility>

#include "control/noise/engine.h"
#include "control/noise/engine_state.h"
#include "dataplane/crypto/constant_time.h"

namespace wg::noise {

using namespace std::chrono_literals;

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

  s.arenas->identities.destroy(std::exchange(s.identity, nullptr));  // wiped
  Peer* own = nullptr;
  if (!removes) {
    s.identity = s.arenas->identities.create(make_identity(wanted.bytes));
    s.checker.set_public_key(s.identity->static_key.public_key);
    if (PeerState* const same = s.peers.find(s.identity->static_key.public_key)) {
      own = same->peer;
      s.remove(*same);
    }
  }
  s.counters.count(Outcome::kBadMac1, s.intake.queued());  // they were addressed to the old key
  s.intake.clear();
  s.following.begin(WholeChange::kNewKey, now);
  return own;
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
  s.following.begin(WholeChange::kUp, now);
}

void Engine::down(const Now& now) {
  State& s = *s_;
  if (!s.up) return;
  s.up = false;
  s.counters.count(Outcome::kInterfaceDown, s.intake.queued());
  s.intake.clear();
  s.starts.clear();
  s.following.begin(WholeChange::kDown, now);
}

bool Engine::is_up() const {
  return s_->up;
}

// ---- the peers follow

// An interface with few peers is through at once.
void Engine::State::Following::begin(WholeChange change, const Now& now) {
  changes.note(change, now.boot, s.peers.end());
  some(now);
}

bool Engine::follow_some(const Now& now) {
  s_->following.some(now);
  return !s_->following.changes.walked();
}

void Engine::follow(PeerRef ref, const Now& now) {
  s_->following.find(ref, now);
}

void Engine::State::Following::some(const Now& now) {
  const std::uint64_t enough = s.counters.sent(kInitiation) + kInitiationsPerAdvance;
  for (std::size_t left = s.options.peers_per_slice; left != 0 && !changes.walked(); --left) {
    if (s.counters.sent(kInitiation) >= enough) return;
    if (PeerState* const p = s.peers.at(changes.take_next())) one(*p, now);
  }
}

void Engine::State::Following::one(PeerState& p, const Now& now) {
  catch_up(p);
  if (p.first_packet != FirstPacket::kNone) send_first_packet(p, now);
}

void Engine::State::Following::catch_up(PeerState& p) {
  if (p.followed == changes.latest()) return;
  const MissedChanges missed = changes.since(std::exchange(p.followed, changes.latest()));
  if (missed.new_key) renew_key(p);
  if (missed.down) take_down(p);
  if (missed.up || missed.new_key)
    p.peer->requested.fetch_and(~dataplane::kHandshakeRequests, std::memory_order_relaxed);
  if (!s.up) {
    p.first_packet = FirstPacket::kNone;
  } else if (missed.up) {
    p.first_packet = FirstPacket::kIfAny;
  } else if (missed.new_key && p.first_packet == FirstPacket::kNone) {
    p.first_packet = FirstPacket::kIfStaged;
  }
}

// Protocol C4-10: sessions of the old identity seal nothing more, but still open what arrives.
void Engine::State::Following::renew_key(PeerState& p) {
  s.forget_handshake(p);
  p.retransmit_at = kNever;
  p.last_sent_handshake = kNever;
  p.static_static = StaticStatic::kUnknown;
  wipe(&p.secrets->static_static, sizeof p.secrets->static_static);
  for (Keypair* const keypair : {p.current, p.next}) {
    if (keypair != nullptr) keypair->sending_valid.store(false, std::memory_order_release);
  }
  s.note(p, PeerEventKind::kPrivateKeyChanged, changes.new_key_at());
}

void Engine::State::Following::take_down(PeerState& p) {
  s.host.drop_staged(*p.peer);
  s.stop_timers(p);
  s.wipe_session(p);
  p.last_sent_handshake = kNever;
}

// As start_keepalives(), with an initiation for the data that is staged, in front of peers without data.
void Engine::State::Following::start_with_data(PeerState& p, const Now& now) {
  if (!p.remote.known() || s.starts.take_turn(now.boot)) {
    s.send_initiation(p, false, now);
    return;
  }
  s.starts.push_heard(p.peer->ref(), WallTime::max());
  p.queued_to_start = true;
}

void Engine::State::Following::send_first_packet(PeerState& p, const Now& now) {
  const FirstPacket wanted = std::exchange(p.first_packet, FirstPacket::kNone);
  const bool came_up = wanted == FirstPacket::kIfAny;
  if (came_up) p.persistent_base = now.boot;
  if ((came_up || s.identity != nullptr) && s.host.has_staged(*p.peer)) {
    start_with_data(p, now);
  } else if (came_up && p.persistent_keepalive != 0s) {
    s.start_keepalives(p, now);
  }
  s.arm(p, now.boot);
}

// ---- finding a peer: it has followed all changes then

PeerState* Engine::State::Following::find(const Peer& peer, const Now& now) {
  PeerState* const p = s.peers.find(peer);
  if (p != nullptr) one(*p, now);
  return p;
}

PeerState* Engine::State::Following::find(PeerRef ref, const Now& now) {
  PeerState* const p = s.peers.find(ref);
  if (p != nullptr) one(*p, now);
  return p;
}

// To catch up may forget the handshake.
PeerState* Engine::State::Following::find_handshake(std::uint32_t local_index) {
  if (PeerState* const p = s.peers.find_handshake(local_index)) catch_up(*p);
  return s.peers.find_handshake(local_index);
}

}  // namespace wg::noise
