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

// Written, renamed over, gone; IN_MODIFY, because a writer that is not done yet is waited for.
constexpr std::uint32_t kEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;

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

std::vector<std::string> FileWatch::watch(const std::vector<std::string>& paths) {
  std::map<std::string, Directory> wanted;
  for (const std::string& text : paths) {
    const std::filesystem::path path(text);
    const std::string directory = path.has_parent_path() ? path.parent_path().string() : ".";
    if (is_pattern(directory)) continue;  // what it matches now is among the paths
    const std::string name = path.filename().string();
    (is_pattern(name) ? wanted[directory].patterns : wanted[directory].names).insert(name);
  }
  std::vector<std::string> refused;
  for (auto& [directory, entry] : wanted) {
    const auto known = directories_.find(directory);
    entry.descriptor = known != directories_.end() ? known->second.descriptor : -1;
    if (entry.descriptor < 0) entry.descriptor = inotify_add_watch(fd_, directory.c_str(), kEvents);
    if (entry.descriptor < 0) refused.push_back("cannot watch " + directory + ": " + strerror(errno));
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
      const bool concerns =
          (event->mask & IN_Q_OVERFLOW) != 0 ||
          (event->len != 0 && std::any_of(directories_.begin(), directories_.end(), [&](const auto& entry) {
             return entry.second.descriptor == event->wd && entry.second.concerns(event->name);
           }));
      if (concerns) note_change();
    }
  }
}

void FileWatch::note_change() {
  if (timer_ != 0) loop_.cancel(timer_);
  timer_ = loop_.after(kQuiet, [this] {
    timer_ = 0;
    changed_();
  });
}

}  // namespace wg::control
