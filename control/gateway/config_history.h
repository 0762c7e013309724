// Adds applied configurations to the history (config/history.h), written by the background
// thread.
#pragma once

#include <memory>
#include <string>

#include "control/gateway/running_config.h"
#include "control/log.h"
#include "control/loop/background.h"

namespace wg::control {

// `text`, which is wiped afterwards, is applied now.
void note_in_history(Background& background, const RunningConfig& running, std::shared_ptr<std::string> text,
                     const Logger& log);
// At the start: the file that runs, read again.
void note_start_in_history(Background& background, const RunningConfig& running, const Logger& log);

}  // namespace wg::control
