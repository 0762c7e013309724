// run, check.
#include <algorithm>
#include <memory>
#include <ostream>
#include <stdexcept>

#include "config/lint.h"
#include "config/parse.h"
#include "control/card_probe.h"
#include "control/cli/cli.h"
#include "control/daemon.h"
#include "control/kernel/firewall.h"

namespace wg::control::cli {
namespace {

std::string counted(std::size_t count, const std::string& what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

std::string summary(const config::Gateway& gateway) {
  std::size_t peers = 0;
  for (const auto& [name, interface] : gateway.interfaces) peers += interface.peers.size();
  return counted(gateway.ports.size(), "port") + ", " + counted(gateway.interfaces.size(), "interface") +
         ", " + counted(peers, "peer");
}

struct CheckOptions {
  std::string path = kDefaultConfig;
  bool strict = false, offline = false, probe = false;
};

// About this machine and not about the file, so it refuses nothing.
void note_firewall(const config::Gateway& gateway, Terminal& terminal) {
  if (!config::uses_short_cut(gateway)) return;
  const auto ours = [&](const std::string& link) {
    return gateway.ports.contains(link) || gateway.interfaces.contains(link);
  };
  const std::string firewall =
      firewall_warning(chains_beside_short_cut(ours), config::uses_port_to_port(gateway));
  if (!firewall.empty()) terminal.err << "note: " << firewall << "\n";
}

struct Count {
  std::size_t errors = 0, warnings = 0;
};

void say_card(const ProbedCard& card, Terminal& terminal, Count& count) {
  if (!card.error.empty()) {
    terminal.err << "error: port " << card.port << ": " << card.error << "\n";
    ++count.errors;
    return;
  }
  terminal.out << "port " << card.port << ": " << card.found << "\n";
  for (const std::string& concern : card.concerns)
    terminal.err << "warning: port " << card.port << ": " << concern << "\n";
  count.warnings += card.concerns.size();
}

// A file with errors is not tried.
void probe(const config::Gateway& gateway, Terminal& terminal, Count& count) {
  try {
    for (const ProbedCard& card : probe_cards(gateway)) say_card(card, terminal, count);
  } catch (const std::runtime_error& refused) {
    terminal.err << "error: " << refused.what() << "\n";
    ++count.errors;
  }
}

int check(const CheckOptions& options, Terminal& terminal) {
  const std::string& path = options.path;
  if (path.empty()) throw CommandFailed(kBadUsage, "the name of the configuration file is empty");
  const auto parsed = config::parse_file(path);
  if (!parsed) {
    terminal.err << config::to_string(parsed.error()) << path << ": "
                 << counted(parsed.error().size(), "error") << "\n";
    return kBadUsage;
  }
  const auto found =
      config::lint(*parsed, options.offline ? config::files_environment() : config::system_environment());
  terminal.err << config::to_string(found);
  if (!options.offline) note_firewall(*parsed, terminal);
  const auto of = [&](config::Severity severity) {
    return static_cast<std::size_t>(
        std::count_if(found.begin(), found.end(),
                      [&](const config::Problem& problem) { return problem.severity == severity; }));
  };
  Count count{of(config::Severity::kError), of(config::Severity::kWarning)};
  if (options.probe && count.errors == 0) probe(*parsed, terminal, count);
  const auto [errors, warnings] = count;
  const bool refused = errors != 0 || (options.strict && warnings != 0);
  std::ostream& out = refused ? terminal.err : terminal.out;
  out << path << ": " << (refused ? "refused" : "ok") << " (" << summary(*parsed);
  if (errors != 0) out << ", " << counted(errors, "error");
  if (warnings != 0) out << ", " << counted(warnings, "warning");
  out << ")\n";
  return refused ? kBadUsage : kDone;
}

}  // namespace

void add_run_and_check(CLI::App& app, Invocation& invocation) {
  const auto path = std::make_shared<std::string>(kDefaultConfig);
  auto* run = app.add_subcommand("run", "Run the gateway until SIGTERM or SIGINT");
  run->add_option("-c,--config", *path, "Configuration file (YAML)")
      ->type_name("FILE")
      ->capture_default_str();
  const auto keys = std::make_shared<bool>(false);
  run->add_flag("--allow-key-captures", *keys,
                "Let `capture --with-keys` write private keys to files: for laboratories alone");
  run->callback([path, keys, &invocation] {
    DaemonOptions options;
    options.config_path = *path;
    options.allow_key_captures = *keys;
    invocation.exit_code = run_daemon(options);
  });

  const auto options = std::make_shared<CheckOptions>();
  auto* check_command = app.add_subcommand("check", "Check a configuration file without starting anything");
  check_command->add_option("-c,--config", options->path, "Configuration file (YAML)")
      ->type_name("FILE")
      ->capture_default_str();
  check_command->add_option("file", options->path, "The same without an option")->type_name("FILE");
  check_command->add_flag("--strict", options->strict, "Treat warnings as errors");
  check_command->add_flag("--offline", options->offline,
                          "The file is for another machine: do not compare it with this one");
  check_command
      ->add_flag("--probe", options->probe,
                 "Open the cards as a start would, and tell what they refuse; needs root")
      ->excludes("--offline");
  check_command->callback(
      [options, &invocation] { invocation.exit_code = check(*options, invocation.terminal); });
}

}  // namespace wg::control::cli
