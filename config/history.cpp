#include "config/history.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "config/key.h"
#include "config/read_file.h"
#include "config/scalars.h"
#include "dataplane/base/directory.h"

namespace wg::config {
namespace {

namespace fs = std::filesystem;

// 0: not a name of ours.
unsigned number_of(const fs::path& file) {
  if (file.extension() != ".yaml") return 0;
  const auto number = parse_number(file.stem().string());
  return number && *number <= 999'999'999 ? static_cast<unsigned>(*number) : 0;
}

std::string path_of(const std::string& directory, unsigned number) {
  char name[24];
  std::snprintf(name, sizeof name, "/%06u.yaml", number);
  return directory + name;
}

// Below the state directory, which may not be there yet either.
Expected<> make_private(const std::string& directory) {
  make_private_directory(fs::path(directory).parent_path());
  make_private_directory(directory);
  struct stat found {};
  if (lstat(directory.c_str(), &found) != 0) return Refusal{errno, std::strerror(errno)};
  if (!S_ISDIR(found.st_mode)) return Refusal{ENOTDIR, std::strerror(ENOTDIR)};
  if (chmod(directory.c_str(), 0700) != 0) return Refusal{errno, std::strerror(errno)};
  return {};
}

bool has_text(const HistoryEntry& entry, const std::string& text) {
  if (entry.bytes != text.size()) return false;
  auto read = read_file(entry.path);
  if (!read) return false;
  const bool same = read->text == text;
  wipe(read->text);
  return same;
}

// The newest stays, whatever its size.
void remove_oldest(const std::string& directory) {
  const auto entries = history_of(directory);
  std::size_t bytes = 0;
  for (std::size_t kept = 0; kept < entries.size(); ++kept) {
    const HistoryEntry& entry = entries[entries.size() - 1 - kept];
    bytes += entry.bytes;
    std::error_code ignored;
    if (kept != 0 && (kept >= kHistoryEntries || bytes > kHistoryBytes)) fs::remove(entry.path, ignored);
  }
}

}  // namespace

std::string history_directory(const std::string& state_directory) {
  return state_directory + "/history";
}

std::vector<HistoryEntry> history_of(const std::string& directory) {
  std::vector<HistoryEntry> entries;
  for (const std::string& name : names_in(directory)) {
    std::string path = directory;
    path.append("/").append(name);
    struct stat found {};
    const unsigned number = number_of(name);
    if (number == 0 || lstat(path.c_str(), &found) != 0 || !S_ISREG(found.st_mode)) continue;
    entries.push_back({number, path, static_cast<std::size_t>(found.st_size),
                       std::chrono::system_clock::from_time_t(found.st_mtime)});
  }
  std::sort(entries.begin(), entries.end(),
            [](const HistoryEntry& a, const HistoryEntry& b) { return a.number < b.number; });
  return entries;
}

Expected<> add_to_history(const std::string& directory, const std::string& text) {
  if (Expected<> made = make_private(directory); !made) return made;
  const auto entries = history_of(directory);
  if (!entries.empty() && has_text(entries.back(), text)) return {};
  const unsigned number = entries.empty() ? 1 : entries.back().number + 1;
  if (Expected<> written = replace_file(path_of(directory, number), text, 0600, 0600); !written)
    return written;
  remove_oldest(directory);
  return {};
}

}  // namespace wg::config
