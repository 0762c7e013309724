#include "control/flows/flow_search.h"

#include <algorithm>
#include <utility>

namespace wg::control {

using dataplane::FlowIngress;
using dataplane::FlowNumber;
using dataplane::kNoFlow;
using dataplane::kOriginal;
using dataplane::kReply;

namespace {

constexpr std::size_t kNamed = 3;

bool is_exact(const FlowTuple& packet) {
  return packet.protocol != 0 && packet.source_port != 0 && packet.destination_port != 0;
}

bool fits(const FlowTuple& packet, const FlowTuple& tuple) {
  const auto same = [](std::uint16_t wanted, std::uint16_t number) {
    return wanted == 0 || wanted == number;
  };
  return packet.source == tuple.source && packet.destination == tuple.destination &&
         same(packet.protocol, tuple.protocol) && same(packet.source_port, tuple.source_port) &&
         same(packet.destination_port, tuple.destination_port);
}

PacketConnection with_linux(const FlowTuple& original, FlowRefusal refusal) {
  const auto& text = kFlowRefusalTexts[static_cast<std::size_t>(refusal)];
  return {to_string(original), text.text, text.remedy};
}

// As a worker judges where the packet comes in.
PacketConnection with_workers(const dataplane::Flow& flow, const FlowTuple& packet, FlowIngress from) {
  const FlowTuple original = flow.direction[kOriginal].tuple();
  const auto& direction = flow.direction[fits(packet, original) ? kOriginal : kReply];
  const auto side = FlowIngress::from_bits(direction.ingress.load(std::memory_order_relaxed));
  if (from == FlowIngress() || side == from) return {to_string(original), "", ""};
  const std::string source = to_string(packet.source);
  return {to_string(original), "workers take its packets from where " + source + " is routed to alone",
          "linegate explain route " + source};
}

// The reason why an entry that is not carried is Linux's.
FlowRefusal refusal_of(const FlowFollower& follower, const ConntrackEntry& entry) {
  const auto at = follower.waiting().find(entry.id);
  if (at != follower.waiting().end()) return at->second.reason;
  const FlowRefusal refusal = follower.judge(entry);
  return refusal == FlowRefusal::kNone ? FlowRefusal::asked : refusal;
}

class Search {
 public:
  Search(const FlowFollower& follower, const FlowTuple& packet, FlowIngress from)
      : follower_(follower), packet_(packet), from_(from) {}

  void the_one(const ConntrackEntry& entry) {
    const FlowNumber number = follower_.table().find(packet_);
    add(number == kNoFlow ? with_linux(entry.original, refusal_of(follower_, entry))
                          : with_workers(follower_.table().at(number), packet_, from_));
  }

  void waiting() {
    std::size_t left = kFlowsSearched;
    for (const auto& [id, waiting] : follower_.waiting()) {
      if (left-- == 0) {
        out.complete = false;
        return;
      }
      if (fits(packet_, waiting.original) || fits(packet_, waiting.reply))
        add(with_linux(waiting.original, waiting.reason));
    }
  }

  void carried() {
    const dataplane::FlowTable& table = follower_.table();
    const FlowNumber end = std::min<FlowNumber>(table.end(), kFlowsSearched);
    if (end != table.end()) out.complete = false;
    for (FlowNumber number = 0; number < end; ++number) {
      if (!table.in_use(number)) continue;
      const auto& direction = table.at(number).direction;
      if (fits(packet_, direction[kOriginal].tuple()) || fits(packet_, direction[kReply].tuple()))
        add(with_workers(table.at(number), packet_, from_));
    }
  }

  PacketConnections out;

 private:
  void add(PacketConnection one) {
    ++(one.why_linux.empty() ? out.carried : out.with_linux);
    if (out.named.size() < kNamed) out.named.push_back(std::move(one));
  }

  const FlowFollower& follower_;
  const FlowTuple packet_;
  const FlowIngress from_;
};

}  // namespace

PacketConnections find_connections(
    const FlowFollower& follower, const FlowTuple& packet, FlowIngress from,
    const std::function<std::optional<ConntrackEntry>(const FlowTuple&)>& look_up) {
  Search search(follower, packet, from);
  search.out.exact = is_exact(packet);
  if (!search.out.exact) {
    search.waiting();
    search.carried();
  } else if (const auto entry = look_up(packet)) {
    search.the_one(*entry);
  }
  return std::move(search.out);
}

}  // namespace wg::control
