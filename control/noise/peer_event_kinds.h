// Events of a peer, as the engine sees them: one list for the kind, its name and its words. The daemon
// adds events of its own (control/api/status.h). A row here and the line that reports it are all an event
// costs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace wg::noise {

// The content of PeerEvent::detail.
enum class EventDetail : std::uint8_t {
  kNothing,
  kAttempts,   // how many initiations were sent, this one included
  kInitiator,  // 1: we are the initiator
  kOutcome,    // an Outcome
  kDuration,   // nanoseconds by which a check failed or a clock moved; negative: back
};

// X(kind, name in JSON and documents, words, what `detail` holds)
#define WG_PEER_EVENTS(X)                                                                                   \
  X(kInitiationSent, "initiation_sent", "handshake initiation sent", kAttempts)                             \
  X(kInitiationReceived, "initiation_received", "handshake initiation received", kNothing)                  \
  X(kResponseSent, "response_sent", "handshake response sent", kNothing)                                    \
  X(kResponseReceived, "response_received", "handshake response received", kNothing)                        \
  X(kSessionUp, "session_up", "session established", kInitiator)                                            \
  X(kRekeyed, "rekeyed", "session renewed", kInitiator)                                                     \
  X(kCookieReceived, "cookie_received", "the peer is under load and sent a cookie", kNothing)               \
  X(kCookieRefused, "cookie_refused", "cookie reply refused", kOutcome)                                     \
  X(kResponseRefused, "response_refused", "handshake response refused", kOutcome)                           \
  X(kTimestampNotNewer, "timestamp_not_newer", "initiation refused: its timestamp is not newer", kDuration) \
  X(kTimestampAhead, "timestamp_ahead", "the peer's clock is far ahead of ours", kDuration)                 \
  X(kInitiationFlood, "initiation_flood", "initiations refused: more than 50 per second", kNothing)         \
  X(kLowOrderKey, "low_order_key", "the public key has low order: no handshake is possible", kNothing)      \
  X(kNoPrivateKey, "no_private_key", "no handshake: the interface has no private key", kNothing)            \
  X(kNoEndpoint, "no_endpoint", "no handshake: the endpoint is unknown", kNothing)                          \
  X(kUnresponsive, "unresponsive", "no answer to our data for 15 s", kNothing)                              \
  X(kGaveUp, "gave_up", "handshake given up", kAttempts)                                                    \
  X(kExpired, "expired", "keys wiped, 540 s after the last session began", kNothing)                        \
  X(kRoamed, "roamed", "the endpoint moved with an authenticated packet", kNothing)                         \
  X(kEndpointSet, "endpoint_set", "endpoint configured", kNothing)                                          \
  X(kEndpointRestored, "endpoint_restored", "endpoint taken over from before the start", kNothing)          \
  X(kPrivateKeyChanged, "private_key_changed", "the interface's private key changed", kNothing)             \
  X(kPresharedKeyChanged, "preshared_key_changed", "the preshared key changed", kNothing)                   \
  X(kRemoved, "removed", "peer removed", kNothing)                                                          \
  X(kClockJumped, "clock_jumped", "our wall clock jumped", kDuration)                                       \
  X(kClockBehind, "clock_behind", "our wall clock is behind timestamps we have already sent", kDuration)

enum class PeerEventKind : std::uint8_t {
#define X(kind, name, words, detail) kind,
  WG_PEER_EVENTS(X)
#undef X
};

struct PeerEventFacts {
  const char* name;
  const char* words;
  EventDetail detail;
};

inline constexpr PeerEventFacts kPeerEventFacts[] = {
#define X(kind, name, words, detail) {name, words, EventDetail::detail},
    WG_PEER_EVENTS(X)
#undef X
};

constexpr const PeerEventFacts& facts_of(PeerEventKind kind) {
  return kPeerEventFacts[static_cast<std::size_t>(kind)];
}

constexpr const char* to_string(PeerEventKind kind) {
  return facts_of(kind).words;
}

}  // namespace wg::noise
