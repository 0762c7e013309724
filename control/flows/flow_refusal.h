// Why a connection is Linux's although the operator's rule marks it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wg::control {

// X(name, text). The first that applies is given.
#define LINEGATE_FLOW_REFUSALS(X)                                                         \
  X(not_marked, "no rule has set the mark")                                               \
  X(zone, "it is in a connection tracking zone")                                          \
  X(helper, "a helper reads its packets")                                                 \
  X(sequence_adjusted, "its sequence numbers are rewritten")                              \
  X(offloaded, "the kernel's own flow table carries it")                                  \
  X(not_assured, "Linux has not yet seen enough of both directions")                      \
  X(not_established, "the TCP connection opens or closes")                                \
  X(policy_routing, "routing rules or a VRF decide its route")                            \
  X(local, "one end is this machine")                                                     \
  X(no_route, "there is no route to one end")                                             \
  X(several_next_hops, "the route to one end has several next hops, or a nexthop object") \
  X(not_flows, "one end is not behind a port or interface with forwarding: flows")        \
  X(peer_mtu, "one end is behind a peer with an MTU of its own")                          \
  X(table_full, "there is no room for another flow")                                      \
  X(asked, "connection tracking has been asked and has not answered; without events it never does")

enum class FlowRefusal : std::uint8_t {
  kNone,
#define LINEGATE_ENUM(name, text) name,
  LINEGATE_FLOW_REFUSALS(LINEGATE_ENUM)
#undef LINEGATE_ENUM
      count_
};

inline constexpr std::size_t kFlowRefusals = static_cast<std::size_t>(FlowRefusal::count_);

struct FlowRefusalText {
  const char* name;
  const char* text;
};
inline constexpr FlowRefusalText kFlowRefusalTexts[kFlowRefusals] = {{"", ""},
#define LINEGATE_TEXT(name, text) {#name, text},
                                                                     LINEGATE_FLOW_REFUSALS(LINEGATE_TEXT)
#undef LINEGATE_TEXT
};

}  // namespace wg::control
