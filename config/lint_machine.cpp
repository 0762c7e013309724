#include <algorithm>
#include <array>

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
    if (environment.interface_exists(wire) == false)
      refuse("this machine has no network interface " + wire + "; allowed: one that `ip link` shows");
  }
}

// The name of the driver in "net_memif0,role=server": without the number and the arguments.
std::string_view driver_of(const Device& device) {
  const auto name = std::string_view(device.text).substr(0, device.text.find(','));
  return name.substr(0, name.find_last_not_of("0123456789") + 1);
}

// DPDK finds drivers by plug-in, so that one that is missing here may be there: a warning.
void check_drivers(const Gateway& gateway, Problems& problems) {
  static constexpr std::array<std::string_view, 15> kDrivers{
      "net_af_packet", "net_af_xdp", "net_bonding",     "net_failsafe", "net_kni",
      "net_memif",     "net_null",   "net_pcap",        "net_ring",     "net_softnic",
      "net_tap",       "net_tun",    "net_vdev_netvsc", "net_vhost",    "net_virtio_user"};
  for (const auto& [name, port] : gateway.ports) {
    if (port.device.kind != DeviceKind::kVdev) continue;
    const auto driver = driver_of(port.device);
    // Names such as eth_ring0 and net_pcap_wan: what follows the driver's name is free.
    const bool known = std::any_of(kDrivers.begin(), kDrivers.end(),
                                   [&](std::string_view other) { return driver.starts_with(other); });
    if (known || driver.starts_with("eth_")) continue;
    const auto nearest = nearest_name(driver, kDrivers);
    add_warning(gateway, port.where.of("device"), "ports." + name + ".device",
                "DPDK has no driver " + quoted(driver) +
                    (nearest.empty() ? "" : "; did you mean " + quoted(nearest) + "?"),
                problems);
  }
}

// The long arguments of DPDK 22.11 to 24.11. getopt_long(3) takes abbreviations.
void check_eal(const Gateway& gateway, Problems& problems) {
  static constexpr std::array<std::string_view, 42> kArguments{"--allow",
                                                               "--base-virtaddr",
                                                               "--block",
                                                               "--create-uio-dev",
                                                               "--file-prefix",
                                                               "--force-max-simd-bitwidth",
                                                               "--help",
                                                               "--huge-dir",
                                                               "--huge-unlink",
                                                               "--huge-worker-stack",
                                                               "--in-memory",
                                                               "--iova-mode",
                                                               "--lcores",
                                                               "--legacy-mem",
                                                               "--log-color",
                                                               "--log-level",
                                                               "--log-timestamp",
                                                               "--main-lcore",
                                                               "--match-allocations",
                                                               "--mbuf-pool-ops-name",
                                                               "--no-hpet",
                                                               "--no-huge",
                                                               "--no-pci",
                                                               "--no-shconf",
                                                               "--no-telemetry",
                                                               "--proc-type",
                                                               "--service-corelist",
                                                               "--service-coremask",
                                                               "--single-file-segments",
                                                               "--socket-limit",
                                                               "--socket-mem",
                                                               "--syslog",
                                                               "--telemetry",
                                                               "--trace",
                                                               "--trace-bufsz",
                                                               "--trace-dir",
                                                               "--trace-mode",
                                                               "--vdev",
                                                               "--version",
                                                               "--vfio-intr",
                                                               "--vfio-vf-token",
                                                               "--vmware-tsc-map"};
  for (const auto& argument : gateway.dpdk.eal) {
    const auto word = std::string_view(argument).substr(0, argument.find_first_of("= "));
    if (!word.starts_with("--")) continue;
    if (std::any_of(kArguments.begin(), kArguments.end(),
                    [&](std::string_view known) { return known.starts_with(word); }))
      continue;
    const auto nearest = nearest_name(word, kArguments);
    add_warning(gateway, gateway.dpdk.where.of("eal"), "dpdk.eal",
                "DPDK has no argument " + quoted(word) +
                    (nearest.empty() ? "" : "; did you mean " + quoted(nearest) + "?"),
                problems);
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
  check_drivers(gateway, problems);
  check_eal(gateway, problems);
  check_names(gateway, environment, problems);
}

}  // namespace wg::config
