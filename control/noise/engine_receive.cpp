// Received handshake messages: length, mac1, load, then the message itself (docs/protocol.md, order of
// checks). Nothing is allocated and no peer changes before the message is authenticated.
#include <cstring>

#include "control/noise/engine.h"
#include "control/noise/engine_state.h"

namespace wg::noise {

namespace {

constexpr std::size_t kRefusalsKept = 32;

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

// ---- counting

Outcome Engine::State::count(Outcome outcome) {
  ++counts[static_cast<std::size_t>(outcome)];
  return outcome;
}

Outcome Engine::State::refuse(Outcome outcome, const Endpoint& remote, BootTime now, PeerState* p,
                              const PublicKey& claimed) {
  if (p != nullptr) {
    p->has_refusal = true;
    p->last_refusal = outcome;
    p->last_refusal_at = now;
    return count(outcome);
  }
  if (!refusals.empty() && refusals.back().outcome == outcome && refusals.back().remote == remote &&
      refusals.back().claimed == claimed) {
    refusals.back().at = now;
    return count(outcome);
  }
  if (refusals.size() == kRefusalsKept) refusals.pop_front();
  refusals.push_back({outcome, now, remote, claimed});
  return count(outcome);
}

void Engine::State::drop_queued(Outcome outcome) {
  counts[static_cast<std::size_t>(outcome)] += queue.size() + cookied_queue.size();
  queue.clear();
  cookied_queue.clear();
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
  if (!hashes.take(now, options.hashes_per_second)) return Outcome::kHashBudget;
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
  if (message_type(message) == kCookieReply) return s.consume_cookie(message, now.boot);
  const bool claims_cookie = !is_zero(macs_of(message).mac2);
  bool cookied = false;
  if (s.update_load(now.boot) && claims_cookie) {
    // A source over its rate is refused before mac2 is computed: a message needs both to pass.
    if (s.limiter.exhausted(remote.address, now.boot))
      return s.refuse(Outcome::kRateLimited, remote, now.boot);
    cookied = s.checker.mac2_valid(message, remote, now.boot);
  }
  QueuedMessage* const slot = (cookied ? s.cookied_queue : s.queue).push();
  if (slot == nullptr) return s.count(Outcome::kQueueFull);
  slot->remote = remote;
  slot->local = local;
  slot->size = static_cast<std::uint8_t>(message.size());
  slot->cookie_valid = cookied;
  std::memcpy(slot->bytes.data(), message.data(), message.size());
  s.update_load(now.boot);
  return s.count(Outcome::kQueued);
}

std::size_t Engine::process_queued(std::size_t budget, const Now& now) {
  State& s = *s_;
  std::size_t done = 0;
  for (; done < budget && queued() > 0; ++done) {
    s.update_load(now.boot);
    const QueuedMessage m = s.cookied_queue.size() > 0 ? s.cookied_queue.pop() : s.queue.pop();
    s.receive(m.message(), m.remote, m.local, m.cookie_valid, now);
  }
  return done;
}

std::size_t Engine::queued() const {
  return s_->queue.size() + s_->cookied_queue.size();
}
bool Engine::under_load(const Now& now) const {
  return s_->under_load(now.boot);
}

// Protocol C2-2. Load is judged per interface, so one busy interface does not make another one require
// cookies.
bool Engine::State::under_load(BootTime now) const {
  if (queue.size() + cookied_queue.size() >= options.under_load_at) return true;
  return last_under_load != 0 && elapsed(now, last_under_load) < kUnderLoadHold;
}

bool Engine::State::update_load(BootTime now) {
  if (queue.size() + cookied_queue.size() >= options.under_load_at) last_under_load = now;
  return under_load(now);
}

// Counts messages that led to nothing, because a flood just below the control thread's capacity would keep it
// busy without ever filling the queue.
void Engine::State::note_wasted(BootTime now) {
  if (wasted.add(now) >= options.wasted_at) last_under_load = now;
}

// `message` has a valid mac1. Its mac2 is ignored unless the interface is under load (protocol C2-3).
Outcome Engine::State::receive(Bytes message, const Endpoint& remote, const Endpoint& local,
                               bool cookie_valid, const Now& now) {
  const std::uint32_t type = message_type(message);
  if (type == kCookieReply) return consume_cookie(message, now.boot);
  const bool loaded = update_load(now.boot);
  const bool doubtful = !loaded && type == kResponse && refused_often(message);
  if (loaded || doubtful) {
    cookie_valid = cookie_valid || checker.mac2_valid(message, remote, now.boot);
    if (!cookie_valid) {
      send_cookie(message, remote, local, now.boot);
      if (doubtful) note_wasted(now.boot);
      return count(doubtful ? Outcome::kResponseNeedsCookie : Outcome::kCookieReplySent);
    }
    if (!limiter.allow(remote.address, now.boot)) return refuse(Outcome::kRateLimited, remote, now.boot);
  }
  if (wasted.spent(now.boot, options.wasted_per_second)) return count(Outcome::kSecretBudget);
  return type == kInitiation ? consume_initiation(message, remote, local, cookie_valid, now)
                             : consume_response(message, remote, local, now);
}

// ---- cookies

void Engine::State::send_cookie(Bytes message, const Endpoint& remote, const Endpoint& local, BootTime now) {
  const CookieReplyMessage reply = checker.create_reply(message, remote, now);
  ++sent_messages[kCookieReply];
  host.send_handshake(remote, local, bytes_of(reply), 0);
}

// Finds the peer by our sender_index: that of an initiation in flight, or of a session we responded to.
PeerState* Engine::State::find_by_index(std::uint32_t local_index) const {
  if (const auto found = id_of_handshake.find(local_index); found != id_of_handshake.end()) {
    return peers[found->second].get();
  }
  const Keypair* const keypair = keypairs.find(local_index);
  return keypair == nullptr ? nullptr : find(*keypair->peer);
}

// A cookie reply changes neither endpoint nor timers nor counters, because the peer's static key does not
// authenticate it.
Outcome Engine::State::consume_cookie(Bytes message, BootTime now) {
  const auto reply = message_as<CookieReplyMessage>(message);
  PeerState* const p = find_by_index(load_le32(reply.receiver_index));
  if (p == nullptr) return count(Outcome::kUnexpectedCookie);
  const auto refusal = p->jar.consume_reply(reply, now);
  if (!refusal) {
    note(*p, PeerEventKind::kCookieReceived, now);
    return count(Outcome::kCookieAccepted);
  }
  const Outcome outcome =
      *refusal == CookieJar::BadReply::kUnexpected ? Outcome::kUnexpectedCookie : Outcome::kBadCookie;
  note(*p, PeerEventKind::kCookieRefused, now, static_cast<std::int64_t>(outcome));
  return refuse(outcome, {}, now, p);
}

// ---- initiations

Outcome Engine::State::consume_initiation(Bytes bytes, const Endpoint& remote, const Endpoint& local,
                                          bool cookie_valid, const Now& now) {
  ConsumedInitiation initiation;
  PeerState* p = nullptr;
  const FindPeer find_peer = [&](const PublicKey& key) -> const PeerSecrets* {
    p = find(key);
    return p == nullptr ? nullptr : &ready_secrets(*p);
  };
  const Verdict verdict =
      noise::consume_initiation(*identity, find_peer, message_as<InitiationMessage>(bytes), &initiation);
  if (verdict != Verdict::kOk) {
    note_wasted(now.boot);
    // A claimed public key proves nothing, so the refusal is not recorded at that peer.
    const Outcome outcome = refusal_outcome(verdict, Outcome::kBadInitiation);
    const PublicKey claimed = verdict == Verdict::kUnauthentic ? PublicKey{} : initiation.remote_static;
    return refuse(outcome, remote, now.boot, nullptr, claimed);
  }
  const Outcome stamped = accept_timestamp(*p, initiation.timestamp, cookie_valid, now);
  if (stamped != Outcome::kInitiationAnswered) {
    note_wasted(now.boot);
    return refuse(stamped, remote, now.boot, p);
  }

  p->peer->count_handshake_received(bytes.size());
  roam(*p, remote, local, now.boot);
  note(*p, PeerEventKind::kInitiationReceived, now.boot, 0, remote);
  p->peer->note_received(now.boot, false);
  send_response(*p, initiation, now);
  arm(*p, now.boot);
  return count(Outcome::kInitiationAnswered);
}

// Protocol C2-7. An initiation with a valid cookie has passed the rate limit of its source, so the limit per
// peer does not apply.
Outcome Engine::State::accept_timestamp(PeerState& p, const Tai64n& timestamp, bool cookie_valid,
                                        const Now& now) {
  if (timestamp <= p.latest_timestamp) {
    note(p, PeerEventKind::kTimestampNotNewer, now.boot, tai_difference(p.latest_timestamp, timestamp));
    return Outcome::kTimestampNotNewer;
  }
  if (!cookie_valid && p.last_initiation_consumed != 0 &&
      elapsed(now.boot, p.last_initiation_consumed) < kInitiationInterval) {
    note(p, PeerEventKind::kInitiationFlood, now.boot);
    return Outcome::kInitiationFlood;
  }
  const std::int64_t ahead = tai_difference(timestamp, tai64n_whitened(now.wall));
  if (ahead > static_cast<std::int64_t>(kBigJump)) {
    note(p, PeerEventKind::kTimestampAhead, now.boot, ahead);
    if (!options.allow_big_future_timestamps) return Outcome::kTimestampAhead;
  }
  p.latest_timestamp = timestamp;
  p.last_initiation_consumed = now.boot;
  timestamps_dirty = true;
  return Outcome::kInitiationAnswered;
}

void Engine::State::send_response(PeerState& p, ConsumedInitiation& initiation, const Now& now) {
  const std::uint32_t index = keypairs.reserve([this] { return random.u32(); });
  SessionKeys keys;
  ResponseMessage response;
  if (create_response(initiation, p.keys(), index, random, &keys, &response) != Verdict::kOk) {
    keypairs.remove(index);
    note(p, PeerEventKind::kLowOrderKey, now.boot);
    return;
  }
  p.last_sent_handshake = now.boot;  // blocks our own initiations for REKEY_TIMEOUT (protocol C3-3)
  install_as_responder(p, make_keypair(p, keys, index, false, now.boot));
  session_derived(p, now.boot);
  send(p, kResponse, {reinterpret_cast<std::uint8_t*>(&response), sizeof response}, now.boot);
  note(p, PeerEventKind::kResponseSent, now.boot, 0, p.remote);
}

// ---- responses

// The honest responder gets in nevertheless: it keeps the cookie, so its answer to our next initiation has a
// valid mac2.
bool Engine::State::refused_often(Bytes response) const {
  const auto found = id_of_handshake.find(load_le32(message_as<ResponseMessage>(response).receiver_index));
  return found != id_of_handshake.end() &&
         peers[found->second]->handshake->refused_responses >= kRefusedResponses;
}

Outcome Engine::State::consume_response(Bytes bytes, const Endpoint& remote, const Endpoint& local,
                                        const Now& now) {
  const auto message = message_as<ResponseMessage>(bytes);
  const auto found = id_of_handshake.find(load_le32(message.receiver_index));
  if (found == id_of_handshake.end()) return refuse(Outcome::kUnknownIndex, remote, now.boot);
  PeerState& p = *peers[found->second];
  SessionKeys keys;
  const Verdict verdict = noise::consume_response(*identity, p.keys(), *p.handshake, message, &keys);
  if (verdict != Verdict::kOk) {
    ++p.handshake->refused_responses;
    note_wasted(now.boot);
    const Outcome outcome = refusal_outcome(verdict, Outcome::kBadResponse);
    note(p, PeerEventKind::kResponseRefused, now.boot, static_cast<std::int64_t>(outcome), remote);
    return refuse(outcome, remote, now.boot, &p);
  }
  const std::uint32_t index = p.handshake->local_index;
  id_of_handshake.erase(found);  // the index stays reserved: the session takes it over (protocol C4-7)
  arenas->handshakes.destroy(std::exchange(p.handshake, nullptr));

  p.peer->count_handshake_received(bytes.size());
  roam(p, remote, local, now.boot);
  note(p, PeerEventKind::kResponseReceived, now.boot, 0, remote);
  p.peer->note_received(now.boot, false);
  install_as_initiator(p, make_keypair(p, keys, index, true, now.boot));
  session_derived(p, now.boot);
  handshake_complete(p, now);
  // Key confirmation (protocol C3-12): the responder may not send until it receives data from us.
  if (!host.release_staged(*p.peer)) host.send_keepalive(*p.peer);
  arm(p, now.boot);
  return count(Outcome::kResponseAccepted);
}

}  // namespace wg::noise
