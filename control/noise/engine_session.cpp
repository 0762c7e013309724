// The handshakes we initiate, and the sessions' life cycle: the three key slots of protocol C4-1.
#include "control/noise/engine.h"
#include "control/noise/engine_state.h"

namespace wg::noise {

using namespace std::chrono_literals;

// ---- initiating

// The static-static secret costs one X25519. It is computed when a peer first needs it, so that adding a
// million peers stays cheap.
const PeerSecrets& Engine::State::ready_secrets(PeerState& p) {
  if (p.static_static == StaticStatic::kUnknown) {
    p.secrets->static_static_ok =
        dh(&p.secrets->static_static, identity->static_key.private_key.bytes, p.public_key);
    p.static_static = StaticStatic::kKnown;
  }
  return *p.secrets;
}

// Returns false after recording an event with the reason. The cheap conditions come first: a peer without an
// endpoint does not need its static-static secret.
bool Engine::State::may_initiate(PeerState& p, BootTime now) {
  PeerEventKind reason = PeerEventKind::kLowOrderKey;
  if (identity == nullptr) {
    reason = PeerEventKind::kNoPrivateKey;
  } else if (!p.remote.known()) {
    reason = PeerEventKind::kNoEndpoint;
  } else if (ready_secrets(p).static_static_ok) {
    return true;
  }
  note(p, reason, now);
  return false;
}

// Returns true when it sent an initiation: at most one per REKEY_TIMEOUT, whatever the cause (protocol C3-3).
bool Engine::State::send_initiation(PeerState& p, bool is_retry, const Now& now) {
  if (!up) return false;
  if (!is_retry) p.attempts = 0;
  if (p.last_sent_handshake != kNever && elapsed(now.boot, p.last_sent_handshake) < REKEY_TIMEOUT) {
    p.retry_initiates = true;
    p.retry_at = p.last_sent_handshake + REKEY_TIMEOUT;
    return false;
  }
  if (!may_initiate(p, now.boot)) {
    p.retry_initiates = false;
    p.retry_at = now.boot + 1s;
    return false;
  }
  forget_handshake(p);
  p.last_sent_handshake = now.boot;
  p.last_sent_timestamp = tai_after(now.wall, timestamps.floor, p.last_sent_timestamp);
  const std::chrono::nanoseconds behind = tai_difference(p.last_sent_timestamp, tai64n_whitened(now.wall));
  if (behind > 1s) note(p, PeerEventKind::kClockBehind, now.boot, behind.count());
  timestamps.greatest_sent = std::max(timestamps.greatest_sent, p.last_sent_timestamp);
  timestamps.dirty = true;

  const std::uint32_t index = keypairs.reserve([this] { return random.u32(); });
  p.handshake = arenas->handshakes.create();
  InitiationMessage message;
  if (create_initiation(*identity, p.keys(), p.last_sent_timestamp, index, random, p.handshake, &message) !=
      Verdict::kOk) {
    keypairs.remove(index);
    arenas->handshakes.destroy(std::exchange(p.handshake, nullptr));
    return false;
  }
  peers.add_handshake(index, p);
  secrets.tell(p, *identity, p.handshake->ephemeral_private);
  send(p, kInitiation, {reinterpret_cast<std::uint8_t*>(&message), sizeof message}, now.boot);
  note(p, PeerEventKind::kInitiationSent, now.boot, p.attempts + 1, p.remote);
  p.retry_at = kNever;
  p.retransmit_at = now.boot + REKEY_TIMEOUT + draw_jitter();
  return true;
}

// Timers and byte counters advance whether or not the socket accepts the message.
void Engine::State::send(PeerState& p, MessageType type, std::span<std::uint8_t> message, BootTime now) {
  p.jar.add_macs(message, now);
  counters.note_sent(type);
  p.peer->note_sent(now, false);
  p.peer->count_handshake_sent(message.size());
  host.send_handshake(p.remote, p.local, message, kHandshakeTos);
}

void SecretsTeller::tell(const PeerState& p, const Identity& identity, const Secret& ephemeral) const {
  if (!tap) return;
  HandshakeSecrets secrets{p.public_key, identity.static_key.private_key.bytes, ephemeral.bytes,
                           p.keys().secrets.preshared_key.bytes};
  tap(secrets);
  wipe(&secrets, sizeof secrets);
}

void Engine::State::forget_handshake(PeerState& p) {
  if (p.handshake == nullptr) return;
  peers.remove_handshake(p.handshake->local_index);
  keypairs.remove(p.handshake->local_index);
  arenas->handshakes.destroy(std::exchange(p.handshake, nullptr));
}

// ---- requests of the workers

void Engine::on_need_handshake(PeerRef ref, const Now& now) {
  PeerState* const p = s_->following.find(ref, now);
  if (p == nullptr) return;
  if (usable(p->current, now.boot) && !rekey_due(*p->current, now.boot)) {
    // The session was established while the request was in the mailbox.
    p->peer->requested.fetch_and(~dataplane::kRequestHandshake, std::memory_order_relaxed);
    if (s_->host.has_staged(*p->peer)) s_->host.release_staged(*p->peer);
    return;
  }
  s_->send_initiation(*p, false, now);
  if (!s_->up) p->peer->requested.fetch_and(~dataplane::kRequestHandshake, std::memory_order_relaxed);
  s_->arm(*p, now.boot);
}

// Protocol C3-6: once per session. The request bit stays set until the next session.
void Engine::on_key_fresh(PeerRef ref, const Now& now) {
  PeerState* const p = s_->following.find(ref, now);
  if (p == nullptr || p->sent_lastminute_handshake || p->current == nullptr) return;
  if (!p->current->i_am_initiator || elapsed(now.boot, p->current->birthdate) < kKeyFreshAfter) {
    p->peer->requested.fetch_and(~dataplane::kRequestKeyFresh, std::memory_order_relaxed);
    return;
  }
  p->sent_lastminute_handshake = true;
  s_->send_initiation(*p, false, now);
  s_->arm(*p, now.boot);
}

void Engine::on_confirmed(std::uint32_t local_index, const Now& now) {
  const Keypair* const keypair = s_->keypairs.find(local_index);
  if (keypair == nullptr) return;
  PeerState* const p = s_->following.find(*keypair->peer, now);  // which may drop the keypair
  if (p == nullptr || p->next == nullptr || p->next->local_index != local_index) return;
  s_->confirm(*p, now);
}

bool Engine::on_stray(Peer& peer, const Now& now) {
  PeerState* const p = s_->following.find(peer, now);
  if (p == nullptr || p->next != nullptr || usable(p->current, now.boot)) return false;
  const bool recent_handshake =
      p->last_sent_handshake != kNever && elapsed(now.boot, p->last_sent_handshake) < REKEY_TIMEOUT;
  if (recent_handshake || p->retransmit_at != kNever) return false;
  const bool sent = s_->send_initiation(*p, false, now);
  s_->arm(*p, now.boot);
  return sent;
}

void Engine::initiate(Peer& peer, const Now& now) {
  PeerState* const p = s_->following.find(peer, now);
  if (p == nullptr) return;
  s_->send_initiation(*p, false, now);
  s_->arm(*p, now.boot);
}

void Engine::tap_secrets(SecretsTap tap) {
  s_->secrets.tap = std::move(tap);
}

// ---- key slots

bool usable(const Keypair* keypair, BootTime now) {
  return keypair != nullptr && elapsed(now, keypair->birthdate) < REJECT_AFTER_TIME &&
         keypair->sending_valid.load(std::memory_order_relaxed) &&
         keypair->sending_counter.load(std::memory_order_relaxed) < REJECT_AFTER_MESSAGES;
}

// Protocol C3-5: only the initiator rekeys by age; both sides rekey by message count.
bool rekey_due(const Keypair& keypair, BootTime now) {
  return keypair.sending_counter.load(std::memory_order_relaxed) > REKEY_AFTER_MESSAGES ||
         (keypair.i_am_initiator && elapsed(now, keypair.birthdate) >= REKEY_AFTER_TIME);
}

Keypair* Engine::State::make_keypair(PeerState& p, const SessionKeys& keys, std::uint32_t local_index,
                                     bool initiator, BootTime now) {
  Keypair* const keypair = arenas->keypairs.create();
  keypair->receiving_key = keys.receiving.bytes;
  keypair->sending_key = keys.sending.bytes;
  keypair->peer = p.peer;
  keypair->peer_generation = p.peer->ref().generation;
  keypair->set_birthdate(now);
  keypair->local_index = local_index;
  keypair->remote_index = keys.remote_index;
  keypair->i_am_initiator = initiator;
  keypair->confirmed.store(initiator, std::memory_order_relaxed);
  return keypair;
}

// The response proves that the responder has the keys, so they may be used at once.
void Engine::State::install_as_initiator(PeerState& p, Keypair* keypair) {
  keypairs.publish(keypair->local_index, keypair);
  if (p.next != nullptr) {
    // A session we responded to was still unconfirmed: the peer may already use it.
    retire(std::exchange(p.previous, exchange_next(p, nullptr)));
    Keypair* const dropped = p.current;
    set_current(p, keypair);
    retire(dropped);
  } else {
    Keypair* const dropped = std::exchange(p.previous, p.current);
    set_current(p, keypair);
    retire(dropped);
  }
}

// The new session only receives until its first data confirms it. Until then we send with `current`
// (protocol C4-2).
void Engine::State::install_as_responder(PeerState& p, Keypair* keypair) {
  retire(exchange_next(p, keypair));
  retire(std::exchange(p.previous, nullptr));
  keypairs.publish(keypair->local_index, keypair);
}

void Engine::State::confirm(PeerState& p, const Now& now) {
  Keypair* const dropped = std::exchange(p.previous, p.current);
  set_current(p, p.next);
  exchange_next(p, nullptr);
  retire(dropped);
  forget_handshake(p);  // our own initiation in flight is now redundant
  handshake_complete(p, now);
  host.release_staged(*p.peer);
  arm(p, now.boot);
}

void Engine::State::set_current(PeerState& p, Keypair* keypair) {
  p.current = keypair;
  p.peer->current.store(keypair, std::memory_order_release);
}

Keypair* Engine::State::exchange_next(PeerState& p, Keypair* keypair) {
  p.peer->next.store(keypair, std::memory_order_release);
  return std::exchange(p.next, keypair);
}

// Unpublishes the keypair here. It is freed, and thereby wiped, once no worker can hold it.
void Engine::State::retire(Keypair* keypair) {
  if (keypair == nullptr) return;
  keypairs.remove(keypair->local_index);
  host.retire([arena = arenas, keypair] { arena->keypairs.destroy(keypair); });
}

void Engine::State::handshake_complete(PeerState& p, const Now& now) {
  const bool first = !p.last_handshake || p.previous == nullptr;
  p.retransmit_at = kNever;
  p.retry_at = kNever;
  p.attempts = 0;
  p.sent_lastminute_handshake = false;
  p.last_handshake = now.wall;
  p.peer->requested.fetch_and(~dataplane::kHandshakeRequests, std::memory_order_relaxed);
  note(p, first ? PeerEventKind::kSessionUp : PeerEventKind::kRekeyed, now.boot,
       p.current->i_am_initiator ? 1 : 0, p.remote);
}

void Engine::State::wipe_session(PeerState& p) {
  forget_handshake(p);
  Keypair* const current = p.current;
  set_current(p, nullptr);
  retire(std::exchange(p.previous, nullptr));
  retire(current);
  retire(exchange_next(p, nullptr));
}

}  // namespace wg::noise
