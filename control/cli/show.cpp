// show: the overview and one subcommand for each table.
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <thread>

#include "control/api/format.h"
#include "control/api/members.h"
#include "control/cli/call.h"
#include "control/cli/options.h"
#include "control/cli/render.h"
#include "control/cli/suggestion.h"

namespace wg::control::cli {
namespace {

struct ShowOptions {
  std::string what;  // a table; empty: the overview
  std::string interface;
  std::string peer;
  std::string address;
  std::string sort = "name";
  std::size_t limit = 0;
  bool active = false;
  bool json = false;
  double watch = 0;    // seconds; 0: once
  unsigned times = 0;  // 0: no limit
};

// The list of interfaces is short, so it is filtered here and not in the gateway.
Json only_interface(Json result, const std::string& name) {
  if (name.empty()) return result;
  Json kept = Json::array();
  std::vector<std::string> names;
  for (const auto& interface : result["interfaces"]) {
    names.push_back(interface.value("name", ""));
    if (names.back() == name) kept.push_back(interface);
  }
  if (kept.empty()) throw CommandFailed(kFailed, "no interface " + name + suggestion(name, names));
  return {{"interfaces", std::move(kept)}};
}

// A name or key identifies one peer, which the gateway finds without a walk. Any other word is a filter.
std::optional<Json> exact_peer(RpcClient& gateway, const ShowOptions& options) {
  if (options.peer.empty()) return std::nullopt;
  auto answer = gateway.try_call("show.peer", {{"interface", options.interface}, {"peer", options.peer}});
  if (!answer) return std::nullopt;
  return Json{{"total", 1}, {"peers", Json::array({std::move(*answer)})}, {"exact", true}};
}

Json fetch_peers(RpcClient& gateway, const ShowOptions& options) {
  if (auto peer = exact_peer(gateway, options)) return std::move(*peer);
  auto result = gateway.call("show.peers", {{"interface", options.interface},
                                            {"peer", options.peer},
                                            {"active", options.active},
                                            {"sort", options.sort},
                                            {"limit", options.limit}});
  // With the filter and nothing found, the answer to the exact question says what is wrong.
  if (!options.peer.empty() && result.value("total", 0) == 0)
    gateway.call("show.peer", {{"interface", options.interface}, {"peer", options.peer}});
  return result;
}

Json fetch_overview(RpcClient& gateway, const ShowOptions& options) {
  Json result = {{"gateway", gateway.call("show.gateway")}};
  result.update(only_interface(gateway.call("show.interfaces"), options.interface));
  result.update(gateway.call("show.ports"));
  return result;
}

Json fetch(RpcClient& gateway, const ShowOptions& options) {
  if (options.what.empty()) return fetch_overview(gateway, options);
  if (options.what == "peers") return fetch_peers(gateway, options);
  if (options.what == "flows")
    return gateway.call("show.flows", {{"address", options.address}, {"limit", options.limit}});
  auto result = gateway.call("show." + options.what);
  return options.what == "interfaces" ? only_interface(std::move(result), options.interface) : result;
}

void render(const ShowOptions& options, const Json& result, const View& view, std::ostream& out) {
  if (options.what == "peers" && result.contains("exact")) return render_peer(result["peers"][0], view, out);
  if (options.what == "peers") return render_peers(result, view, out);
  if (!options.what.empty()) return render_table(*find_show_table(options.what), result, view, out);
  render_gateway(result["gateway"], view, out);
  for (const char* table : {"interfaces", "ports"}) {
    out << "\n";
    render_table(*find_show_table(table), result, view, out);
  }
}

// ---------------------------------------------------------------- rates

std::string identity(const Json& row) {
  return members::text(row, "interface", "") + "\n" + members::text(row, "public_key", "") + "\n" +
         members::text(row, "name", "");
}

// Adds to each row what its counters grew by, per second: member "rx_bytes" gives "rx_bytes_rate".
void add_rates(Json& rows, const Json& before, double seconds) {
  std::map<std::string, const Json*> known;
  for (const Json& row : before)
    if (row.is_object()) known[identity(row)] = &row;
  for (Json& row : rows) {
    const auto found = row.is_object() ? known.find(identity(row)) : known.end();
    if (found == known.end()) continue;
    for (const char* name : {"rx_bytes", "tx_bytes", "count"}) {
      if (!row.contains(name)) continue;
      const std::uint64_t now = members::number(row, name), then = members::number(*found->second, name);
      row[std::string(name) + "_rate"] = now < then ? 0 : static_cast<double>(now - then) / seconds;
    }
  }
}

void add_rates_of_tables(Json& result, const Json& before, double seconds) {
  for (auto& [name, rows] : result.items())
    if (rows.is_array() && before.contains(name)) add_rates(rows, before[name], seconds);
}

// ---------------------------------------------------------------- the command

void print_update(const ShowOptions& options, Json result, Invocation& invocation) {
  std::ostream& out = invocation.terminal.out;
  const View view{std::chrono::system_clock::now(), invocation.terminal.layout};
  if (options.json) {
    result.erase("exact");
    out << dump(result) << "\n" << std::flush;
    return;
  }
  if (options.watch > 0 && view.layout.terminal) out << "\033[H\033[2J";
  if (options.watch > 0) out << format_time(view.now) << "\n\n";
  render(options, result, view, out);
  out.flush();
}

void show(const ShowOptions& options, Invocation& invocation) {
  using Clock = std::chrono::steady_clock;
  RpcClient gateway(invocation.socket, Access::kAny);
  Json before;
  auto asked_before = Clock::now();
  for (unsigned update = 1;; ++update) {
    const auto asked = Clock::now();
    Json result = fetch(gateway, options);
    const Json counters = options.watch > 0 ? result : Json();
    if (!before.is_null())
      add_rates_of_tables(result, before, std::chrono::duration<double>(asked - asked_before).count());
    print_update(options, std::move(result), invocation);
    if (options.watch <= 0 || update == options.times || !invocation.terminal.out) return;
    before = counters;
    asked_before = asked;
    std::this_thread::sleep_for(std::chrono::duration<double>(options.watch));
    if (!options.json) invocation.terminal.out << "\n";
  }
}

void add_common(CLI::App& command, const std::shared_ptr<ShowOptions>& options) {
  command.add_flag("--json", options->json, "Print JSON, one document per line");
  auto* watch = command.add_option("--watch", options->watch, "Repeat every SECONDS, with rates")
                    ->check(seconds_between(0.1, 86400))
                    ->expected(0, 1)
                    ->default_str("2")
                    ->type_name("SECONDS");
  command.add_option("--times", options->times, "With --watch: stop after N updates")
      ->check(whole_number(0))
      ->type_name("N")
      ->needs(watch);
}

void add_interface_option(CLI::App& command, const std::shared_ptr<ShowOptions>& options) {
  command.add_option("--interface", options->interface, "Only this interface")->type_name("INTERFACE");
}

void add_table(CLI::App& parent, Invocation& invocation, const std::string& name, const std::string& help) {
  const auto options = std::make_shared<ShowOptions>();
  options->what = name;
  auto* command = parent.add_subcommand(name, help);
  command->fallthrough(false);  // an option of the overview is not one of a table
  command->add_option("--socket", invocation.socket, "Control socket of the running gateway")->group("");
  add_common(*command, options);
  if (name == "interfaces" || name == "peers") add_interface_option(*command, options);
  if (name == "flows") {
    command->add_option("--address", options->address, "Only flows with this address on either side")
        ->check(ip_address())
        ->type_name("ADDRESS");
    command->add_option("--limit", options->limit, "Show at most N flows")
        ->check(whole_number(0))
        ->type_name("N");
  }
  if (name == "peers") {
    command
        ->add_option("--peer", options->peer,
                     "Only this peer: name, key, a part of either, or an allowed address")
        ->type_name("PEER");
    command->add_option("--sort", options->sort, "Order of peers")
        ->check(CLI::IsMember({"name", "handshake", "rx", "tx", "transfer", "drops"}))
        ->capture_default_str();
    command->add_option("--limit", options->limit, "Show at most N peers")
        ->check(whole_number(0))
        ->type_name("N");
    command->add_flag("--active", options->active, "Only peers with a session");
  }
  command->callback([options, command, &invocation] {
    for (const auto* option : command->get_parent()->get_options())
      if (option->count() > 0)
        throw CommandFailed(kBadUsage,
                            option->get_name() + " belongs after `show " + command->get_name() + "`");
    show(*options, invocation);
  });
}

}  // namespace

void add_show(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<ShowOptions>();
  auto* command = app.add_subcommand("show", "Show the running gateway: an overview, or one table");
  command->require_subcommand(0, 1);
  add_common(*command, options);
  add_interface_option(*command, options);
  for (const ShowTable& table : show_tables())
    add_table(*command, invocation, std::string(table.name()), table.help);
  add_table(*command, invocation, "peers", "Peers: endpoints, handshakes, transfer");
  command->callback([command, options, &invocation] {
    if (command->get_subcommands().empty()) show(*options, invocation);
  });
}

}  // namespace wg::control::cli
