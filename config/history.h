// The configuration files that were applied, as they were: a bounded number of numbered copies in a directory
// of mode 0700, files of mode 0600, because a configuration may hold keys.
//
// The daemon adds; `linegate history` and `linegate rollback N` read. From any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "dataplane/base/expected.h"

namespace wg::config {

inline constexpr std::size_t kHistoryEntries = 20;
inline constexpr std::size_t kHistoryBytes = std::size_t{64}
                                             << 20;  // of all entries; the newest is kept anyway

struct HistoryEntry {
  unsigned number = 0;  // counts up, never used again
  std::string path;
  std::size_t bytes = 0;
  std::chrono::system_clock::time_point at;  // when it was applied
};

// The history's directory within a state directory.
[[nodiscard]] std::string history_directory(const std::string& state_directory);
// The oldest first. Empty: none, or no permission to look.
[[nodiscard]] std::vector<HistoryEntry> history_of(const std::string& directory);
// Adds a copy, unless the newest one has the same text, and removes the oldest beyond the bounds.
Expected<> add_to_history(const std::string& directory, const std::string& text);

}  // namespace wg::config
