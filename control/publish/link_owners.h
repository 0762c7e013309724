// Which port or interface of the gateway a Linux interface stands for: the TAP of a port, the TUN of an
// interface, and a VLAN device on top of a TAP.
//
// W: Publisher, on the control thread. R: what follows routes and links there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_map>

#include "control/kernel/netlink_mirror.h"
#include "dataplane/base/ids.h"
#include "dataplane/core/burst_size.h"

namespace wg::control {

// A port, or a VLAN device on top of one.
struct PortLink {
  dataplane::PortIndex port;
  std::optional<std::uint16_t> vlan;
};

class LinkOwners {
 public:
  explicit LinkOwners(const NetlinkMirror& mirror) : mirror_(mirror) {}

  // The lowest number that is free, or one more than there are. `ifindex` is not 0. Throws when none is left.
  dataplane::PortIndex add_port(std::uint32_t ifindex) { return ports_.add(ifindex); }
  dataplane::InterfaceId add_interface(std::uint32_t ifindex) { return interfaces_.add(ifindex); }
  // The number is kept until it is released: something may still lead to it.
  void remove(dataplane::PortIndex index) { ports_.remove(index); }
  void remove(dataplane::InterfaceId id) { interfaces_.remove(id); }
  void release_ports() { ports_.release(); }
  void release_interfaces() { interfaces_.release(); }
  // Whether a port and an interface can come now.
  [[nodiscard]] bool has_room() const { return ports_.has_room() && interfaces_.has_room(); }

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
  template <typename Id, std::size_t kMost>
  class Numbers {
   public:
    Id add(std::uint32_t ifindex) {
      const Id id = free_number();
      ifindexes_[id] = ifindex;
      by_ifindex_[ifindex] = id;
      return id;
    }
    void remove(Id id) {
      by_ifindex_.erase(ifindexes_[id]);
      ifindexes_[id] = 0;
      kept_.insert(id);
    }
    void release() { kept_.clear(); }
    [[nodiscard]] bool has_room() const { return by_ifindex_.size() + kept_.size() < kMost; }
    [[nodiscard]] std::optional<Id> owner_of(std::uint32_t ifindex) const {
      const auto at = by_ifindex_.find(ifindex);
      return at == by_ifindex_.end() ? std::nullopt : std::optional(at->second);
    }
    [[nodiscard]] const dataplane::ById<Id, std::uint32_t>& ifindexes() const { return ifindexes_; }

   private:
    Id free_number() {
      for (const Id id : ifindexes_.ids()) {
        if (ifindexes_[id] == 0 && !kept_.contains(id)) return id;
      }
      if (ifindexes_.size() == kMost)
        throw std::runtime_error("there is no room for another one beside " + std::to_string(kMost) +
                                 ", those counted that have just been removed");
      ifindexes_.emplace_back();
      return static_cast<Id>(static_cast<std::underlying_type_t<Id>>(ifindexes_.size() - 1));
    }

    dataplane::ById<Id, std::uint32_t> ifindexes_;
    std::unordered_map<std::uint32_t, Id> by_ifindex_;
    std::set<Id> kept_;  // of owners that have gone
  };

  const NetlinkMirror& mirror_;
  Numbers<dataplane::PortIndex, dataplane::kMaxPorts> ports_;
  Numbers<dataplane::InterfaceId, dataplane::kMaxInterfaces> interfaces_;
};

}  // namespace wg::control
