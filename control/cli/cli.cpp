#include "control/cli/cli.h"

#include <algorithm>
#include <ostream>
#include <string_view>

#include "control/cli/build_facts.h"
#include "control/cli/suggestion.h"

namespace wg::control::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 bad configuration or usage, 3 not running.";
constexpr const char* kMoreHelp = "\nRun `linegate COMMAND --help` for the options of a command.";

// The innermost command that was parsed.
const CLI::App& innermost(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return *at;
}

std::string unknown_command(const std::string& word, const CLI::App& parent) {
  std::vector<std::string> names;
  for (const auto* command : parent.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return "unknown command: " + word + suggestion(word, names);
}

std::string unknown_option(const std::string& word, const CLI::App& command) {
  const auto option = word.substr(0, word.find('='));
  std::vector<std::string> names;
  for (const CLI::App* at = &command; at != nullptr; at = at->get_fallthrough() ? at->get_parent() : nullptr)
    for (const auto* known : at->get_options())
      for (const auto& name : known->get_lnames()) names.push_back("--" + name);
  return "unknown option: " + option + suggestion(option, names);
}

// A sentence about the first word that no command takes. Empty: CLI11's own text is used.
std::string unknown_word(const CLI::App& app) {
  const auto words = app.remaining(true);
  if (words.empty()) return {};
  const CLI::App& command = innermost(app);
  if (words.front().starts_with("-")) return unknown_option(words.front(), command);
  const bool has_commands = !command.get_subcommands([](const CLI::App*) { return true; }).empty();
  return has_commands ? unknown_command(words.front(), command) : "unknown argument: " + words.front();
}

int usage_error(const CLI::App& app, const CLI::ParseError& error, Terminal& terminal) {
  const bool help = dynamic_cast<const CLI::Success*>(&error) != nullptr;
  if (const auto sentence = help ? std::string() : unknown_word(app); !sentence.empty()) {
    terminal.err << sentence << "\nRun with --help for more information.\n";
    return kBadUsage;
  }
  const int code = app.exit(error, terminal.out, terminal.err);
  return code == 0 ? kDone : kBadUsage;  // 0: --help was given
}

}  // namespace

int run(const std::vector<std::string>& arguments, Terminal terminal) {
  Invocation invocation{terminal};
  CLI::App app{"Linegate, a WireGuard gateway on DPDK", "linegate"};
  app.footer(kExitCodes);  // the commands inherit it
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
  app.footer(std::string(kExitCodes) + kMoreHelp);
  try {
    auto reversed = arguments;  // CLI11 reads arguments from the back
    std::reverse(reversed.begin(), reversed.end());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error, terminal);
  } catch (const CommandFailed& failed) {
    terminal.err << failed.what() << "\n";
    return failed.exit_code;
  }
  terminal.out.flush();
  if (!terminal.out) return kFailed;  // the disk is full or the pipe is closed
  return invocation.exit_code;
}

}  // namespace wg::control::cli
