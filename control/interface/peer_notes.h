// Reports about the peers of an interface: the history of each, the log, the event stream.
//
// Control thread only.
#pragma once

#include <string>

#include "control/interface/core.h"
#include "control/log_limit.h"

namespace wg::control {

class PeerNotes {
 public:
  explicit PeerNotes(const InterfaceCore& core) : core_(core) {}

  // Adds to the peer's history.
  void note(PeerRecord& record, PeerEvent&& event);
  // To the subscribers of the event stream.
  void announce(GatewayEventKind kind, const PeerRecord& record, const std::string& detail = {});
  // Null: an event about no peer.
  void log(PeerRecord* record, const noise::PeerEvent& event);
  // An event of no peer. At level debug alone: unknown hosts decide how often.
  void log(const noise::RefusedMessage& message);

 private:
  LogLimits& log_limits_of(PeerRecord* record);

  const InterfaceCore& core_;
  LogLimits unknown_host_log_limits_;  // one for all who are no peers
};

}  // namespace wg::control
