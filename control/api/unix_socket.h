// A listening AF_UNIX stream socket. It removes its file at the end, and a stale file of a crashed
// predecessor.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>

#include "control/loop/event_loop.h"
#include "dataplane/base/expected.h"

namespace wg::control {

class UnixListener {
 public:
  // Listens without blocking. Removes a socket file without a listener; fails with EADDRINUSE when a process
  // answers on it, and with EEXIST for any other kind of file. Creates a missing directory (0755). An empty
  // `group` means the group of the process. Throws std::system_error with the path in its text.
  UnixListener(const std::string& path, mode_t mode, const std::string& group = {});
  // Closes the socket, and removes the file if it still belongs to this socket.
  ~UnixListener();
  UnixListener(const UnixListener&) = delete;
  UnixListener& operator=(const UnixListener&) = delete;

  int fd() const { return fd_; }
  const std::string& path() const { return path_; }
  // Passes every connection to `take`, which owns it (non-blocking, close-on-exec), until destroyed. Without
  // free descriptors it pauses instead of spinning. `loop` outlives this object. Throws std::runtime_error
  // when the loop refuses the socket.
  void serve(EventLoop& loop, std::function<void(int fd)> take);

 private:
  Expected<> watch();
  void pause();
  void accept_one();
  void hand_over(int fd);

  EventLoop* loop_ = nullptr;
  std::function<void(int fd)> take_;
  EventLoop::TimerId pause_ = 0;
  std::string path_;
  int fd_ = -1;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// Opens a blocking connection; the caller closes the descriptor.
Expected<int> connect_unix(const std::string& path);

}  // namespace wg::control
