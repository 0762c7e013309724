// help, man, completion: the commands themselves, for people and shells.
#include <memory>
#include <ostream>

#include "control/cli/build_facts.h"
#include "control/cli/cli.h"
#include "control/cli/complete.h"

namespace wg::control::cli {
namespace {

void print_help(const CLI::App& app, const std::vector<std::string>& words, std::ostream& out) {
  const CLI::App* at = &app;
  std::string path = app.get_name();
  for (const auto& word : words) {
    path += " " + word;
    const CLI::App* next = find_command(*at, word);
    if (next == nullptr) throw CommandFailed(kBadUsage, unknown_command(word, *at));
    at = next;
  }
  // The help of this command. help() would print that of the command that was parsed.
  out << at->get_formatter()->make_help(at, path, CLI::AppFormatMode::Normal);
}

}  // namespace

void add_help(CLI::App& app, Invocation& invocation) {
  std::ostream& out = invocation.terminal.out;
  const auto words = std::make_shared<std::vector<std::string>>();
  auto* help = app.add_subcommand("help", "Print the help of a command");
  help->add_option("command", *words, "The command")->type_name("COMMAND");
  help->callback([words, &app, &out] { print_help(app, *words, out); });

  app.add_subcommand("man", "Print the manual page in roff: linegate man | man -l -")->callback([&app, &out] {
    out << manual_page(command_tree(app), build_facts().version);
  });

  const auto shell = std::make_shared<std::string>();
  auto* completion = app.add_subcommand("completion", "Print the completion script of a shell");
  completion->add_option("shell", *shell, "The shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([shell, &out] { out << completion_script(*shell); });
}

}  // namespace wg::control::cli
