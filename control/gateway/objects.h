// The ports and interfaces that run, by name and by id.
//
// W: PlanRunner and PortKeeper, by the methods that add and remove. R: every part. Control thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/types.h"
#include "control/gateway/machine_state.h"
#include "control/gateway/port.h"
#include "control/interface/interface.h"
#include "control/log.h"
#include "control/services.h"

namespace wg::control {

// Both null: there is none.
struct FoundPeer {
  Interface* interface = nullptr;
  const PeerRecord* record = nullptr;
};

class Objects {
 public:
  using Ports = std::map<std::string, std::unique_ptr<GatewayPort>>;
  using Interfaces = std::map<std::string, std::unique_ptr<Interface>>;

  Objects(Services& services, const std::string& state_directory, Logger log)
      : services_(services), machine_(state_directory, services.netlink, log), log_(std::move(log)) {}

  // Changes beside our own links.
  [[nodiscard]] MachineState& machine() { return machine_; }

  [[nodiscard]] const Ports& ports() const { return ports_; }
  [[nodiscard]] const Interfaces& interfaces() const { return interfaces_; }
  // Null: there is none.
  [[nodiscard]] GatewayPort* find_port(const std::string& name) const;
  [[nodiscard]] Interface* find_interface(std::string_view name) const;
  [[nodiscard]] Interface* interface_by_id(dataplane::InterfaceId id) const {
    return interface_by_id_.has(id) ? interface_by_id_[id] : nullptr;
  }

  // Finds by name or public key, on the interface of that name; an empty name: on any.
  [[nodiscard]] FoundPeer find_peer(std::string_view interface, std::string_view peer) const;

  // Objects that exist already are left alone. On failure nothing has been added.
  Expected<> add_port(const std::string& name, const config::Port& value);
  Expected<> add_interface(const std::string& name, const config::Interface& value, std::uint16_t auto_mtu);
  // Return when the workers have let go, so that names and devices are free again; after two seconds anyway.
  void remove_port(const std::string& name);
  // Restarts the port's device, and recreates the port when that is refused, or when the device is no
  // card. The sessions of all interfaces are kept.
  Expected<> restart_port(const std::string& name);
  void remove_interface(const std::string& name);
  // Removes everything.
  void clear();

 private:
  void wait_for_quiescence();
  [[nodiscard]] bool workers_have_passed();

  Services& services_;
  MachineState machine_;
  Logger log_;
  Ports ports_;
  Interfaces interfaces_;
  dataplane::ById<dataplane::InterfaceId, Interface*> interface_by_id_;
};

}  // namespace wg::control
