// Logging that never blocks: lines go through a bounded queue to a writer thread; what does not fit is
// dropped and counted, and the count is reported. One logger per WireGuard interface carries its name.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "config/types.h"
#include "control/log_events.h"
#include "control/log_fields.h"
#include "control/log_line.h"

namespace spdlog {
class logger;
}

namespace wg::control {

// The one way into the log: nothing is written without an event.
class Log {
 public:
  // `out` has the interface's name; empty: the gateway's own lines.
  explicit Log(std::shared_ptr<spdlog::logger> out);

  // Whether a line of this event is written, for those that are dear to make.
  [[nodiscard]] bool says(const LogEvent& event) const;
  // Lines of an interface's log name it by themselves. Never throws: destructors write lines. One for
  // which there is no memory is lost, and counted as such.
  template <typename... Values>
  void write(const LogEvent& event, const LogFields& about, fmt::format_string<Values...> words,
             Values&&... values) noexcept {
    put(event, about, words, fmt::make_format_args(values...));
  }

  void set_level(config::LogLevel level);
  [[nodiscard]] config::LogLevel level() const;

 private:
  void put(const LogEvent& event, LogFields about, fmt::string_view words, fmt::format_args values) noexcept;

  std::shared_ptr<spdlog::logger> out_;
};

using Logger = std::shared_ptr<Log>;

// Before the first logger, and again for each change of level or format. Lines go to stderr; where
// stderr is the journal they become entries of it (journal.h).
void start_log(const config::Log& options);
// The level of the last start_log(): that of the gateway, and of interfaces without one of their own.
[[nodiscard]] config::LogLevel log_level();
// The writer thread may from now on run where the calling thread may.
void keep_log_beside_this_thread();
// Flushes what is queued.
void stop_log();

// Empty name: the gateway's own.
Logger make_logger(const std::string& interface = {});

// Every line from now on goes to `tap` too, on the writer's thread; empty: to none. After the return the
// tap before is not called any more.
void tap_log(std::function<void(LogLine&&)> tap);

// Lines lost since the start because the queue was full.
std::size_t log_lines_dropped();
// Logs how many were lost since the last call, if any. Control thread only.
void warn_of_dropped_lines(const Logger& logger);

}  // namespace wg::control
