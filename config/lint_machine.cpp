#include <algorithm>

#include "config/lint_parts.h"
#include "config/paths.h"
#include "config/scalars.h"

namespace wg::config {
namespace {

void check_clock(const Environment& environment, Problems& problems) {
  if (!environment.clock_synchronised || environment.clock_synchronised() != false) return;
  problems.push_back(
      {{},
       {},
       {},
       "the clock is not synchronised: peers refuse initiations whose timestamp is older than the "
       "last one, so a clock that jumps back locks this gateway out; run an NTP client",
       Severity::kNote});
}

// The gateway would not start.
void add_error(const Gateway& gateway, const Position& at, std::string path, std::string message,
               Problems& problems) {
  add_warning(gateway, at, std::move(path), std::move(message), problems);
  problems.back().severity = Severity::kError;
}

std::string numbers(const std::vector<unsigned>& cpus) {
  std::string text;
  for (const unsigned cpu : cpus) text += (text.empty() ? "" : " ") + std::to_string(cpu);
  return text;
}

void check_cores(const Gateway& gateway, const Environment& environment, Problems& problems) {
  const auto cpus = environment.cpus ? environment.cpus() : std::nullopt;
  if (!cpus) return;
  const Workers& workers = gateway.dpdk.workers;
  const auto refuse = [&](const std::string& message) {
    add_error(gateway, gateway.dpdk.where.of("workers"), "dpdk.workers", message, problems);
  };
  if (workers.lcores.empty() && workers.count > cpus->size())
    refuse(std::to_string(workers.count) + " workers are asked for, but this process may use " +
           std::to_string(cpus->size()) + " core" + (cpus->size() == 1 ? "" : "s") + ": " + numbers(*cpus));
  for (const unsigned lcore : workers.lcores)
    if (std::find(cpus->begin(), cpus->end(), lcore) == cpus->end())
      refuse("core " + std::to_string(lcore) + " is not one that this process may use: " + numbers(*cpus));
}

// The value of `iface=` in a vdev string; empty: none.
std::string wire_of(const Device& device) {
  const std::string key = ",iface=";
  const auto at = device.text.find(key);
  if (at == std::string::npos) return {};
  const auto begin = at + key.size();
  return device.text.substr(begin, device.text.find(',', begin) - begin);
}

void check_wires(const Gateway& gateway, const Environment& environment, Problems& problems) {
  for (const auto& [name, port] : gateway.ports) {
    const Position at = port.where.of("device");
    const auto refuse = [&, path = "ports." + name + ".device"](const std::string& message) {
      add_error(gateway, at, path, message, problems);
    };
    const std::string wire = wire_of(port.device);
    if (port.device.kind == DeviceKind::kVdev && port.device.text.starts_with("net_af_packet") &&
        wire.empty())
      refuse("net_af_packet needs the interface that it takes packets from: net_af_packet0,iface=eth1");
    if (wire.empty() || !environment.interface_exists) continue;
    if (environment.interface_exists(wire) == false) refuse("this machine has no network interface " + wire);
  }
}

void check_names(const Gateway& gateway, const Environment& environment, Problems& problems) {
  const Control& control = gateway.control;
  const auto check = [&](const char* key, const std::string& name, const char* what, const auto& exists) {
    if (name.empty() || !exists || exists(name) != false) return;
    add_error(gateway, control.where.of(key), std::string("control.") + key,
              "this machine has no " + std::string(what) + " " + quoted(name), problems);
  };
  check("admin_group", control.admin_group, "group", environment.has_group);
  check("read_group", control.read_group, "group", environment.has_group);
  check("user", control.user, "user", environment.has_user);
}

}  // namespace

void add_warning(const Gateway& gateway, const Position& at, std::string path, std::string message,
                 Problems& problems) {
  std::string file = file_of(gateway, at);
  if (file.empty() && !gateway.sources.files.empty()) file = gateway.sources.files.front();
  problems.push_back({std::move(file), at, std::move(path), std::move(message), Severity::kWarning});
}

void lint_machine(const Gateway& gateway, const Environment& environment, Problems& problems) {
  check_clock(environment, problems);
  check_cores(gateway, environment, problems);
  check_wires(gateway, environment, problems);
  check_names(gateway, environment, problems);
}

}  // namespace wg::config
