// The connections that a lookup has found for the packets of an InnerBurst, at the same places.
#pragma once

#include <array>

#include "dataplane/core/bursts.h"
#include "dataplane/flow/flow.h"

namespace wg::dataplane {

struct FlowBurst {
  std::array<FlowDirection*, kBurst> direction;   // names the packet
  std::array<const FlowDirection*, kBurst> back;  // the same flow's other direction
};

}  // namespace wg::dataplane
