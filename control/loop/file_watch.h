// Reports that files of a configuration have changed: they were written in place, replaced by renaming,
// created or deleted, and then left alone for a moment, so that a writer in several steps is waited for.
// Watches their directories by inotify, those above them, and where links lead. Lives on the control thread.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "control/loop/event_loop.h"

namespace wg::control {

class FileWatch {
 public:
  static constexpr std::chrono::milliseconds kQuiet{250};

  // `changed` is called once per change, however many files it touched. Throws std::system_error.
  FileWatch(EventLoop& loop, std::function<void()> changed);
  ~FileWatch();  // the kernel takes 10 to 20 ms for it
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // From now on these: paths whose last part may be a pattern (glob(7)). None: a change that has been seen
  // but not reported is forgotten. Returns what cannot be watched, in words.
  std::vector<std::string> watch(const std::vector<std::string>& paths);

 private:
  struct Directory {
    int descriptor = -1;
    std::set<std::string> names;     // without wildcards
    std::set<std::string> patterns;  // with
    bool needed = false;             // files are in it; others are watched only because of their names
    [[nodiscard]] bool concerns(const char* name) const;
  };

  using Directories = std::map<std::string, Directory>;

  static void add(const std::filesystem::path& path, unsigned links, Directories& wanted);
  std::vector<std::string> watch_again();
  void read_events();
  void note_change();

  EventLoop& loop_;
  std::function<void()> changed_;
  int fd_;
  std::vector<std::string> paths_;  // as given to watch()
  Directories directories_;
  EventLoop::TimerId timer_ = 0;
};

}  // namespace wg::control
