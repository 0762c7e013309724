// A listening AF_UNIX stream socket that cleans up after itself and after a predecessor that could not.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "control/api/event_loop.h"

namespace wg::control {

class UnixListener {
 public:
  /// Non-blocking. A socket file nobody answers on is removed; one that is answered makes this fail with
  /// EADDRINUSE, any other kind of file with EEXIST. The directory is made (0755) when missing. `group`
  /// empty: as the process. Throws std::system_error with the path in its text.
  UnixListener(const std::string& path, mode_t mode, const std::string& group = {});
  /// Closes, and removes the file if it is still this socket's.
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  /// Hands every connection to `take` (non-blocking, close-on-exec; `take` owns it) until destroyed. Out of
  /// descriptors, it pauses instead of spinning. `loop` outlives this.
  void serve(EventLoop& loop, std::function<void(int fd)> take);

 private:
  void watch();
  void accept_one();

  EventLoop* loop_ = nullptr;
  std::function<void(int fd)> take_;
  EventLoop::TimerId pause_ = 0;
  std::string path_;
  int fd_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

/// A blocking connection, or -1 with errno set.
int connect_unix(const std::string& path);

}  // namespace wg::control
