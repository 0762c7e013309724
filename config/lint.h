// What a configuration may say but probably should not, and what this machine lacks for it. `linegate check`
// prints both; whether warnings count as errors (--strict) is the caller's decision.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "config/types.h"

namespace wg::config {

/// What the linter asks the machine; replaceable in tests. nullopt: cannot be known.
struct Environment {
  std::function<std::optional<bool>()> clock_synchronised;
  std::function<std::optional<mode_t>(const std::string& path)> file_mode;
  std::function<std::optional<bool>(const std::string& name)> interface_exists;
};

/// adjtimex(2), stat(2) and if_nametoindex(3).
Environment system_environment();

/// `gateway` has passed validate(). A problem is an error where the gateway would not start on this machine.
Problems lint(const Gateway& gateway, const Environment& environment = system_environment());

}  // namespace wg::config
