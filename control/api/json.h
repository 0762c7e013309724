// The status values as JSON: what the control socket answers. docs/control-socket.md names every member.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "control/api/change_sink.h"
#include "control/api/explain.h"
#include "control/api/explain_packet.h"
#include "control/api/explain_route.h"
#include "control/api/ring_source.h"
#include "control/api/status_source.h"
#include "control/log_line.h"

namespace wg::control {

using Json = nlohmann::ordered_json;

Json to_json(const GatewayStatus& status);
Json to_json(const InterfaceStatus& status);
Json to_json(const InterfaceIdentity& identity);
Json to_json(const PeerStatus& status);
Json to_json(const PortStatus& status);
Json to_json(const WorkerStatus& status);
Json to_json(const DropStatus& status);
Json to_json(const FlowStatus& status);
Json to_json(const FlowsStatus& status);
Json to_json(const FlowStatus& status);
Json to_json(const PlanOutcome& outcome);
Json to_json(const PeerEvent& event);
Json to_json(const Explanation& explanation);
Json to_json(const RouteFacts& facts);
Json to_json(const PacketExplanation& explanation);
Json to_json(const GatewayEvent& event);
Json to_json(const RingOffer& offer);
Json to_json(const LogLine& line);

template <typename Value>
Json to_json(const std::vector<Value>& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(to_json(value));
  return list;
}

// Compact; bytes that are not UTF-8 are replaced, never an exception.
std::string dump(const Json& json);

}  // namespace wg::control
