#include "control/telemetry.h"

#include <rte_telemetry.h>

#include <atomic>
#include <charconv>
#include <string>
#include <string_view>

#include "dataplane/dataplane.h"

namespace wg::control {

namespace {

using dataplane::kWorkerCounterFacts;
using dataplane::kWorkerCounters;

// The callbacks have no argument of their own. Null once the gateway stops: they then answer an empty object.
std::atomic<const TelemetrySources*> source{nullptr};

void add(rte_tel_data* answer, const std::string& name, std::uint64_t value) {
  rte_tel_data_add_dict_u64(answer, name.c_str(), value);
}

int answer_drops(const char*, const char*, rte_tel_data* answer) {
  rte_tel_data_start_dict(answer);
  const TelemetrySources* sources = source.load();
  if (sources == nullptr) return 0;
  for (std::size_t i = 0; i < dataplane::kDropReasons; ++i) {
    std::uint64_t total = sources->drops[i].get();
    for (const auto& worker : sources->dataplane.workers()) total += worker->counters().drops[i].get();
    add(answer, dataplane::kDropNames[i], total);
  }
  return 0;
}

int answer_workers(const char*, const char*, rte_tel_data* answer) {
  rte_tel_data_start_dict(answer);
  const TelemetrySources* sources = source.load();
  if (sources == nullptr) return 0;
  for (const auto& worker : sources->dataplane.workers()) {
    const dataplane::CounterValues values = values_of(worker->counters());
    const std::string prefix = "worker" + std::to_string(worker->id()) + "_";
    for (std::size_t i = 0; i < kWorkerCounters; ++i)
      if (kWorkerCounterFacts[i].shown == dataplane::Shown::kOverview)
        add(answer, prefix + kWorkerCounterFacts[i].name, values[i]);
  }
  return 0;
}

// Every counter of one worker, its stages with them.
int answer_worker(const char*, const char* parameters, rte_tel_data* answer) {
  rte_tel_data_start_dict(answer);
  const TelemetrySources* sources = source.load();
  if (sources == nullptr) return 0;
  const std::string_view text = parameters == nullptr ? "" : parameters;
  std::size_t index = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), index).ec != std::errc{}) return -1;
  if (index >= sources->dataplane.workers().size()) return -1;
  const dataplane::WorkerCounters& counters = sources->dataplane.workers()[index]->counters();
  const dataplane::CounterValues values = values_of(counters);
  for (std::size_t i = 0; i < kWorkerCounters; ++i) add(answer, kWorkerCounterFacts[i].name, values[i]);
  for (std::size_t i = 0; i < dataplane::kStages; ++i) {
    const std::string stage = std::string("stage_") + dataplane::kStageNames[i];
    add(answer, stage + "_cycles", counters.stage_cycles[i].get());
    add(answer, stage + "_packets", counters.stage_packets[i].get());
  }
  return 0;
}

int answer_control(const char*, const char*, rte_tel_data* answer) {
  rte_tel_data_start_dict(answer);
  const TelemetrySources* sources = source.load();
  if (sources == nullptr) return 0;
  const ControlCounterValues values = values_of(sources->counters);
  for (std::size_t i = 0; i < kControlCounters; ++i) add(answer, kControlCounterFacts[i].name, values[i]);
  for (std::size_t i = 0; i < noise::kOutcomes; ++i)
    add(answer, std::string("handshake_") + noise::kOutcomeWords[i].name, sources->handshakes[i].get());
  return 0;
}

}  // namespace

void register_telemetry(const TelemetrySources& sources) {
  source = &sources;
  rte_telemetry_register_cmd("/linegate/drops", answer_drops, "Dropped packets by reason. No parameters");
  rte_telemetry_register_cmd("/linegate/workers", answer_workers,
                             "Main counters of all workers. No parameters");
  rte_telemetry_register_cmd("/linegate/worker", answer_worker,
                             "Every counter of one worker. Parameters: int worker");
  rte_telemetry_register_cmd("/linegate/control", answer_control,
                             "The control thread's counters. No parameters");
}

void unregister_telemetry() {
  source = nullptr;
}

}  // namespace wg::control
