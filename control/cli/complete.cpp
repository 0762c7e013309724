// complete_words(): what may follow on a command line, for the shells. The scripts of `linegate completion`
// call `linegate complete WORD...`, which is not listed.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "control/cli/call.h"
#include "control/cli/complete.h"

namespace wg::control::cli {
namespace {

// Where the words before the last one have led.
struct Position {
  const CommandFacts* command;
  std::vector<const OptionFacts*> options;  // of the command and of those above it
  const OptionFacts* awaits = nullptr;      // the option whose value comes next
  std::size_t arguments = 0;                // positional ones that were given
  std::string socket = kDefaultSocket;
};

const OptionFacts* find_option(const Position& at, const std::string& word) {
  for (const OptionFacts* option : at.options)
    if (std::find(option->names.begin(), option->names.end(), word) != option->names.end()) return option;
  return nullptr;
}

std::vector<const OptionFacts*> options_of(const CommandFacts& command) {
  std::vector<const OptionFacts*> options;
  for (const OptionFacts& option : command.options)
    if (!option.positional()) options.push_back(&option);
  return options;
}

void enter(Position& at, const CommandFacts& root, const CommandFacts& command) {
  at.command = &command;
  if (!command.inherits) at.options = options_of(root);
  for (const OptionFacts* option : options_of(command)) at.options.push_back(option);
}

void take(Position& at, const CommandFacts& root, const std::string& word) {
  if (const OptionFacts* option = std::exchange(at.awaits, nullptr)) {
    if (option->names.front() == "--socket") at.socket = word;
    return;
  }
  if (word.starts_with("-")) {
    const OptionFacts* option = find_option(at, word);
    if (option != nullptr && !option->value.empty()) at.awaits = option;
    return;
  }
  for (const CommandFacts& command : at.command->commands)
    if (command.name == word) return enter(at, root, command);
  ++at.arguments;
}

const OptionFacts* next_argument(const Position& at) {
  std::size_t index = 0;
  const OptionFacts* last = nullptr;
  for (const OptionFacts& option : at.command->options) {
    if (!option.positional()) continue;
    last = &option;
    if (index++ == at.arguments) return last;
  }
  return last != nullptr && last->repeats ? last : nullptr;
}

constexpr std::size_t kMostNames = 500;  // a longer menu is of no use

// Names that the running gateway has. None when it does not run.
std::vector<Candidate> names_of(const std::string& kind, const std::string& socket) try {
  RpcClient gateway(socket, Access::kAny);
  const bool peers = kind == "PEER";
  const Json answer =
      peers ? gateway.call("show.peers", {{"limit", kMostNames}}) : gateway.call("show.interfaces");
  std::vector<Candidate> found;
  for (const auto& row : answer[peers ? "peers" : "interfaces"]) {
    const auto name = row.value("name", "");
    if (!name.empty()) found.push_back({name, peers ? "peer of " + row.value("interface", "") : "interface"});
  }
  return found;
} catch (const CommandFailed&) {
  return {};
}

// Where a packet can come from: `explain packet`.
std::vector<Candidate> places_of(const std::string& socket) try {
  std::vector<Candidate> found = names_of("INTERFACE", socket);
  RpcClient gateway(socket, Access::kAny);
  const Json answer = gateway.call("show.ports");
  for (const auto& port : answer["ports"]) found.push_back({port.value("name", ""), "port"});
  found.push_back({"linux", "this machine"});
  return found;
} catch (const CommandFailed&) {
  return {};
}

std::vector<Candidate> values_of(const OptionFacts& option, const std::string& socket) {
  std::vector<Candidate> values;
  for (const auto& choice : option.choices) values.push_back({choice, option.help});
  if (option.value == "FILE" || option.value == "PATH" || option.value == "DIRECTORY") return {{kFiles, ""}};
  if (option.value == "FROM") return places_of(socket);
  if (option.value == "INTERFACE" || option.value == "PEER") return names_of(option.value, socket);
  return values;
}

std::vector<Candidate> words_at(const Position& at, const std::string& last) {
  if (at.awaits != nullptr) return values_of(*at.awaits, at.socket);
  std::vector<Candidate> found;
  if (last.starts_with("-")) {
    for (const OptionFacts* option : at.options) found.push_back({option->names.front(), option->help});
    found.push_back({"--help", "Print the options of a command"});
    return found;
  }
  for (const CommandFacts& command : at.command->commands) found.push_back({command.name, command.help});
  if (const OptionFacts* argument = next_argument(at))
    for (auto& value : values_of(*argument, at.socket)) found.push_back(std::move(value));
  return found;
}

}  // namespace

std::vector<Candidate> complete_words(const CommandFacts& root, const std::vector<std::string>& words) {
  Position at{&root, {}};
  if (const char* socket = std::getenv("LINEGATE_SOCKET")) at.socket = socket;
  at.options = options_of(root);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) take(at, root, words[i]);
  const std::string last = words.empty() ? "" : words.back();
  auto found = words_at(at, last);
  std::erase_if(found,
                [&](const Candidate& each) { return each.word != kFiles && !each.word.starts_with(last); });
  return found;
}

std::string completion_script(const std::string& shell) {
  if (shell == "bash")
    return R"(# bash completion for linegate
_linegate() {
  mapfile -t COMPREPLY < <(linegate complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1)
  if [ "${COMPREPLY[0]-}" = ":files" ]; then
    COMPREPLY=()
    compopt -o default
  fi
}
complete -F _linegate linegate
)";
  if (shell == "zsh")
    return R"(#compdef linegate
# zsh completion for linegate
_linegate() {
  local -a lines items
  local line
  lines=("${(@f)$(linegate complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "${lines[1]%%$'\t'*}" == ":files" ]]; then
    _files
    return
  fi
  for line in $lines; do
    items+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  _describe linegate items
}
compdef _linegate linegate
)";
  return R"(# fish completion for linegate
function __linegate_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l found (linegate complete $words[2..-1] 2>/dev/null)
  if string match -q ':files*' -- $found[1]
    __fish_complete_path (commandline -ct)
  else
    printf '%s\n' $found
  end
end
complete -c linegate -f -a '(__linegate_complete)'
)";
}

}  // namespace wg::control::cli
