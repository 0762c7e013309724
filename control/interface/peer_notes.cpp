#include "control/interface/peer_notes.h"

#include <chrono>
#include <string>
#include <utility>

#include "control/api/explain.h"

namespace wg::control {

namespace {

constexpr std::size_t kOwnEvents = 12;

Severity severity_of(noise::PeerEventKind kind) {
  using Kind = noise::PeerEventKind;
  switch (kind) {
    case Kind::kSessionUp:
    case Kind::kRoamed:
    case Kind::kGaveUp:
    case Kind::kExpired:
      return Severity::info;
    case Kind::kTimestampNotNewer:
    case Kind::kLowOrderKey:
    case Kind::kNoPrivateKey:
    case Kind::kClockJumped:
    case Kind::kClockBehind:
      return Severity::warn;
    default:
      return Severity::debug;
  }
}

std::string detail_of(const noise::PeerEvent& event) {
  switch (noise::facts_of(event.kind).detail) {
    case noise::EventDetail::kAttempts:
      return "attempt " + std::to_string(event.detail);
    case noise::EventDetail::kInitiator:
      return event.detail != 0 ? "begun by us" : "begun by the peer";
    case noise::EventDetail::kOutcome:
      return noise::to_string(static_cast<noise::Outcome>(event.detail));
    case noise::EventDetail::kDuration:
      return fmt::format("by {:.3f} s", static_cast<double>(event.detail) / 1e9);
    case noise::EventDetail::kNothing:
      break;
  }
  return {};
}

std::string remote_of(const Endpoint& remote) {
  return remote.known() ? dataplane::to_string(remote) : std::string();
}

// " (192.0.2.7:51820, attempt 3)"
std::string in_parentheses(const std::string& remote, const std::string& detail) {
  if (remote.empty() && detail.empty()) return {};
  return " (" + remote + (remote.empty() || detail.empty() ? "" : ", ") + detail + ")";
}

}  // namespace

void PeerNotes::note(PeerRecord& record, PeerEvent&& event) {
  event.at = std::chrono::system_clock::now();
  if (!record.events) record.events = std::make_unique<std::deque<PeerEvent>>();
  if (!record.events->empty()) {
    PeerEvent& last = record.events->back();
    if (last.kind == event.kind && last.source == event.source && last.detail == event.detail) {
      last.at = event.at;
      ++last.count;
      return;
    }
  }
  if (record.events->size() == kOwnEvents) record.events->pop_front();
  record.events->push_back(std::move(event));
}

void PeerNotes::announce(GatewayEventKind kind, const PeerRecord& record, const std::string& detail) {
  if (!core_.services.has_subscribers()) return;
  GatewayEvent event;
  event.at = std::chrono::system_clock::now();
  event.kind = kind;
  event.interface = core_.name;
  event.public_key = config::to_string(record.public_key);
  event.peer = record.name.empty() ? event.public_key : record.name;
  event.detail = detail;
  event.rx_bytes = record.slot->received().bytes;
  event.tx_bytes = record.slot->sent().bytes;
  if (const dataplane::Path* path = record.slot->path.load(std::memory_order_relaxed)) {
    event.endpoint = dataplane::to_string(path->remote);
  }
  core_.services.emit(std::move(event));
}

LogLimits& PeerNotes::log_limits_of(PeerRecord* record) {
  if (record == nullptr) return unknown_host_log_limits_;
  if (!record->log_limits) record->log_limits = std::make_unique<LogLimits>();
  return *record->log_limits;
}

void PeerNotes::log(PeerRecord* record, const noise::PeerEvent& event) {
  const LogEvent line{noise::facts_of(event.kind).name, severity_of(event.kind)};
  if (!core_.log->says(line)) return;  // most events of most peers: no word is made of them
  // An attacker who replays or relays packets causes a line for each. Lines of level debug are not limited.
  std::uint64_t withheld = 0;
  if (line.severity <= Severity::info) {
    const auto allowed =
        log_limits_of(record)[static_cast<std::uint8_t>(event.kind)].take(LogLimit::Clock::now());
    if (!allowed) return;
    withheld = *allowed;
  }
  const std::string key = record == nullptr ? std::string() : config::to_string(record->public_key);
  const std::string& peer = record == nullptr || record->name.empty() ? key : record->name;
  const std::string remote = remote_of(event.remote);
  core_.log->write(line, {.peer = peer, .public_key = key, .remote = remote}, "{}{}{}{}",
                   peer.empty() ? peer : "peer " + peer + ": ", noise::to_string(event.kind),
                   in_parentheses(remote, detail_of(event)),
                   withheld == 0 ? "" : ", and " + std::to_string(withheld) + " more before");
}

void PeerNotes::log(const noise::RefusedMessage& message) {
  if (!core_.log->says(log_event::handshake_refused)) return;
  const bool claims = message.claimed != noise::PublicKey{};
  const std::string key = claims ? config::to_string(config::Key{message.claimed}) : std::string();
  const std::string remote = remote_of(message.remote);
  core_.log->write(log_event::handshake_refused, {.public_key = key, .remote = remote},
                   "handshake message refused: {}{}", noise::to_string(message.outcome),
                   in_parentheses(remote, claims ? "public key " + key : ""));
}

}  // namespace wg::control
