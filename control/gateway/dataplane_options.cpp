#include "control/gateway/dataplane_options.h"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/sandbox.h"
#include "dataplane/eal.h"

namespace wg::control {

namespace {

// Worker cores: those named, or the last `count` usable ones; fewer cores than workers share the last.
std::vector<unsigned> worker_cores(const config::Workers& workers) {
  if (!workers.lcores.empty()) return workers.lcores;
  const std::vector<unsigned> cpus = dataplane::usable_cpus();
  if (workers.count > cpus.size()) {
    throw std::runtime_error("dpdk.workers: " + std::to_string(workers.count) +
                             " workers are asked for, but only " + std::to_string(cpus.size()) +
                             " cores are available; name cores twice to share them");
  }
  return {cpus.end() - workers.count, cpus.end()};
}

}  // namespace

dataplane::DataplaneOptions dataplane_options(const config::Gateway& value) {
  dataplane::DataplaneOptions options;
  options.eal.worker_cores = worker_cores(value.dpdk.workers);
  options.eal.memory_mb = value.dpdk.memory.bytes >> 20;
  options.eal.hugepages = value.dpdk.hugepages == config::Hugepages::kAuto ? dataplane::Hugepages::kAutomatic
                          : value.dpdk.hugepages == config::Hugepages::kRequire
                              ? dataplane::Hugepages::kRequire
                              : dataplane::Hugepages::kOff;
  options.eal.extra_arguments = value.dpdk.eal;
  options.worker.spread = value.dpdk.spread;
  options.worker.adaptive_idle = value.dpdk.idle.mode == config::IdleMode::kAdaptive;
  // A filter that the kernel refuses is reported for the whole process (daemon.cpp).
  if (value.control.sandbox) options.worker.on_start = [] { static_cast<void>(confine_worker()); };
  options.worker.max_sleep = value.dpdk.idle.max_sleep;
  unsigned frame = 2048;
  for (const auto& [name, port] : value.ports) {
    if (port.device.kind == config::DeviceKind::kPci) options.eal.pci_allow.push_back(port.device.text);
    frame = std::max(frame, unsigned{port.mtu} + 128);
  }
  options.packet_bytes = frame;
  return options;
}

}  // namespace wg::control
