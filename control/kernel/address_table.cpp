#include "control/kernel/address_table.h"

#include <linux/if_addr.h>

#include <algorithm>

namespace wg::control {
namespace {

// IPv4 identifies an address by prefix length and peer as well, IPv6 by the link alone.
bool same_address(const LocalAddress& a, const LocalAddress& b) {
  if (a.prefix.address != b.prefix.address) return false;
  return a.prefix.address.v6 || (a.prefix.length == b.prefix.length && a.peer == b.peer);
}

std::vector<LocalAddress>::iterator find_same(std::vector<LocalAddress>& list, const LocalAddress& address) {
  return std::find_if(list.begin(), list.end(),
                      [&](const LocalAddress& other) { return same_address(other, address); });
}

// Keeps the order in which the kernel chooses source addresses: IPv4 primaries by scope before secondaries
// (__inet_insert_ifa), IPv6 by scope with the newest first (ipv6_link_dev_addr). A dump has the same order.
void insert_in_order(std::vector<LocalAddress>& list, const LocalAddress& address, bool loading) {
  const bool v6 = address.prefix.address.v6;
  auto at = list.end();
  if (!loading && v6) {
    at = std::find_if(list.begin(), list.end(), [&](const LocalAddress& other) {
      return other.prefix.address.v6 && other.scope >= address.scope;
    });
  } else if (!loading && (address.flags & IFA_F_SECONDARY) == 0) {
    at = list.begin();
    for (auto other = list.begin(); other != list.end(); ++other) {
      const bool primary = !other->prefix.address.v6 && (other->flags & IFA_F_SECONDARY) == 0;
      if (primary && address.scope <= other->scope) at = other + 1;
    }
  }
  list.insert(at, address);
}

}  // namespace

const std::vector<LocalAddress>& AddressTable::of(std::uint32_t ifindex) const {
  static const std::vector<LocalAddress> kNone;
  const auto at = addresses_.find(ifindex);
  return at == addresses_.end() ? kNone : at->second;
}

std::uint32_t AddressTable::link_of(const IpAddress& address) const {
  for (const auto& [ifindex, list] : addresses_) {
    for (const LocalAddress& local : list) {
      if (local.prefix.address == address) return ifindex;
    }
  }
  return 0;
}

bool AddressTable::put(const LocalAddress& address, bool loading) {
  auto& list = addresses_[address.ifindex];
  const auto at = find_same(list, address);
  if (at == list.end()) {
    insert_in_order(list, address, loading);
    return true;
  }
  if (*at == address) return false;
  *at = address;
  return true;
}

bool AddressTable::remove(const LocalAddress& address) {
  auto& list = addresses_[address.ifindex];
  const auto at = find_same(list, address);
  if (at == list.end()) return false;
  list.erase(at);
  return true;
}

void AddressTable::remove_link(std::uint32_t ifindex) {
  addresses_.erase(ifindex);
  without_ipv4_.erase(ifindex);
}

AddressTable::Ipv4Presence AddressTable::follow_ipv4_presence(std::uint32_t ifindex) {
  const auto& list = of(ifindex);
  const bool any =
      std::any_of(list.begin(), list.end(), [](const LocalAddress& a) { return !a.prefix.address.v6; });
  if (any) return without_ipv4_.erase(ifindex) == 0 ? Ipv4Presence::kAsBefore : Ipv4Presence::kRegained;
  without_ipv4_.insert(ifindex);
  return Ipv4Presence::kLost;
}

}  // namespace wg::control
