// The engine's state of one peer. Only engine*.cpp and peer_index.* include this header.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "control/noise/cookie.h"
#include "control/noise/noise.h"
#include "control/noise/outcome.h"
#include "control/noise/peer_events.h"
#include "control/noise/tai64n.h"
#include "control/noise/types.h"
#include "dataplane/session/keypair.h"
#include "dataplane/session/peer.h"

namespace wg::noise {

using dataplane::Keypair;
using dataplane::Peer;

// After a change of the whole interface: the peer gets a packet if something is staged; or a persistent
// keepalive as well.
enum class FirstPacket : std::uint8_t { kNone, kIfStaged, kIfAny };

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
  BootTime last_initiation_consumed = kNever;
  BootTime last_sent_handshake = kNever;  // initiation or response; kNever: a new one may start now
  std::optional<WallTime> last_handshake;

  // Deadlines; kNever: not armed. The other timers follow from the timestamps in dataplane::Peer.
  BootTime retransmit_at = kNever;
  BootTime zero_keys_at = kNever;
  BootTime retry_at = kNever;              // when to handle a deferred request again
  BootTime another_keepalive_at = kNever;  // more data came while a passive keepalive was due (C3-7)
  BootTime roamed_at = kNever;             // when its data last moved the endpoint
  BootTime persistent_base = kNever;       // when persistent keepalives were switched on or last fired

  std::uint64_t followed = 0;  // changes of the whole interface, up to this number (whole_changes.h)
  FirstPacket first_packet = FirstPacket::kNone;  // that it is still to send because of one

  Endpoint remote;
  Endpoint local;
  std::chrono::nanoseconds jitter{0};            // of the next new-handshake timer
  std::chrono::seconds persistent_keepalive{0};  // 0: off
  std::uint32_t id = 0;                          // in the wheel and in PeerIndex
  std::uint16_t attempts = 0;                    // retries of the current exchange
  StaticStatic static_static = StaticStatic::kUnknown;
  bool sent_lastminute_handshake = false;  // C3-6
  bool retry_initiates = false;            // at retry_at, initiate if the need remains
  bool queued_to_start = false;            // in State::starts
  bool has_refusal = false;
  Outcome last_refusal{};
  BootTime last_refusal_at = kNever;
  PeerEventRing events;

  [[nodiscard]] PeerKeys keys() const { return {public_key, *secrets}; }
};

}  // namespace wg::noise
