// The commands `history` and, with a number, `rollback`.
#pragma once

#include "control/cli/cli.h"

namespace wg::control::cli {

void add_history(CLI::App& app, Invocation& invocation);
// Puts entry `number` of the history in the place of the file and applies it.
void roll_back_to(unsigned number, const std::string& config_path, bool force, bool json,
                  Invocation& invocation);

}  // namespace wg::control::cli
