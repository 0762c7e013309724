#include "control/api/json.h"

#include "control/api/drop_advice.h"
#include "dataplane/ring/layout.h"

namespace wg::control {
namespace {

// Seconds since 1970 with milliseconds; null: never.
Json time_of(const std::optional<WallTime>& at) {
  using namespace std::chrono;
  if (!at) return nullptr;
  return static_cast<double>(duration_cast<milliseconds>(at->time_since_epoch()).count()) / 1000;
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Json counts_of(const std::vector<NamedCount>& counts) {
  Json object = Json::object();
  for (const auto& [name, count] : counts) object[name] = count;
  return object;
}

// Each counter of a list under its own name.
template <typename Facts, typename Values>
void add_counters(Json& object, const Facts& facts, const Values& values) {
  for (std::size_t i = 0; i < values.size(); ++i) object[facts[i].name] = values[i];
}

Json json_of(const std::optional<Latency>& latency) {
  if (!latency) return nullptr;
  return {{"p50_us", latency->p50_us},
          {"p90_us", latency->p90_us},
          {"p99_us", latency->p99_us},
          {"p999_us", latency->p999_us}};
}

Json json_of(const std::optional<ProgramStatus>& program) {
  if (!program) return nullptr;
  return {{"pid", program->pid},       {"queues", program->queues},     {"slots", program->slots},
          {"routed", program->routed}, {"offloads", program->offloads}, {"join_udp", program->join_udp}};
}

}  // namespace

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json to_json(const GatewayStatus& status) {
  Json object = {{"version", status.version},
                 {"dpdk_version", status.dpdk_version},
                 {"aead", status.aead},
                 {"pid", status.pid},
                 {"started", time_of(status.started)},
                 {"config_path", status.config_path},
                 {"config_generation", status.config_generation},
                 {"last_reload", time_of(status.last_reload)},
                 {"last_reload_result", text_or_null(status.last_reload_result)},
                 {"drift", status.drift},
                 {"warnings", status.warnings},
                 {"interfaces", status.interfaces},
                 {"peers", status.peers},
                 {"peers_active", status.peers_active},
                 {"hugepages", status.hugepages},
                 {"round", json_of(status.round)},
                 {"longest_round_us", status.longest_round_us}};
  add_counters(object, kControlCounterFacts, status.counters);
  return object;
}

Json to_json(const InterfaceStatus& status) {
  Json handshakes = Json::object();
  for (const auto& [outcome, count] : status.handshakes) handshakes[outcome] = count;
  return {{"name", status.name},
          {"public_key", text_or_null(status.public_key)},
          {"listen_port", number_of(status.listen_port)},
          {"fwmark", status.fwmark},
          {"up", status.up},
          {"ifindex", status.ifindex},
          {"mtu", status.mtu},
          {"under_load", status.under_load},
          {"log_level", status.log_level},
          {"program", json_of(status.program)},
          {"addresses", status.addresses},
          {"peers", status.peers},
          {"peers_active", status.peers_active},
          {"rx_bytes", status.rx_bytes},
          {"tx_bytes", status.tx_bytes},
          {"rx_packets", status.rx_packets},
          {"tx_packets", status.tx_packets},
          {"handshakes", std::move(handshakes)}};
}

Json to_json(const InterfaceIdentity& identity) {
  return {{"name", identity.name},
          {"id", text_or_null(identity.id)},
          {"type", text_or_null(identity.type)},
          {"bound", identity.bound},
          {"up", identity.up},
          {"ifindex", identity.ifindex},
          {"netns", identity.netns_inode},
          {"mtu", identity.mtu},
          {"listen_port", number_of(identity.listen_port)}};
}

Json to_json(const PeerStatus& status) {
  Json prefixes = Json::array();
  for (const auto& prefix : status.allowed_ips) prefixes.push_back(config::to_string(prefix));
  const auto endpoint = status.endpoint ? config::to_string(*status.endpoint) : std::string{};
  return {{"interface", status.interface},
          {"name", status.name},
          {"public_key", config::to_string(status.public_key)},
          {"has_preshared_key", status.has_preshared_key},
          {"endpoint", text_or_null(endpoint)},
          {"configured_endpoint", text_or_null(status.configured_endpoint)},
          {"allowed_ips", std::move(prefixes)},
          {"active", status.active()},
          {"last_handshake", time_of(status.last_handshake)},
          {"session_age", status.session_age ? Json(status.session_age->count()) : Json(nullptr)},
          {"last_received", time_of(status.last_received)},
          {"rx_bytes", status.rx_bytes},
          {"tx_bytes", status.tx_bytes},
          {"rx_packets", status.rx_packets},
          {"tx_packets", status.tx_packets},
          {"lost_estimate", status.lost_estimate},
          {"reordered_estimate", status.reordered_estimate},
          {"drops", counts_of(status.drops)},
          {"persistent_keepalive", status.keepalive.count()},
          {"mtu", status.mtu},
          {"staged_packets", status.staged_packets}};
}

Json to_json(const PortStatus& status) {
  return {{"name", status.name},
          {"device", status.device},
          {"driver", status.driver},
          {"mac", status.mac},
          {"link_up", status.link_up},
          {"speed_mbps", status.speed_mbps},
          {"mtu", status.mtu},
          {"rx_queues", status.rx_queues},
          {"tx_queues", status.tx_queues},
          {"netdev", text_or_null(status.netdev)},
          {"rx_packets", status.rx_packets},
          {"rx_bytes", status.rx_bytes},
          {"tx_packets", status.tx_packets},
          {"tx_bytes", status.tx_bytes},
          {"rx_missed", status.rx_missed},
          {"rx_errors", status.rx_errors},
          {"rx_no_mbuf", status.rx_no_mbuf},
          {"tx_errors", status.tx_errors}};
}

Json to_json(const WorkerStatus& status) {
  Json object = {{"index", status.index},
                 {"lcore", status.lcore},
                 {"socket", status.socket},
                 {"busy_share", status.busy_share},
                 {"sleep_share", status.sleep_share},
                 {"packets", status.packets},
                 {"packets_per_burst", status.packets_per_burst}};
  add_counters(object, dataplane::kWorkerCounterFacts, status.counters);
  Json stages = Json::object(), shares = Json::object();
  for (const auto& stage : status.stages) {
    stages[stage.stage] = stage.cycles_per_packet;
    shares[stage.stage] = stage.share;
  }
  Json queues = Json::object();
  for (const auto& queue : status.queues)
    queues[queue.queue] = {{"depth", queue.depth}, {"capacity", queue.capacity}};
  object["cycles_per_packet"] = std::move(stages);
  object["share_of_cycles"] = std::move(shares);
  object["queues"] = std::move(queues);
  object["latency"] = json_of(status.latency);
  return object;
}

Json to_json(const DropStatus& status) {
  return {{"name", status.name},
          {"text", status.text},
          {"advice", drop_advice(status.name)},
          {"count", status.count},
          {"per_worker", status.per_worker},
          {"control", status.control},
          {"first", time_of(status.first)},
          {"spell", time_of(status.spell)},
          {"last", time_of(status.last)}};
}

Json to_json(const FlowStatus& status) {
  return {{"protocol", status.protocol},
          {"source", status.source},
          {"destination", status.destination},
          {"leaves_from", status.leaves_from},
          {"leaves_to", status.leaves_to},
          {"carried_by", status.carried ? "workers" : "linux"},
          {"reason", text_or_null(status.reason)},
          {"reason_text", text_or_null(status.reason_text)},
          {"age", status.age.count()},
          {"idle", status.idle.count()},
          {"packets", {status.packets.first, status.packets.second}},
          {"bytes", {status.bytes.first, status.bytes.second}}};
}

Json to_json(const FlowsStatus& status) {
  return {{"on", status.on},
          {"mark", status.mark},
          {"max", status.max},
          {"carried", status.carried},
          {"with_linux", status.with_linux},
          {"tracked", status.tracked},
          {"reasons", counts_of(status.reasons)}};
}

Json to_json(const PlanOutcome& outcome) {
  Json errors = Json::array();
  for (const Refusal& refusal : outcome.errors) errors.push_back(refusal.text);
  return {{"ok", outcome.ok()},         {"applied", outcome.applied},
          {"plan", outcome.plan},       {"errors", std::move(errors)},
          {"restart", outcome.restart}, {"took_ms", static_cast<double>(outcome.took.count()) / 1000}};
}

Json to_json(const PeerEvent& event) {
  return {{"at", time_of(event.at)},
          {"kind", name_of(event.kind)},
          {"words", describe(event)},
          {"count", event.count},
          {"from", text_or_null(event.from)},
          {"source", text_or_null(event.source)},
          {"owner", text_or_null(event.owner)},
          {"claimed_key", text_or_null(event.claimed_key)},
          {"by_ms", static_cast<double>(event.by.count()) / 1e6}};
}

Json to_json(const Explanation& explanation) {
  return {{"up", explanation.up},
          {"verdict", explanation.verdict},
          {"reasons", explanation.reasons},
          {"advice", explanation.advice},
          {"history", explanation.history}};
}

Json to_json(const RouteFacts& facts) {
  return {{"address", facts.address},
          {"routed", facts.routed},
          {"local", facts.local},
          {"prefix", text_or_null(facts.prefix)},
          {"refusal", text_or_null(facts.refusal)},
          {"link", text_or_null(facts.link)},
          {"gateway", text_or_null(facts.gateway)},
          {"port", facts.port},
          {"interface", facts.interface},
          {"peer", text_or_null(facts.peer)},
          {"peer_prefix", text_or_null(facts.peer_prefix)},
          {"peer_interface", text_or_null(facts.peer_interface)},
          {"peer_active", facts.peer_active}};
}

Json to_json(const PacketExplanation& explanation) {
  Json steps = Json::array();
  for (const PacketStep& step : explanation.steps)
    steps.push_back({{"stage", step.stage}, {"words", step.words}});
  return {{"ok", explanation.ok},
          {"verdict", explanation.verdict},
          {"drop_reason", text_or_null(explanation.drop_reason)},
          {"steps", std::move(steps)},
          {"advice", explanation.advice}};
}

Json to_json(const LogLine& line) {
  Json out{{"at", time_of(line.at)},
           {"level", config::to_string(line.level)},
           {"event", text_or_null(line.event)},
           {"interface", text_or_null(line.interface)},
           {"text", line.text}};
  for (const auto& [name, value] : line.fields) out[name] = value;
  return out;
}

Json to_json(const RingOffer& offer) {
  return {{"layout", RING_LAYOUT_VERSION},  {"queues", offer.queues},    {"slots", offer.slots},
          {"slot_bytes", offer.slot_bytes}, {"bytes", offer.bytes},      {"mtu", offer.mtu},
          {"routed", offer.routed},         {"offloads", offer.offloads}};
}

Json to_json(const GatewayEvent& event) {
  return {{"at", time_of(event.at)},
          {"kind", name_of(event.kind)},
          {"interface", text_or_null(event.interface)},
          {"peer", text_or_null(event.peer)},
          {"public_key", text_or_null(event.public_key)},
          {"endpoint", text_or_null(event.endpoint)},
          {"detail", text_or_null(event.detail)},
          {"rx_bytes", event.rx_bytes},
          {"tx_bytes", event.tx_bytes}};
}

}  // namespace wg::control
