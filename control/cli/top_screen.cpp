#include "control/cli/top_screen.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "control/api/format.h"
#include "control/api/members.h"
#include "control/cli/cells.h"

namespace wg::control::cli {
namespace {

using namespace members;

// ---------------------------------------------------------------- figures

const Json* row_named(const Json& rows, const char* member, const std::string& name) {
  for (const Json& row : rows)
    if (text(row, member, "") == name) return &row;
  return nullptr;
}

double grown(const Json& now, const Json& before, const char* name, double seconds) {
  const std::uint64_t count = number(now, name), then = number(before, name);
  return count < then ? 0 : static_cast<double>(count - then) / seconds;
}

// Reasons for which packets were dropped meanwhile, the most frequent first.
Json drop_rates(const TopReading& before, const TopReading& now, double seconds) {
  Json out = Json::array();
  const Json& known = list(before.drops, "drops");
  for (const Json& drop : list(now.drops, "drops")) {
    const auto name = text(drop, "name");
    const Json* then = row_named(known, "name", name);
    const double rate = then == nullptr ? 0 : grown(drop, *then, "count", seconds);
    if (rate > 0) out.push_back({{"name", name}, {"per_second", rate}});
  }
  std::stable_sort(out.begin(), out.end(), [](const Json& a, const Json& b) {
    return real(a, "per_second") > real(b, "per_second");
  });
  return out;
}

Json port_rates(const TopReading& before, const TopReading& now, double seconds) {
  Json out = Json::array();
  for (const Json& port : list(now.ports, "ports")) {
    const Json* then = row_named(list(before.ports, "ports"), "name", text(port, "name"));
    if (then == nullptr) continue;
    Json row = {{"name", text(port, "name")}, {"link_up", truth(port, "link_up")}};
    for (const char* name : {"rx_bytes", "tx_bytes", "rx_packets", "tx_packets"})
      row[std::string(name) + "_rate"] = grown(port, *then, name, seconds);
    out.push_back(std::move(row));
  }
  return out;
}

Json worker_shares(const Json& workers) {
  Json out = Json::array();
  for (const Json& worker : list(workers, "workers"))
    out.push_back({{"index", number(worker, "index")}, {"busy_share", real(worker, "busy_share")}});
  return out;
}

// The share of the peer's messages that did not arrive, of those that were sent to us meanwhile. Absent when
// a session began meanwhile, or nothing came.
std::optional<double> loss(const Json& peer, const Json& before) {
  const std::uint64_t lost = number(peer, "lost_estimate"), then = number(before, "lost_estimate");
  const std::uint64_t received = number(peer, "rx_packets"), were = number(before, "rx_packets");
  if (lost < then || received <= were) return std::nullopt;
  const auto missing = static_cast<double>(lost - then);
  return missing / (missing + static_cast<double>(received - were));
}

void add_loss(Json& peers, const Json& before) {
  std::map<std::string, const Json*> known;
  for (const Json& peer : before) known[text(peer, "interface") + text(peer, "public_key")] = &peer;
  for (Json& peer : peers) {
    const auto found = known.find(text(peer, "interface") + text(peer, "public_key"));
    if (found == known.end()) continue;
    if (const auto share = loss(peer, *found->second)) peer["loss_share"] = *share;
  }
}

// ---------------------------------------------------------------- the summary

std::string si(double value, const char* unit) {
  return format_si(value) + " " + unit;
}

// "1.2G bit/s, 104k packets/s"
std::string traffic(const Json& row, const char* bytes_name, const char* packets_name) {
  return si(8 * real(row, bytes_name), "bit/s") + ", " + si(real(row, packets_name), "packets/s");
}

std::string busy(const Json& figures) {
  std::string shares;
  for (const Json& worker : list(figures, "workers"))
    shares += (shares.empty() ? "" : ", ") + format_share(real(worker, "busy_share"));
  return shares.empty() ? "no workers" : "workers busy " + shares;
}

std::string drops_line(const Json& figures) {
  double sum = 0;
  std::string names;
  std::size_t shown = 0;
  for (const Json& drop : list(figures, "drops")) {
    sum += real(drop, "per_second");
    if (shown++ < 3)
      names += (names.empty() ? ": " : ", ") + text(drop, "name") + " " + format_si(real(drop, "per_second"));
  }
  return "drops " + format_si(sum) + "/s" + names;
}

std::string ports_line(const Json& figures) {
  std::string out;
  for (const Json& port : list(figures, "ports"))
    out += (out.empty() ? "ports " : ", ") + text(port, "name") +
           (truth(port, "link_up") ? " in " + format_si(8 * real(port, "rx_bytes_rate")) + " out " +
                                         format_si(8 * real(port, "tx_bytes_rate"))
                                   : " down");
  return out.empty() ? "no ports" : out + " (bit/s)";
}

std::string peers_line(const Json& figures) {
  return digits(figures, "peers_total") + " peers, " + digits(figures, "peers_moving") +
         " with traffic, new sessions " + format_si(real(figures, "sessions_per_second")) + "/s";
}

// Cells of a terminal, cut to its width.
std::string cut(const std::string& line, const Layout& layout) {
  return layout.terminal ? std::string(first_cells(line, layout.columns)) : line;
}

std::vector<std::string> summary(const Json& figures, const TopState* state, const View& view) {
  std::string first = "linegate top, " + format_time(view.now) + ", " + busy(figures);
  if (state != nullptr && state->paused) first = "PAUSED, " + first;
  std::vector<std::string> lines = {
      first,
      peers_line(figures),
      "in  " + traffic(figures, "rx_bytes_rate", "rx_packets_rate"),
      "out " + traffic(figures, "tx_bytes_rate", "tx_packets_rate"),
      ports_line(figures),
      drops_line(figures),
  };
  for (std::string& line : lines) line = cut(line, view.layout);
  return lines;
}

// ---------------------------------------------------------------- the peers

Cell rate_cell(const Json& row, const char* name, double factor) {
  const double value = factor * real(row, name);
  return value > 0 ? Cell{format_si(value)} : Cell{"0"};
}

Cell drops_cell(const Json& row) {
  const double value = real(row, "drops_rate");
  return {format_si(value), value > 0 ? Tone::kWarning : Tone::kPlain};
}

Cell session_cell(const Json& row) {
  if (!truth(row, "active")) return {"none", Tone::kWarning};
  return format_duration(std::chrono::seconds(number(row, "session_age")));
}

Cell loss_cell(const Json& row) {
  if (!row.contains("loss_share")) return {"-"};
  const double share = real(row, "loss_share");
  return {format_share(share), share >= 0.01 ? Tone::kWarning : Tone::kPlain};
}

std::vector<Cell> peer_cells(const Json& peer, bool selected) {
  const double packets = real(peer, "rx_packets_rate") + real(peer, "tx_packets_rate");
  return {{selected ? ">" : ""},
          {text(peer, "name", text(peer, "public_key").c_str())},
          rate_cell(peer, "rx_bytes_rate", 8),
          rate_cell(peer, "tx_bytes_rate", 8),
          {packets > 0 ? format_si(packets) : "0"},
          drops_cell(peer),
          loss_cell(peer),
          session_cell(peer),
          {text(peer, "endpoint")},
          {text(peer, "interface")}};
}

// The title of the column by which the peers are in order has a mark.
std::string title(const char* name, const char* sort, const std::string& wanted) {
  return std::string(name) + (wanted == sort ? "*" : "");
}

Table peer_table(const std::string& sort) {
  using Align = Table::Align;
  const std::string both = sort == "transfer" ? "*" : "";
  return Table({{" "},
                {"PEER", Align::kLeft, 0, 8},
                {title("RX BIT/S", "rx", sort) + both, Align::kRight},
                {title("TX BIT/S", "tx", sort) + both, Align::kRight},
                {title("PACKETS/S", "packets", sort), Align::kRight},
                {title("DROPS/S", "drops", sort), Align::kRight, 2},
                {"LOSS", Align::kRight, 3},
                {"SESSION", Align::kRight, 1},
                {"ENDPOINT", Align::kLeft, 4, 12},
                {"INTERFACE", Align::kLeft, 5}});
}

std::string peers_text(const Json& figures, const TopState* state, const View& view, std::size_t rows) {
  Table table = peer_table(text(figures, "sort", ""));
  std::size_t row = 0;
  for (const Json& peer : list(figures, "peers")) {
    if (rows != 0 && row >= rows) break;
    table.row(peer_cells(peer, state != nullptr && row == state->selected));
    ++row;
  }
  std::ostringstream out;
  table.print(out, view.layout);
  return out.str();
}

std::string last_line(const TopState& state, const Json& figures) {
  if (state.typing) return "filter (a part of the name or key, or an address): " + state.typed + "_";
  std::string line = "t r s p d order   / filter   space pause   enter explain   q quit";
  if (!state.filter.empty()) line = "[" + state.filter + "] " + line;
  if (!truth(figures, "complete")) line = "(busiest only) " + line;
  return line;
}

constexpr std::size_t kSummaryLines = 7;  // with the empty line behind
constexpr std::size_t kOtherLines = 2;    // the titles and the keys

}  // namespace

Json top_figures(const TopReading& before, const TopReading& now, double seconds) {
  Json figures = now.rates;
  Json peers = list(now.rates, "peers");
  figures.erase("peers");
  figures.erase("sessions_made");
  add_loss(peers, list(before.rates, "peers"));
  figures["sessions_per_second"] = grown(now.rates, before.rates, "sessions_made", seconds);
  figures["workers"] = worker_shares(now.workers);
  figures["ports"] = port_rates(before, now, seconds);
  figures["drops"] = drop_rates(before, now, seconds);
  figures["peers"] = std::move(peers);
  return figures;
}

std::vector<std::string> keys_of(std::string_view bytes) {
  std::vector<std::string> keys;
  while (!bytes.empty()) {
    if (bytes.starts_with("\033[") || bytes.starts_with("\033O")) {
      std::size_t end = 2;  // a sequence ends with a byte from '@' to '~'
      while (end < bytes.size() && (bytes[end] < '@' || bytes[end] > '~')) ++end;
      const char last = end < bytes.size() ? bytes[end] : '\0';
      if (last == 'A') keys.emplace_back("up");
      if (last == 'B') keys.emplace_back("down");
      bytes.remove_prefix(std::min(end + 1, bytes.size()));
      continue;
    }
    const char c = bytes.front();
    bytes.remove_prefix(1);
    if (c == '\r' || c == '\n')
      keys.emplace_back("enter");
    else if (c == '\033')
      keys.emplace_back("escape");
    else if (c == '\b' || c == '\x7f')
      keys.emplace_back("backspace");
    else if (static_cast<unsigned char>(c) >= 0x20)
      keys.emplace_back(1, c);
  }
  return keys;
}

namespace {

TopAction type(TopState& state, const std::string& key) {
  if (key == "escape") {
    state.typing = false;
    return TopAction::kDraw;
  }
  if (key == "enter") {
    state.typing = false;
    state.filter = state.typed;
    state.selected = 0;
    return TopAction::kAsk;
  }
  if (key == "backspace" && !state.typed.empty()) state.typed.pop_back();
  if (key.size() == 1 && state.typed.size() < 64) state.typed += key;
  return TopAction::kDraw;
}

struct SortKey {
  const char* key;
  const char* sort;
};
constexpr std::array<SortKey, 5> kSortKeys{
    {{"t", "transfer"}, {"r", "rx"}, {"s", "tx"}, {"p", "packets"}, {"d", "drops"}}};

TopAction sort_by(TopState& state, const std::string& key) {
  for (const SortKey& each : kSortKeys)
    if (key == each.key) {
      state.sort = each.sort;
      state.selected = 0;
      return TopAction::kAsk;
    }
  return TopAction::kNothing;
}

TopAction move(TopState& state, bool down, std::size_t rows) {
  if (down && state.selected + 1 < rows) ++state.selected;
  if (!down && state.selected > 0) --state.selected;
  return TopAction::kDraw;
}

}  // namespace

TopAction take_key(TopState& state, const std::string& key, std::size_t rows) {
  if (state.typing) return type(state, key);
  if (key == "q") return TopAction::kQuit;
  if (std::exchange(state.explaining, false)) return TopAction::kDraw;  // any key ends an explanation
  if (key == "/") {
    state.typing = true;
    state.typed = state.filter;
    return TopAction::kDraw;
  }
  if (key == " ") {
    state.paused = !state.paused;
    return TopAction::kDraw;
  }
  if (key == "enter") return rows == 0 ? TopAction::kNothing : TopAction::kExplain;
  if (key == "down" || key == "j" || key == "up" || key == "k")
    return move(state, key == "down" || key == "j", rows);
  return sort_by(state, key);
}

std::size_t rows_of_screen(std::size_t lines) {
  return lines > kSummaryLines + kOtherLines ? lines - kSummaryLines - kOtherLines : 1;
}

std::string render_top(const Json& figures, const TopState* state, const View& view, std::size_t lines) {
  std::string out;
  for (const std::string& line : summary(figures, state, view)) out += line + "\n";
  out += "\n";
  out += peers_text(figures, state, view, lines == 0 ? 0 : rows_of_screen(lines));
  if (state == nullptr) {
    if (!truth(figures, "complete")) out += "(only the busiest peers were held against the filter)\n";
    return out;
  }
  const auto used = static_cast<std::size_t>(std::count(out.begin(), out.end(), '\n'));
  if (used + 1 < lines) out += std::string(lines - used - 1, '\n');
  return out + cut(last_line(*state, figures), view.layout);
}

}  // namespace wg::control::cli
