// Starting DPDK's environment (EAL): hugepages or ordinary memory, which lcores poll, which devices exist.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

struct rte_mempool;

namespace wg::dataplane {

enum class Hugepages { kAutomatic, kRequire, kOff };

struct EalOptions {
  std::vector<unsigned> worker_cores;  // CPU each worker runs on; see control_cpus()
  std::size_t memory_mb = 512;
  Hugepages hugepages = Hugepages::kAutomatic;
  std::vector<std::string> pci_allow;  // PCI addresses of the ports; empty: no PCI scan at all
  std::vector<std::string> extra_arguments;
  bool verbose = false;  // DPDK's own log lines on stderr
};

struct EalFacts {
  bool hugepages = false;
  bool workers_alone = false;           // no worker's CPU is also the control thread's
  std::vector<std::string> warnings;    // e.g. no hugepages, ordinary memory used instead
  std::vector<unsigned> worker_lcores;  // lcore ids to launch workers on
};

// Once per process. Throws std::runtime_error saying what is missing and how to get it: no hugepages with
// `require`, fewer cores than asked for, a device not bound to vfio-pci, EAL's own error.
EalFacts start_eal(const EalOptions& options);

// CPUs this process may run on.
std::vector<unsigned> usable_cpus();

// Those of them where the control thread and all others but the workers may run: those without a worker, or
// all when each has one.
std::vector<unsigned> control_cpus(const std::vector<unsigned>& usable, const std::vector<unsigned>& workers);

// The packet buffer pool. Element stride is never a multiple of 4096 (cache-set conflicts cost 20 %).
// Throws when memory does not suffice, naming how much was asked for.
rte_mempool* create_packet_pool(const std::string& name, unsigned buffers, unsigned data_bytes);

}  // namespace wg::dataplane
