#include "control/cli/render.h"

#include <ostream>

#include "control/api/format.h"
#include "control/api/members.h"

namespace wg::control::cli {
namespace {

using namespace members;

// "  name: value", the name of a warning in its colour.
void line(std::ostream& out, const View& view, const std::string& name, const std::string& value,
          Tone tone = Tone::kPlain) {
  const std::string text = wrapped("  " + name + ": " + value, 4, view.layout);
  const std::size_t end = 2 + name.size();
  out << "  " << painted(name, tone, view.layout) << text.substr(end) << "\n";
}

bool is_left_out(const TableColumn& column, const Json& rows) {
  if (column.needs == nullptr) return false;
  for (const Json& row : rows)
    if (row.contains(column.needs)) return false;
  return true;
}

}  // namespace

void render_gateway(const Json& gateway, const View& view, std::ostream& out) {
  const auto print = [&](const char* name, const std::string& value) { line(out, view, name, value); };
  out << "linegate " << text(gateway, "version") << " (" << text(gateway, "dpdk_version") << ", AEAD "
      << text(gateway, "aead") << ")\n";
  print("started", format_ago(time(gateway, "started"), view.now) + ", pid " + digits(gateway, "pid"));
  print("configuration",
        text(gateway, "config_path") + ", generation " + digits(gateway, "config_generation"));
  if (const auto at = time(gateway, "last_reload"))
    print("last reload", format_ago(at, view.now) + ": " + text(gateway, "last_reload_result"));
  print("peers", digits(gateway, "peers") + ", " + digits(gateway, "peers_active") + " active");
  for (const auto& text : list(gateway, "drift"))
    if (text.is_string())
      line(out, view, "drift", text.get<std::string>() + "; `linegate reload` puts it back", Tone::kWarning);
  for (const auto& warning : list(gateway, "warnings"))
    if (warning.is_string()) line(out, view, "warning", warning.get<std::string>(), Tone::kWarning);
}

void render_section(const TableSection& section, const Json& result, const View& view, std::ostream& out) {
  const Json rows = section.rows(result);
  std::vector<const TableColumn*> columns;
  std::vector<Table::Column> titles;
  for (const TableColumn& column : section.columns) {
    if (is_left_out(column, rows)) continue;
    columns.push_back(&column);
    titles.push_back(
        {column.title, column.right ? Table::Align::kRight : Table::Align::kLeft, column.rank, column.least});
  }
  Table table(std::move(titles));
  for (const Json& row : rows) {
    std::vector<Cell> cells;
    for (const TableColumn* column : columns) cells.push_back(column->cell(row, view.now));
    table.row(std::move(cells));
  }
  table.print(out, view.layout);
}

void render_table(const ShowTable& table, const Json& result, const View& view, std::ostream& out) {
  for (const TableSection& section : table.sections) {
    const bool first = &section == &table.sections.front();
    if (!first && section.rows(result).empty()) continue;
    if (!first) out << "\n";
    render_section(section, result, view, out);
  }
}

void render_peers(const Json& result, const View& view, std::ostream& out) {
  render_section(peers_section(), result, view, out);
  const std::size_t shown = list(result, "peers").size();
  if (const auto total = number(result, "total"); total > shown)
    out << "(" << shown << " of " << total << " peers)\n";
}

void render_peer(const Json& peer, const View& view, std::ostream& out) {
  const auto print = [&](const char* name, const std::string& value) { line(out, view, name, value); };
  out << "peer: " << text(peer, "public_key") << "\n";
  if (const auto name = text(peer, "name", ""); !name.empty()) print("name", name);
  print("interface", text(peer, "interface"));
  if (truth(peer, "has_preshared_key")) print("preshared key", "(hidden)");
  print("endpoint", text(peer, "endpoint", "(none)"));
  if (const auto written = text(peer, "configured_endpoint", ""); !written.empty())
    print("configured endpoint", written);
  print("allowed ips", joined(list(peer, "allowed_ips")));
  print("latest handshake", format_ago(time(peer, "last_handshake"), view.now));
  const std::chrono::seconds age{number(peer, "session_age")};
  print("session", truth(peer, "active") ? format_duration(age) + " old" : "none");
  print("last packet", format_ago(time(peer, "last_received"), view.now));
  print("transfer", bytes(peer, "rx_bytes") + " received, " + bytes(peer, "tx_bytes") + " sent");
  print("packets", digits(peer, "rx_packets") + " received, " + digits(peer, "tx_packets") + " sent, " +
                       digits(peer, "lost_estimate") + " lost, " + digits(peer, "reordered_estimate") +
                       " reordered (estimates)");
  if (const auto seconds = number(peer, "persistent_keepalive"); seconds != 0)
    print("persistent keepalive", "every " + std::to_string(seconds) + " seconds");
  for (const auto& [reason, count] : map(peer, "drops").items())
    print("dropped", count.dump() + " " + reason);
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
    if (difference.is_string()) out << difference.get<std::string>() << "\n";
  const bool differs = !list(plan, "plan").empty();
  if (!differs && list(plan, "restart").empty()) out << "no difference\n";
  if (differs && truth(plan, "applied") && real(plan, "took_ms") > 0)
    out << "applied in " << one_decimal(real(plan, "took_ms")) << " ms\n";
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
