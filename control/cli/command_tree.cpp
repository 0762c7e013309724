#include "control/cli/command_tree.h"

#include <sstream>

namespace wg::control::cli {
namespace {

// CLI11 keeps the allowed values of IsMember in the type's name: "TEXT:{name,rx}".
std::vector<std::string> choices_in(const std::string& type) {
  const auto open = type.find('{'), close = type.rfind('}');
  std::vector<std::string> choices;
  if (open == std::string::npos || close == std::string::npos) return choices;
  std::istringstream words(type.substr(open + 1, close - open - 1));
  for (std::string word; std::getline(words, word, ',');) choices.push_back(word);
  return choices;
}

OptionFacts facts_of(const CLI::Option& option) {
  OptionFacts facts;
  for (const auto& name : option.get_lnames()) facts.names.push_back("--" + name);
  for (const auto& name : option.get_snames()) facts.names.push_back("-" + name);
  if (option.get_positional()) facts.names.clear();
  const std::string type = option.get_type_name();
  facts.choices = choices_in(type);
  const bool flag = option.get_expected_max() == 0;
  if (!flag) facts.value = type.substr(0, type.find(':'));
  facts.help = option.get_description();
  facts.preset = flag ? std::string() : option.get_default_str();
  facts.required = option.get_required();
  facts.repeats = option.get_expected_max() > 1;
  return facts;
}

CommandFacts facts_of(const CLI::App& app, const std::string& path) {
  CommandFacts facts;
  facts.name = app.get_name();
  facts.path = path.empty() ? facts.name : path + " " + facts.name;
  facts.group = app.get_group();
  facts.help = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    const bool hidden = option->get_group().empty() || option == app.get_help_ptr();
    if (!hidden) facts.options.push_back(facts_of(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) facts.commands.push_back(facts_of(*command, facts.path));
  facts.inherits = app.get_fallthrough();
  facts.alone = facts.commands.empty() || app.get_require_subcommand_min() == 0;
  return facts;
}

// ---------------------------------------------------------------- roff

// Text of a line: a backslash, a hyphen and a leading dot or quote have meanings of their own.
std::string roff(const std::string& text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

void print_options(const CommandFacts& command, std::ostream& out) {
  for (const OptionFacts& option : command.options) {
    out << ".TP\n.B " << roff(spelling_of(option)) << "\n" << roff(option.help);
    if (!option.preset.empty()) out << roff(" (default: " + option.preset + ")");
    out << "\n";
  }
}

void print_command(const CommandFacts& command, std::ostream& out) {
  if (!command.alone) return;
  out << ".SS " << roff(usage_of(command)) << "\n" << roff(command.help) << ".\n";
  print_options(command, out);
}

constexpr const char* kRest = R"(.SH EXIT STATUS
.TP
.B 0
Done; the peer is up; everything is as it should be.
.TP
.B 1
Failed: standard error says why.
.TP
.B 2
Bad configuration or usage; nothing was changed.
.TP
.B 3
The gateway is not running.
.TP
.B 4
What was asked about is not as it should be: the peer is down, or a check of the machine failed.
.SH ENVIRONMENT
.TP
.B LINEGATE_SOCKET
Control socket, as \-\-socket.
.TP
.B NO_COLOR
No colours when it is set and not empty.
.TP
.B COLUMNS
Width of tables, instead of the width of the terminal.
.SH FILES
.TP
.I /etc/linegate/linegate.yaml
The configuration.
.TP
.I /run/linegate/control.sock
The control socket; read.sock beside it only reads.
.SH SEE ALSO
.BR wg (8),
.BR wg\-quick (8)
)";

}  // namespace

CommandFacts command_tree(const CLI::App& app) {
  return facts_of(app, "");
}

std::string spelling_of(const OptionFacts& option) {
  std::string value = option.value;
  if (!option.choices.empty()) {
    value.clear();
    for (const auto& choice : option.choices) value += (value.empty() ? "" : "|") + choice;
  }
  if (option.positional()) return value + (option.repeats ? "..." : "");
  std::string names;
  for (const auto& name : option.names) names += (names.empty() ? "" : ", ") + name;
  return value.empty() ? names : names + " " + value;
}

std::string usage_of(const CommandFacts& command) {
  std::string usage = command.path;
  bool options = false;
  for (const OptionFacts& option : command.options) options = options || !option.positional();
  if (options) usage += " [OPTIONS]";
  for (const OptionFacts& option : command.options)
    if (option.positional())
      usage += option.required ? " " + spelling_of(option) : " [" + spelling_of(option) + "]";
  return usage;
}

void for_each_command(const CommandFacts& command, const std::function<void(const CommandFacts&)>& visit) {
  visit(command);
  for (const CommandFacts& each : command.commands) for_each_command(each, visit);
}

std::string manual_page(const CommandFacts& root, const std::string& version) {
  std::ostringstream out;
  out << ".TH LINEGATE 1 \"\" \"" << roff("linegate " + version) << "\"\n.SH NAME\n"
      << "linegate \\- WireGuard gateway on DPDK\n.SH SYNOPSIS\n.B linegate\n"
      << "[\\-\\-socket PATH] COMMAND [OPTIONS]\n.SH OPTIONS\n";
  print_options(root, out);
  std::string group;
  for (const CommandFacts& command : root.commands) {
    if (command.group != group) out << ".SH " << roff(command.group) << "\n";
    group = command.group;
    for_each_command(command, [&](const CommandFacts& each) { print_command(each, out); });
  }
  out << kRest;
  return out.str();
}

}  // namespace wg::control::cli
