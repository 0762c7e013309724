// The addresses that the configuration gives to a link of ours. Adding what is there already and removing
// what is gone are no errors, and undoing takes back only what was done: an address that an operator had
// added by hand before the file named it stays when the reload is refused.
//
// W: the port or interface that has the link. Control thread only.
#pragma once

#include <algorithm>
#include <cerrno>
#include <vector>

#include "config/types.h"
#include "control/convert.h"
#include "control/kernel/netlink_configure.h"

namespace wg::control {

class OwnAddresses {
 public:
  explicit OwnAddresses(NetlinkConfigure& netlink) : netlink_(netlink) {}

  [[nodiscard]] const std::vector<config::InterfaceAddress>& all() const { return all_; }

  Expected<> add(std::uint32_t ifindex, const config::InterfaceAddress& address) {
    const Expected<> added = netlink_.add_address(ifindex, to_dataplane(address));
    if (!added && !is_there(added.error(), ifindex, address)) return added;
    if (!added) found_.push_back(address);
    all_.push_back(address);
    return {};
  }

  // `undone`: on the way back from a plan.
  Expected<> remove(std::uint32_t ifindex, const config::InterfaceAddress& address, bool undone) {
    if (std::erase(all_, address) == 0) return {};
    const bool was_there_before = std::erase(found_, address) != 0;
    if (was_there_before && undone) return {};
    Expected<> removed = netlink_.remove_address(ifindex, to_dataplane(address));
    if (!removed && removed.error().code == EADDRNOTAVAIL) return {};
    return removed;
  }

 private:
  // IPv6 refuses an address with another length too.
  [[nodiscard]] bool is_there(const Refusal& refusal, std::uint32_t ifindex,
                              const config::InterfaceAddress& address) {
    if (refusal.code != EEXIST) return false;
    const std::vector<IpPrefix> there = netlink_.addresses(ifindex);
    return std::find(there.begin(), there.end(), to_dataplane(address)) != there.end();
  }

  NetlinkConfigure& netlink_;
  std::vector<config::InterfaceAddress> all_;
  std::vector<config::InterfaceAddress> found_;  // of these: were there already
};

}  // namespace wg::control
