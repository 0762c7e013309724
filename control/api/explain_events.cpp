// event_of(): what the protocol engine has recorded, as the events explain() understands.
#include <algorithm>

#include "control/api/explain.h"
#include "control/noise/engine.h"

namespace wg::control {
namespace {

using Theirs = noise::PeerEventKind;
using Kind = PeerEventKind;

// The engine's kinds are the first of ours.
constexpr Kind kind_of(Theirs kind) {
  return static_cast<Kind>(kind);
}
#define X(kind, name, words, detail) static_assert(kind_of(Theirs::kind) == Kind::kind);
WG_PEER_EVENTS(X)
#undef X

Kind kind_of(noise::Outcome outcome) {
  using noise::Outcome;
  switch (outcome) {
    case Outcome::kBadMac1:
      return Kind::kBadMac1;
    case Outcome::kUnknownPeer:
      return Kind::kUnknownKey;
    case Outcome::kBadInitiation:
      return Kind::kBadInitiation;
    case Outcome::kBadResponse:
      return Kind::kResponseRefused;
    case Outcome::kRateLimited:
      return Kind::kRateLimited;
    case Outcome::kCookieReplySent:
    case Outcome::kResponseNeedsCookie:
      return Kind::kCookieSent;
    case Outcome::kQueueFull:
    case Outcome::kHashBudget:
    case Outcome::kSecretBudget:
      return Kind::kQueueFull;
    case Outcome::kLowOrderKey:
      return Kind::kLowOrderKey;
    case Outcome::kTimestampNotNewer:
      return Kind::kTimestampNotNewer;
    case Outcome::kInitiationFlood:
      return Kind::kInitiationFlood;
    case Outcome::kNoPrivateKey:
      return Kind::kNoPrivateKey;
    case Outcome::kInterfaceDown:
      return Kind::kInterfaceDown;
    default:
      return Kind::kBadHandshake;
  }
}

std::string remote_of(const dataplane::Endpoint& remote) {
  return remote.known() ? dataplane::to_string(remote) : std::string{};
}

}  // namespace

PeerEvent event_of(const noise::PeerEvent& event, WallTime at) {
  PeerEvent result;
  result.at = at;
  result.kind = kind_of(event.kind);
  result.count = std::max<std::uint32_t>(1, event.count);
  result.from = remote_of(event.remote);
  switch (noise::facts_of(event.kind).detail) {
    case noise::EventDetail::kDuration:
      result.by = std::chrono::nanoseconds{event.detail};
      break;
    case noise::EventDetail::kAttempts:
      result.number = static_cast<std::uint64_t>(event.detail);
      break;
    case noise::EventDetail::kOutcome:
      result.detail = noise::to_string(static_cast<noise::Outcome>(event.detail));
      break;
    case noise::EventDetail::kNothing:
    case noise::EventDetail::kInitiator:
      break;
  }
  return result;
}

PeerEvent event_of(const noise::RefusedMessage& refusal, WallTime at) {
  PeerEvent result;
  result.at = at;
  result.kind = kind_of(refusal.outcome);
  result.from = remote_of(refusal.remote);
  if (result.kind == Kind::kBadHandshake) result.detail = noise::to_string(refusal.outcome);
  if (refusal.claimed != noise::PublicKey{})
    result.claimed_key = config::to_string(config::Key{refusal.claimed});
  return result;
}

}  // namespace wg::control
