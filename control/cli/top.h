// The command `top`.
#pragma once

#include "control/cli/cli.h"

namespace wg::control::cli {

void add_top(CLI::App& app, Invocation& invocation);

}  // namespace wg::control::cli
