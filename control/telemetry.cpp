#include "control/telemetry.h"

#include <rte_telemetry.h>

#include <atomic>
#include <string>

#include "dataplane/dataplane.h"

namespace wg::control {

namespace {

// The callbacks have no argument of their own. Null once the gateway stops: they then answer an empty object.
std::atomic<dataplane::Dataplane*> source{nullptr};
std::atomic<const dataplane::DropCounters*> control_source{nullptr};

int answer_drops(const char*, const char*, rte_tel_data* answer) {
  rte_tel_data_start_dict(answer);
  dataplane::Dataplane* dataplane = source.load();
  const dataplane::DropCounters* control = control_source.load();
  if (dataplane == nullptr || control == nullptr) return 0;
  for (std::size_t i = 0; i < dataplane::kDropReasons; ++i) {
    std::uint64_t total = (*control)[i].get();
    for (const auto& worker : dataplane->workers()) total += worker->counters().drops[i].get();
    rte_tel_data_add_dict_u64(answer, dataplane::kDropNames[i], total);
  }
  return 0;
}

int answer_workers(const char*, const char*, rte_tel_data* answer) {
  rte_tel_data_start_dict(answer);
  dataplane::Dataplane* dataplane = source.load();
  if (dataplane == nullptr) return 0;
  for (const auto& worker : dataplane->workers()) {
    const dataplane::WorkerCounters& counters = worker->counters();
    const std::string prefix = "worker" + std::to_string(worker->id()) + "_";
    const auto add = [&](const char* name, const dataplane::Counter& value) {
      rte_tel_data_add_dict_u64(answer, (prefix + name).c_str(), value.get());
    };
    add("rx_packets", counters.rx_packets);
    add("tx_packets", counters.tx_packets);
    add("opened_packets", counters.opened_packets);
    add("sealed_packets", counters.sealed_packets);
    add("busy_cycles", counters.busy_cycles);
    add("idle_cycles", counters.idle_cycles);
    add("sleeps", counters.sleeps);
    add("to_tun", counters.to_tun);
    add("from_tun", counters.from_tun);
    add("spread_bursts", counters.spread_bursts);
    add("helped_bursts", counters.helped_bursts);
    add("spread_stalls", counters.spread_stalls);
  }
  return 0;
}

}  // namespace

void register_telemetry(dataplane::Dataplane& dataplane, const dataplane::DropCounters& control_drops) {
  control_source = &control_drops;
  source = &dataplane;
  rte_telemetry_register_cmd("/linegate/drops", answer_drops, "Dropped packets by reason. No parameters");
  rte_telemetry_register_cmd("/linegate/workers", answer_workers, "Workers' counters. No parameters");
}

void unregister_telemetry() {
  source = nullptr;
  control_source = nullptr;
}

}  // namespace wg::control
