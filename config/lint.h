// Warnings about valid configurations, and about a machine that lacks what they need. `linegate check`
// prints both; whether warnings count as errors (--strict) is the caller's decision.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/types.h"

namespace wg::config {

// The linter's questions to the machine; replaceable in tests. nullopt: cannot be known.
struct Environment {
  std::function<std::optional<bool>()> clock_synchronised;
  std::function<std::optional<mode_t>(const std::string& path)> file_mode;
  std::function<std::optional<std::vector<unsigned>>()> cpus;  // that this process may use, in order
  std::function<std::optional<bool>(const std::string& name)> interface_exists;
  std::function<std::optional<bool>(const std::string& name)> has_group;
  std::function<std::optional<bool>(const std::string& name)> has_user;
};

// The system calls.
[[nodiscard]] Environment system_environment();
// Files alone: for a configuration of another machine.
[[nodiscard]] Environment files_environment();

// `gateway` has passed validate(). A problem is an error where the gateway would not start on this machine,
// a note where it is about the machine alone.
[[nodiscard]] Problems lint(const Gateway& gateway, const Environment& environment = system_environment());

}  // namespace wg::config
