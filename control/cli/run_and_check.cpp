// run, check.
#include <algorithm>
#include <memory>
#include <ostream>

#include "config/lint.h"
#include "config/parse.h"
#include "control/cli/cli.h"
#include "control/daemon.h"

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

int check(const std::string& path, bool strict, Terminal& terminal) {
  const auto parsed = config::parse_file(path);
  if (!parsed) {
    terminal.err << config::to_string(parsed.problems) << path << ": "
                 << counted(parsed.problems.size(), "error") << "\n";
    return kBadUsage;
  }
  const auto problems = config::lint(*parsed.value);
  terminal.err << config::to_string(problems);
  const auto is_error = [](const config::Problem& p) { return p.severity == config::Severity::kError; };
  const auto errors = static_cast<std::size_t>(std::count_if(problems.begin(), problems.end(), is_error));
  const bool refused = errors != 0 || (strict && !problems.empty());
  std::ostream& out = refused ? terminal.err : terminal.out;
  out << path << ": " << (refused ? "refused" : "ok") << " (" << summary(*parsed.value);
  if (errors != 0) out << ", " << counted(errors, "error");
  if (errors != problems.size()) out << ", " << counted(problems.size() - errors, "warning");
  out << ")\n";
  return refused ? kBadUsage : kDone;
}

}  // namespace

void add_run_and_check(CLI::App& app, Invocation& invocation) {
  const auto path = std::make_shared<std::string>(kDefaultConfig);
  auto* run = app.add_subcommand("run", "Run the gateway until SIGTERM or SIGINT");
  run->add_option("-c,--config", *path, "Configuration file (YAML)")->capture_default_str();
  run->callback([path, &invocation] {
    DaemonOptions options;
    options.config_path = *path;
    invocation.exit_code = run_daemon(options);
  });

  const auto strict = std::make_shared<bool>(false);
  auto* check_command = app.add_subcommand("check", "Check a configuration file without starting anything");
  check_command->add_option("-c,--config", *path, "Configuration file (YAML)")->capture_default_str();
  check_command->add_flag("--strict", *strict, "Treat warnings as errors");
  check_command->callback(
      [path, strict, &invocation] { invocation.exit_code = check(*path, *strict, invocation.terminal); });
}

}  // namespace wg::control::cli
