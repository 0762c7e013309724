// Warnings: what a configuration may say but probably should not. `linegate check` prints them;
// whether they count as errors (--strict) is the caller's decision.
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
};

/// adjtimex(2) and stat(2).
Environment system_environment();

/// `gateway` has passed validate(). Every problem has Severity::kWarning.
Problems lint(const Gateway& gateway, const Environment& environment = system_environment());

}  // namespace wg::config
