// Which port or interface of the gateway a Linux interface stands for: the TAP of a port, the TUN of an
// interface, and a VLAN device on top of a TAP.
//
// W: Publisher, on the control thread. R: what follows routes and links there.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <type_traits>
#include <unordered_map>

#include "control/kernel/netlink_mirror.h"
#include "dataplane/base/ids.h"

namespace wg::control {

// A port, or a VLAN device on top of one.
struct PortLink {
  dataplane::PortIndex port;
  std::optional<std::uint16_t> vlan;
};

class LinkOwners {
 public:
  explicit LinkOwners(const NetlinkMirror& mirror) : mirror_(mirror) {}

  // The lowest number that is free, or one more than there are. `ifindex` is not 0.
  dataplane::PortIndex add_port(std::uint32_t ifindex) { return ports_.add(ifindex); }
  void remove(dataplane::PortIndex index) { ports_.remove(index); }
  dataplane::InterfaceId add_interface(std::uint32_t ifindex) { return interfaces_.add(ifindex); }
  // No interface gets its number before release_numbers(): routes may still lead to it.
  void remove(dataplane::InterfaceId id) { interfaces_.remove(id, true); }
  void release_numbers() { interfaces_.release(); }

  // A port, or a VLAN device on top of one; nullopt: neither.
  [[nodiscard]] std::optional<PortLink> port_of(std::uint32_t ifindex) const;
  // The port itself; nullopt for a VLAN device.
  [[nodiscard]] std::optional<dataplane::PortIndex> untagged_port_of(std::uint32_t ifindex) const {
    return ports_.owner_of(ifindex);
  }
  [[nodiscard]] std::optional<dataplane::InterfaceId> interface_of(std::uint32_t ifindex) const {
    return interfaces_.owner_of(ifindex);
  }

  // Owners by number; 0: not in use.
  [[nodiscard]] const dataplane::ById<dataplane::PortIndex, std::uint32_t>& ports() const {
    return ports_.ifindexes();
  }
  [[nodiscard]] const dataplane::ById<dataplane::InterfaceId, std::uint32_t>& interfaces() const {
    return interfaces_.ifindexes();
  }

 private:
  // Numbers of one kind in both directions.
  template <typename Id>
  class Numbers {
   public:
    Id add(std::uint32_t ifindex) {
      const Id id = free_number();
      ifindexes_[id] = ifindex;
      by_ifindex_[ifindex] = id;
      return id;
    }
    void remove(Id id, bool reserve = false) {
      by_ifindex_.erase(ifindexes_[id]);
      ifindexes_[id] = 0;
      if (reserve) reserved_.insert(id);
    }
    void release() { reserved_.clear(); }
    [[nodiscard]] std::optional<Id> owner_of(std::uint32_t ifindex) const {
      const auto at = by_ifindex_.find(ifindex);
      return at == by_ifindex_.end() ? std::nullopt : std::optional(at->second);
    }
    [[nodiscard]] const dataplane::ById<Id, std::uint32_t>& ifindexes() const { return ifindexes_; }

   private:
    Id free_number() {
      for (const Id id : ifindexes_.ids()) {
        if (ifindexes_[id] == 0 && !reserved_.contains(id)) return id;
      }
      ifindexes_.emplace_back();
      return static_cast<Id>(static_cast<std::underlying_type_t<Id>>(ifindexes_.size() - 1));
    }

    dataplane::ById<Id, std::uint32_t> ifindexes_;
    std::unordered_map<std::uint32_t, Id> by_ifindex_;
    std::set<Id> reserved_;
  };

  const NetlinkMirror& mirror_;
  Numbers<dataplane::PortIndex> ports_;
  Numbers<dataplane::InterfaceId> interfaces_;
};

}  // namespace wg::control
