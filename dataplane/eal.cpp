#include "dataplane/eal.h"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "dataplane/pci_driver.h"

namespace wg::dataplane {

namespace {

std::size_t free_hugepages_mb() {
  std::ifstream pages("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  std::size_t n = 0;
  pages >> n;
  return n * 2;
}

// lcore 0 is the control thread, lcores 1..n the workers, each pinned; several lcores may share a CPU. On the
// control thread's CPUs also run the threads it starts and DPDK's own: none of them takes a worker's CPU for
// the milliseconds that a scheduler gives it.
std::string lcore_map(const EalOptions& options, const std::vector<unsigned>& cpus) {
  const std::vector<unsigned> control = control_cpus(cpus, options.worker_cores);
  std::ostringstream map;
  map << "0@(";
  for (std::size_t i = 0; i < control.size(); ++i) map << (i ? "," : "") << control[i];
  map << ")";
  for (std::size_t i = 0; i < options.worker_cores.size(); ++i)
    map << "," << i + 1 << "@" << options.worker_cores[i];
  return map.str();
}

void check_cores(const EalOptions& options, const std::vector<unsigned>& cpus) {
  for (const unsigned core : options.worker_cores) {
    if (std::find(cpus.begin(), cpus.end(), core) != cpus.end()) continue;
    std::ostringstream text;
    text << "dpdk.workers: CPU " << core << " is not available to this process; available are";
    for (const unsigned cpu : cpus) text << " " << cpu;
    throw std::runtime_error(text.str());
  }
}

std::vector<std::string> eal_arguments(const EalOptions& options, EalFacts& facts) {
  const std::vector<unsigned> cpus = usable_cpus();
  check_cores(options, cpus);
  std::vector<std::string> arguments{"linegate", "--lcores",       lcore_map(options, cpus), "--main-lcore",
                                     "0",        "--iova-mode=va", "--file-prefix=linegate"};
  const std::size_t huge = free_hugepages_mb();
  facts.hugepages = options.hugepages != Hugepages::kOff && huge >= options.memory_mb;
  if (options.hugepages == Hugepages::kRequire && !facts.hugepages) {
    throw std::runtime_error("dpdk.hugepages is 'require' but only " + std::to_string(huge) +
                             " MB of 2 MB pages are free, " + std::to_string(options.memory_mb) +
                             " MB are wanted; run scripts/setup-hugepages.sh " +
                             std::to_string(options.memory_mb));
  }
  if (facts.hugepages) {
    arguments.insert(arguments.end(), {"--in-memory", "--single-file-segments"});
  } else {
    arguments.insert(arguments.end(), {"--no-huge", "--no-shconf"});
    if (options.hugepages == Hugepages::kAutomatic) {
      facts.warnings.push_back(
          "only " + std::to_string(huge) + " MB of 2 MB hugepages are free (" +
          std::to_string(options.memory_mb) +
          " MB wanted): using ordinary memory, which costs speed; scripts/setup-hugepages.sh reserves them");
    }
  }
  arguments.insert(arguments.end(), {"-m", std::to_string(options.memory_mb)});
  if (options.pci_allow.empty()) arguments.push_back("--no-pci");
  for (const std::string& pci : options.pci_allow) {
    check_bound(pci);
    arguments.insert(arguments.end(), {"-a", pci});
  }
  if (!options.verbose) arguments.push_back("--log-level=lib.*:error");
  arguments.insert(arguments.end(), options.extra_arguments.begin(), options.extra_arguments.end());
  return arguments;
}

}  // namespace

std::vector<unsigned> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof set, &set);
  std::vector<unsigned> cpus;
  for (unsigned i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cpus.push_back(i);
  }
  return cpus;
}

std::vector<unsigned> control_cpus(const std::vector<unsigned>& usable,
                                   const std::vector<unsigned>& workers) {
  std::vector<unsigned> others;
  std::copy_if(usable.begin(), usable.end(), std::back_inserter(others), [&workers](unsigned cpu) {
    return std::find(workers.begin(), workers.end(), cpu) == workers.end();
  });
  return others.empty() ? usable : others;
}

EalFacts start_eal(const EalOptions& options) {
  EalFacts facts;
  std::vector<std::string> arguments = eal_arguments(options, facts);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  if (!options.verbose) rte_log_set_global_level(RTE_LOG_ERR);
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0) {
    std::ostringstream text;
    text << "DPDK's EAL did not start: " << rte_strerror(rte_errno) << " (arguments:";
    for (const std::string& argument : arguments) text << " " << argument;
    text << ")";
    throw std::runtime_error(text.str());
  }
  unsigned lcore;
  RTE_LCORE_FOREACH_WORKER(lcore) {
    facts.worker_lcores.push_back(lcore);
  }
  const std::vector<unsigned> control = usable_cpus();  // by now
  facts.workers_alone = std::none_of(control.begin(), control.end(), [&options](unsigned cpu) {
    return std::find(options.worker_cores.begin(), options.worker_cores.end(), cpu) !=
           options.worker_cores.end();
  });
  return facts;
}

rte_mempool* create_packet_pool(const std::string& name, unsigned buffers, unsigned data_bytes) {
  unsigned room = RTE_PKTMBUF_HEADROOM + data_bytes;
  room = (room + 63) / 64 * 64;
  // Stride = object header + mbuf + room, rounded to cache lines by DPDK.
  const auto stride = [](unsigned bytes) {
    rte_mempool_objsz size;
    return rte_mempool_calc_obj_size(static_cast<std::uint32_t>(sizeof(rte_mbuf) + bytes), 0, &size);
  };
  while (stride(room) % 4096 == 0) room += 64;
  if (room > UINT16_MAX)
    throw std::runtime_error("packet buffers of " + std::to_string(room) + " bytes are too large");
  rte_mempool* pool = rte_pktmbuf_pool_create(name.c_str(), buffers, 256, 0, static_cast<std::uint16_t>(room),
                                              static_cast<int>(rte_socket_id()));
  if (pool == nullptr) {
    throw std::runtime_error("packet pool of " + std::to_string(buffers) + " buffers of " +
                             std::to_string(room) + " bytes: " + rte_strerror(rte_errno) +
                             "; raise dpdk.memory");
  }
  return pool;
}

}  // namespace wg::dataplane
