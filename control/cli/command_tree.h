// The commands with their options as plain data: the one source of `--help`, the manual and completion.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

namespace wg::control::cli {

struct OptionFacts {
  std::vector<std::string> names;  // "--config", "-c"; a positional argument has none
  std::string value;               // "FILE", "N"; empty: a flag
  std::string help;
  std::string preset;                // the default as shown; empty: none
  std::vector<std::string> choices;  // the only values allowed; empty: any
  bool required = false;
  bool repeats = false;

  bool positional() const { return names.empty(); }
};

struct CommandFacts {
  std::string name;   // "peers"
  std::string path;   // "linegate show peers"
  std::string group;  // its heading in the list of commands
  std::string help;
  std::vector<OptionFacts> options;  // hidden ones and --help left out
  std::vector<CommandFacts> commands;
  bool alone = true;     // may be run without one of its commands
  bool inherits = true;  // takes the options of the command above it too
};

CommandFacts command_tree(const CLI::App& app);

// "linegate show peers [OPTIONS] …" with every positional argument.
std::string usage_of(const CommandFacts& command);
// "--sort name|rx", "--watch SECONDS", "FILE".
std::string spelling_of(const OptionFacts& option);
// `visit` is called with `command` and every command below it, parents first.
void for_each_command(const CommandFacts& command, const std::function<void(const CommandFacts&)>& visit);

// The manual page linegate(1) in roff.
std::string manual_page(const CommandFacts& root, const std::string& version);

}  // namespace wg::control::cli
