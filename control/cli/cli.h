// The command line: one file per group of subcommands. Commands reach the gateway only through its control
// socket. docs/cli.md is the user's description.
#pragma once

#include <CLI/CLI.hpp>
#include <iosfwd>
#include <stdexcept>
#include <string>
#include <vector>

#include "control/cli/table.h"

namespace wg::control::cli {

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kBadUsage = 2,  // bad configuration or bad arguments
  kNotRunning = 3,
  kNotAsItShould = 4,  // the peer is down; a check of the machine failed
};

inline constexpr const char* kDefaultSocket = "/run/linegate/control.sock";
inline constexpr const char* kDefaultConfig = "/etc/linegate/linegate.yaml";

struct Terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  Layout layout = {};  // of `out`
  int out_file = -1;   // the descriptor behind `out`; -1: none
};

// Called before keys are printed: makes a file that the shell has just created for `out` readable by its
// owner alone, and warns about one that others can read and that has contents.
void guard_secret_output(Terminal& terminal);

// Standard output: the width from the terminal or COLUMNS, colours unless NO_COLOR is set or TERM is dumb.
Layout layout_of_stdout();

// Ends a command with `code`; run() prints the message on stderr.
class CommandFailed : public std::runtime_error {
 public:
  CommandFailed(ExitCode code, const std::string& message) : std::runtime_error(message), exit_code(code) {}
  const ExitCode exit_code;
};

// State shared by the commands of one invocation. It outlives the parse.
struct Invocation {
  Terminal terminal;
  std::string socket = kDefaultSocket;
  int exit_code = kDone;
};

// "unknown command: WORD", with the command that may have been meant.
std::string unknown_command(const std::string& word, const CLI::App& parent);
const CLI::App* find_command(const CLI::App& parent, const std::string& name);  // nullptr: there is none

// Parses and runs one command line and returns its exit code. `arguments` excludes the program's name.
int run(const std::vector<std::string>& arguments, Terminal terminal);

// Each function adds its subcommands, whose callbacks do the work.
void add_run_and_check(CLI::App& app, Invocation& invocation);
void add_show(CLI::App& app, Invocation& invocation);
void add_explain(CLI::App& app, Invocation& invocation);
void add_capture(CLI::App& app, Invocation& invocation);  // capture, trace
void add_extcap(CLI::App& app, Invocation& invocation);
void add_changes(CLI::App& app, Invocation& invocation);  // reload, diff, save, log, stop, events
void add_interface(CLI::App& app, Invocation& invocation);
void add_peer_commands(CLI::App& app, Invocation& invocation);  // peer add, remove, disable, enable, list
void add_convert(CLI::App& app, Invocation& invocation);        // import, export
void add_keys(CLI::App& app, Invocation& invocation);           // genkey, pubkey, genpsk
void add_version(CLI::App& app, Invocation& invocation);
void add_schema(CLI::App& app, Invocation& invocation);
void add_init(CLI::App& app, Invocation& invocation);
void add_doctor(CLI::App& app, Invocation& invocation);
void add_help(CLI::App& app, Invocation& invocation);  // help, man, completion

}  // namespace wg::control::cli
