// The daemon: everything that runs, from the configuration file to a clean stop.
#pragma once

#include <string>

namespace wg::control {

struct DaemonOptions {
  std::string config_path;
  bool foreground = true;
  bool allow_key_captures = false;
};

// Runs until SIGTERM, SIGINT or the stop request. Returns the exit code of the program: 0 after a clean
// stop, 1 when something failed, 2 when the configuration is bad (its problems went to stderr).
int run_daemon(const DaemonOptions& options);

}  // namespace wg::control
