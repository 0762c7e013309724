// The timers of protocol C.3. They are lazy: workers store timestamps in dataplane::Peer, and the engine
// reads them when the peer's single wheel entry is due.
//
//   retransmit            5 s + jitter after each initiation; gives up after 20
//   passive keepalive     10 s after the first data received since we last sent anything
//   new handshake         15 s + jitter after the first data sent since we last received anything
//   zero keys             540 s after the last session was derived
//   persistent keepalive  its interval after the last packet either way
#include <algorithm>
#include <atomic>

#include "control/noise/engine.h"
#include "control/noise/engine_state.h"

namespace wg::noise {

using namespace std::chrono_literals;

namespace {

BootTime load(const std::atomic<BootTime>& timestamp) {
  return timestamp.load(std::memory_order_relaxed);
}

// Data was received and nothing was sent since.
bool unanswered(const PeerState& p) {
  return load(p.peer->unanswered_received) > load(p.peer->last_sent);
}

// The second keepalive of C3-7 is still due: nothing was sent after the first.
bool another_wanted(const PeerState& p) {
  return p.another_keepalive_at != kNever &&
         load(p.peer->last_sent) + KEEPALIVE_TIMEOUT <= p.another_keepalive_at;
}

// kNever: nothing is due.
BootTime passive_keepalive_due(const PeerState& p) {
  if (another_wanted(p)) return p.another_keepalive_at;
  return unanswered(p) ? load(p.peer->unanswered_received) + KEEPALIVE_TIMEOUT : kNever;
}

BootTime new_handshake_due(const PeerState& p) {
  const BootTime since = load(p.peer->unanswered_sent);
  if (since == kNever || load(p.peer->last_received) >= since) return kNever;
  return since + kNewHandshakeAfter + p.jitter;
}

BootTime persistent_keepalive_due(const PeerState& p) {
  if (p.persistent_keepalive == 0s || p.queued_to_start) return kNever;
  const BootTime last = std::max({load(p.peer->last_sent), load(p.peer->last_received), p.persistent_base});
  return last + p.persistent_keepalive;
}

bool due(BootTime deadline, BootTime now) {
  return deadline != kNever && deadline <= now;
}

// The earliest deadline of the peer; kNever: none.
BootTime next_due(const PeerState& p, BootTime now) {
  BootTime earliest = kNever;
  const auto consider = [&earliest](BootTime deadline) {
    if (deadline != kNever && (earliest == kNever || deadline < earliest)) earliest = deadline;
  };
  consider(p.retransmit_at);
  consider(p.retry_at);
  consider(p.zero_keys_at);
  consider(passive_keepalive_due(p));
  consider(new_handshake_due(p));
  consider(persistent_keepalive_due(p));
  // Workers may record packets of a live session at any time.
  const bool live =
      p.current != nullptr && elapsed(now, p.current->birthdate) < REJECT_AFTER_TIME + kWatchInterval;
  if (live) consider(now + kWatchInterval);
  return earliest;
}

}  // namespace

std::chrono::nanoseconds Engine::State::draw_jitter() {
  return std::chrono::nanoseconds(kMaxJitter.count() * random.u32() >> 32);
}

// ---- time

void Engine::advance(const Now& now) {
  State& s = *s_;
  if (const auto jump = s.clock.jump(now))
    s.host.event(nullptr, {now.boot, jump->count(), {}, PeerEventKind::kClockJumped, 1});
  if (s.limiter.sources() > 0) s.limiter.sweep(now.boot);
  const std::uint64_t enough = s.counters.sent(kInitiation) + kInitiationsPerAdvance;
  std::size_t left = kTimersPerAdvance;
  s.following.some(now);
  s.wheel.advance(now.boot, [&](std::uint32_t id) {
    s.fire(*s.peers.at(id), now);
    return --left != 0 && s.counters.sent(kInitiation) < enough;
  });
  s.start_queued(now);
}

BootTime Engine::next_deadline() const {
  BootTime earliest = s_->wheel.next_deadline();
  const auto consider = [&earliest](BootTime deadline) {
    if (deadline != kNever && (earliest == kNever || deadline < earliest)) earliest = deadline;
  };
  if (s_->limiter.sources() != 0) consider(s_->limiter.next_sweep());
  consider(s_->starts.next_turn());
  if (!s_->following.changes.walked()) consider(kNever + 1ns);  // at once
  return earliest;
}

// ---- a peer's entry is due

void Engine::State::fire(PeerState& p, const Now& now) {
  following.one(p, now);
  if (!up) return;
  if (due(p.zero_keys_at, now.boot)) {
    p.zero_keys_at = kNever;
    wipe_session(p);
    note(p, PeerEventKind::kExpired, now.boot, 0, p.remote);
  }
  if (due(p.retransmit_at, now.boot)) retransmit(p, now);
  if (due(p.retry_at, now.boot)) retry(p, now);
  if (due(passive_keepalive_due(p), now.boot)) passive_keepalive(p, now);
  if (due(new_handshake_due(p), now.boot)) new_handshake(p, now);
  if (due(persistent_keepalive_due(p), now.boot)) persistent_keepalive(p, now);
  arm(p, now.boot);
}

// Protocol C3-2.
void Engine::State::retransmit(PeerState& p, const Now& now) {
  p.retransmit_at = kNever;
  p.peer->requested.fetch_and(~dataplane::kRequestHandshake, std::memory_order_relaxed);
  if (p.attempts > kMaxRetries) {
    note(p, PeerEventKind::kGaveUp, now.boot, p.attempts + 1, p.remote);
    p.attempts = 0;
    host.drop_staged(*p.peer);
    p.another_keepalive_at = kNever;
    p.peer->unanswered_received.store(kNever, std::memory_order_relaxed);
    if (p.zero_keys_at == kNever) p.zero_keys_at = now.boot + kZeroKeysAfter;
    return;
  }
  ++p.attempts;
  clear_source(p);  // the address we used may have gone (protocol C3-4)
  send_initiation(p, true, now);
}

// Handles a deferred request: lets the workers request again, and initiates if REKEY_TIMEOUT was the reason
// and the need remains.
void Engine::State::retry(PeerState& p, const Now& now) {
  p.retry_at = kNever;
  p.peer->requested.fetch_and(~dataplane::kRequestHandshake, std::memory_order_relaxed);
  if (!p.retry_initiates || p.retransmit_at != kNever) return;
  const bool wanted = !usable(p.current, now.boot) ? host.has_staged(*p.peer) || p.attempts > 0
                                                   : rekey_due(*p.current, now.boot);
  if (wanted) send_initiation(p, true, now);
}

// Protocol C3-7. Data received while this keepalive was pending needs another keepalive 10 s from now.
void Engine::State::passive_keepalive(PeerState& p, const Now& now) {
  const bool need_another = another_wanted(p)
                                ? unanswered(p)
                                : load(p.peer->last_data_received) > load(p.peer->unanswered_received);
  p.peer->unanswered_received.store(kNever, std::memory_order_relaxed);
  keepalive_or_handshake(p, now);
  p.another_keepalive_at = need_another ? now.boot + KEEPALIVE_TIMEOUT : kNever;
}

void Engine::State::new_handshake(PeerState& p, const Now& now) {
  p.peer->unanswered_sent.store(kNever, std::memory_order_relaxed);  // the next data sent arms it again
  p.jitter = draw_jitter();
  note(p, PeerEventKind::kUnresponsive, now.boot, 0, p.remote);
  clear_source(p);
  send_initiation(p, false, now);
}

void Engine::State::persistent_keepalive(PeerState& p, const Now& now) {
  p.persistent_base = now.boot;
  keepalive_or_handshake(p, now);
}

// ---- the first packet to a peer: a persistent keepalive, or an initiation if there is no session

// Starts the peer immediately unless too many started before it. A peer without an endpoint sends nothing, so
// it does not queue.
void Engine::State::start_keepalives(PeerState& p, const Now& now) {
  p.persistent_base = now.boot;
  if (p.queued_to_start) return;
  if (!p.remote.known() || (starts.empty() && starts.take_turn(now.boot)))
    return keepalive_or_handshake(p, now);
  starts.push(p.peer->ref());
  p.queued_to_start = true;
}

// Starts at most StartQueue::kAtOnce peers per call, however late the call is.
void Engine::State::start_queued(const Now& now) {
  while (!starts.empty()) {
    PeerState* const p = peers.find(starts.front());
    const bool gone = p == nullptr || !p->queued_to_start;
    if (!gone && !starts.take_turn(now.boot)) return;
    starts.pop();
    if (gone) continue;
    following.catch_up(*p);
    p->first_packet = FirstPacket::kNone;  // here it is
    p->queued_to_start = false;
    const bool answered = p->next != nullptr || usable(p->current, now.boot);  // it was faster
    if (p->persistent_keepalive != 0s || !answered) persistent_keepalive(*p, now);
    arm(*p, now.boot);
  }
}

void Engine::State::keepalive_or_handshake(PeerState& p, const Now& now) {
  if (usable(p.current, now.boot)) {
    host.send_keepalive(*p.peer);
    if (!rekey_due(*p.current, now.boot)) return;
  }
  send_initiation(p, false, now);
}

void Engine::State::stop_timers(PeerState& p) {
  p.retransmit_at = p.retry_at = p.zero_keys_at = p.another_keepalive_at = kNever;
  p.attempts = 0;
  p.sent_lastminute_handshake = false;
  p.queued_to_start = false;
  p.peer->unanswered_received.store(kNever, std::memory_order_relaxed);
  p.peer->unanswered_sent.store(kNever, std::memory_order_relaxed);
  p.peer->requested.fetch_and(~dataplane::kHandshakeRequests, std::memory_order_relaxed);
  wheel.cancel(p.id);
}

// ---- arming

// A later deadline leaves the entry in place: it fires early once and is armed again.
void Engine::State::arm(PeerState& p, BootTime now) {
  if (!up) return;
  const BootTime deadline = next_due(p, now);
  if (deadline == kNever) return;
  const BootTime scheduled = wheel.deadline(p.id);
  if (scheduled == kNever || deadline < scheduled) wheel.schedule(p.id, deadline);
}

}  // namespace wg::noise
