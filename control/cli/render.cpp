#include "control/cli/render.h"

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <optional>
#include <ostream>

#include "control/api/format.h"
#include "control/cli/table.h"

namespace wg::control::cli {
namespace {

using Align = Table::Align;

std::string text(const Json& object, const char* name, const char* otherwise = "-") {
  const auto found = object.find(name);
  const bool none =
      found == object.end() || !found->is_string() || found->get_ref<const std::string&>().empty();
  return none ? otherwise : found->get<std::string>();
}

std::uint64_t number(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<std::uint64_t>() : 0;
}

double real(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_number() ? found->get<double>() : 0;
}

bool truth(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

const Json& list(const Json& object, const char* name) {
  static const Json empty = Json::array();
  const auto found = object.find(name);
  return found != object.end() && found->is_array() ? *found : empty;
}

const Json& map(const Json& object, const char* name) {
  static const Json empty = Json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : empty;
}

std::optional<WallTime> time(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number()) return std::nullopt;
  using namespace std::chrono;
  return WallTime{duration_cast<WallTime::duration>(duration<double>(found->get<double>()))};
}

std::string digits(const Json& object, const char* name) {
  return std::to_string(number(object, name));
}
std::string bytes(const Json& object, const char* name) {
  return format_bytes(number(object, name));
}

std::string joined(const Json& words, std::size_t most = SIZE_MAX) {
  std::string line;
  std::size_t count = 0;
  for (const auto& word : words) {
    if (!word.is_string()) continue;
    if (count++ == most) return line + ", … " + std::to_string(words.size() - most) + " more";
    line += (line.empty() ? "" : ", ") + word.get<std::string>();
  }
  return line.empty() ? "-" : line;
}

std::uint64_t sum(const Json& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0},
                         [](std::uint64_t all, const Json& count) {
                           return all + (count.is_number() ? count.get<std::uint64_t>() : 0);
                         });
}

std::string one_decimal(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.1f", value);
  return buffer;
}

void line(std::ostream& out, const char* name, const std::string& value) {
  out << "  " << name << ": " << value << "\n";
}

}  // namespace

void render_gateway(const Json& gateway, WallTime now, std::ostream& out) {
  out << "linegate " << text(gateway, "version") << " (" << text(gateway, "dpdk_version") << ", AEAD "
      << text(gateway, "aead") << ")\n";
  line(out, "started", format_ago(time(gateway, "started"), now) + ", pid " + digits(gateway, "pid"));
  line(out, "configuration",
       text(gateway, "config_path") + ", generation " + digits(gateway, "config_generation"));
  if (const auto at = time(gateway, "last_reload"))
    line(out, "last reload", format_ago(at, now) + ": " + text(gateway, "last_reload_result"));
  line(out, "peers", digits(gateway, "peers") + ", " + digits(gateway, "peers_active") + " active");
  for (const auto& warning : list(gateway, "warnings"))
    if (warning.is_string()) line(out, "warning", warning.get<std::string>());
}

void render_interfaces(const Json& result, std::ostream& out) {
  Table table({{"INTERFACE"},
               {"STATE"},
               {"PORT", Align::kRight},
               {"PEERS", Align::kRight},
               {"ACTIVE", Align::kRight},
               {"RECEIVED", Align::kRight},
               {"SENT", Align::kRight},
               {"MTU", Align::kRight},
               {"ADDRESSES"},
               {"PUBLIC KEY"}});
  for (const auto& interface : list(result, "interfaces")) {
    std::string state = truth(interface, "up") ? "up" : "down";
    if (truth(interface, "under_load")) state += ", under load";
    table.row({text(interface, "name"), state, digits(interface, "listen_port"), digits(interface, "peers"),
               digits(interface, "peers_active"), bytes(interface, "rx_bytes"), bytes(interface, "tx_bytes"),
               digits(interface, "mtu"), joined(list(interface, "addresses"), 3),
               text(interface, "public_key")});
  }
  table.print(out);
}

void render_peers(const Json& result, WallTime now, std::ostream& out) {
  Table table({{"INTERFACE"},
               {"PEER"},
               {"ENDPOINT"},
               {"LATEST HANDSHAKE"},
               {"RECEIVED", Align::kRight},
               {"SENT", Align::kRight},
               {"DROPS", Align::kRight},
               {"ALLOWED IPS"}});
  const auto& peers = list(result, "peers");
  for (const auto& peer : peers)
    table.row({text(peer, "interface"), text(peer, "name", text(peer, "public_key").c_str()),
               text(peer, "endpoint"), format_ago(time(peer, "last_handshake"), now), bytes(peer, "rx_bytes"),
               bytes(peer, "tx_bytes"), std::to_string(sum(map(peer, "drops"))),
               joined(list(peer, "allowed_ips"), 2)});
  table.print(out);
  if (const auto total = number(result, "total"); total > peers.size())
    out << "(" << peers.size() << " of " << total << " peers)\n";
}

void render_peer(const Json& peer, WallTime now, std::ostream& out) {
  out << "peer: " << text(peer, "public_key") << "\n";
  if (const auto name = text(peer, "name", ""); !name.empty()) line(out, "name", name);
  line(out, "interface", text(peer, "interface"));
  if (truth(peer, "has_preshared_key")) line(out, "preshared key", "(hidden)");
  line(out, "endpoint", text(peer, "endpoint", "(none)"));
  if (const auto written = text(peer, "configured_endpoint", ""); !written.empty())
    line(out, "configured endpoint", written);
  line(out, "allowed ips", joined(list(peer, "allowed_ips")));
  line(out, "latest handshake", format_ago(time(peer, "last_handshake"), now));
  line(out, "session", truth(peer, "active") ? digits(peer, "session_age") + " s old" : "none");
  line(out, "last packet", format_ago(time(peer, "last_received"), now));
  line(out, "transfer", bytes(peer, "rx_bytes") + " received, " + bytes(peer, "tx_bytes") + " sent");
  line(out, "packets",
       digits(peer, "rx_packets") + " received, " + digits(peer, "tx_packets") + " sent, " +
           digits(peer, "lost_estimate") + " lost, " + digits(peer, "reordered_estimate") +
           " reordered (estimates)");
  if (const auto seconds = number(peer, "persistent_keepalive"); seconds != 0)
    line(out, "persistent keepalive", "every " + std::to_string(seconds) + " seconds");
  for (const auto& [reason, count] : map(peer, "drops").items())
    line(out, "dropped", count.dump() + " " + reason);
}

void render_ports(const Json& result, std::ostream& out) {
  Table table({{"PORT"},
               {"LINK"},
               {"DRIVER"},
               {"DEVICE"},
               {"NETDEV"},
               {"MTU", Align::kRight},
               {"QUEUES", Align::kRight},
               {"RX PACKETS", Align::kRight},
               {"RX", Align::kRight},
               {"TX PACKETS", Align::kRight},
               {"TX", Align::kRight},
               {"MISSED", Align::kRight},
               {"ERRORS", Align::kRight}});
  for (const auto& port : list(result, "ports")) {
    std::string link = truth(port, "link_up") ? "up" : "down";
    if (const auto speed = number(port, "speed_mbps"); speed != 0)
      link += " " + std::to_string(speed) + " Mb/s";
    table.row({text(port, "name"), link, text(port, "driver"), text(port, "device"), text(port, "netdev"),
               digits(port, "mtu"), digits(port, "rx_queues") + "/" + digits(port, "tx_queues"),
               digits(port, "rx_packets"), bytes(port, "rx_bytes"), digits(port, "tx_packets"),
               bytes(port, "tx_bytes"), digits(port, "rx_missed"),
               std::to_string(number(port, "rx_errors") + number(port, "tx_errors"))});
  }
  table.print(out);
}

void render_workers(const Json& result, std::ostream& out) {
  Table table({{"WORKER", Align::kRight},
               {"LCORE", Align::kRight},
               {"BUSY", Align::kRight},
               {"ASLEEP", Align::kRight},
               {"PACKETS", Align::kRight},
               {"PER BURST", Align::kRight},
               {"P50 US", Align::kRight},
               {"P99 US", Align::kRight},
               {"CLOCKS PER PACKET"},
               {"QUEUES"}});
  for (const auto& worker : list(result, "workers")) {
    std::string stages;
    for (const auto& [stage, cycles] : map(worker, "cycles_per_packet").items())
      stages += (stages.empty() ? "" : " ") + stage + "=" +
                one_decimal(cycles.is_number() ? cycles.get<double>() : 0);
    std::string queues;
    for (const auto& [queue, depth] : map(worker, "queues").items())
      queues += (queues.empty() ? "" : " ") + queue + "=" + digits(depth, "depth") + "/" +
                digits(depth, "capacity");
    const auto& latency = map(worker, "latency");
    table.row({digits(worker, "index"), digits(worker, "lcore"), format_share(real(worker, "busy_share")),
               format_share(real(worker, "sleep_share")), digits(worker, "packets"),
               one_decimal(real(worker, "packets_per_burst")),
               latency.empty() ? "-" : one_decimal(real(latency, "p50_us")),
               latency.empty() ? "-" : one_decimal(real(latency, "p99_us")), stages, queues});
  }
  table.print(out);
}

void render_drops(const Json& result, std::ostream& out) {
  Table table({{"REASON"}, {"COUNT", Align::kRight}, {"PER WORKER"}, {"MEANING"}});
  for (const auto& drop : list(result, "drops")) {
    if (number(drop, "count") == 0) continue;
    std::string shares;
    for (const auto& count : list(drop, "per_worker")) shares += (shares.empty() ? "" : " ") + count.dump();
    table.row({text(drop, "name"), digits(drop, "count"), shares, text(drop, "text")});
  }
  table.print(out);
}

void render_plan(const Json& plan, std::ostream& out, std::ostream& err) {
  for (const auto& error : list(plan, "errors"))
    if (error.is_string()) err << error.get<std::string>() << "\n";
  if (!truth(plan, "ok")) {
    err << "nothing was changed\n";
    return;
  }
  for (const auto& action : list(plan, "plan"))
    if (action.is_string()) out << action.get<std::string>() << "\n";
  for (const auto& difference : list(plan, "restart"))
    if (difference.is_string()) out << "needs a restart: " << difference.get<std::string>() << "\n";
  if (list(plan, "plan").empty() && list(plan, "restart").empty()) out << "no difference\n";
  if (truth(plan, "applied")) out << "applied in " << one_decimal(real(plan, "took_ms")) << " ms\n";
}

void render_event(const Json& event, std::ostream& out) {
  const auto at = time(event, "at");
  out << (at ? format_time(*at) : "-") << "  " << text(event, "kind");
  for (const char* member : {"interface", "peer", "endpoint", "detail"})
    if (const auto value = text(event, member, ""); !value.empty()) out << " " << member << "=" << value;
  if (event.contains("count")) out << " count=" << digits(event, "count");
  if (number(event, "rx_bytes") + number(event, "tx_bytes") != 0)
    out << " rx_bytes=" << digits(event, "rx_bytes") << " tx_bytes=" << digits(event, "tx_bytes");
  out << "\n" << std::flush;
}

}  // namespace wg::control::cli
