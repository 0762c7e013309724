#include "tests/worker_world/environment.h"

#include <pthread.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_log.h>
#include <rte_ring.h>

#include <stdexcept>
#include <vector>

#include "dataplane/eal.h"

namespace wg::test {

namespace {
// The one lcore may run wherever this process may: "0@(0,1)".
std::string lcores() {
  std::string list = "0@(";
  for (const unsigned cpu : dataplane::usable_cpus()) list.append(std::to_string(cpu)).append(",");
  list.back() = ')';
  return list;
}
}  // namespace

void start_environment(unsigned memory_mb, Pages pages) {
  static bool started = false;
  if (started) return;
  std::vector<std::string> arguments{"linegate-test",
                                     "--no-pci",
                                     "--no-telemetry",
                                     "--iova-mode=va",
                                     pages == Pages::huge ? "--in-memory" : "--no-huge",
                                     pages == Pages::huge ? "--single-file-segments" : "--no-shconf",
                                     "-m",
                                     std::to_string(memory_mb),
                                     "--lcores",
                                     lcores()};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  rte_log_set_global_level(RTE_LOG_ERR);
  if (rte_eal_init(static_cast<int>(argv.size()), argv.data()) < 0)
    throw std::runtime_error(std::string("EAL: ") + rte_strerror(rte_errno));
  started = true;
}

RingPort make_ring_port(const std::string& name, unsigned size, rte_mempool* pool, std::uint16_t workers) {
  RingPort out;
  out.arriving = rte_ring_create((name + "_rx").c_str(), size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  out.leaving = rte_ring_create((name + "_tx").c_str(), size, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
  if (out.arriving == nullptr || out.leaving == nullptr) throw std::runtime_error("rings: out of memory");
  const int id = rte_eth_from_rings(name.c_str(), &out.arriving, 1, &out.leaving, 1, 0);
  if (id < 0) throw std::runtime_error("net_ring port " + name);
  const auto ethdev = static_cast<std::uint16_t>(id);
  const rte_eth_conf conf{};
  if (rte_eth_dev_configure(ethdev, 1, 1, &conf) != 0 ||
      rte_eth_rx_queue_setup(ethdev, 0, 1024, 0, nullptr, pool) != 0 ||
      rte_eth_tx_queue_setup(ethdev, 0, 1024, 0, nullptr) != 0 || rte_eth_dev_start(ethdev) != 0) {
    throw std::runtime_error("net_ring port " + name + ": configuration");
  }
  dataplane::PortOptions options;
  options.name = name;
  options.device = "net_ring";
  options.workers = workers;
  out.port = std::make_unique<dataplane::Port>(options, ethdev);
  return out;
}

void run_on_any_core() {
  cpu_set_t all;
  CPU_ZERO(&all);
  for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_CONF); ++cpu) CPU_SET(static_cast<std::size_t>(cpu), &all);
  pthread_setaffinity_np(pthread_self(), sizeof all, &all);
}

}  // namespace wg::test
