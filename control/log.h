// Logging that never blocks: lines go through a bounded queue to a writer thread; what does not fit is
// dropped and counted, and the count is reported. One logger per WireGuard interface carries its name.
#pragma once

#include <spdlog/logger.h>

#include <functional>
#include <memory>
#include <string>

#include "config/types.h"
#include "control/log_line.h"

namespace wg::control {

using Logger = std::shared_ptr<spdlog::logger>;

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
void set_log_level(const Logger& logger, config::LogLevel level);

// Every line from now on goes to `tap` too, on the writer's thread; empty: to nobody. After the return the
// tap before is not called any more.
void tap_log(std::function<void(LogLine&&)> tap);

// Lines lost since the start because the queue was full.
std::size_t log_lines_dropped();
// Logs how many were lost since the last call, if any. Control thread only.
void warn_of_dropped_lines(const Logger& logger);

}  // namespace wg::control
