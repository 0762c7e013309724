// Requests that change nothing and reveal no secret. The metrics endpoint and
// the read-only control socket hold a `const StatusSource&` and nothing else.
//
// Contract: every method is called on the control thread, never blocks and never throws. Interface and peer
// names come from outside unchecked.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/api/packet_facts.h"
#include "control/api/status.h"
#include "dataplane/base/expected.h"

namespace wg::control {

struct PeerFilter {
  std::string interface;  // empty: all
  std::string text;       // empty: all; else part of the name or of the base64 key, or an allowed-IP address
  bool active_only = false;
};

// A place in a walk over peers that takes many rounds of the loop. Peers may come and go meanwhile: each that
// is there from the begin of the walk to its end is met exactly once, one that came later is not met.
struct PeerCursor {
  bool begun = false;
  std::uint32_t next = 0;    // slot
  std::uint32_t end = 0;     // of the slots in use when it began
  std::uint32_t newest = 0;  // generation: later ones came meanwhile
};
// A slice of a walk ends about then, but not before it has met a peer.
using SliceEnd = std::chrono::steady_clock::time_point;

// A list of connections, made in slices. What is told of each is of the moment when it is its turn; those
// that have ended by then are left out.
class FlowReading {
 public:
  virtual ~FlowReading() = default;
  // One slice. False: it was the last, and the others may be called.
  virtual bool read(SliceEnd until) = 0;
  // Without the connections.
  [[nodiscard]] virtual const FlowsStatus& totals() const = 0;
  // nullopt: there are no more.
  virtual std::optional<FlowStatus> next() = 0;
};

class StatusSource {
 public:
  virtual ~StatusSource() = default;

  virtual GatewayStatus status() const = 0;
  virtual std::vector<InterfaceStatus> interfaces() const = 0;
  // O(1).
  virtual std::optional<InterfaceIdentity> find_interface(std::string_view interface) const = 0;
  virtual std::vector<PortStatus> ports() const = 0;
  virtual std::vector<WorkerStatus> workers() const = 0;
  // Every reason of the list, in its order, zeros included.
  virtual std::vector<DropStatus> drops() const = 0;
  // The reading does not outlive this object.
  virtual std::unique_ptr<FlowReading> read_flows(const FlowQuery& query) const = 0;
  // One slice: calls `visit` for the next peers that pass the filter, in any order. False: it was the last.
  virtual bool visit_peers(PeerCursor& at, const PeerFilter& filter, SliceEnd until,
                           const std::function<void(PeerStatus&&)>& visit) const = 0;
  // O(1). `peer` is a name, or a key in base64 or hex. An empty `interface` means any.
  virtual std::optional<PeerStatus> find_peer(std::string_view interface, std::string_view peer) const = 0;
  virtual std::optional<PeerFacts> explain_peer(std::string_view interface, std::string_view peer) const = 0;
  virtual RouteFacts explain_route(const config::Address& address) const = 0;
  // Sends nothing. Refused: what `query` names does not exist, or its addresses do not belong together.
  virtual Expected<PacketFacts> explain_packet(const PacketQuery& query) const = 0;
};

}  // namespace wg::control
