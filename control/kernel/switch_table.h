// The mirrored switches that decide whether Linux forwards what comes in by a link: the sysctls `forwarding`
// and `rp_filter` under net/ipv4/conf and net/ipv6/conf, of each link and of "all".
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <utility>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

class SwitchTable {
 public:
  // IPv4 goes by the incoming link. IPv6 goes by "all", or by the incoming link's force_forwarding. A link
  // that is not known forwards nothing.
  [[nodiscard]] bool forwards(std::uint32_t ifindex, bool v6) const;
  // IPv4: what is in force for packets that come in by the link. 0 off, 1 strict, 2 loose (RFC 3704).
  [[nodiscard]] int rp_filter(std::uint32_t ifindex) const;

  bool put(const ParsedSwitches& told);  // false: nothing has changed
  void remove_link(std::uint32_t ifindex);

 private:
  struct Switches {
    bool forwarding = false, force_forwarding = false;
    int rp_filter = 0;

    friend bool operator==(const Switches&, const Switches&) = default;
  };
  [[nodiscard]] Switches find(bool v6, std::int64_t ifindex) const;

  std::array<std::map<std::int64_t, Switches>, 2> links_;  // IPv4, IPv6; by ifindex, NETCONFA_IFINDEX_ALL
};

}  // namespace wg::control
