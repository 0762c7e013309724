#include "control/api/health.h"

namespace wg::control {

std::vector<std::string> what_is_missing(const StatusSource& status) {
  std::vector<std::string> missing;
  for (const PortStatus& port : status.ports())
    if (!port.link_up) missing.push_back("port " + port.name + " is down");
  for (const InterfaceStatus& interface : status.interfaces()) {
    if (interface.ifindex == 0) missing.push_back("interface " + interface.name + " does not exist in Linux");
    if (interface.public_key.empty())
      missing.push_back("interface " + interface.name + " has no private key");
  }
  return missing;
}

}  // namespace wg::control
