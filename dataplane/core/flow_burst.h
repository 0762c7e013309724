// Packets of connections that workers carry, between their lookup and their route.
#pragma once

#include <array>

#include "dataplane/core/bursts.h"
#include "dataplane/flow/flow.h"

namespace wg::dataplane {

struct FlowBurst {
  // As they came; destination4 is that with which they leave.
  InnerBurst packets;
  std::array<FlowDirection*, kBurst> direction;   // names the packet
  std::array<const FlowDirection*, kBurst> back;  // the same flow's other direction
};

}  // namespace wg::dataplane
