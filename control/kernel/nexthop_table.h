// The mirrored nexthop objects and groups (`ip nexthop`).
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "control/kernel/netlink_parse.h"

namespace wg::control {

class NexthopTable {
 public:
  [[nodiscard]] const NexthopObject* find(std::uint32_t id) const;  // nullptr: none
  // True when `id` is the object itself, or a group with it as a member.
  [[nodiscard]] bool contains(std::uint32_t id, std::uint32_t object) const;
  [[nodiscard]] std::vector<std::uint32_t> objects_via(std::uint32_t ifindex) const;

  enum class Effect : std::uint8_t { kUnchanged, kNew, kChanged };
  Effect put(const NexthopObject& object);
  // Removes an object, and its membership in groups. A group without members is not removed, but named.
  struct Removed {
    bool known = false;
    std::vector<std::uint32_t> smaller;  // groups with other members left
    std::vector<std::uint32_t> emptied;  // groups without any
  };
  Removed remove(std::uint32_t id);

 private:
  std::map<std::uint32_t, NexthopObject> objects_;
};

}  // namespace wg::control
