#include "control/gateway/bound_interfaces.h"

namespace wg::control {

void keep_bound_interfaces(const config::Gateway& running, config::Gateway& next) {
  remove_bound_interfaces(next);
  for (const auto& [name, interface] : running.interfaces)
    if (interface.bound_to != 0) next.interfaces.try_emplace(name, interface);
}

bool remove_bound_interfaces(config::Gateway& value) {
  return std::erase_if(value.interfaces, [](const auto& entry) { return entry.second.bound_to != 0; }) != 0;
}

bool remove_interfaces_bound_to(std::uint64_t connection, config::Gateway& value) {
  return std::erase_if(value.interfaces,
                       [=](const auto& entry) { return entry.second.bound_to == connection; }) != 0;
}

std::string holder_of_id(const config::Gateway& value, const std::string& id) {
  if (id.empty()) return {};
  for (const auto& [name, interface] : value.interfaces)
    if (interface.id == id) return name;
  return {};
}

}  // namespace wg::control
