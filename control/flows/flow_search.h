// The connections that a packet may belong to, and who carries each and why: for `explain packet`.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>

#include "control/api/packet_facts.h"
#include "control/flows/flow_follower.h"

namespace wg::control {

// Connections that a search looks at, of each kind: less than a millisecond.
inline constexpr std::size_t kFlowsSearched = 16'384;

// `packet`: as it comes in, in either direction; `from`: where, or FlowIngress(). With protocol and ports,
// connection tracking is asked by `look_up`, and so connections without the mark are found too. Where one of
// them is 0 it stands for any, and the connections with the mark that the follower has are searched.
[[nodiscard]] PacketConnections find_connections(
    const FlowFollower& follower, const FlowTuple& packet, dataplane::FlowIngress from,
    const std::function<std::optional<ConntrackEntry>(const FlowTuple&)>& look_up);

}  // namespace wg::control
