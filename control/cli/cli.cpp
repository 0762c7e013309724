#include "control/cli/cli.h"

#include <algorithm>
#include <ostream>

#include "control/cli/build_facts.h"

namespace wg::control::cli {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 done, 1 failed, 2 bad configuration or usage, 3 not running.\n"
    "`linegate COMMAND --help` tells more.";

int usage_error(const CLI::App& app, const CLI::ParseError& error, Terminal& terminal) {
  const bool help = dynamic_cast<const CLI::Success*>(&error) != nullptr;
  const auto words = app.remaining();
  if (!help && app.get_subcommands().empty() && !words.empty() && !words.front().starts_with('-')) {
    terminal.err << "there is no command " << words.front() << "\nRun with --help for more information.\n";
    return kBadUsage;
  }
  const int code = app.exit(error, terminal.out, terminal.err);
  return code == 0 ? kDone : kBadUsage;  // 0: help was asked for
}

}  // namespace

int run(const std::vector<std::string>& arguments, Terminal terminal) {
  Invocation invocation{terminal};
  CLI::App app{"Linegate, a WireGuard gateway on DPDK", "linegate"};
  app.footer(kFooter);
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--socket", invocation.socket, "Control socket of the running gateway")
      ->envname("LINEGATE_SOCKET")
      ->capture_default_str();
  add_run_and_check(app, invocation);
  add_show(app, invocation);
  add_explain(app, invocation);
  add_changes(app, invocation);
  add_interface(app, invocation);
  add_convert(app, invocation);
  add_keys(app, invocation);
  add_version(app, invocation);
  try {
    auto reversed = arguments;  // CLI11 takes them from the back
    std::reverse(reversed.begin(), reversed.end());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error, terminal);
  } catch (const CommandFailed& failed) {
    terminal.err << failed.what() << "\n";
    return failed.exit_code;
  }
  terminal.out.flush();
  if (!terminal.out) return kFailed;  // a full disk or a closed pipe behind us
  return invocation.exit_code;
}

}  // namespace wg::control::cli
