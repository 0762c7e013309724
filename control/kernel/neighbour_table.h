// The mirrored neighbours: IP addresses on a link and their MAC addresses.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

class NeighbourTable {
 public:
  [[nodiscard]] const Neighbour* find(std::uint32_t ifindex,
                                      const IpAddress& address) const;  // nullptr: none
  void for_each(std::uint32_t ifindex, const std::function<void(const Neighbour&)>& visit) const;

  // False: nothing has changed for a user of the entry.
  bool put(const Neighbour& neighbour);
  bool remove(const Neighbour& neighbour);
  void remove_link(std::uint32_t ifindex) { links_.erase(ifindex); }
  // Frees at most about `most` entries of a table that is not used any more. False: none is left.
  bool free_some(std::size_t most);

 private:
  struct AddressLess {
    bool operator()(const IpAddress& a, const IpAddress& b) const { return compare(a, b) < 0; }
  };
  std::map<std::uint32_t, std::map<IpAddress, Neighbour, AddressLess>> links_;
};

}  // namespace wg::control
