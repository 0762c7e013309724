// show.
#include <unistd.h>

#include <memory>
#include <optional>
#include <ostream>
#include <thread>

#include "control/cli/call.h"
#include "control/cli/render.h"

namespace wg::control::cli {
namespace {

struct ShowOptions {
  std::string what;
  std::string interface;
  std::string peer;
  std::string sort = "name";
  std::size_t limit = 0;
  bool active = false;
  bool json = false;
  double watch = 0;    // seconds; 0: once
  unsigned times = 0;  // 0: no limit
};

WallTime now() {
  return std::chrono::system_clock::now();
}

// The list of interfaces is short, so it is filtered here and not in the gateway.
Json only_interface(Json result, const std::string& name) {
  if (name.empty()) return result;
  Json kept = Json::array();
  for (const auto& interface : result["interfaces"])
    if (interface.value("name", "") == name) kept.push_back(interface);
  if (kept.empty()) throw CommandFailed(kFailed, "no interface " + name);
  return {{"interfaces", std::move(kept)}};
}

// A name or key identifies one peer, which the gateway finds without a walk. Any other word is a filter.
std::optional<Json> exact_peer(RpcClient& gateway, const ShowOptions& options) {
  if (options.peer.empty()) return std::nullopt;
  try {
    return gateway.call("show.peer", {{"interface", options.interface}, {"peer", options.peer}});
  } catch (const CommandFailed&) {
    return std::nullopt;
  }
}

void show_peers(RpcClient& gateway, const ShowOptions& options, std::ostream& out) {
  if (const auto peer = exact_peer(gateway, options)) {
    if (options.json) {
      out << dump({{"total", 1}, {"peers", Json::array({*peer})}}) << "\n";
    } else {
      render_peer(*peer, now(), out);
    }
    return;
  }
  const auto result = gateway.call("show.peers", {{"interface", options.interface},
                                                  {"peer", options.peer},
                                                  {"active", options.active},
                                                  {"sort", options.sort},
                                                  {"limit", options.limit}});
  if (!options.peer.empty() && result.value("total", 0) == 0)
    throw CommandFailed(kFailed, "no peer matches " + options.peer);
  if (options.json) {
    out << dump(result) << "\n";
  } else {
    render_peers(result, now(), out);
  }
}

void show_overview(RpcClient& gateway, const ShowOptions& options, std::ostream& out) {
  const auto status = gateway.call("show.gateway");
  const auto interfaces = only_interface(gateway.call("show.interfaces"), options.interface);
  const auto ports = gateway.call("show.ports");
  if (options.json) {
    out << dump({{"gateway", status}, {"interfaces", interfaces["interfaces"]}, {"ports", ports["ports"]}})
        << "\n";
    return;
  }
  render_gateway(status, now(), out);
  out << "\n";
  render_interfaces(interfaces, out);
  out << "\n";
  render_ports(ports, out);
}

void show_once(RpcClient& gateway, const ShowOptions& options, std::ostream& out) {
  if (options.what.empty()) return show_overview(gateway, options, out);
  if (options.what == "peers") return show_peers(gateway, options, out);
  auto result = gateway.call("show." + options.what);
  if (options.what == "interfaces") result = only_interface(std::move(result), options.interface);
  if (options.json) {
    out << dump(result) << "\n";
  } else if (options.what == "interfaces") {
    render_interfaces(result, out);
  } else if (options.what == "ports") {
    render_ports(result, out);
  } else if (options.what == "workers") {
    render_workers(result, out);
  } else {
    render_drops(result, out);
  }
}

void show(const ShowOptions& options, Invocation& invocation) {
  RpcClient gateway(invocation.socket, Access::kAny);
  std::ostream& out = invocation.terminal.out;
  for (unsigned update = 1;; ++update) {
    if (options.watch > 0 && !options.json && isatty(STDOUT_FILENO) != 0) out << "\033[H\033[2J";
    show_once(gateway, options, out);
    out.flush();
    if (options.watch <= 0 || update == options.times || !out) return;
    std::this_thread::sleep_for(std::chrono::duration<double>(options.watch));
    if (!options.json) out << "\n";
  }
}

}  // namespace

void add_show(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<ShowOptions>();
  auto* command = app.add_subcommand("show", "Show the running gateway");
  command->add_option("what", options->what, "What to show (default: an overview)")
      ->check(CLI::IsMember({"interfaces", "peers", "ports", "workers", "drops"}));
  command->add_flag("--json", options->json, "Print JSON, one document per line");
  command->add_option("--watch", options->watch, "Repeat every SECONDS")
      ->check(CLI::Range(0.1, 86400.0))
      ->expected(0, 1)
      ->default_str("2")
      ->type_name("SECONDS");
  command->add_option("--times", options->times, "With --watch: stop after N updates")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--interface", options->interface, "Only this interface");
  command->add_option("--peer", options->peer,
                      "Only this peer: name, key, a part of either, or an allowed address");
  command->add_option("--sort", options->sort, "Order of peers")
      ->check(CLI::IsMember({"name", "handshake", "rx", "tx", "transfer", "drops"}))
      ->capture_default_str();
  command->add_option("--limit", options->limit, "Show at most N peers")->check(CLI::NonNegativeNumber);
  command->add_flag("--active", options->active, "Only peers with a session");
  command->callback([options, &invocation] { show(*options, invocation); });
}

}  // namespace wg::control::cli
