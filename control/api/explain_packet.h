// Tells what would happen to a packet, stage by stage, in the words of a trace. A pure function of
// PacketFacts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "control/api/packet_facts.h"

namespace wg::control {

struct PacketStep {
  std::string_view stage;  // as in a trace (docs/seeing.md); and "source", "peer", "linux"
  std::string words;
};

struct PacketExplanation {
  bool ok = false;          // it arrives, as far as this machine decides
  std::string verdict;      // one sentence
  std::string drop_reason;  // of dataplane/drop_reason.h; empty: the workers do not drop it
  std::vector<PacketStep> steps;
  std::vector<std::string> advice;
};

PacketExplanation explain_packet(const PacketFacts& facts);

}  // namespace wg::control
