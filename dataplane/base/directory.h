// The names in a directory, without "." and "..". Not by std::filesystem::directory_iterator: that of
// libstdc++ ends the program when there is no memory for a name, instead of throwing.
#pragma once

#include <dirent.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace wg {

// Empty for a directory that cannot be read. In no order.
inline std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(directory.c_str()),
                                                 [](DIR* d) { return closedir(d); });
  if (!open) return names;
  while (const dirent* entry = readdir(open.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

}  // namespace wg
