// `linegate explain peer`: why is this peer not up? Facts in, verdict out; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/api/status.h"

namespace wg::noise {
struct PeerEvent;
struct RefusedMessage;
}  // namespace wg::noise

namespace wg::control {

struct Explanation {
  bool up = false;
  std::string verdict;               // one sentence
  std::vector<std::string> reasons;  // evidence for it, most decisive first, with figures and addresses
  std::vector<std::string> advice;   // what to do or look at
  std::vector<std::string> history;  // one line per event, oldest first
};

// `now` makes ages; it must not be earlier than the events.
Explanation explain(const PeerFacts& facts, WallTime now);
std::string to_text(const Explanation& explanation);

// The engine's events as ours; `at` is the wall time of theirs.
PeerEvent event_of(const noise::PeerEvent& event, WallTime at);
PeerEvent event_of(const noise::RefusedMessage& refusal, WallTime at);

std::string_view name_of(PeerEventKind kind);  // stale_timestamp, …: stable, in JSON and docs
std::string describe(const PeerEvent& event);  // one sentence without the time

}  // namespace wg::control
