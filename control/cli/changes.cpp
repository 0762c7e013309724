// reload, diff, save, log, stop, events.
#include <memory>
#include <ostream>

#include "config/scalars.h"
#include "control/cli/call.h"
#include "control/cli/history.h"
#include "control/cli/options.h"
#include "control/cli/render.h"

namespace wg::control::cli {
namespace {

constexpr std::chrono::minutes kPlanPatience{2};  // a reload of 100 000 peers reads many files

// Returns the gateway's answer.
Json plan(const std::string& method, const Json& params, bool json, Invocation& invocation) {
  RpcClient gateway(invocation.socket, Access::kAdmin);
  Json result = gateway.call(method, params, kPlanPatience);
  if (json) {
    invocation.terminal.out << dump(result) << "\n";
  } else {
    render_plan(result, invocation.terminal.out, invocation.terminal.err);
  }
  invocation.exit_code = result.value("ok", false) ? kDone : kBadUsage;
  return result;
}

// "60s", "60", "10m".
std::uint64_t seconds_of(const std::string& text) {
  std::string digits = text;
  std::uint64_t unit = 1;
  if (digits.ends_with('m')) unit = 60;
  if (digits.ends_with('s') || digits.ends_with('m')) digits.pop_back();
  const auto number = config::parse_number(digits);
  if (!number || *number == 0 || *number > 86400 / unit)
    throw CommandFailed(kBadUsage, "--confirm: " + text + " is not a time such as 60s or 10m, at most a day");
  return *number * unit;
}

void add_rollback(CLI::App& app, Invocation& invocation) {
  struct Options {
    unsigned number = 0;
    std::string config = kDefaultConfig;
    bool force = false, json = false;
  };
  const auto options = std::make_shared<Options>();
  auto* rollback = app.add_subcommand("rollback", "Go back to the configuration before the last reload");
  auto* number = rollback
                     ->add_option("number", options->number,
                                  "Put this one of `linegate history` in the place of the file, and apply it")
                     ->check(whole_number(1))
                     ->type_name("N");
  rollback->add_option("-c,--config", options->config, "With N: configuration file (YAML)")
      ->type_name("FILE")
      ->capture_default_str();
  rollback->add_flag("--force", options->force, "With N: give up changes of the file that were not applied")
      ->needs(number);
  rollback->add_flag("--json", options->json, "Print JSON");
  rollback->callback([options, &invocation] {
    if (options->number == 0) return void(plan("rollback", Json::object(), options->json, invocation));
    roll_back_to(options->number, options->config, options->force, options->json, invocation);
  });
}

void add_plans(CLI::App& app, Invocation& invocation) {
  const auto confirm = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  const auto dry_run = std::make_shared<bool>(false);
  auto* reload = app.add_subcommand("reload", "Read the configuration again and apply the difference");
  reload->add_flag("--dry-run", *dry_run, "Print the plan without applying it");
  reload->add_flag("--json", *json, "Print JSON");
  reload
      ->add_option("--confirm", *confirm,
                   "Go back by itself unless `linegate confirm` follows within this time")
      ->type_name("SECONDS");
  reload->callback([=, &invocation] {
    Json params = {{"dry_run", *dry_run}};
    if (!confirm->empty()) params["confirm_seconds"] = seconds_of(*confirm);
    const Json result = plan("reload", params, *json, invocation);
    const bool changed = !result.value("plan", Json::array()).empty();
    if (!confirm->empty() && invocation.exit_code == kDone && !*dry_run && changed)
      invocation.terminal.err << "undone in " << *confirm << (config::parse_number(*confirm) ? " s" : "")
                              << " unless confirmed: linegate confirm\n";
  });
  app.add_subcommand("confirm", "Keep a reload that waits for confirmation")->callback([&invocation] {
    RpcClient(invocation.socket, Access::kAdmin).call("confirm");
  });
  add_rollback(app, invocation);
  auto* diff =
      app.add_subcommand("diff", "Print the differences between the running configuration and the file");
  diff->add_flag("--json", *json, "Print JSON");
  diff->callback([=, &invocation] { plan("diff", Json::object(), *json, invocation); });
  auto* save = app.add_subcommand("save", "Write runtime changes back to the file");
  save->add_flag("--json", *json, "Print JSON");
  save->callback([=, &invocation] { plan("save", Json::object(), *json, invocation); });
}

void add_log(CLI::App& app, Invocation& invocation) {
  struct Options {
    std::string level, interface;
  };
  const auto options = std::make_shared<Options>();
  auto* log = app.add_subcommand("log", "Control logging");
  log->require_subcommand(1);
  auto* level = log->add_subcommand("level", "Set the log level");
  level->add_option("level", options->level, "The level")
      ->required()
      ->check(CLI::IsMember({"off", "error", "warn", "info", "debug", "trace"}));
  level->add_option("--interface", options->interface, "Only for this interface")->type_name("INTERFACE");
  level->callback([options, &invocation] {
    RpcClient(invocation.socket, Access::kAdmin)
        .call("log.level", {{"level", options->level}, {"interface", options->interface}});
  });
}

void add_events(CLI::App& app, Invocation& invocation) {
  struct Options {
    std::string interface;
    bool json = false;
    unsigned count = 0;
  };
  const auto options = std::make_shared<Options>();
  auto* events = app.add_subcommand("events", "Print events as they happen, until interrupted");
  events->add_option("--interface", options->interface, "Only for this interface")->type_name("INTERFACE");
  events->add_option("--count", options->count, "Stop after N events")
      ->check(whole_number(1))
      ->type_name("N");
  events->add_flag("--json", options->json, "Print JSON, one event per line");
  events->callback([options, &invocation] {
    RpcClient gateway(invocation.socket, Access::kAny);
    std::ostream& out = invocation.terminal.out;
    Json params = Json::object();
    if (!options->interface.empty()) {
      params["interface"] = options->interface;
      gateway.call("show.interface", params);  // its refusal names the nearest one
    }
    unsigned seen = 0;
    gateway.listen(params, [&](const Json& event) {
      if (options->json) {
        out << dump(event) << "\n" << std::flush;
      } else {
        render_event(event, out);
      }
      return ++seen != options->count && out.good();
    });
  });
}

void add_port(CLI::App& app, Invocation& invocation) {
  auto* port = app.add_subcommand("port", "Act on a port");
  port->require_subcommand(1);
  const auto name = std::make_shared<std::string>();
  auto* restart = port->add_subcommand("restart", "Restart a port's device; sessions are kept");
  restart->add_option("name", *name, "The port")->required()->type_name("PORT");
  restart->callback([=, &invocation] {
    RpcClient(invocation.socket, Access::kAdmin).call("port.restart", {{"port", *name}});
  });
}

}  // namespace

void add_changes(CLI::App& app, Invocation& invocation) {
  add_plans(app, invocation);
  add_log(app, invocation);
  add_events(app, invocation);
  add_port(app, invocation);
  app.add_subcommand("stop", "Stop the running gateway")->callback([&invocation] {
    RpcClient(invocation.socket, Access::kAdmin).call("stop");
  });
}

}  // namespace wg::control::cli
