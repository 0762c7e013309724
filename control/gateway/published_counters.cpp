#include "control/gateway/published_counters.h"

#include "control/log.h"
#include "control/log_limit.h"

namespace wg::control {

void collect(const Services& services, ControlCounters& counters) {
  copy_counters(services.counters, counters);
  counters.log_lines_dropped.set(log_lines_dropped());
  counters.log_lines_limited.set(log_lines_limited());
  counters.rounds.set(services.rounds.rounds());
  counters.slow_rounds.set(services.rounds.slow());
  counters.netlink_resyncs.set(services.mirror.resyncs());
}

DropCounts drop_counts(const Services& services) {
  DropCounts counts{};
  for (std::size_t reason = 0; reason < counts.size(); ++reason) {
    counts[reason] = services.drops[reason].get();
    for (const auto& worker : services.dataplane.workers())
      counts[reason] += worker->counters().drops[reason].get();
  }
  return counts;
}

PublishedCounters::PublishedCounters(Services& services, const Objects& objects)
    : services_(services),
      objects_(objects),
      sources_{services.dataplane, services.drops, counters_, handshakes_} {}

void PublishedCounters::publish() {
  collect(services_, counters_);
  drop_times_.note(drop_counts(services_), BootClock::now());
  for (std::size_t i = 0; i < noise::kOutcomes; ++i) {
    std::uint64_t sum = 0;
    for (const auto& [name, interface] : objects_.interfaces())
      sum += interface->engine().counters().of(static_cast<noise::Outcome>(i));
    handshakes_[i].set(sum);
  }
}

}  // namespace wg::control
