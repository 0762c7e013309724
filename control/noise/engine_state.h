// The engine's internal state of an interface and of its peers. Only engine*.cpp include this header.
#pragma once

#include <deque>
#include <unordered_map>
#include <utility>

#include "control/noise/cookie.h"
#include "control/noise/engine.h"
#include "control/noise/handshake_queue.h"
#include "control/noise/key_hash.h"
#include "control/noise/noise.h"
#include "control/noise/per_second.h"
#include "control/noise/ratelimiter.h"
#include "control/noise/secret.h"
#include "control/noise/timing_wheel.h"
#include "control/noise/unclaimed_timestamps.h"

namespace wg::noise {

using dataplane::Keypair;
using dataplane::Peer;

// Constants of the reference implementation that the paper does not name (protocol C.2, C.3).
inline constexpr unsigned kMaxRetries = 18;  // REKEY_ATTEMPT_TIME / REKEY_TIMEOUT; 20 initiations in all
inline constexpr BootTime kMaxJitter = 333'333'333;
inline constexpr BootTime kInitiationInterval = nanoseconds(std::chrono::milliseconds(20));
inline constexpr BootTime kUnderLoadHold = nanoseconds(std::chrono::seconds(1));
inline constexpr BootTime kZeroKeysAfter = 3 * nanoseconds(REJECT_AFTER_TIME);
inline constexpr BootTime kNewHandshakeAfter = nanoseconds(KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
// A live session is checked this often. No timer that a worker can start is shorter, so none fires late.
inline constexpr BootTime kWatchInterval = nanoseconds(KEEPALIVE_TIMEOUT);
inline constexpr BootTime kRoamInterval = nanoseconds(std::chrono::milliseconds(100));
inline constexpr BootTime kBigJump = nanoseconds(std::chrono::hours(24));
// Whoever sees an initiation pass knows its sender_index, and can make us compute two X25519 for each
// response that names it. After this many refused responses, the handshake takes only responses with a
// cookie.
inline constexpr unsigned kRefusedResponses = 4;
// When persistent keepalives are enabled for many peers together, or many were heard of shortly before the
// start, kStartsAtOnce of them start immediately and the others one by one, which takes about half of a core.
// Peers with data to send do not wait.
inline constexpr std::size_t kStartsAtOnce = 32;
// What one call of advance() does, so that timers of thousands of peers that are due together hold up nothing
// else: about 3 ms.
inline constexpr std::size_t kInitiationsPerAdvance = 16;
inline constexpr std::size_t kTimersPerAdvance = 2048;
inline constexpr BootTime kStartInterval = nanoseconds(std::chrono::microseconds(400));

// An age is never negative: boottime does not step, but the readings of two threads may cross.
constexpr BootTime elapsed(BootTime now, BootTime then) {
  return now > then ? now - then : 0;
}

enum class StaticStatic : std::uint8_t { kUnknown, kKnown };

struct PeerState {
  PeerState(Peer& p, const PublicKey& k) : peer(&p), public_key(k) { jar.set_public_key(k); }

  Peer* peer;
  PublicKey public_key;
  PeerSecrets* secrets = nullptr;  // in the secret arena
  Handshake* handshake = nullptr;  // our initiation in flight, in the secret arena; null: none
  Keypair* previous = nullptr;     // protocol C4-1
  Keypair* current = nullptr;
  Keypair* next = nullptr;
  CookieJar jar;

  Tai64n latest_timestamp{};     // latest accepted from the peer
  Tai64n last_sent_timestamp{};  // latest we sent
  BootTime last_initiation_consumed = 0;
  BootTime last_sent_handshake = 0;  // initiation or response; 0: a new one may start now
  std::uint64_t last_handshake_wall = 0;

  // Deadlines; 0: not armed. The other timers follow from the timestamps in dataplane::Peer.
  BootTime retransmit_at = 0;
  BootTime zero_keys_at = 0;
  BootTime retry_at = 0;              // when to handle a deferred request again
  BootTime another_keepalive_at = 0;  // more data came while a passive keepalive was due (C3-7)
  BootTime roamed_at = 0;             // when its data last moved the endpoint
  BootTime persistent_base = 0;       // when persistent keepalives were switched on or last fired

  Endpoint remote;
  Endpoint local;
  std::uint32_t id = 0;                    // index in the wheel and in State::peers
  std::uint32_t jitter = 0;                // of the next new-handshake timer; nanoseconds
  std::uint16_t attempts = 0;              // retries of the current exchange
  std::uint16_t persistent_keepalive = 0;  // seconds
  StaticStatic static_static = StaticStatic::kUnknown;
  bool sent_lastminute_handshake = false;  // C3-6
  bool retry_initiates = false;            // at retry_at, initiate if the need remains
  bool queued_to_start = false;            // queued in State::starts or State::recent
  bool has_refusal = false;
  Outcome last_refusal{};
  BootTime last_refusal_at = 0;
  PeerEventRing events;

  [[nodiscard]] PeerKeys keys() const { return {public_key, *secrets}; }
};

// A peer that was heard of before the program was started.
struct RecentPeer {
  std::uint64_t heard = 0;
  PeerRef ref;
  // Of a heap: the latest is on top.
  bool operator<(const RecentPeer& other) const { return heard < other.heard; }
};

// The arenas outlive the engine while retired objects wait for the workers.
struct Arenas {
  SecretArena<Keypair> keypairs;
  SecretArena<Handshake> handshakes;
  SecretArena<PeerSecrets> peer_secrets;
  SecretArena<Identity> identities;
};

struct Engine::State {
  State(Host& h, dataplane::KeypairTable& k, Random& r, EngineOptions o);

  Host& host;
  dataplane::KeypairTable& keypairs;
  Random& random;
  EngineOptions options;
  std::shared_ptr<Arenas> arenas = std::make_shared<Arenas>();

  Identity* identity = nullptr;  // null: no private key
  bool up = false;
  CookieChecker checker;
  RateLimiter limiter;
  HandshakeQueue queue;
  HandshakeQueue cookied_queue;  // messages with a valid cookie: processed first
  BootTime last_under_load = 0;
  // Messages of this second that were refused after their mac1: those that cost a Diffie-Hellman, and
  // responses beyond kRefusedResponses.
  PerSecond wasted;
  PerSecond hashes;  // mac1 checks

  std::vector<std::unique_ptr<PeerState>> peers;  // by id; null: free
  std::vector<std::uint32_t> free_ids;
  std::vector<std::uint32_t> id_of_slot;
  std::unordered_map<PublicKey, std::uint32_t, KeyHash> id_of_key;
  UnclaimedTimestamps unclaimed;
  std::unordered_map<std::uint32_t, std::uint32_t> id_of_handshake;  // our sender_index -> peer id
  TimingWheel wheel;
  std::vector<RecentPeer> recent;  // heap of peers whose initiation at the start has not been sent yet
  std::deque<PeerRef> starts;      // after them: peers whose persistent keepalives have not started, in order
  BootTime starts_paid = 0;  // each start adds kStartInterval; at most kStartsAtOnce starts ahead of now

  Tai64n floor{};  // imported; every initiation is stamped above it
  Tai64n greatest_sent{};
  bool timestamps_dirty = false;
  std::int64_t clock_offset = 0;  // wall - boot at the last check
  bool clock_seen = false;

  std::array<std::uint64_t, kOutcomes> counts{};
  std::array<std::uint64_t, 4> sent_messages{};
  std::deque<RefusedMessage> refusals;

  // engine.cpp
  [[nodiscard]] PeerState* find(const Peer& peer) const;
  [[nodiscard]] PeerState* find(PeerRef ref) const;
  [[nodiscard]] PeerState* find(const PublicKey& key) const;
  void remove(PeerState& p);
  void adopt_private_key(const Now& now);
  void set_endpoint(PeerState& p, const Endpoint& remote, const Endpoint& local);
  void roam(PeerState& p, const Endpoint& remote, const Endpoint& local, BootTime now);
  void clear_source(PeerState& p);
  void note(PeerState& p, PeerEventKind kind, BootTime now, std::int64_t detail = 0,
            const Endpoint& remote = {});

  // engine_receive.cpp
  Outcome check(Bytes message, BootTime now);
  Outcome receive(Bytes message, const Endpoint& remote, const Endpoint& local, bool cookie_valid,
                  const Now& now);
  Outcome consume_cookie(Bytes message, BootTime now);
  Outcome consume_initiation(Bytes message, const Endpoint& remote, const Endpoint& local, bool cookie_valid,
                             const Now& now);
  Outcome accept_timestamp(PeerState& p, const Tai64n& timestamp, bool cookie_valid, const Now& now);
  Outcome consume_response(Bytes message, const Endpoint& remote, const Endpoint& local, const Now& now);
  [[nodiscard]] bool refused_often(Bytes response) const;
  void send_response(PeerState& p, ConsumedInitiation& initiation, const Now& now);
  void send_cookie(Bytes message, const Endpoint& remote, const Endpoint& local, BootTime now);
  PeerState* find_by_index(std::uint32_t local_index) const;
  Outcome count(Outcome outcome);
  Outcome refuse(Outcome outcome, const Endpoint& remote, BootTime now, PeerState* p = nullptr,
                 const PublicKey& claimed = {});
  void drop_queued(Outcome outcome);
  bool update_load(BootTime now);
  void note_wasted(BootTime now);
  [[nodiscard]] bool under_load(BootTime now) const;

  // engine_session.cpp
  bool send_initiation(PeerState& p, bool is_retry, const Now& now);
  [[nodiscard]] bool may_initiate(PeerState& p, BootTime now);
  void send(PeerState& p, MessageType type, std::span<std::uint8_t> message, BootTime now);
  const PeerSecrets& ready_secrets(PeerState& p);
  Keypair* make_keypair(PeerState& p, const SessionKeys& keys, std::uint32_t local_index, bool initiator,
                        BootTime now);
  void install_as_initiator(PeerState& p, Keypair* keypair);
  void install_as_responder(PeerState& p, Keypair* keypair);
  void confirm(PeerState& p, const Now& now);
  void session_derived(PeerState& p, BootTime now);
  void handshake_complete(PeerState& p, const Now& now);
  void set_current(PeerState& p, Keypair* keypair);
  Keypair* exchange_next(PeerState& p, Keypair* keypair);
  void retire(Keypair* keypair);
  void forget_handshake(PeerState& p);
  void wipe_session(PeerState& p);
  [[nodiscard]] static bool usable(const Keypair* keypair, BootTime now);
  [[nodiscard]] static bool rekey_due(const Keypair& keypair, BootTime now);

  // engine_timers.cpp
  void check_clock(const Now& now);
  void fire(PeerState& p, const Now& now);
  void retransmit(PeerState& p, const Now& now);
  void retry(PeerState& p, const Now& now);
  void passive_keepalive(PeerState& p, const Now& now);
  void new_handshake(PeerState& p, const Now& now);
  void persistent_keepalive(PeerState& p, const Now& now);
  void start_keepalives(PeerState& p, const Now& now);
  void start_queued(const Now& now);
  [[nodiscard]] PeerRef first_queued() const;
  void pop_queued();
  bool may_start(BootTime now);
  [[nodiscard]] BootTime next_start() const;
  void keepalive_or_handshake(PeerState& p, const Now& now);
  void stop_timers(PeerState& p);
  void arm(PeerState& p, BootTime now);
  [[nodiscard]] BootTime next_due(const PeerState& p, BootTime now) const;
  [[nodiscard]] std::uint32_t draw_jitter();
};

}  // namespace wg::noise
