#include "dataplane/stage/flows.h"

#include <cstring>

#include "dataplane/core/extent.h"
#include "dataplane/flow/rewrite.h"

namespace wg::dataplane {

namespace {

bool of_flows(const Snapshot& view, const PacketOrigin& origin) {
  return origin.from == From::kPort ? view.ports[origin.port()].flows
                                    : view.interfaces[origin.interface()].flows;
}

FlowIngress ingress_of(const PacketOrigin& origin, const std::uint8_t* l3) {
  if (origin.from == From::kTunnel) return FlowIngress::interface(origin.interface());
  return FlowIngress::port(origin.port(), vlan_of(origin, l3));
}

// The IPv4 destination of packets that leave: the source of those that come back.
std::uint32_t new_destination4(const FlowDirection& back) {
  return header_at<Be32>(back.source.data())->value();
}

}  // namespace

void Flows::run(const BurstContext& at, InnerBurst& inner, FlowBurst& carried) {
  carried.packets.clear();
  take_candidates(*at.view, inner, carried.packets);
  if (carried.packets.n == 0) return;
  Found found;
  find(*at.view->flows, carried.packets, found);
  keep_found(at, found, carried);
}

void Flows::take_candidates(const Snapshot& view, InnerBurst& inner, InnerBurst& candidates) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < inner.n; ++i) {
    if (of_flows(view, inner.origin[i])) {
      candidates.push(inner.packet[i], inner.l3[i], inner.length[i], inner.origin[i], inner.v6[i]);
      inner.n6 -= inner.v6[i] ? 1 : 0;
    } else {
      inner.move(i, kept++);
    }
  }
  inner.n = kept;
}

// found[i]: null for packets that no flow names, or that Linux has to follow.
void Flows::find(const FlowTable& table, const InnerBurst& candidates, Found& found) {
  std::array<FlowProbe, kBurst> probe;
  std::array<FlowDirection*, kBurst> result;
  std::array<bool, kBurst> asked;
  std::size_t n = 0;
  for (std::size_t i = 0; i < candidates.n; ++i) {
    asked[i] = can_be_carried(candidates.l3[i], candidates.length[i], candidates.v6[i]);
    probe[n] = {candidates.l3[i], candidates.v6[i]};
    n += asked[i] ? 1 : 0;
  }
  table.find_burst(probe.data(), n, result.data());
  n = 0;
  for (std::size_t i = 0; i < candidates.n; ++i) found[i] = asked[i] ? result[n++] : nullptr;
}

// In order: segments of a connection that Linux forwards must not overtake each other.
void Flows::keep_found(const BurstContext& at, const Found& found, FlowBurst& carried) {
  InnerBurst& packets = carried.packets;
  std::size_t kept = 0, kept6 = 0, foreign = 0;
  for (std::size_t i = 0; i < packets.n; ++i) {
    FlowDirection* const direction = found[i];
    const bool believed = direction != nullptr && direction->ingress.load(std::memory_order_relaxed) ==
                                                      ingress_of(packets.origin[i], packets.l3[i]).bits();
    if (!believed) {
      foreign += direction != nullptr ? 1 : 0;
      leave_to_linux(at, packets, i);
      continue;
    }
    packets.move(i, kept);
    carried.direction[kept] = direction;
    carried.back[kept] = &FlowTable::opposite(*direction);
    packets.destination4[kept] = new_destination4(*carried.back[kept]);
    kept6 += packets.v6[kept] ? 1 : 0;
    ++kept;
  }
  core_.counters.flows_to_linux.add(packets.n - kept);
  core_.counters.flows_wrong_way.add(foreign);
  packets.n = kept;
  packets.n6 = kept6;
}

void Flows::leave_to_linux(const BurstContext& at, const InnerBurst& packets, std::size_t i) {
  const PacketOrigin& origin = packets.origin[i];
  settle(packets, i);
  if (origin.from == From::kPort) return egress_.punt_to_tap(at, origin.port(), packets.packet[i]);
  egress_.punt_to_tun(at, origin.interface(), packets.packet[i]);
}

}  // namespace wg::dataplane
