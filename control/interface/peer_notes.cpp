#include "control/interface/peer_notes.h"

#include <chrono>
#include <string>
#include <utility>

#include "control/api/explain.h"

namespace wg::control {

namespace {

constexpr std::size_t kOwnEvents = 12;

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
  if (record == nullptr) return stranger_log_limits_;
  if (!record->log_limits) record->log_limits = std::make_unique<LogLimits>();
  return *record->log_limits;
}

void PeerNotes::log(PeerRecord* record, const noise::PeerEvent& event) {
  using Kind = noise::PeerEventKind;
  spdlog::level::level_enum level = spdlog::level::debug;
  bool with_endpoint = false;
  switch (event.kind) {
    case Kind::kSessionUp:
    case Kind::kRoamed:
    case Kind::kGaveUp:
    case Kind::kExpired:
      level = spdlog::level::info;
      with_endpoint = true;
      break;
    case Kind::kTimestampNotNewer:
    case Kind::kLowOrderKey:
    case Kind::kNoPrivateKey:
    case Kind::kClockJumped:
    case Kind::kClockBehind:
      level = spdlog::level::warn;
      break;
    default:
      break;
  }
  if (!core_.log->should_log(level)) return;  // most events of most peers: no word is made of them
  // Whoever replays or relays packets causes a line for each. Lines of level debug are not limited.
  std::uint64_t withheld = 0;
  if (level >= spdlog::level::info) {
    const auto allowed =
        log_limits_of(record)[static_cast<std::uint8_t>(event.kind)].take(LogLimit::Clock::now());
    if (!allowed) return;
    withheld = *allowed;
  }
  const std::string who = record == nullptr       ? std::string()
                          : !record->name.empty() ? "peer " + record->name + ": "
                                                  : "peer " + config::to_string(record->public_key) + ": ";
  const std::string detail =
      with_endpoint ? dataplane::to_string(event.remote) : std::to_string(event.detail);
  const std::string more =
      withheld == 0 ? std::string() : ", and " + std::to_string(withheld) + " more before";
  core_.log->log(level, "{}{} ({}){}", who, noise::to_string(event.kind), detail, more);
}

}  // namespace wg::control
