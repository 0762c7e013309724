// The control thread's record of a peer beside the engine and the workers.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "config/types.h"
#include "control/api/status.h"
#include "control/log_limit.h"
#include "control/publish/next_hop_key.h"
#include "dataplane/session/peer.h"

namespace wg::control {

struct PeerRecord {
  // ---- W: PeerBook
  dataplane::Peer* slot = nullptr;
  config::Key public_key;
  std::string name;
  std::set<config::Prefix> allowed_ips;  // a set: one peer may have 100 000
  // ---- W: InterfacePeers
  std::chrono::seconds keepalive{0};  // 0: off
  // ---- W: PeerEndpoints
  std::optional<config::Endpoint> endpoint;     // as configured; may be a host name
  std::vector<dataplane::Endpoint> candidates;  // of a host name, in the resolver's order
  bool name_unresolved = false;
  bool endpoint_restored = false;  // from before the start, and nothing has come from there yet
  // ---- W: PeerPaths
  NextHopKey next_hop;  // the path's; ifindex 0: none
  bool next_hop_unresolved = false;
  std::uint32_t exit_link = 0;  // by which the path leaves; 0: the kernel decides
  // ---- W: PeerNotes
  std::unique_ptr<std::deque<PeerEvent>> events;  // the daemon's own events; null until the first
  std::unique_ptr<LogLimits> log_limits;          // null until the first line
};

}  // namespace wg::control
