// metric_families(): the snapshot in Prometheus' words. docs/metrics.md lists the same names.
#include <prometheus/metric_family.h>

#include <string>
#include <utility>

#include "control/api/metrics.h"

namespace wg::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Families {
 public:
  MetricFamily& counter(std::string name, std::string help) {
    return add(std::move(name), std::move(help), MetricType::Counter);
  }
  MetricFamily& gauge(std::string name, std::string help) {
    return add(std::move(name), std::move(help), MetricType::Gauge);
  }
  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  MetricFamily& add(std::string name, std::string help, MetricType type) {
    MetricFamily& family = families_.emplace_back();
    family.name = std::move(name);
    family.help = std::move(help);
    family.type = type;
    return family;
  }
  std::vector<MetricFamily> families_;
};

void sample(MetricFamily& family, Labels labels, double value) {
  ClientMetric& metric = family.metric.emplace_back();
  metric.label = std::move(labels);
  (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
}

void sample(MetricFamily& family, Labels labels, std::uint64_t value) {
  sample(family, std::move(labels), static_cast<double>(value));
}

// A label `quantile` is that of summaries, which have a count and a sum; these have none.
void percentiles(MetricFamily& family, const Labels& labels, const std::optional<Latency>& latency) {
  if (!latency) return;
  const std::pair<const char*, double> all[] = {
      {"50", latency->p50_us}, {"90", latency->p90_us}, {"99", latency->p99_us}, {"99.9", latency->p999_us}};
  for (const auto& [percentile, us] : all) {
    Labels with = labels;
    with.push_back({"percentile", percentile});
    sample(family, std::move(with), us / 1e6);
  }
}

std::string sentence(const char* text) {
  return std::string(text) + ".";
}

double seconds_of(const std::optional<WallTime>& at) {
  return at ? std::chrono::duration<double>(at->time_since_epoch()).count() : 0;
}

// One family over a list: each element gives its labels and its value.
template <typename List, typename LabelsOf, typename ValueOf>
void over(MetricFamily& family, const List& list, LabelsOf labels_of, ValueOf value_of) {
  family.metric.reserve(list.size());
  for (const auto& element : list) sample(family, labels_of(element), value_of(element));
}

void gateway_families(const GatewayStatus& gateway, Families& out) {
  sample(out.gauge("linegate_info", "Always 1; the labels name the build."),
         {{"version", gateway.version}, {"dpdk", gateway.dpdk_version}, {"aead", gateway.aead}}, 1.0);
  sample(out.gauge("linegate_start_time_seconds", "When this process started, seconds since 1970."), {},
         seconds_of(gateway.started));
  sample(
      out.gauge("linegate_config_generation", "The configuration's number: changes applied since the start."),
      {}, gateway.config_generation);
  sample(out.gauge("linegate_config_last_reload_seconds", "When a reload was last tried; 0: never."), {},
         seconds_of(gateway.last_reload));
  sample(out.gauge("linegate_drift", "Settings of Linux that differ from the file, see `linegate show`."), {},
         gateway.drift.size());
  sample(out.gauge("linegate_warnings", "Conditions an operator should know, see `linegate show`."), {},
         gateway.warnings.size());
  sample(out.gauge("linegate_control_longest_round_seconds",
                   "The longest round of the control thread since the start."),
         {}, gateway.longest_round_us / 1e6);
  percentiles(out.gauge("linegate_control_round_seconds", "Rounds of the control thread, by percentile."), {},
              gateway.round);
  for (std::size_t i = 0; i < kControlCounters; ++i) {
    const auto& facts = kControlCounterFacts[i];
    sample(out.counter("linegate_" + std::string(facts.name) + "_total", sentence(facts.text)), {},
           gateway.counters[i]);
  }
}

void interface_families(const std::vector<InterfaceStatus>& list, Families& out) {
  const auto labels = [](const InterfaceStatus& s) { return Labels{{"interface", s.name}}; };
  const auto each = [&](MetricFamily& family, auto value) { over(family, list, labels, value); };
  using S = const InterfaceStatus&;
  each(out.gauge("linegate_interface_up", "1 when administratively up."),
       [](S s) { return s.up ? 1.0 : 0.0; });
  each(out.gauge("linegate_interface_under_load", "1 while cookies are demanded."),
       [](S s) { return s.under_load ? 1.0 : 0.0; });
  each(out.gauge("linegate_interface_peers", "Configured peers."), [](S s) { return s.peers; });
  each(out.gauge("linegate_interface_peers_connected", "Peers with a usable session."),
       [](S s) { return s.peers_active; });
  each(out.counter("linegate_interface_receive_bytes_total", "Bytes from peers."),
       [](S s) { return s.rx_bytes; });
  each(out.counter("linegate_interface_transmit_bytes_total", "Bytes to peers."),
       [](S s) { return s.tx_bytes; });
  each(out.counter("linegate_interface_receive_packets_total", "Packets from peers."),
       [](S s) { return s.rx_packets; });
  each(out.counter("linegate_interface_transmit_packets_total", "Packets to peers."),
       [](S s) { return s.tx_packets; });
  auto& handshakes =
      out.counter("linegate_handshake_messages_total", "Handshake messages by what became of them.");
  for (const auto& interface : list)
    for (const auto& [outcome, count] : interface.handshakes)
      sample(handshakes, {{"interface", interface.name}, {"outcome", outcome}}, count);
}

std::string label_of(const PeerStatus& peer) {
  return peer.name.empty() ? config::to_string(peer.public_key) : peer.name;
}

Labels peer_labels(const PeerStatus& peer) {
  return {{"interface", peer.interface}, {"peer", label_of(peer)}};
}

void peer_families(const std::vector<PeerStatus>& list, Families& out) {
  const auto each = [&](MetricFamily& family, auto value) { over(family, list, peer_labels, value); };
  using S = const PeerStatus&;
  auto& info = out.gauge("linegate_peer_info", "Always 1; the labels carry key and current endpoint.");
  for (const auto& peer : list) {
    Labels labels = peer_labels(peer);
    labels.push_back({"public_key", config::to_string(peer.public_key)});
    labels.push_back({"endpoint", peer.endpoint ? config::to_string(*peer.endpoint) : ""});
    sample(info, std::move(labels), 1.0);
  }
  each(out.gauge("linegate_peer_connected", "1 when the peer has a usable session."),
       [](S s) { return s.active() ? 1.0 : 0.0; });
  each(out.gauge("linegate_peer_last_handshake_seconds", "Last handshake, seconds since 1970; 0: never."),
       [](S s) { return seconds_of(s.last_handshake); });
  each(out.counter("linegate_peer_receive_bytes_total", "Bytes from the peer."),
       [](S s) { return s.rx_bytes; });
  each(out.counter("linegate_peer_transmit_bytes_total", "Bytes to the peer."),
       [](S s) { return s.tx_bytes; });
  each(out.counter("linegate_peer_receive_packets_total", "Packets from the peer."),
       [](S s) { return s.rx_packets; });
  each(out.counter("linegate_peer_transmit_packets_total", "Packets to the peer."),
       [](S s) { return s.tx_packets; });
  each(out.counter("linegate_peer_lost_packets_total", "Estimate from gaps in received counters."),
       [](S s) { return s.lost_estimate; });
  each(out.counter("linegate_peer_reordered_packets_total", "Packets that filled a gap late."),
       [](S s) { return s.reordered_estimate; });
  auto& drops =
      out.counter("linegate_peer_drops_total", "Packets of the peer dropped, by reason; zeros left out.");
  for (const auto& peer : list)
    for (const auto& drop : peer.drops) {
      Labels labels = peer_labels(peer);
      labels.push_back({"reason", drop.name});
      sample(drops, std::move(labels), drop.count);
    }
}

void port_families(const std::vector<PortStatus>& list, Families& out) {
  const auto labels = [](const PortStatus& s) { return Labels{{"port", s.name}}; };
  const auto each = [&](MetricFamily& family, auto value) { over(family, list, labels, value); };
  using S = const PortStatus&;
  each(out.gauge("linegate_port_link_up", "1 when the link is up."),
       [](S s) { return s.link_up ? 1.0 : 0.0; });
  each(out.counter("linegate_port_receive_packets_total", "Packets received."),
       [](S s) { return s.rx_packets; });
  each(out.counter("linegate_port_receive_bytes_total", "Bytes received."), [](S s) { return s.rx_bytes; });
  each(out.counter("linegate_port_transmit_packets_total", "Packets sent."),
       [](S s) { return s.tx_packets; });
  each(out.counter("linegate_port_transmit_bytes_total", "Bytes sent."), [](S s) { return s.tx_bytes; });
  each(out.counter("linegate_port_receive_missed_total",
                   "Dropped by the device because it had no free buffer."),
       [](S s) { return s.rx_missed; });
  each(out.counter("linegate_port_receive_errors_total", "Damaged on reception."),
       [](S s) { return s.rx_errors; });
  each(out.counter("linegate_port_receive_no_mbuf_total", "Times the packet buffer pool was empty."),
       [](S s) { return s.rx_no_mbuf; });
  each(out.counter("linegate_port_transmit_errors_total", "Refused by the device."),
       [](S s) { return s.tx_errors; });
}

std::string number(unsigned value) {
  return std::to_string(value);
}

void worker_families(const std::vector<WorkerStatus>& list, Families& out) {
  const auto labels = [](const WorkerStatus& s) {
    return Labels{{"worker", number(s.index)}, {"lcore", number(s.lcore)}};
  };
  const auto each = [&](MetricFamily& family, auto value) { over(family, list, labels, value); };
  using S = const WorkerStatus&;
  each(out.gauge("linegate_worker_busy_share", "Share of the last second spent on packets, 0 to 1."),
       [](S s) { return s.busy_share; });
  each(out.gauge("linegate_worker_sleep_share", "Share of the last second asleep, 0 to 1."),
       [](S s) { return s.sleep_share; });
  each(out.counter("linegate_worker_packets_total", "Packets taken in."), [](S s) { return s.packets; });
  for (std::size_t i = 0; i < dataplane::kWorkerCounters; ++i) {
    const auto& facts = dataplane::kWorkerCounterFacts[i];
    each(out.counter("linegate_worker_" + std::string(facts.name) + "_total", sentence(facts.text)),
         [i](S s) { return s.counters[i]; });
  }
  auto& stages = out.gauge("linegate_worker_stage_cycles", "Clocks per packet, by stage.");
  auto& depths = out.gauge("linegate_worker_queue_depth", "Entries waiting, by queue.");
  auto& latencies = out.gauge("linegate_worker_latency_seconds", "Burst in to burst out, by percentile.");
  for (const auto& worker : list) {
    const auto id = number(worker.index);
    for (const auto& s : worker.stages)
      sample(stages, {{"worker", id}, {"stage", s.stage}}, s.cycles_per_packet);
    for (const auto& q : worker.queues) sample(depths, {{"worker", id}, {"queue", q.queue}}, q.depth);
    percentiles(latencies, {{"worker", id}}, worker.latency);
  }
}

}  // namespace

std::vector<MetricFamily> metric_families(const MetricsSnapshot& snapshot) {
  Families out;
  gateway_families(snapshot.gateway, out);
  interface_families(snapshot.interfaces, out);
  if (!snapshot.peers.empty()) peer_families(snapshot.peers, out);
  port_families(snapshot.ports, out);
  worker_families(snapshot.workers, out);
  over(
      out.counter("linegate_drops_total", "Packets dropped, by reason."), snapshot.drops,
      [](const DropStatus& drop) {
        return Labels{{"reason", drop.name}};
      },
      [](const DropStatus& drop) { return drop.count; });
  return out.take();
}

}  // namespace wg::control
