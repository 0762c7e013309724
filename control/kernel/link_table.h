// The mirrored network interfaces.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

class LinkTable {
 public:
  [[nodiscard]] const std::map<std::uint32_t, Link>& all() const { return links_; }
  [[nodiscard]] const Link* find(std::uint32_t ifindex) const;
  [[nodiscard]] const Link* find(const std::string& name) const;
  [[nodiscard]] std::uint32_t table_of_vrf(std::uint32_t vrf_ifindex) const;  // 0: no such VRF
  [[nodiscard]] std::uint32_t vrf_of_link(std::uint32_t ifindex) const;       // 0: none

  // Returns what was known before; nullopt: the link is new.
  std::optional<Link> put(const Link& link);
  bool remove(std::uint32_t ifindex) { return links_.erase(ifindex) != 0; }  // false: it was not known

 private:
  std::map<std::uint32_t, Link> links_;
};

}  // namespace wg::control
