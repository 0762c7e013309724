// Lines for systemd's journal, as structured entries: the priority, the event and what the line is about as
// fields, and no time stamp of ours beside the journal's.
#pragma once

#include <spdlog/common.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/log_fields.h"

namespace wg::control {

// Whether stderr is a stream of the journal (systemd.exec(5), $JOURNAL_STREAM).
[[nodiscard]] bool stderr_is_journal();

// syslog's number for a level, 0 to 7.
[[nodiscard]] int journal_priority(spdlog::level::level_enum level);

// The fields of one entry, each "NAME=value". `message` is the line as people read it.
[[nodiscard]] std::vector<std::string> journal_fields(std::string_view message,
                                                      spdlog::level::level_enum level,
                                                      const StoredLine& line);

// Sends each line to the journal. Blocks while journald does not read: for the writer thread of the log only.
[[nodiscard]] std::shared_ptr<spdlog::sinks::sink> make_journal_sink();

// Text of several lines that is written before the log runs: to stderr, each line an error of the journal's.
void write_errors(const std::string& text);

}  // namespace wg::control
