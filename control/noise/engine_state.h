// The engine's internal state of an interface. Only engine*.cpp include this header.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <utility>

#include "control/noise/clock_watch.h"
#include "control/noise/cookie.h"
#include "control/noise/engine.h"
#include "control/noise/handshake_counters.h"
#include "control/noise/handshake_intake.h"
#include "control/noise/noise.h"
#include "control/noise/peer_index.h"
#include "control/noise/peer_state.h"
#include "control/noise/ratelimiter.h"
#include "control/noise/secret.h"
#include "control/noise/start_queue.h"
#include "control/noise/timing_wheel.h"
#include "control/noise/unclaimed_timestamps.h"
#include "control/noise/whole_changes.h"

namespace wg::noise {

// Constants of the reference implementation that the paper does not name (protocol C.2, C.3).
inline constexpr unsigned kMaxRetries = 18;  // REKEY_ATTEMPT_TIME / REKEY_TIMEOUT; 20 initiations in all
inline constexpr std::chrono::nanoseconds kMaxJitter{333'333'333};
inline constexpr std::chrono::milliseconds kInitiationInterval{20};
inline constexpr std::chrono::nanoseconds kZeroKeysAfter = 3 * REJECT_AFTER_TIME;
inline constexpr std::chrono::nanoseconds kNewHandshakeAfter = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;
// A live session is checked this often. No timer that a worker can start is shorter, so none fires late.
inline constexpr std::chrono::nanoseconds kWatchInterval = KEEPALIVE_TIMEOUT;
inline constexpr std::chrono::milliseconds kRoamInterval{100};
inline constexpr std::chrono::hours kBigJump{24};
// A host that sees an initiation pass knows its sender_index, and can make us compute two X25519 for each
// response that names it. After this many refused responses, the handshake takes only responses with a
// cookie.
inline constexpr unsigned kRefusedResponses = 4;
// The bounds of one call of advance(), so that timers of thousands of peers that are due together hold up
// nothing else: about 1.5 ms.
inline constexpr std::size_t kInitiationsPerAdvance = 8;
inline constexpr std::size_t kTimersPerAdvance = 1024;

// es of the next messages of the queue, computed together.
struct AheadSecrets {
  std::array<EphemeralStatic, kDhAtOnce> es;
  std::array<bool, kDhAtOnce> known{};
};

// Whether data may still be sealed with the keypair.
[[nodiscard]] bool usable(const Keypair* keypair, BootTime now);
[[nodiscard]] bool rekey_due(const Keypair& keypair, BootTime now);

// The arenas outlive the engine while retired objects wait for the workers.
struct Arenas {
  SecretArena<Keypair> keypairs;
  SecretArena<Handshake> handshakes;
  SecretArena<PeerSecrets> peer_secrets;
  SecretArena<Identity> identities;
};

// A host that can send a peer's messages again chooses their source: it is reported, but the peer's history
// keeps none.
enum class Source : std::uint8_t { kAuthentic, kClaimed };

struct SecretsTeller {
  SecretsTap tap;  // empty: no tap
  void tell(const PeerState& p, const Identity& identity, const Secret& ephemeral) const;
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
  HandshakeIntake intake;

  PeerIndex peers;
  UnclaimedTimestamps unclaimed;
  TimingWheel wheel;
  StartQueue starts;

  struct Timestamps {
    Tai64n floor{};  // imported; every initiation is stamped above it
    Tai64n greatest_sent{};
    bool dirty = false;  // differ from what was exported last
  } timestamps;
  ClockWatch clock;
  HandshakeCounters counters;
  SecretsTeller secrets;

  // engine.cpp
  void remove(PeerState& p);
  void set_endpoint(PeerState& p, const Endpoint& remote, const Endpoint& local);
  void roam(PeerState& p, const Endpoint& remote, const Endpoint& local, BootTime now);
  bool clear_source(PeerState& p);
  void note(PeerState& p, PeerEventKind kind, BootTime now, std::int64_t detail = 0,
            const Endpoint& remote = {}, Source source = Source::kAuthentic);

  // engine_changes.cpp: peers follow changes of the whole interface
  struct Following {
    State& s;
    WholeChanges changes;

    void begin(WholeChange change, const Now& now);
    void some(const Now& now);
    void one(PeerState& p, const Now& now);
    void catch_up(PeerState& p);  // but for the first packet, which needs the time at which it is sent
    void renew_key(PeerState& p);
    void take_down(PeerState& p);
    void send_first_packet(PeerState& p, const Now& now);
    void start_with_data(PeerState& p, const Now& now);
    // Null: not here. PeerIndex finds peers that may not have followed all changes.
    [[nodiscard]] PeerState* find(const Peer& peer, const Now& now);
    PeerState* find(PeerRef ref, const Now& now);
    [[nodiscard]] PeerState* find_handshake(std::uint32_t local_index);
  } following{*this, {}};

  // engine_receive.cpp
  Outcome check(Bytes message, BootTime now);
  Outcome receive(Bytes message, const Endpoint& remote, const Endpoint& local, bool cookie_valid,
                  const Now& now, const EphemeralStatic* es = nullptr);
  [[nodiscard]] bool needs_secret(const QueuedMessage& m, BootTime now);
  std::size_t compute_ahead(std::size_t most, AheadSecrets& ahead, BootTime now);
  Outcome consume_cookie(Bytes message, const Endpoint& remote, BootTime now);
  Outcome consume_initiation(Bytes message, const Endpoint& remote, const Endpoint& local, bool cookie_valid,
                             const Now& now, const EphemeralStatic* es);
  Outcome accept_timestamp(PeerState& p, const Tai64n& timestamp, bool cookie_valid, const Endpoint& remote,
                           const Now& now);
  Outcome consume_response(Bytes message, const Endpoint& remote, const Endpoint& local, const Now& now);
  void send_response(PeerState& p, ConsumedInitiation& initiation, const Now& now);
  void send_cookie(Bytes message, const Endpoint& remote, const Endpoint& local, BootTime now);
  PeerState* find_by_index(std::uint32_t local_index);
  [[nodiscard]] PeerState* find_answered(Bytes response);
  Outcome refuse(Outcome outcome, const Endpoint& remote, BootTime now, PeerState* p = nullptr,
                 const PublicKey& claimed = {});

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
  void handshake_complete(PeerState& p, const Now& now);
  void set_current(PeerState& p, Keypair* keypair);
  Keypair* exchange_next(PeerState& p, Keypair* keypair);
  void retire(Keypair* keypair);
  void forget_handshake(PeerState& p);
  void wipe_session(PeerState& p);

  // engine_timers.cpp
  void fire(PeerState& p, const Now& now);
  void retransmit(PeerState& p, const Now& now);
  void retry(PeerState& p, const Now& now);
  void passive_keepalive(PeerState& p, const Now& now);
  void new_handshake(PeerState& p, const Now& now);
  void persistent_keepalive(PeerState& p, const Now& now);
  void start_keepalives(PeerState& p, const Now& now);
  void start_queued(const Now& now);
  void keepalive_or_handshake(PeerState& p, const Now& now);
  void stop_timers(PeerState& p);
  void arm(PeerState& p, BootTime now);
  [[nodiscard]] std::chrono::nanoseconds draw_jitter();
};

}  // namespace wg::noise
