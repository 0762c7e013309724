#include "control/cli/cli.h"

#include <algorithm>
#include <ostream>
#include <sstream>
#include <string_view>

#include "control/cli/build_facts.h"
#include "control/cli/complete.h"
#include "control/cli/history.h"
#include "control/cli/suggestion.h"
#include "control/cli/top.h"

namespace wg::control::cli {
namespace {

constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed, 2 bad configuration or usage, 3 not running,\n"
    "4 what was asked about is not as it should be.";
constexpr const char* kMoreHelp =
    "\nRun `linegate help COMMAND` for the options of a command. First steps: `linegate init`.";

// The headings of the list of commands, in the order of an operator's day.
struct CommandGroup {
  const char* title;
  std::vector<std::string_view> commands;
};
const CommandGroup kGroups[] = {
    {"Commands", {"init", "run", "check", "doctor", "version", "help", "man", "completion"}},
    {"Status commands", {"show", "top", "explain", "trace", "capture", "events", "diff"}},
    {"Change commands",
     {"reload", "confirm", "rollback", "history", "save", "interface", "port", "log", "stop"}},
    {"File and key commands", {"peer", "schema", "import", "export", "genkey", "pubkey", "genpsk", "extcap"}},
};

// Words of other programs, and what does the same here.
struct Synonym {
  std::string_view word, command;
};
constexpr Synonym kSynonyms[] = {{"status", "show"},  {"list", "show"},       {"ls", "show"},
                                 {"start", "run"},    {"test", "check"},      {"validate", "check"},
                                 {"apply", "reload"}, {"monitor", "events"},  {"restart", "reload"},
                                 {"quit", "stop"},    {"why", "explain peer"}};

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* command) { return !command->get_group().empty(); });
}

// The innermost command that was parsed.
const CLI::App& innermost(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return *at;
}

// "show peers" for "peers": a command further down that has exactly this name.
std::string path_of_command(const CLI::App& app, const std::string& word) {
  for (const CLI::App* command : commands_of(app)) {
    if (command->get_name() == word) return word;
    if (const auto rest = path_of_command(*command, word); !rest.empty())
      return command->get_name() + " " + rest;
  }
  return {};
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
  return commands_of(command).empty() ? "unknown argument: " + words.front()
                                      : unknown_command(words.front(), command);
}

// The command was given without one of its commands: the list of them says more than an error.
bool lacks_command(const CLI::App& command) {
  return command.get_require_subcommand_min() > 0 && command.get_subcommands().empty();
}

std::string path_to(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return parent == nullptr ? std::string()
                           : path_to(*parent) + (path_to(*parent).empty() ? "" : " ") + parent->get_name();
}

// A name that the user or the gateway gave may hold escape sequences of a terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte >= 0x20 && byte != 0x7f) || c == '\n' || c == '\t')
      out += c;
    else
      out += "\\x" + std::string(1, "0123456789abcdef"[byte >> 4]) + "0123456789abcdef"[byte & 15];
  }
  return out;
}

int usage_error(const CLI::App& app, const CLI::ParseError& error, Terminal& terminal) {
  const bool wanted = dynamic_cast<const CLI::Success*>(&error) != nullptr;
  if (const auto sentence = wanted ? std::string() : unknown_word(app); !sentence.empty()) {
    terminal.err << printable(sentence) << "\nRun with --help for more information.\n";
    return kBadUsage;
  }
  const CLI::App& command = innermost(app);
  if (!wanted && lacks_command(command)) {
    terminal.err << command.help(path_to(command));
    return kBadUsage;
  }
  std::ostringstream complaint;
  const int code = app.exit(error, terminal.out, complaint);
  terminal.err << printable(complaint.str());
  return code == 0 ? kDone : kBadUsage;  // 0: --help or --version was given
}

// Wireshark runs the program without a command.
bool is_asked_by_wireshark(const std::vector<std::string>& arguments) {
  return !arguments.empty() &&
         (arguments.front().starts_with("--extcap-") || arguments.front() == "--capture");
}

void add_commands(CLI::App& app, Invocation& invocation) {
  app.footer(kExitCodes);  // the commands inherit it
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--socket", invocation.socket, "Control socket of the running gateway")
      ->envname("LINEGATE_SOCKET")
      ->type_name("PATH")
      ->capture_default_str();
  app.set_version_flag(
      "--version", [] { return "linegate " + build_facts().version; }, "Print the version");
  add_run_and_check(app, invocation);
  add_show(app, invocation);
  add_explain(app, invocation);
  add_top(app, invocation);
  add_capture(app, invocation);
  add_extcap(app, invocation);
  add_changes(app, invocation);
  add_history(app, invocation);
  add_interface(app, invocation);
  add_peer_commands(app, invocation);
  add_convert(app, invocation);
  add_keys(app, invocation);
  add_version(app, invocation);
  add_doctor(app, invocation);
  add_init(app, invocation);
  add_schema(app, invocation);
  add_help(app, invocation);
  for (const auto& group : kGroups)
    for (const auto name : group.commands)
      if (CLI::App* command = app.get_subcommand(std::string(name))) command->group(group.title);
  app.footer(std::string(kExitCodes) + kMoreHelp);
}

void print_candidates(const CLI::App& app, std::vector<std::string> words, std::ostream& out) {
  for (const auto& candidate : complete_words(command_tree(app), words))
    out << candidate.word << "\t" << candidate.help << "\n";
}

}  // namespace

const CLI::App* find_command(const CLI::App& parent, const std::string& name) {
  for (const CLI::App* command : commands_of(parent))
    if (command->get_name() == name) return command;
  return nullptr;
}

std::string unknown_command(const std::string& word, const CLI::App& parent) {
  std::vector<std::string> names;
  for (const auto* command : commands_of(parent)) names.push_back(command->get_name());
  auto near = suggestion(word, names);
  if (near.empty() && parent.get_parent() != nullptr) {
    const std::vector<std::string_view> views(names.begin(), names.end());
    near = "; " + parent.get_name() + " has " + config::join(views, ", ");
  }
  if (parent.get_parent() == nullptr) {
    std::string path = path_of_command(parent, word);
    for (const auto& synonym : kSynonyms)
      if (synonym.word == word) path = synonym.command;
    if (!path.empty()) near = "; did you mean '" + path + "'?";
  }
  return "unknown command: " + word + near;
}

int run(const std::vector<std::string>& arguments, Terminal terminal) {
  Invocation invocation{terminal};
  CLI::App app{"Linegate, a WireGuard gateway on DPDK", "linegate"};
  add_commands(app, invocation);
  if (!arguments.empty() && arguments.front() == "complete") {
    print_candidates(app, {arguments.begin() + 1, arguments.end()}, terminal.out);
    return kDone;
  }
  try {
    auto reversed = arguments;  // CLI11 reads arguments from the back
    if (is_asked_by_wireshark(arguments)) reversed.insert(reversed.begin(), "extcap");
    std::reverse(reversed.begin(), reversed.end());
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, error, terminal);
  } catch (const CommandFailed& failed) {
    terminal.err << printable(failed.what()) << "\n";
    return failed.exit_code;
  }
  terminal.out.flush();
  if (!terminal.out) return kFailed;  // the disk is full or the pipe is closed
  return invocation.exit_code;
}

}  // namespace wg::control::cli
