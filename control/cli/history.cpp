#include "control/cli/history.h"

#include <algorithm>
#include <memory>
#include <ostream>

#include "config/diff.h"
#include "config/history.h"
#include "config/key.h"
#include "config/parse.h"
#include "config/read_file.h"
#include "control/api/format.h"
#include "control/cli/call.h"
#include "control/cli/options.h"
#include "control/cli/render.h"

namespace wg::control::cli {
namespace {

constexpr std::chrono::minutes kPlanPatience{2};

// Wiped, because a configuration may hold keys.
class Text {
 public:
  explicit Text(const std::string& path) {
    auto found = config::read_file(path);
    if (!found) throw CommandFailed(kFailed, path + ": " + found.error().text);
    text_ = std::move(found->text);
  }
  ~Text() { config::wipe(text_); }
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// Throws CommandFailed when the file is refused.
config::Gateway parsed(const std::string& text, const std::string& path) {
  auto gateway = config::parse_text(text, path);
  if (!gateway) throw CommandFailed(kBadUsage, config::to_string(gateway.error()) + "nothing was changed");
  return std::move(*gateway);
}

// For a file that cannot be used, when the history is needed most: as its text says, else the default.
std::string state_directory_in(std::string_view text) {
  constexpr std::string_view kKey = "state_directory:";
  const auto at = text.find(kKey);
  if (at == std::string_view::npos) return config::Control{}.state_directory;
  text.remove_prefix(at + kKey.size());
  text = text.substr(0, text.find_first_of(",}#\n"));
  const auto first = text.find_first_not_of(" \t\"'"), last = text.find_last_not_of(" \t\r\"'");
  if (first == std::string_view::npos) return config::Control{}.state_directory;
  return std::string(text.substr(first, last - first + 1));
}

class History {
 public:
  explicit History(const std::string& config_path) : path_(config_path), now_(config_path) {
    config::ParseOptions options;
    options.open_files = false;
    const auto gateway = config::parse_text(now_.text(), config_path, options);
    const std::string state = gateway ? gateway->control.state_directory : state_directory_in(now_.text());
    directory_ = config::history_directory(state);
    entries_ = config::history_of(directory_);
  }

  [[nodiscard]] const std::vector<config::HistoryEntry>& entries() const { return entries_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const std::string& file() const { return now_.text(); }
  [[nodiscard]] const config::HistoryEntry& at(unsigned number) const {
    for (const auto& entry : entries_)
      if (entry.number == number) return entry;
    throw CommandFailed(kFailed, "no configuration " + std::to_string(number) + " in " + directory_ +
                                     "; `linegate history` lists them");
  }
  // The file as it is now is the newest that was applied.
  [[nodiscard]] bool file_was_applied() const {
    return !entries_.empty() && Text(entries_.back().path).text() == now_.text();
  }
  // The changes that going back to the entry makes.
  [[nodiscard]] config::Plan way_to(unsigned number) const {
    const Text then(at(number).path);
    return config::diff(parsed(now_.text(), path_), parsed(then.text(), path_));
  }

 private:
  const std::string path_;
  const Text now_;
  std::string directory_;
  std::vector<config::HistoryEntry> entries_;
};

struct Options {
  std::string config = kDefaultConfig;
  unsigned number = 0;
  bool json = false;
};

Cell words(const std::string& text) {
  return {text};
}

void print_list(const History& history, const Layout& layout, std::ostream& out) {
  using Align = Table::Align;
  Table table({{"NUMBER", Align::kRight}, {"APPLIED"}, {"BYTES", Align::kRight}, {"STATE"}});
  for (const auto& entry : history.entries()) {
    const bool newest = &entry == &history.entries().back();
    const char* state = !newest ? "" : history.file_was_applied() ? "as the file" : "the file differs";
    table.row({words(std::to_string(entry.number)), words(format_time(entry.at)),
               words(std::to_string(entry.bytes)), words(state)});
  }
  table.print(out, layout);
}

void list(const Options& options, Invocation& invocation) {
  const History history(options.config);
  std::ostream& out = invocation.terminal.out;
  if (options.json) {
    Json entries = Json::array();
    for (const auto& entry : history.entries())
      entries.push_back(
          {{"number", entry.number}, {"applied", format_time(entry.at)}, {"bytes", entry.bytes}});
    out << dump({{"history", entries}}) << "\n";
  } else if (history.entries().empty()) {
    out << "nothing in " << history.directory() << "\n";
  } else {
    print_list(history, invocation.terminal.layout, out);
  }
}

void show(const Options& options, Invocation& invocation) {
  const Text then(History(options.config).at(options.number).path);
  guard_secret_output(invocation.terminal);
  invocation.terminal.out << then.text();
}

void show_difference(const Options& options, Invocation& invocation) {
  invocation.terminal.out << config::describe(History(options.config).way_to(options.number)) << "\n";
}

CLI::App* add_verb(CLI::App& parent, const std::shared_ptr<Options>& options, const char* name,
                   const char* help, const std::function<void()>& call) {
  auto* verb = parent.add_subcommand(name, help);
  verb->add_option("number", options->number, "Its number in `linegate history`")
      ->required()
      ->check(whole_number(1))
      ->type_name("N");
  verb->callback(call);
  return verb;
}

}  // namespace

void add_history(CLI::App& app, Invocation& invocation) {
  const auto options = std::make_shared<Options>();
  auto* history = app.add_subcommand("history", "List the configurations that were applied");
  history->require_subcommand(0, 1);
  history->add_option("-c,--config", options->config, "Configuration file (YAML)")
      ->type_name("FILE")
      ->capture_default_str();
  history->add_flag("--json", options->json, "Print JSON");
  add_verb(*history, options, "show", "Print one of them, keys included",
           [options, &invocation] { show(*options, invocation); });
  add_verb(*history, options, "diff", "Print what going back to one of them changes",
           [options, &invocation] { show_difference(*options, invocation); });
  history->callback([history, options, &invocation] {
    if (history->get_subcommands().empty()) list(*options, invocation);
  });
}

void roll_back_to(unsigned number, const std::string& config_path, bool force, bool json,
                  Invocation& invocation) {
  const History history(config_path);
  const Text then(history.at(number).path);
  (void)parsed(then.text(), config_path);
  if (!force && !history.file_was_applied())
    throw CommandFailed(kBadUsage, config_path + " has changes that were not applied; --force gives them up");
  RpcClient gateway(invocation.socket, Access::kAdmin);  // before anything is written
  const auto write = [&](const std::string& text) {
    if (const Expected<> written = config::replace_file(config_path, text); !written)
      throw CommandFailed(kFailed, config_path + ": " + written.error().text);
  };
  write(then.text());
  const Json result = gateway.call("reload", Json::object(), kPlanPatience);
  if (json)
    invocation.terminal.out << dump(result) << "\n";
  else
    render_plan(result, invocation.terminal.out, invocation.terminal.err);
  if (result.value("ok", false)) return;
  write(history.file());
  invocation.exit_code = kBadUsage;
}

}  // namespace wg::control::cli
