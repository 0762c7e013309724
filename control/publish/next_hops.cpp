#include "control/publish/next_hops.h"

#include <linux/neighbour.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <type_traits>

#include "control/publish/outer_route.h"

namespace wg::control {

using dataplane::HopKind;

namespace {

// A next hop stays asked for this many rounds of refresh() after its last use.
constexpr unsigned kWantedRounds = 4;
// With more gateways than this only those that paths use are kept fresh.
constexpr std::size_t kKeptFreshMax = 4096;
// A container gives memory back when it has this many places more than it needs, and most are empty.
constexpr std::size_t kSpare = 1024;

[[nodiscard]] std::uint16_t version_of(const HopUse& use) {
  return use.v6 ? 6 : 4;
}

[[nodiscard]] bool mostly_empty(std::size_t places, std::size_t used) {
  return places > 4 * used + kSpare;
}

template <typename T>
void give_back(std::vector<T>& values) {
  if (mostly_empty(values.capacity(), values.size())) values.shrink_to_fit();
}

template <typename Map>
void give_back_buckets(Map& map) {
  if (mostly_empty(map.bucket_count(), map.size())) map.rehash(0);
}

}  // namespace

// The lowest free index, so that the table gets shorter when many have left.
lpm::Value NextHops::allocate() {
  changed_ = true;
  if (free_->empty()) {
    entries_.emplace_back();
    next_.next_hops.emplace_back();
    return static_cast<lpm::Value>(entries_.size() - 1);
  }
  return free_->extract(free_->begin()).value();
}

lpm::Value NextHops::simple(HopKind kind, dataplane::InterfaceId interface_id, const HopUse& use) {
  const SimpleKey key{kind, interface_id, use};
  if (const auto at = simple_.find(key); at != simple_.end()) return at->second;
  const lpm::Value index = allocate();
  dataplane::NextHop& hop = next_.next_hops[index];
  hop.kind = kind;
  hop.interface_id = interface_id;
  // Linux's route to an interface may allow less than the interface does.
  hop.mtu = use.mtu != 0 ? use.mtu : std::numeric_limits<std::uint16_t>::max();
  hop.ip_version = version_of(use);
  entries_[index].simple = key;
  return simple_[key] = index;
}

lpm::Value NextHops::via(const PortLink& link, const NextHopKey& neighbour, const HopUse& use) {
  std::vector<lpm::Value>& hops = hops_of_[neighbour];
  if (hops.empty() && !macs_.contains(neighbour)) ask(neighbour);
  auto at = std::find_if(hops.begin(), hops.end(), [&](lpm::Value index) {
    const dataplane::NextHop& hop = next_.next_hops[index];
    return hop.mtu == use.mtu && hop.ip_version == version_of(use);
  });
  if (at == hops.end()) {
    at = hops.insert(at, allocate());
    next_.next_hops[*at].mtu = use.mtu;
    next_.next_hops[*at].ip_version = version_of(use);
    entries_[*at].neighbour = neighbour;
  }
  entries_[*at].link = link;
  fill(*at);
  return *at;
}

void NextHops::release(lpm::Value index) {
  Entry& entry = entries_[index];
  if (--entry.prefixes != 0) return;
  if (entry.neighbour.ifindex == 0) {
    simple_.erase(entry.simple);
  } else if (const auto at = hops_of_.find(entry.neighbour); std::erase(at->second, index) != 0) {
    if (at->second.empty()) hops_of_.erase(at);
  }
  entry = {};
  next_.next_hops[index] = {};
  forgotten_.push_back(index);
  changed_ = true;
}

void NextHops::published() {
  if (forgotten_.empty()) return;
  quiescence_.retire([free = free_, indices = std::exchange(forgotten_, {})] {
    free->insert(indices.begin(), indices.end());
  });
}

void NextHops::trim() {
  while (!free_->empty() && *free_->rbegin() + std::size_t{1} == entries_.size()) {
    free_->erase(std::prev(free_->end()));
    entries_.pop_back();
    next_.next_hops.pop_back();
  }
  give_back(entries_);
  give_back(next_.next_hops);
  give_back_buckets(hops_of_);
  give_back_buckets(macs_);
}

// Without a MAC address the hop says "kernel": Linux resolves, packets take the exception path meanwhile.
void NextHops::fill(std::size_t index) {
  static_assert(std::has_unique_object_representations_v<dataplane::NextHop>);
  dataplane::NextHop& hop = next_.next_hops[index];
  const dataplane::NextHop before = hop;
  const Entry& entry = entries_[index];
  const dataplane::PortView& port = next_.ports[entry.link.port];
  const auto mac = macs_.find(entry.neighbour);
  if (mac == macs_.end() || port.port == nullptr) {
    hop.kind = HopKind::kKernel;
  } else {
    hop.kind = HopKind::kPort;
    hop.port = entry.link.port;
    // A VLAN device may have another MAC address than its TAP.
    const Link* exit = mirror_.link(entry.neighbour.ifindex);
    const MacAddress& own = exit != nullptr && exit->mac ? *exit->mac : port.mac;
    hop.header_length = write_ethernet(hop.header.data(), mac->second, own, entry.link.vlan, false);
  }
  changed_ = changed_ || std::memcmp(&before, &hop, sizeof hop) != 0;
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
  if (const auto hops = hops_of_.find(key); hops != hops_of_.end()) {
    for (const lpm::Value index : hops->second) fill(index);
  }
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
  for (const auto& [neighbour, hops] : hops_of_) {
    for (const lpm::Value index : hops) fill(index);
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
  if (key.address.is_zero()) return;
  const Neighbour* known = mirror_.neighbour(key.ifindex, key.address);
  if (known != nullptr && (known->state & (NUD_PERMANENT | NUD_NOARP)) != 0) return;
  // When it is refused, refresh() asks again.
  static_cast<void>(netlink_.request_neighbour(key.ifindex, key.address));
}

void NextHops::refresh() {
  const bool all = hops_of_.size() < kKeptFreshMax;
  for (auto at = wanted_.begin(); at != wanted_.end();) {
    if (!all || !hops_of_.contains(at->first)) ask(at->first);
    at = --at->second == 0 ? wanted_.erase(at) : std::next(at);
  }
  if (!all) return;
  for (const auto& [neighbour, hops] : hops_of_) ask(neighbour);
}

}  // namespace wg::control
