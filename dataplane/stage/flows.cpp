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

void move_apart(InnerBurst& inner, const std::array<bool, kBurst>& taken, InnerBurst& apart) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < inner.n; ++i) {
    if (!taken[i]) {
      inner.move(i, kept++);
      continue;
    }
    apart.push(inner.packet[i], inner.l3[i], inner.length[i], inner.origin[i], inner.v6[i]);
    inner.n6 -= inner.v6[i] ? 1 : 0;
  }
  inner.n = kept;
}

}  // namespace

void Flows::run(const BurstContext& at, InnerBurst& packets, FlowBurst& carried) {
  if (packets.n == 0) return;
  Found found;
  find(*at.view->flows, packets, found);
  keep_found(at, found, packets, carried);
}

InnerBurst& Flows::take(const Snapshot& view, InnerBurst& inner, InnerBurst& apart) noexcept {
  std::array<bool, kBurst> taken;
  std::size_t count = 0;
  for (std::size_t i = 0; i < inner.n; ++i) {
    const bool like_before = i != 0 && inner.origin[i] == inner.origin[i - 1];
    taken[i] = like_before ? taken[i - 1] : of_flows(view, inner.origin[i]);
    count += taken[i] ? 1 : 0;
  }
  if (count == inner.n) return inner;
  apart.clear();
  if (count != 0) move_apart(inner, taken, apart);
  return apart;
}

// found[i]: null for packets that no flow names, or that Linux has to follow.
void Flows::find(const FlowTable& table, const InnerBurst& packets, Found& found) noexcept {
  std::array<FlowProbe, kBurst> probe;
  for (std::size_t i = 0; i < packets.n; ++i) {
    const bool asked = can_be_carried(packets.l3[i], packets.length[i], packets.v6[i]);
    probe[i] = {asked ? packets.l3[i] : nullptr, packets.v6[i]};
  }
  table.find_burst(probe.data(), packets.n, found.data());
}

// In order: segments of a connection that Linux forwards must not overtake each other.
void Flows::keep_found(const BurstContext& at, const Found& found, InnerBurst& packets, FlowBurst& carried) {
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
    packets.destination4[kept] = direction->leaving_destination4();
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
