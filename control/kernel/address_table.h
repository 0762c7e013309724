// The mirrored addresses of each link, in the order in which the kernel chooses source addresses.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

class AddressTable {
 public:
  // In the kernel's order of preference for source addresses.
  [[nodiscard]] const std::vector<LocalAddress>& of(std::uint32_t ifindex) const;
  [[nodiscard]] const std::map<std::uint32_t, std::vector<LocalAddress>>& all() const { return addresses_; }
  // The first link that has the address; 0: none.
  [[nodiscard]] std::uint32_t link_of(const IpAddress& address) const;
  [[nodiscard]] bool is_local(const IpAddress& address) const { return link_of(address) != 0; }
  // True for a link that has lost its last IPv4 address. Its nexthops in multipath routes are unusable.
  [[nodiscard]] bool has_lost_ipv4(std::uint32_t ifindex) const { return without_ipv4_.contains(ifindex); }

  // `loading`: a dump reports the addresses in the kernel's order already. False: it was known.
  bool put(const LocalAddress& address, bool loading);
  bool remove(const LocalAddress& address);  // false: it was not known
  void remove_link(std::uint32_t ifindex);

  // Call after a change of an IPv4 address.
  enum class Ipv4Presence : std::uint8_t { kAsBefore, kLost, kRegained };
  Ipv4Presence follow_ipv4_presence(std::uint32_t ifindex);

 private:
  std::map<std::uint32_t, std::vector<LocalAddress>> addresses_;
  std::set<std::uint32_t> without_ipv4_;
};

}  // namespace wg::control
