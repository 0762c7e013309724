#include "control/gateway/config_history.h"

#include <utility>

#include "config/history.h"
#include "config/key.h"
#include "config/read_file.h"

namespace wg::control {
namespace {

// `fill` gets the text, on the background thread.
template <typename Fill>
void add(Background& background, const RunningConfig& running, Fill fill, const Logger& log) {
  const std::string directory = config::history_directory(running.value().control.state_directory);
  auto failed = std::make_shared<std::string>();
  background.run(
      [directory, failed, fill = std::move(fill)] {
        std::string text = fill();
        const Expected<> added = catch_refusal(
            [&] { return text.empty() ? Expected<>{} : config::add_to_history(directory, text); });
        config::wipe(text);
        if (!added) *failed = added.error().text;
      },
      [directory, failed, log] {
        if (!failed->empty())
          log->write(log_event::history_unwritten, {}, "{}: {}; this configuration is not in the history",
                     directory, *failed);
      });
}

}  // namespace

void note_in_history(Background& background, const RunningConfig& running, std::shared_ptr<std::string> text,
                     const Logger& log) {
  add(
      background, running, [text = std::move(text)] { return std::exchange(*text, {}); }, log);
}

void note_start_in_history(Background& background, const RunningConfig& running, const Logger& log) {
  const auto read = [path = running.path()]() -> std::string {
    auto found = config::read_file(path);
    return found ? std::move(found->text) : std::string{};
  };
  add(background, running, read, log);
}

}  // namespace wg::control
