#include "control/api/tables.h"

#include <algorithm>

#include "control/api/format.h"
#include "control/api/members.h"
#include "control/api/params.h"

namespace wg::control {
namespace {

using namespace members;

// ---------------------------------------------------------------- cells

// A member's name as a template argument.
template <std::size_t kSize>
struct Member {
  consteval Member(const char (&name)[kSize]) { std::copy_n(name, kSize, text); }
  char text[kSize]{};
};

template <Member kName>
Cell text_of(const Json& row, WallTime) {
  return text(row, kName.text);
}
template <Member kName>
Cell digits_of(const Json& row, WallTime) {
  return digits(row, kName.text);
}
template <Member kName>
Cell count_of(const Json& row, WallTime) {
  return format_count(number(row, kName.text));
}
template <Member kName>
Cell size_of(const Json& row, WallTime) {
  return format_size(number(row, kName.text));
}
template <Member kName>
Cell decimal_of(const Json& row, WallTime) {
  return one_decimal(real(row, kName.text));
}
template <Member kName>
Cell share_of(const Json& row, WallTime) {
  return format_share(real(row, kName.text));
}
// Bits a second, from the bytes a second that `show --watch` adds to a row.
template <Member kName>
Cell rate_of(const Json& row, WallTime) {
  return row.contains(kName.text) ? format_si(8 * real(row, kName.text)) : "-";
}
template <Member kName, std::size_t kMost>
Cell words_of(const Json& row, WallTime) {
  return joined(list(row, kName.text), kMost);
}

Cell faults(std::uint64_t count) {
  return {format_count(count), count == 0 ? Tone::kPlain : Tone::kWarning};
}

// ---------------------------------------------------------------- interfaces

void show_interfaces(const StatusSource& source, Json&, const RpcAnswer& answer) {
  answer.result({{"interfaces", to_json(source.interfaces())}});
}

Cell interface_state(const Json& row, WallTime) {
  if (!truth(row, "up")) return {"down", Tone::kBad};
  if (const Json& program = map(row, "program"); !program.empty())
    return {truth(program, "routed") ? "up, routed" : "up, program", Tone::kGood};
  return truth(row, "under_load") ? Cell{"up, under load", Tone::kWarning} : Cell{"up", Tone::kGood};
}

constexpr TableColumn kInterfaceColumns[] = {
    {"INTERFACE", text_of<"name">},
    {"STATE", interface_state},
    {"PORT", digits_of<"listen_port">, true},
    {"PEERS", digits_of<"peers">, true},
    {"ACTIVE", digits_of<"peers_active">, true},
    {"RX", size_of<"rx_bytes">, true},
    {"TX", size_of<"tx_bytes">, true},
    {"RX BIT/S", rate_of<"rx_bytes_rate">, true, 1, 0, "rx_bytes_rate"},
    {"TX BIT/S", rate_of<"tx_bytes_rate">, true, 1, 0, "tx_bytes_rate"},
    {"MTU", digits_of<"mtu">, true, 2},
    {"ADDRESSES", words_of<"addresses", 3>, false, 2, 12},
    {"PUBLIC KEY", text_of<"public_key">, false, 3},
};
constexpr TableSection kInterfaceSections[] = {
    {[](const Json& result) { return list(result, "interfaces"); }, kInterfaceColumns}};

// ---------------------------------------------------------------- peers

Cell peer_name(const Json& row, WallTime) {
  return text(row, "name", text(row, "public_key").c_str());
}

Cell peer_handshake(const Json& row, WallTime now) {
  const auto at = time(row, "last_handshake");
  if (!at) return {"never", Tone::kWarning};
  return {format_age(*at, now), truth(row, "active") ? Tone::kGood : Tone::kPlain};
}

constexpr TableColumn kPeerColumns[] = {
    {"PEER", peer_name, false, 0, 10},
    {"INTERFACE", text_of<"interface">, false, 3},
    {"ENDPOINT", text_of<"endpoint">, false, 1, 15},
    {"HANDSHAKE", peer_handshake, true},
    {"RX", size_of<"rx_bytes">, true},
    {"TX", size_of<"tx_bytes">, true},
    {"RX BIT/S", rate_of<"rx_bytes_rate">, true, 0, 0, "rx_bytes_rate"},
    {"TX BIT/S", rate_of<"tx_bytes_rate">, true, 0, 0, "tx_bytes_rate"},
    {"DROPS", [](const Json& row, WallTime) { return faults(sum(map(row, "drops"))); }, true, 4},
    {"ALLOWED IPS", words_of<"allowed_ips", 2>, false, 2, 14},
};
constexpr TableSection kPeerSection{[](const Json& result) { return list(result, "peers"); }, kPeerColumns};

Cell peer_is_enabled(const Json& row, WallTime) {
  return truth(row, "enabled") ? Cell{"enabled"} : Cell{"disabled", Tone::kWarning};
}

constexpr TableColumn kConfiguredPeerColumns[] = {
    {"PEER", peer_name, false, 0, 10},
    {"INTERFACE", text_of<"interface">, false, 2},
    {"STATE", peer_is_enabled},
    {"ALLOWED IPS", words_of<"allowed_ips", 3>, false, 1, 18},
    {"ENDPOINT", text_of<"endpoint">, false, 3, 15},
    {"PUBLIC KEY", text_of<"public_key">, false, 4},
};
constexpr TableSection kConfiguredPeerSection{[](const Json& result) { return list(result, "peers"); },
                                              kConfiguredPeerColumns};

// ---------------------------------------------------------------- ports

void show_ports(const StatusSource& source, Json&, const RpcAnswer& answer) {
  answer.result({{"ports", to_json(source.ports())}});
}

Cell port_link(const Json& row, WallTime) {
  if (!truth(row, "link_up")) return {"down", Tone::kBad};
  const auto speed = number(row, "speed_mbps");
  return {speed == 0 ? "up" : "up " + format_si(1e6 * static_cast<double>(speed)), Tone::kGood};
}

Cell port_errors(const Json& row, WallTime) {
  return faults(number(row, "rx_errors") + number(row, "tx_errors"));
}

constexpr TableColumn kPortColumns[] = {
    {"PORT", text_of<"name">},
    {"LINK", port_link},
    {"MTU", digits_of<"mtu">, true, 3},
    {"QUEUES",
     [](const Json& row, WallTime) -> Cell {
       return digits(row, "rx_queues") + "/" + digits(row, "tx_queues");
     },
     true, 4},
    {"RX PKTS", count_of<"rx_packets">, true, 2},
    {"RX", size_of<"rx_bytes">, true, 1},
    {"RX BIT/S", rate_of<"rx_bytes_rate">, true, 0, 0, "rx_bytes_rate"},
    {"TX PKTS", count_of<"tx_packets">, true, 2},
    {"TX", size_of<"tx_bytes">, true, 1},
    {"TX BIT/S", rate_of<"tx_bytes_rate">, true, 0, 0, "tx_bytes_rate"},
    {"MISSED", [](const Json& row, WallTime) { return faults(number(row, "rx_missed")); }, true},
    {"ERRORS", port_errors, true},
    {"DRIVER", text_of<"driver">, false, 5},
    {"DEVICE", text_of<"device">, false, 6, 12},
};
constexpr TableSection kPortSections[] = {
    {[](const Json& result) { return list(result, "ports"); }, kPortColumns}};

// ---------------------------------------------------------------- workers

void show_workers(const StatusSource& source, Json&, const RpcAnswer& answer) {
  answer.result({{"workers", to_json(source.workers())}});
}

template <Member kQuantile>
Cell worker_latency(const Json& row, WallTime) {
  const Json& latency = map(row, "latency");
  return latency.empty() ? "-" : one_decimal(real(latency, kQuantile.text));
}

constexpr TableColumn kWorkerColumns[] = {
    {"WORKER", digits_of<"index">, true},       {"LCORE", digits_of<"lcore">, true},
    {"BUSY", share_of<"busy_share">, true},     {"ASLEEP", share_of<"sleep_share">, true},
    {"PACKETS", count_of<"packets">, true},     {"PER BURST", decimal_of<"packets_per_burst">, true},
    {"P50 US", worker_latency<"p50_us">, true}, {"P99 US", worker_latency<"p99_us">, true},
};

// One row for each stage that has run, of each worker.
Json stages_of_workers(const Json& result) {
  Json rows = Json::array();
  for (const Json& worker : list(result, "workers")) {
    const Json& shares = map(worker, "share_of_cycles");
    for (const auto& [stage, cycles] : map(worker, "cycles_per_packet").items())
      if (cycles.is_number() && cycles.get<double>() > 0)
        rows.push_back({{"worker", number(worker, "index")},
                        {"stage", stage},
                        {"cycles", cycles},
                        {"share", real(shares, stage.c_str())}});
  }
  return rows;
}

constexpr TableColumn kStageColumns[] = {
    {"WORKER", digits_of<"worker">, true},
    {"STAGE", text_of<"stage">},
    {"CLOCKS PER PACKET", decimal_of<"cycles">, true},
    {"SHARE", share_of<"share">, true},
};

Json queues_of_workers(const Json& result) {
  Json rows = Json::array();
  for (const Json& worker : list(result, "workers"))
    for (const auto& [queue, depth] : map(worker, "queues").items())
      rows.push_back({{"worker", number(worker, "index")},
                      {"queue", queue},
                      {"depth", number(depth, "depth")},
                      {"capacity", number(depth, "capacity")}});
  return rows;
}

// A queue that is half full will soon drop.
Cell queue_depth(const Json& row, WallTime) {
  const bool filling = 2 * number(row, "depth") > number(row, "capacity");
  return {digits(row, "depth"), filling ? Tone::kWarning : Tone::kPlain};
}

constexpr TableColumn kQueueColumns[] = {
    {"WORKER", digits_of<"worker">, true},
    {"QUEUE", text_of<"queue">},
    {"DEPTH", queue_depth, true},
    {"CAPACITY", digits_of<"capacity">, true},
};

constexpr TableSection kWorkerSections[] = {
    {[](const Json& result) { return list(result, "workers"); }, kWorkerColumns},
    {stages_of_workers, kStageColumns},
    {queues_of_workers, kQueueColumns}};

// ---------------------------------------------------------------- drops

void show_drops(const StatusSource& source, Json&, const RpcAnswer& answer) {
  answer.result({{"drops", to_json(source.drops())}});
}

// Reasons that never occurred are left out.
Json drops_that_occurred(const Json& result) {
  Json rows = Json::array();
  for (const Json& drop : list(result, "drops"))
    if (number(drop, "count") != 0) rows.push_back(drop);
  return rows;
}

Cell drop_shares(const Json& row, WallTime) {
  std::string shares;
  for (const Json& count : list(row, "per_worker")) shares += (shares.empty() ? "" : " ") + count.dump();
  return shares;
}

Cell drop_last(const Json& row, WallTime now) {
  const auto last = time(row, "last");
  return last ? format_age(*last, now) : std::string("-");
}

constexpr TableColumn kDropColumns[] = {
    {"REASON", text_of<"name">},
    {"COUNT", digits_of<"count">, true},
    {"PER SECOND", decimal_of<"count_rate">, true, 0, 0, "count_rate"},
    {"LAST", drop_last, true},
    {"PER WORKER", drop_shares, false, 2, 10},
    {"MEANING", text_of<"text">, false, 1, 20},
};
constexpr TableSection kDropSections[] = {{drops_that_occurred, kDropColumns}};

// ---------------------------------------------------------------- flows

// The counts, then "flows":[…] in slices, without ever holding it as a whole.
class FlowListWriter {
 public:
  explicit FlowListWriter(std::unique_ptr<FlowReading> reading) : reading_(std::move(reading)) {}

  bool write(std::string& out, std::size_t target) {
    const auto until = EventLoop::Clock::now() + EventLoop::kStep;
    if (!read_) {
      read_ = !reading_->read(until);
      if (read_) out += begin();
      return true;
    }
    while (const auto flow = reading_->next()) {
      if (std::exchange(begun_, true)) out += ',';
      out += dump(to_json(*flow));
      if (out.size() >= target || EventLoop::Clock::now() >= until) return true;
    }
    out += "]}";
    return false;
  }

 private:
  [[nodiscard]] std::string begin() const {
    std::string counts = dump(to_json(reading_->totals()));
    counts.back() = ',';  // the brace
    return counts + "\"flows\":[";
  }

  std::unique_ptr<FlowReading> reading_;
  bool read_ = false, begun_ = false;
};

void show_flows(const StatusSource& source, Json& params, const RpcAnswer& answer) {
  FlowQuery query;
  query.address = param::text(params, "address");
  query.limit = param::number(params, "limit", query.limit, 0, ~std::uint32_t{0});
  const auto writer = std::make_shared<FlowListWriter>(source.read_flows(query));
  answer.stream([writer](std::string& out, std::size_t target) { return writer->write(out, target); });
}

constexpr TableColumn kFlowsColumns[] = {
    {"FLOWS", [](const Json& row, WallTime) -> Cell { return std::string(truth(row, "on") ? "on" : "off"); }},
    {"CARRIED", digits_of<"carried">, true},
    {"AT MOST", digits_of<"max">, true, 2},
    {"WITH LINUX", digits_of<"with_linux">, true},
    {"TRACKED", digits_of<"tracked">, true, 1},
};

Cell flow_carrier(const Json& row, WallTime) {
  const bool carried = text(row, "carried_by") == "workers";
  return {carried ? "workers" : text(row, "reason"), carried ? Tone::kGood : Tone::kPlain};
}

// Both directions.
template <Member kName>
std::uint64_t flow_sum(const Json& row) {
  std::uint64_t both = 0;
  for (const Json& count : list(row, kName.text)) both += count.is_number() ? count.get<std::uint64_t>() : 0;
  return both;
}

constexpr TableColumn kFlowColumns[] = {
    {"PROTO", text_of<"protocol">, false, 0, 5},
    {"SOURCE", text_of<"source">, false, 0, 15},
    {"DESTINATION", text_of<"destination">, false, 0, 15},
    {"LEAVES FROM", text_of<"leaves_from">, false, 3, 15},
    {"LEAVES TO", text_of<"leaves_to">, false, 4, 15},
    {"CARRIED BY", flow_carrier, false, 0, 10},
    {"PACKETS", [](const Json& row, WallTime) -> Cell { return format_count(flow_sum<"packets">(row)); },
     true, 2},
    {"BYTES", [](const Json& row, WallTime) -> Cell { return format_size(flow_sum<"bytes">(row)); }, true, 1},
    {"IDLE", [](const Json& row, WallTime) -> Cell { return digits(row, "idle") + " s"; }, true, 2},
};

Json reasons_that_occur(const Json& result) {
  Json rows = Json::array();
  for (const auto& [reason, count] : map(result, "reasons").items())
    if (count.is_number() && count.get<std::uint64_t>() != 0)
      rows.push_back({{"reason", reason}, {"connections", count}});
  return rows;
}

constexpr TableColumn kFlowReasonColumns[] = {
    {"WITH LINUX, BECAUSE", text_of<"reason">},
    {"CONNECTIONS", digits_of<"connections">, true},
};
constexpr TableSection kFlowSections[] = {
    {[](const Json& result) { return Json::array({result}); }, kFlowsColumns},
    {[](const Json& result) { return list(result, "flows"); }, kFlowColumns},
    {reasons_that_occur, kFlowReasonColumns}};

// ---------------------------------------------------------------- the list

constexpr ShowTable kTables[] = {
    {{"show.interfaces", show_interfaces}, "WireGuard interfaces", kInterfaceSections},
    {{"show.ports", show_ports}, "Ports: link, packets, losses", kPortSections},
    {{"show.workers", show_workers}, "Workers: load, clocks by stage, queues", kWorkerSections},
    {{"show.drops", show_drops}, "Dropped packets by reason", kDropSections},
    {{"show.flows", show_flows}, "Connections that workers carry for Linux", kFlowSections},
};

}  // namespace

std::span<const ShowTable> show_tables() {
  return kTables;
}

const ShowTable* find_show_table(std::string_view name) {
  for (const ShowTable& table : kTables)
    if (table.name() == name) return &table;
  return nullptr;
}

const TableSection& peers_section() {
  return kPeerSection;
}

const TableSection& configured_peers_section() {
  return kConfiguredPeerSection;
}

}  // namespace wg::control
