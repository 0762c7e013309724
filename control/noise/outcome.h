// The outcome of a handshake message: one list for the enum, the text and the counter.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wg::noise {

// X(enumerator, name in JSON and metrics, text). The first block is accepted messages, the second refusals.
#define WG_HANDSHAKE_OUTCOMES(X)                                                                             \
  X(kQueued, "queued", "queued")                                                                             \
  X(kInitiationAnswered, "initiation_answered", "initiation answered")                                       \
  X(kResponseAccepted, "response_accepted", "response accepted, session established")                        \
  X(kCookieAccepted, "cookie_accepted", "cookie accepted")                                                   \
  X(kCookieReplySent, "cookie_reply_sent", "under load: cookie reply sent")                                  \
  X(kInterfaceDown, "interface_down", "interface is down")                                                   \
  X(kNoPrivateKey, "no_private_key", "interface has no private key")                                         \
  X(kBadType, "bad_type", "not a handshake message")                                                         \
  X(kBadLength, "bad_length", "wrong length for its type")                                                   \
  X(kQueueFull, "queue_full", "handshake queue full")                                                        \
  X(kBadMac1, "bad_mac1", "mac1 wrong: not meant for our public key")                                        \
  X(kRateLimited, "rate_limited", "under load: source exceeds 20 handshakes/s")                              \
  X(kBadInitiation, "bad_initiation", "initiation does not authenticate")                                    \
  X(kUnknownPeer, "unknown_peer", "initiation from a public key that is not configured")                     \
  X(kLowOrderKey, "low_order_key", "low-order key: shared secret is zero")                                   \
  X(kTimestampNotNewer, "timestamp_not_newer", "timestamp not newer: replay, or the peer's clock went back") \
  X(kTimestampAhead, "timestamp_ahead", "timestamp more than a day ahead of our clock")                      \
  X(kInitiationFlood, "initiation_flood", "peer sends more than 50 initiations/s")                           \
  X(kUnknownIndex, "unknown_index", "answers no handshake that we started")                                  \
  X(kBadResponse, "bad_response", "response does not authenticate: wrong preshared key, or forged")          \
  X(kResponseNeedsCookie, "response_needs_cookie",                                                           \
    "too many refused responses to this handshake: cookie reply sent")                                       \
  X(kHashBudget, "hash_budget", "beyond the interface's mac1 checks of a second: dropped unread")            \
  X(kSecretBudget, "secret_budget", "beyond the interface's wasted Diffie-Hellmans of a second: dropped")    \
  X(kBadCookie, "bad_cookie", "cookie reply does not authenticate")                                          \
  X(kUnexpectedCookie, "unexpected_cookie", "cookie reply to nothing we sent")

enum class Outcome : std::uint8_t {
#define X(outcome, name, text) outcome,
  WG_HANDSHAKE_OUTCOMES(X)
#undef X
};

inline constexpr std::size_t kOutcomes = 0
#define X(outcome, name, text) +1
    WG_HANDSHAKE_OUTCOMES(X)
#undef X
    ;

struct OutcomeWords {
  const char* name;
  const char* text;
  const char* old_name;
};

inline constexpr OutcomeWords kOutcomeWords[kOutcomes] = {
#define X(outcome, name, text) {name, text, #outcome},
    WG_HANDSHAKE_OUTCOMES(X)
#undef X
};

constexpr const char* to_string(Outcome outcome) {
  return kOutcomeWords[static_cast<std::size_t>(outcome)].text;
}

// "bad_mac1": stable, in JSON, metrics and telemetry.
constexpr const char* name_of(Outcome outcome) {
  return kOutcomeWords[static_cast<std::size_t>(outcome)].name;
}

// "kBadMac1", which 0.1 shows: beside the name for one release.
constexpr const char* old_name_of(Outcome outcome) {
  return kOutcomeWords[static_cast<std::size_t>(outcome)].old_name;
}

}  // namespace wg::noise
