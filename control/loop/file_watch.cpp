#include "control/loop/file_watch.h"

#include <fnmatch.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace wg::control {

namespace {

// Written, renamed over, gone, made (directories and links); IN_MODIFY, because a writer that is not done yet
// is waited for. The last two: the directory itself is no longer where it was.
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                  IN_CREATE | IN_MOVE_SELF | IN_DELETE_SELF;
constexpr std::uint32_t kDirectoryLeft = IN_MOVE_SELF | IN_DELETE_SELF | IN_IGNORED | IN_UNMOUNT;
constexpr unsigned kMostLinks = 16;  // on the way to one file

bool is_pattern(const std::string& name) {
  return name.find_first_of("*?[") != std::string::npos;
}

}  // namespace

FileWatch::FileWatch(EventLoop& loop, std::function<void()> changed)
    : loop_(loop), changed_(std::move(changed)), fd_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "inotify");
  try {
    value_or_throw(loop_.add(fd_, EPOLLIN, [this](std::uint32_t) { read_events(); }));
  } catch (...) {
    close(fd_);
    throw;
  }
}

FileWatch::~FileWatch() {
  if (timer_ != 0) loop_.cancel(timer_);
  loop_.remove(fd_);
  close(fd_);
}

bool FileWatch::Directory::concerns(const char* name) const {
  return names.contains(name) ||
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           return fnmatch(pattern.c_str(), name, FNM_PERIOD) == 0;
         });
}

// The path in its directory, that directory in its own (it may be replaced by another of its name), and where
// links lead.
void FileWatch::add(const std::filesystem::path& path, unsigned links, Directories& wanted) {
  const std::filesystem::path directory = path.has_parent_path() ? path.parent_path() : ".";
  if (is_pattern(directory.string())) return;  // what it matches now is among the paths
  const std::string name = path.filename().string();
  Directory& entry = wanted[directory.string()];
  entry.needed = true;
  (is_pattern(name) ? entry.patterns : entry.names).insert(name);
  const bool has_above = directory.has_filename() && directory != "." && directory.has_relative_path();
  if (has_above)
    wanted[directory.has_parent_path() ? directory.parent_path().string() : "."].names.insert(
        directory.filename().string());
  for (const std::filesystem::path& step : {path, directory}) {
    std::error_code no_link;
    const std::filesystem::path target = std::filesystem::read_symlink(step, no_link);
    if (no_link || links == 0) continue;
    const std::filesystem::path base = step.has_parent_path() ? step.parent_path() : ".";
    add(target.is_absolute() ? target : base / target, links - 1, wanted);
  }
}

std::vector<std::string> FileWatch::watch(const std::vector<std::string>& paths) {
  paths_ = paths;
  return watch_again();
}

std::vector<std::string> FileWatch::watch_again() {
  Directories wanted;
  for (const std::string& path : paths_) add(path, kMostLinks, wanted);
  std::vector<std::string> refused;
  for (auto& [directory, entry] : wanted) {
    // For a directory that is watched already the kernel returns its descriptor.
    entry.descriptor = inotify_add_watch(fd_, directory.c_str(), kEvents);
    if (entry.descriptor < 0 && entry.needed)
      refused.push_back("cannot watch " + directory + ": " + strerror(errno));
  }
  // Two names of one directory share a descriptor.
  std::set<int> kept;
  for (const auto& [directory, entry] : wanted) kept.insert(entry.descriptor);
  for (const auto& [directory, entry] : directories_)
    if (entry.descriptor >= 0 && !kept.contains(entry.descriptor)) inotify_rm_watch(fd_, entry.descriptor);
  directories_ = std::move(wanted);
  if (directories_.empty() && timer_ != 0) loop_.cancel(std::exchange(timer_, 0));
  return refused;
}

void FileWatch::read_events() {
  alignas(inotify_event) char buffer[4096];
  for (ssize_t n; (n = read(fd_, buffer, sizeof buffer)) > 0;) {
    for (const char* at = buffer; at < buffer + n;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      const bool concerns = (event->mask & IN_Q_OVERFLOW) != 0 ||
                            std::any_of(directories_.begin(), directories_.end(), [&](const auto& entry) {
                              if (entry.second.descriptor != event->wd) return false;
                              if ((event->mask & kDirectoryLeft) != 0) return true;
                              return event->len != 0 && entry.second.concerns(event->name);
                            });
      if (concerns) note_change();
    }
  }
}

void FileWatch::note_change() {
  if (timer_ != 0) loop_.cancel(timer_);
  timer_ = loop_.after(kQuiet, [this] {
    timer_ = 0;
    watch_again();  // a reload may be refused, and the directories may be others now
    changed_();
  });
}

}  // namespace wg::control
