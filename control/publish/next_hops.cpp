#include "control/publish/next_hops.h"

#include <linux/neighbour.h>

#include <iterator>
#include <limits>

#include "control/publish/outer_route.h"

namespace wg::control {

using dataplane::HopKind;

namespace {

// A next hop stays asked for this many rounds of refresh() after its last use.
constexpr unsigned kWantedRounds = 4;
// With more gateways than this only those that paths use are kept fresh.
constexpr std::size_t kKeptFreshMax = 4096;

}  // namespace

lpm::Value NextHops::simple(HopKind kind, std::uint16_t interface_id, std::uint16_t mtu) {
  const auto [at, fresh] = simple_.try_emplace({static_cast<int>(kind), interface_id, mtu},
                                               static_cast<lpm::Value>(next_.next_hops.size()));
  if (fresh) {
    dataplane::NextHop hop;
    hop.kind = kind;
    hop.interface_id = interface_id;
    // Linux's route to an interface may allow less than the interface does.
    hop.mtu = mtu != 0 ? mtu : std::numeric_limits<std::uint16_t>::max();
    next_.next_hops.push_back(hop);
    uses_.emplace_back();
    changed_ = true;
  }
  return at->second;
}

lpm::Value NextHops::via(const PortLink& link, const NextHopKey& neighbour, std::uint16_t mtu) {
  const auto [at, fresh] =
      via_.try_emplace({neighbour, mtu}, static_cast<lpm::Value>(next_.next_hops.size()));
  if (fresh) {
    next_.next_hops.emplace_back();
    next_.next_hops.back().mtu = mtu;
    uses_.push_back({neighbour, link});
  }
  uses_[at->second].link = link;
  fill(at->second);
  return at->second;
}

// Without a MAC address the hop says "kernel": Linux resolves, packets take the exception path meanwhile.
void NextHops::fill(std::size_t index) {
  changed_ = true;
  dataplane::NextHop& hop = next_.next_hops[index];
  const Use& use = uses_[index];
  const dataplane::PortView& port = next_.ports[use.link.port];
  const auto mac = macs_.find(use.neighbour);
  if (mac == macs_.end() || port.port == nullptr) {
    hop.kind = HopKind::kernel;
    return;
  }
  hop.kind = HopKind::port;
  hop.port = use.link.port;
  hop.header_length = write_ethernet(hop.header.data(), mac->second, port.mac, use.link.vlan, false);
}

// The kernel's entries wander between reachable and stale all the time; only the MAC address matters here.
bool NextHops::update(const NextHopKey& key) {
  MacAddress mac{};
  const bool usable = mirror_.neighbour_state(key.ifindex, key.address, &mac) == NeighbourState::kUsable;
  const auto known = macs_.find(key);
  if (usable ? known != macs_.end() && known->second == mac : known == macs_.end()) return false;
  if (usable) {
    macs_[key] = mac;
  } else {
    macs_.erase(known);
  }
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    if (uses_[i].neighbour == key) fill(i);
  }
  changed_ = true;
  return true;
}

void NextHops::reload(const std::function<bool(std::uint32_t ifindex)>& on_port) {
  macs_.clear();
  for (const auto& [ifindex, link] : mirror_.links()) {
    if (!on_port(ifindex)) continue;
    mirror_.for_each_neighbour(ifindex, [&, ifindex = ifindex](const Neighbour& neighbour) {
      if (neighbour.usable() && neighbour.mac) macs_[{ifindex, neighbour.address}] = *neighbour.mac;
    });
  }
  for (std::size_t i = 0; i < uses_.size(); ++i) {
    if (uses_[i].neighbour.ifindex != 0) fill(i);
  }
}

void NextHops::want(const NextHopKey& key) {
  if (key.ifindex == 0) return;
  const auto [at, fresh] = wanted_.try_emplace(key, kWantedRounds);
  at->second = kWantedRounds;
  if (fresh && !macs_.contains(key)) ask(key);
}

// An entry that an administrator made permanent is not asked for: the kernel would forget it.
void NextHops::ask(const NextHopKey& key) {
  const Neighbour* known = mirror_.neighbour(key.ifindex, key.address);
  if (known != nullptr && (known->state & (NUD_PERMANENT | NUD_NOARP)) != 0) return;
  static_cast<void>(netlink_.request_neighbour(key.ifindex, key.address));
}

void NextHops::refresh() {
  for (auto at = wanted_.begin(); at != wanted_.end();) {
    ask(at->first);
    at = --at->second == 0 ? wanted_.erase(at) : std::next(at);
  }
  if (via_.size() >= kKeptFreshMax) return;
  for (const Use& use : uses_) {
    if (use.neighbour.ifindex != 0 && !use.neighbour.address.is_zero()) want(use.neighbour);
  }
}

}  // namespace wg::control
