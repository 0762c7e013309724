// Keeps ports alive. A card that was reset from outside (its physical function went down, a hypervisor
// assigned another MAC address) receives nothing more until it is restarted, and not every driver reports it.
// When a wire is unplugged it comes back with another ifindex, and a TAP can be deleted: the port would never
// carry a packet again. Such a port is recreated as soon as its wire is there.
#pragma once

#include <chrono>
#include <set>
#include <string>

#include "control/gateway/objects.h"
#include "control/gateway/running_config.h"
#include "control/log.h"
#include "control/services.h"

namespace wg::control {

class PortKeeper {
 public:
  PortKeeper(Services& services, Objects& objects, const RunningConfig& running, Logger log);

  // After links changed or a plan was carried out: which configured ports do not work?
  void note_lost_ports();
  // Notes them, and recreates those whose wire is there.
  void recreate_lost_ports();
  // Several times a second.
  void check_cards();
  // `reason`: why, as the end of a sentence.
  Expected<> restart(const std::string& name, const std::string& reason);
  [[nodiscard]] const std::set<std::string>& lost_ports() const { return lost_ports_; }

 private:
  void recreate(const std::string& name);
  void announce(GatewayEventKind event, const std::string& name);

  Services& services_;
  Objects& objects_;
  const RunningConfig& running_;
  Logger log_;
  std::set<std::string> lost_ports_;
  std::chrono::steady_clock::time_point next_recreate_at_{};  // no attempt before, after one that failed
};

}  // namespace wg::control
