// The engine's status, and the timestamps that survive a restart.
#include <cstring>

#include "control/noise/engine.h"
#include "control/noise/engine_state.h"

namespace wg::noise {

// ---- status

PeerSession Engine::peer_status(const Peer& peer, const Now& now) const {
  PeerSession status;
  PeerState* const p = s_->peers.find(peer);
  if (p == nullptr) return status;
  s_->following.catch_up(*p);
  status.public_key = p->public_key;
  status.remote = p->remote;
  status.local = p->local;
  status.last_handshake = p->last_handshake;
  status.persistent_keepalive = p->persistent_keepalive;
  status.has_preshared_key = !is_zero(p->secrets->preshared_key.bytes);
  status.handshake_in_flight = p->retransmit_at != kNever;
  status.attempts = status.handshake_in_flight ? p->attempts + 1u : 0;
  status.session_unconfirmed = p->next != nullptr;
  if (p->current != nullptr) {
    status.session_age = elapsed(now.boot, p->current->birthdate);
    status.has_session = status.session_age < REJECT_AFTER_TIME;
    status.i_am_initiator = p->current->i_am_initiator;
  }
  status.has_cookie = p->jar.has_cookie(now.boot);
  if (p->has_refusal) status.last_refusal = p->last_refusal;
  status.last_refusal_at = p->last_refusal_at;
  return status;
}

std::vector<PeerEvent> Engine::peer_events(const Peer& peer) const {
  PeerState* const p = s_->peers.find(peer);
  if (p == nullptr) return {};
  s_->following.catch_up(*p);
  return p->events.list();
}

std::size_t Engine::heard_peers(std::size_t from, std::size_t count, BootTime since,
                                std::vector<HeardPeer>& out) const {
  const State& s = *s_;
  if (from >= s.peers.end()) return 0;
  const std::size_t end = s.peers.end() - from < count ? s.peers.end() : from + count;
  for (std::size_t i = from; i < end; ++i) {
    const PeerState* const p = s.peers.at(i);
    if (p == nullptr || !p->remote.known()) continue;
    const BootTime heard = p->peer->last_received.load(std::memory_order_relaxed);
    if (heard > since) out.push_back({p->public_key, p->remote, p->local, heard});
  }
  return end == s.peers.end() ? 0 : end;
}

const HandshakeCounters& Engine::counters() const {
  return s_->counters;
}

std::size_t Engine::memory_bytes() const {
  const State& s = *s_;
  return sizeof(State) + s.peers.memory_bytes() + s.wheel.memory_bytes() + s.limiter.memory_bytes() +
         s.intake.memory_bytes() + s.unclaimed.memory_bytes() + s.arenas->keypairs.memory_bytes() +
         s.arenas->handshakes.memory_bytes() + s.arenas->peer_secrets.memory_bytes() +
         s.arenas->identities.memory_bytes();
}

// ---- restart safety

namespace {

constexpr std::array<std::uint8_t, 8> kMagic{'L', 'G', 'T', 'A', 'I', '6', '4', 1};
constexpr std::size_t kRecord = kKeySize + sizeof(Tai64n);
constexpr std::size_t kFixed = kMagic.size() + sizeof(Tai64n);

template <std::size_t n>
void append(std::vector<std::uint8_t>& out, const std::array<std::uint8_t, n>& bytes) {
  const std::size_t at = out.size();
  out.resize(at + n);
  std::memcpy(out.data() + at, bytes.data(), n);
}
template <std::size_t n>
std::array<std::uint8_t, n> take(Bytes& in) {
  std::array<std::uint8_t, n> bytes;
  std::memcpy(bytes.data(), in.data(), n);
  in = in.subspan(n);
  return bytes;
}

}  // namespace

// Layout: magic and version | floor | (public key | latest timestamp)* | BLAKE2s of everything before.
std::vector<std::uint8_t> Engine::export_timestamps() {
  State& s = *s_;
  s.unclaimed.trim();
  std::vector<std::uint8_t> out;
  out.reserve(kFixed + (s.unclaimed.records().size() + s.peers.size()) * kRecord + sizeof(Hash));
  append(out, kMagic);
  append(out, std::max(s.timestamps.floor, s.timestamps.greatest_sent));
  for (const auto& record : s.unclaimed.records()) {
    append(out, record.key);
    append(out, record.timestamp);
  }
  s.peers.for_each([&out](const PeerState& p) {
    if (p.latest_timestamp == Tai64n{}) return;
    append(out, p.public_key);
    append(out, p.latest_timestamp);
  });
  append(out, hash(out));
  s.timestamps.dirty = false;
  return out;
}

bool Engine::import_timestamps(Bytes bytes) {
  if (bytes.size() < kFixed + sizeof(Hash) || (bytes.size() - kFixed - sizeof(Hash)) % kRecord != 0) {
    return false;
  }
  Bytes checksum = bytes.last(sizeof(Hash));
  Bytes rest = bytes.first(bytes.size() - sizeof(Hash));
  if (hash(rest) != take<sizeof(Hash)>(checksum) || take<8>(rest) != kMagic) return false;
  State& s = *s_;
  s.timestamps.floor = std::max(s.timestamps.floor, take<sizeof(Tai64n)>(rest));
  while (!rest.empty()) {
    const auto key = take<kKeySize>(rest);
    const auto stamp = take<sizeof(Tai64n)>(rest);
    if (PeerState* const p = s.peers.find(key)) {
      p->latest_timestamp = std::max(p->latest_timestamp, stamp);
    } else {
      s.unclaimed.restore({key, stamp});
    }
  }
  return true;
}

bool Engine::timestamps_changed() const {
  return s_->timestamps.dirty;
}

void Engine::reset_timestamp(Peer& peer) {
  PeerState* const p = s_->peers.find(peer);
  if (p == nullptr) return;
  p->latest_timestamp = {};
  s_->timestamps.dirty = true;
}

}  // namespace wg::noise
