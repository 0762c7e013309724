// The outcome of a handshake message: one list for the enum, the text and the counter.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wg::noise {

// X(name, text). The first block is accepted messages, the second refusals.
#define WG_HANDSHAKE_OUTCOMES(X)                                                      \
  X(kQueued, "queued")                                                                \
  X(kInitiationAnswered, "initiation answered")                                       \
  X(kResponseAccepted, "response accepted, session established")                      \
  X(kCookieAccepted, "cookie accepted")                                               \
  X(kCookieReplySent, "under load: cookie reply sent")                                \
  X(kInterfaceDown, "interface is down")                                              \
  X(kNoPrivateKey, "interface has no private key")                                    \
  X(kBadType, "not a handshake message")                                              \
  X(kBadLength, "wrong length for its type")                                          \
  X(kQueueFull, "handshake queue full")                                               \
  X(kBadMac1, "mac1 wrong: not meant for our public key")                             \
  X(kRateLimited, "under load: source exceeds 20 handshakes/s")                       \
  X(kBadInitiation, "initiation does not authenticate")                               \
  X(kUnknownPeer, "initiation from a public key that is not configured")              \
  X(kLowOrderKey, "low-order key: shared secret is zero")                             \
  X(kTimestampNotNewer, "timestamp not newer: replay, or the peer's clock went back") \
  X(kTimestampAhead, "timestamp more than a day ahead of our clock")                  \
  X(kInitiationFlood, "peer sends more than 50 initiations/s")                        \
  X(kUnknownIndex, "answers no handshake of ours")                                    \
  X(kBadResponse, "response does not authenticate: wrong preshared key, or forged")   \
  X(kBadCookie, "cookie reply does not authenticate")                                 \
  X(kUnexpectedCookie, "cookie reply to nothing we sent")

enum class Outcome : std::uint8_t {
#define X(name, text) name,
  WG_HANDSHAKE_OUTCOMES(X)
#undef X
};

inline constexpr std::size_t kOutcomes = 0
#define X(name, text) +1
    WG_HANDSHAKE_OUTCOMES(X)
#undef X
    ;

constexpr const char* to_string(Outcome outcome) {
  switch (outcome) {
#define X(name, text) \
  case Outcome::name: \
    return text;
    WG_HANDSHAKE_OUTCOMES(X)
#undef X
  }
  return "?";
}

// "kBadMac1" for metrics labels and tests.
constexpr const char* name_of(Outcome outcome) {
  switch (outcome) {
#define X(name, text) \
  case Outcome::name: \
    return #name;
    WG_HANDSHAKE_OUTCOMES(X)
#undef X
  }
  return "?";
}

}  // namespace wg::noise
