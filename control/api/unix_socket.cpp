#include "control/api/unix_socket.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>
#include <vector>

namespace wg::control {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

std::optional<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

void remove_stale(const std::string& path) {
  struct stat found {};
  if (lstat(path.c_str(), &found) != 0) return;
  if (!S_ISSOCK(found.st_mode)) fail(EEXIST, path + " is not a socket");
  if (const Expected<int> probe = connect_unix(path); probe) {
    close(*probe);
    fail(EADDRINUSE, path + " is answered by another process");
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) fail(errno, "cannot remove stale " + path);
}

gid_t group_id(const std::string& name) {
  std::vector<char> buffer(16384);
  group entry{};
  group* found = nullptr;
  getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) fail(EINVAL, "unknown group " + name);
  return found->gr_gid;
}

// Mode and group go to the socket that lies at `path` by descriptor: whoever may write in its directory could
// put a link in its place meanwhile. Returns what lies there.
struct stat give_to_group(const std::string& path, gid_t gid, mode_t mode) {
  const int fd = open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  struct stat own {};
  int error = 0;
  if (fd < 0 || fstat(fd, &own) != 0) {
    error = errno;
  } else if (!S_ISSOCK(own.st_mode) || own.st_uid != geteuid() || own.st_nlink != 1) {
    error = EPERM;  // not what bind() made
  } else if (fchownat(fd, "", static_cast<uid_t>(-1), gid, AT_EMPTY_PATH) != 0 ||
             chmod(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode) != 0) {
    error = errno;
  }
  if (fd >= 0) close(fd);
  if (error != 0) fail(error, "cannot listen on " + path);
  return own;
}

}  // namespace

Expected<int> connect_unix(const std::string& path) {
  const std::string what = "connecting to " + path;
  const auto address = address_of(path);
  if (!address) return Refusal::from_errno(ENAMETOOLONG, what);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return Refusal::from_errno(errno, what);
  if (connect(fd, generic(*address), sizeof *address) == 0) return fd;
  const int error = errno;
  close(fd);
  return Refusal::from_errno(error, what);
}

UnixListener::UnixListener(const std::string& path, mode_t mode, const std::string& group) : path_(path) {
  const auto address = address_of(path);
  if (!address) fail(ENAMETOOLONG, path);
  const gid_t gid = group.empty() ? static_cast<gid_t>(-1) : group_id(group);
  std::error_code ignored;  // bind() reports the error
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  remove_stale(path);
  fd_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd_ < 0) fail(errno, path);
  try {
    // On Linux the file takes its mode from the unbound socket (less the umask), so it is never accessible to
    // more users than requested.
    if (fchmod(fd_, mode & 0700) != 0 || bind(fd_, generic(*address), sizeof *address) != 0)
      fail(errno, "cannot listen on " + path);
    const struct stat own = give_to_group(path, gid, mode);
    if (listen(fd_, SOMAXCONN) != 0) fail(errno, "cannot listen on " + path);
    device_ = own.st_dev;
    inode_ = own.st_ino;
  } catch (...) {
    close(fd_);
    throw;
  }
}

UnixListener::~UnixListener() {
  if (loop_ != nullptr) {
    loop_->cancel(pause_);
    loop_->remove(fd_);
  }
  close(fd_);
  struct stat found {};
  if (lstat(path_.c_str(), &found) == 0 && found.st_dev == device_ && found.st_ino == inode_)
    unlink(path_.c_str());
}

void UnixListener::serve(EventLoop& loop, std::function<void(int fd)> take) {
  loop_ = &loop;
  take_ = std::move(take);
  value_or_throw(watch());
}

Expected<> UnixListener::watch() {
  return loop_->add(fd_, EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

void UnixListener::pause() {
  pause_ = loop_->after(std::chrono::milliseconds{200}, [this] {
    pause_ = 0;
    if (!watch()) pause();
  });
}

// When it throws, the descriptor may have an owner already, who has closed it. A socket is known by its
// inode.
void UnixListener::hand_over(int fd) {
  struct stat accepted {};
  fstat(fd, &accepted);
  try {
    take_(fd);
  } catch (...) {
    struct stat found {};
    if (fstat(fd, &found) == 0 && found.st_ino == accepted.st_ino && S_ISSOCK(found.st_mode)) close(fd);
    throw;
  }
}

void UnixListener::accept_one() {
  const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) return hand_over(fd);
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
  loop_->remove(fd_);
  pause();
}

}  // namespace wg::control
