// Why a connection is Linux's although the operator's rule marks it, and what to do about it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace wg::control {

// X(name, text, remedy). The first that applies is given.
#define LINEGATE_FLOW_REFUSALS(X)                                                                           \
  X(not_marked, "no rule has set the mark",                                                                 \
    "let a rule of the forward chain set it: ct state established ct mark set ct mark or `flows.mark`")     \
  X(zone, "it is in a connection tracking zone", "workers carry connections of zone 0 alone")               \
  X(helper, "a helper reads its packets", "nothing to do: a helper (FTP, SIP) needs every packet")          \
  X(sequence_adjusted, "its sequence numbers are rewritten",                                                \
    "nothing to do: a helper or SYNPROXY has changed the length of what was sent")                          \
  X(offloaded, "the kernel's own flow table carries it",                                                    \
    "remove `flow add` for these packets from the rules of nftables")                                       \
  X(not_assured, "Linux has not yet seen enough of both directions",                                        \
    "wait: TCP counts after its handshake, UDP after two seconds with packets both ways")                   \
  X(not_established, "the TCP connection opens or closes",                                                  \
    "nothing to do: Linux has to follow how TCP opens and closes")                                          \
  X(policy_routing, "routing rules or a VRF decide its route",                                              \
    "remove the routing rules (ip rule) or the VRF, or leave all connections to Linux")                     \
  X(local, "one end is this machine", "nothing to do: connections of the gateway itself are Linux's")       \
  X(no_route, "there is no route to one end", "add a route to both ends: linegate explain route ADDRESS")   \
  X(several_next_hops, "the route to one end has several next hops, or a nexthop object",                   \
    "give that end a route with one next hop and without a nexthop object")                                 \
  X(not_flows, "one end is not behind a port or interface with forwarding: flows",                          \
    "set `forwarding: flows` at the port or interface of both ends")                                        \
  X(peer_mtu, "one end is behind a peer with an MTU of its own",                                            \
    "remove the peer's `mtu`, and set the interface's instead")                                             \
  X(table_full, "there is no room for another flow", "raise `flows.max`")                                   \
  X(asked, "connection tracking has been asked and has not answered; without events it never does",         \
    "net.netfilter.nf_conntrack_events must not be 0; an entry that is older than the gateway's start may " \
    "have no events: the next connection has")

enum class FlowRefusal : std::uint8_t {
  kNone,
#define LINEGATE_ENUM(name, text, remedy) name,
  LINEGATE_FLOW_REFUSALS(LINEGATE_ENUM)
#undef LINEGATE_ENUM
      count_
};

inline constexpr std::size_t kFlowRefusals = static_cast<std::size_t>(FlowRefusal::count_);

struct FlowRefusalText {
  const char* name;
  const char* text;
  const char* remedy;
};
inline constexpr FlowRefusalText kFlowRefusalTexts[kFlowRefusals] = {{"", "", ""},
#define LINEGATE_TEXT(name, text, remedy) {#name, text, remedy},
                                                                     LINEGATE_FLOW_REFUSALS(LINEGATE_TEXT)
#undef LINEGATE_TEXT
};

}  // namespace wg::control
