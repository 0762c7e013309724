// A peer's most recent events, which `linegate explain` reads. The ring grows to its capacity on demand,
// because most peers of a large gateway stay idle. A repeated event increments a count instead of evicting
// older events.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "control/noise/types.h"

namespace wg::noise {

// X(name, text, meaning of `detail`)
#define WG_PEER_EVENTS(X)                                                                        \
  X(kInitiationSent, "handshake initiation sent", "attempt number, from 1")                      \
  X(kInitiationReceived, "handshake initiation received", "")                                    \
  X(kResponseSent, "handshake response sent", "")                                                \
  X(kResponseReceived, "handshake response received", "")                                        \
  X(kSessionUp, "session established", "1: we are the initiator")                                \
  X(kRekeyed, "session renewed", "1: we are the initiator")                                      \
  X(kCookieReceived, "peer is under load and sent a cookie", "")                                 \
  X(kCookieRefused, "cookie reply refused", "an Outcome")                                        \
  X(kResponseRefused, "handshake response refused", "an Outcome")                                \
  X(kTimestampNotNewer, "initiation refused: timestamp not newer", "nanoseconds it is older by") \
  X(kTimestampAhead, "peer's clock is far ahead of ours", "nanoseconds ahead")                   \
  X(kInitiationFlood, "initiation refused: more than 50 per second", "")                         \
  X(kLowOrderKey, "public key of low order: no handshake possible", "")                          \
  X(kNoPrivateKey, "no handshake: interface has no private key", "")                             \
  X(kNoEndpoint, "no handshake: endpoint unknown", "")                                           \
  X(kUnresponsive, "no answer to data for 15 s: new handshake", "")                              \
  X(kGaveUp, "handshake given up", "initiations sent")                                           \
  X(kExpired, "keys wiped 540 s after the last session", "")                                     \
  X(kRoamed, "endpoint changed by an authenticated packet", "")                                  \
  X(kEndpointSet, "endpoint configured", "")                                                     \
  X(kPrivateKeyChanged, "interface's private key changed", "")                                   \
  X(kPresharedKeyChanged, "preshared key changed", "")                                           \
  X(kRemoved, "peer removed", "")                                                                \
  X(kClockJumped, "wall clock jumped", "nanoseconds, negative: back")                            \
  X(kClockBehind, "wall clock is behind timestamps already sent", "nanoseconds behind")

enum class PeerEventKind : std::uint8_t {
#define X(name, text, detail) name,
  WG_PEER_EVENTS(X)
#undef X
};

constexpr const char* to_string(PeerEventKind kind) {
  switch (kind) {
#define X(name, text, detail) \
  case PeerEventKind::name:   \
    return text;
    WG_PEER_EVENTS(X)
#undef X
  }
  return "?";
}

struct PeerEvent {
  BootTime at = 0;          // of the last repetition
  std::int64_t detail = 0;  // see WG_PEER_EVENTS
  Endpoint remote;          // the event's source or destination; unknown when it does not apply
  PeerEventKind kind{};
  std::uint16_t count = 0;  // repetitions, saturating
};

class PeerEventRing {
 public:
  static constexpr std::size_t kCapacity = 12;

  void push(const PeerEvent& event);
  // Oldest first.
  [[nodiscard]] std::vector<PeerEvent> list() const;

 private:
  std::vector<PeerEvent> events_;
  std::uint8_t oldest_ = 0;  // index of the oldest event in a full ring
};

}  // namespace wg::noise
