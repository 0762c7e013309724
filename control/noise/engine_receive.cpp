// Received handshake messages: length, mac1, load, then the message itself (docs/protocol.md, order of
// checks). Nothing is allocated and no peer changes before the message is authenticated.
#include <algorithm>
#include <array>
#include <cstring>

#include "control/noise/engine.h"
#include "control/noise/engine_state.h"

namespace wg::noise {

namespace {

Outcome refusal_outcome(Verdict verdict, Outcome unauthentic) {
  switch (verdict) {
    case Verdict::kUnknownPeer:
      return Outcome::kUnknownPeer;
    case Verdict::kLowOrder:
      return Outcome::kLowOrderKey;
    case Verdict::kUnauthentic:
    case Verdict::kOk:
      break;
  }
  return unauthentic;
}

}  // namespace

// A refusal of a known peer is kept there, any other with the interface.
Outcome Engine::State::refuse(Outcome outcome, const Endpoint& remote, BootTime now, PeerState* p,
                              const PublicKey& claimed) {
  if (p == nullptr) {
    const RefusedMessage message{outcome, now, remote, claimed};
    host.refused(message);
    return counters.refuse(message);
  }
  p->has_refusal = true;
  p->last_refusal = outcome;
  p->last_refusal_at = now;
  return counters.count(outcome);
}

// ---- entry

// Runs the checks that cost nothing or one keyed hash. kQueued: all passed.
Outcome Engine::State::check(Bytes message, BootTime now) {
  const std::uint32_t type = message_type(message);
  const std::size_t length = handshake_length(type);
  if (length == 0) return Outcome::kBadType;
  if (message.size() != length) return Outcome::kBadLength;
  if (!up) return Outcome::kInterfaceDown;
  if (identity == nullptr) return Outcome::kNoPrivateKey;
  if (type == kCookieReply) return Outcome::kQueued;
  if (!intake.take_hash(now)) return Outcome::kHashBudget;
  return checker.mac1_valid(message) ? Outcome::kQueued : Outcome::kBadMac1;
}

Outcome Engine::on_handshake(Bytes message, const Endpoint& remote, const Endpoint& local, const Now& now) {
  State& s = *s_;
  const Outcome checked = s.check(message, now.boot);
  if (checked != Outcome::kQueued) return s.refuse(checked, remote, now.boot);
  return s.receive(message, remote, local, false, now);
}

Outcome Engine::queue_handshake(Bytes message, const Endpoint& remote, const Endpoint& local,
                                const Now& now) {
  State& s = *s_;
  const Outcome checked = s.check(message, now.boot);
  if (checked != Outcome::kQueued) return s.refuse(checked, remote, now.boot);
  // A cookie reply has no mac1, so it may not occupy the queue; refusing one costs a table lookup.
  if (message_type(message) == kCookieReply) return s.consume_cookie(message, remote, now.boot);
  const bool claims_cookie = !is_zero(macs_of(message).mac2);
  bool cookied = false;
  if (s.intake.update_load(now.boot) && claims_cookie) {
    // A source over its rate is refused before mac2 is computed: a message needs both to pass.
    if (s.limiter.exhausted(remote.address, now.boot))
      return s.refuse(Outcome::kRateLimited, remote, now.boot);
    cookied = s.checker.mac2_valid(message, remote, now.boot);
  }
  QueuedMessage* const slot = s.intake.push(cookied);
  if (slot == nullptr) return s.counters.count(Outcome::kQueueFull);
  slot->remote = remote;
  slot->local = local;
  slot->size = static_cast<std::uint8_t>(message.size());
  slot->cookie_valid = cookied;
  std::memcpy(slot->bytes.data(), message.data(), message.size());
  s.intake.update_load(now.boot);
  return s.counters.count(Outcome::kQueued);
}

std::size_t Engine::process_queued(std::size_t budget, const Now& now) {
  State& s = *s_;
  AheadSecrets ahead;
  std::size_t done = 0, at = 0, known = 0;
  for (; done < budget && queued() > 0; ++done, ++at) {
    s.intake.update_load(now.boot);
    if (at == known) {
      at = 0;
      known = s.compute_ahead(std::min({budget - done, queued(), kDhAtOnce}), ahead, now.boot);
    }
    const QueuedMessage m = s.intake.pop();
    s.receive(m.message(), m.remote, m.local, m.cookie_valid, now, ahead.known[at] ? &ahead.es[at] : nullptr);
  }
  return done;
}

// An initiation that, as things stand, receive() will spend a DH on.
bool Engine::State::needs_secret(const QueuedMessage& m, BootTime now) {
  return message_type(m.message()) == kInitiation && identity != nullptr &&
         (m.cookie_valid || !intake.under_load(now)) && !intake.secrets_spent(now);
}

// es of the next `most` messages that need it, together. Returns `most`.
std::size_t Engine::State::compute_ahead(std::size_t most, AheadSecrets& ahead, BootTime now) {
  std::array<DhOp, kDhAtOnce> ops;
  std::array<PublicKey, kDhAtOnce> ephemeral;
  std::array<std::size_t, kDhAtOnce> message;
  std::size_t n = 0;
  ahead.known = {};
  for (std::size_t i = 0; i < most && dh_is_faster_together(); ++i) {
    if (!needs_secret(intake.peek(i), now)) continue;
    ephemeral[n] = message_as<InitiationMessage>(intake.peek(i).message()).ephemeral;
    ops[n] = {&identity->static_key.private_key.bytes, &ephemeral[n], &ahead.es[i].shared};
    message[n++] = i;
  }
  if (n < 2) return most;
  dh({ops.data(), n});
  for (std::size_t k = 0; k < n; ++k) {
    ahead.es[message[k]].ok = ops[k].ok;
    ahead.known[message[k]] = true;
  }
  return most;
}

std::size_t Engine::queued() const {
  return s_->intake.queued();
}
bool Engine::under_load(const Now& now) const {
  return s_->intake.under_load(now.boot);
}

namespace {

// The honest responder gets in nevertheless: it keeps the cookie, so its answer to our next initiation has a
// valid mac2.
bool refused_often(const PeerState* p) {
  return p != nullptr && p->handshake->refused_responses >= kRefusedResponses;
}

}  // namespace

// The peer whose handshake of ours it answers.
PeerState* Engine::State::find_answered(Bytes response) {
  return following.find_handshake(load_le32(message_as<ResponseMessage>(response).receiver_index));
}

// `message` has a valid mac1. Its mac2 is ignored unless the interface is under load (protocol C2-3).
Outcome Engine::State::receive(Bytes message, const Endpoint& remote, const Endpoint& local,
                               bool cookie_valid, const Now& now, const EphemeralStatic* es) {
  const std::uint32_t type = message_type(message);
  if (type == kCookieReply) return consume_cookie(message, remote, now.boot);
  const bool loaded = intake.update_load(now.boot);
  const bool doubtful = !loaded && type == kResponse && refused_often(find_answered(message));
  if (loaded || doubtful) {
    cookie_valid = cookie_valid || checker.mac2_valid(message, remote, now.boot);
    if (!cookie_valid) {
      send_cookie(message, remote, local, now.boot);
      if (doubtful) intake.note_wasted(now.boot);
      return counters.count(doubtful ? Outcome::kResponseNeedsCookie : Outcome::kCookieReplySent);
    }
    if (!limiter.allow(remote.address, now.boot)) return refuse(Outcome::kRateLimited, remote, now.boot);
  }
  if (intake.secrets_spent(now.boot)) return counters.count(Outcome::kSecretBudget);
  return type == kInitiation ? consume_initiation(message, remote, local, cookie_valid, now, es)
                             : consume_response(message, remote, local, now);
}

// ---- cookies

void Engine::State::send_cookie(Bytes message, const Endpoint& remote, const Endpoint& local, BootTime now) {
  const CookieReplyMessage reply = checker.create_reply(message, remote, now);
  counters.note_sent(kCookieReply);
  host.send_handshake(remote, local, bytes_of(reply), 0);
}

// Finds the peer by our sender_index: that of an initiation in flight, or of a session we responded to.
PeerState* Engine::State::find_by_index(std::uint32_t local_index) {
  if (PeerState* const p = following.find_handshake(local_index)) return p;
  const Keypair* const keypair = keypairs.find(local_index);
  PeerState* const p = keypair == nullptr ? nullptr : peers.find(*keypair->peer);
  if (p == nullptr) return nullptr;
  following.catch_up(*p);  // which may drop the keypair
  return keypairs.find(local_index) == nullptr ? nullptr : p;
}

// A cookie reply changes neither endpoint nor timers nor counters, because the peer's static key does not
// authenticate it.
Outcome Engine::State::consume_cookie(Bytes message, const Endpoint& remote, BootTime now) {
  const auto reply = message_as<CookieReplyMessage>(message);
  PeerState* const p = find_by_index(load_le32(reply.receiver_index));
  if (p == nullptr) return counters.count(Outcome::kUnexpectedCookie);
  const auto refusal = p->jar.consume_reply(reply, now);
  if (!refusal) {
    note(*p, PeerEventKind::kCookieReceived, now, 0, remote, Source::kClaimed);
    return counters.count(Outcome::kCookieAccepted);
  }
  const Outcome outcome =
      *refusal == CookieJar::BadReply::kUnexpected ? Outcome::kUnexpectedCookie : Outcome::kBadCookie;
  note(*p, PeerEventKind::kCookieRefused, now, static_cast<std::int64_t>(outcome), remote, Source::kClaimed);
  return refuse(outcome, {}, now, p);
}

// ---- initiations

Outcome Engine::State::consume_initiation(Bytes bytes, const Endpoint& remote, const Endpoint& local,
                                          bool cookie_valid, const Now& now, const EphemeralStatic* es) {
  ConsumedInitiation initiation;
  PeerState* p = nullptr;
  const FindPeer find_peer = [&](const PublicKey& key) -> const PeerSecrets* {
    p = peers.find(key);
    if (p == nullptr) return nullptr;
    following.one(*p, now);
    return &ready_secrets(*p);
  };
  const Verdict verdict =
      noise::consume_initiation(*identity, find_peer, message_as<InitiationMessage>(bytes), &initiation, es);
  if (verdict != Verdict::kOk) {
    intake.note_wasted(now.boot);
    // A claimed public key proves nothing, so the refusal is not recorded at that peer.
    const Outcome outcome = refusal_outcome(verdict, Outcome::kBadInitiation);
    const PublicKey claimed = verdict == Verdict::kUnauthentic ? PublicKey{} : initiation.remote_static;
    return refuse(outcome, remote, now.boot, nullptr, claimed);
  }
  const Outcome stamped = accept_timestamp(*p, initiation.timestamp, cookie_valid, remote, now);
  if (stamped != Outcome::kInitiationAnswered) {
    intake.note_wasted(now.boot);
    return refuse(stamped, remote, now.boot, p);
  }

  p->peer->count_handshake_received(bytes.size());
  roam(*p, remote, local, now.boot);
  note(*p, PeerEventKind::kInitiationReceived, now.boot, 0, remote);
  p->peer->note_received(now.boot, false);
  send_response(*p, initiation, now);
  arm(*p, now.boot);
  return counters.count(Outcome::kInitiationAnswered);
}

// Protocol C2-7. An initiation with a valid cookie has passed the rate limit of its source, so the limit per
// peer does not apply.
Outcome Engine::State::accept_timestamp(PeerState& p, const Tai64n& timestamp, bool cookie_valid,
                                        const Endpoint& remote, const Now& now) {
  if (timestamp <= p.latest_timestamp) {
    note(p, PeerEventKind::kTimestampNotNewer, now.boot,
         tai_difference(p.latest_timestamp, timestamp).count(), remote, Source::kClaimed);
    return Outcome::kTimestampNotNewer;
  }
  if (!cookie_valid && p.last_initiation_consumed != kNever &&
      elapsed(now.boot, p.last_initiation_consumed) < kInitiationInterval) {
    note(p, PeerEventKind::kInitiationFlood, now.boot, 0, remote, Source::kClaimed);
    return Outcome::kInitiationFlood;
  }
  const std::chrono::nanoseconds ahead = tai_difference(timestamp, tai64n_whitened(now.wall));
  if (ahead > kBigJump) {
    note(p, PeerEventKind::kTimestampAhead, now.boot, ahead.count(), remote, Source::kClaimed);
    if (!options.allow_big_future_timestamps) return Outcome::kTimestampAhead;
  }
  p.latest_timestamp = timestamp;
  p.last_initiation_consumed = now.boot;
  timestamps.dirty = true;
  return Outcome::kInitiationAnswered;
}

void Engine::State::send_response(PeerState& p, ConsumedInitiation& initiation, const Now& now) {
  const std::uint32_t index = keypairs.reserve([this] { return random.u32(); });
  SessionKeys keys;
  ResponseMessage response;
  Secret ephemeral;
  if (create_response(initiation, p.keys(), index, random, &keys, &response, &ephemeral) != Verdict::kOk) {
    keypairs.remove(index);
    note(p, PeerEventKind::kLowOrderKey, now.boot, 0, p.remote);
    return;
  }
  p.last_sent_handshake = now.boot;  // blocks our own initiations for REKEY_TIMEOUT (protocol C3-3)
  install_as_responder(p, make_keypair(p, keys, index, false, now.boot));
  p.zero_keys_at = now.boot + kZeroKeysAfter;
  secrets.tell(p, *identity, ephemeral);
  send(p, kResponse, {reinterpret_cast<std::uint8_t*>(&response), sizeof response}, now.boot);
  note(p, PeerEventKind::kResponseSent, now.boot, 0, p.remote);
}

// ---- responses

Outcome Engine::State::consume_response(Bytes bytes, const Endpoint& remote, const Endpoint& local,
                                        const Now& now) {
  const auto message = message_as<ResponseMessage>(bytes);
  PeerState* const found = find_answered(bytes);
  if (found == nullptr) return refuse(Outcome::kUnknownIndex, remote, now.boot);
  PeerState& p = *found;
  SessionKeys keys;
  const Verdict verdict = noise::consume_response(*identity, p.keys(), *p.handshake, message, &keys);
  if (verdict != Verdict::kOk) {
    ++p.handshake->refused_responses;
    intake.note_wasted(now.boot);
    const Outcome outcome = refusal_outcome(verdict, Outcome::kBadResponse);
    note(p, PeerEventKind::kResponseRefused, now.boot, static_cast<std::int64_t>(outcome), remote);
    return refuse(outcome, remote, now.boot, &p);
  }
  const std::uint32_t index = p.handshake->local_index;
  peers.remove_handshake(index);  // the index stays reserved: the session takes it over (protocol C4-7)
  arenas->handshakes.destroy(std::exchange(p.handshake, nullptr));

  p.peer->count_handshake_received(bytes.size());
  roam(p, remote, local, now.boot);
  note(p, PeerEventKind::kResponseReceived, now.boot, 0, remote);
  p.peer->note_received(now.boot, false);
  install_as_initiator(p, make_keypair(p, keys, index, true, now.boot));
  p.zero_keys_at = now.boot + kZeroKeysAfter;
  handshake_complete(p, now);
  // Key confirmation (protocol C3-12): the responder may not send until it receives data from us.
  if (!host.release_staged(*p.peer)) host.send_keepalive(*p.peer);
  arm(p, now.boot);
  return counters.count(Outcome::kResponseAccepted);
}

}  // namespace wg::noise
