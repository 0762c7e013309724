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
  const int probe = connect_unix(path);
  if (probe >= 0) {
    close(probe);
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
// put a link in its place meanwhile. Fills `own` with what lies there. 0 or errno.
int give_to_group(const std::string& path, gid_t gid, mode_t mode, struct stat* own) {
  const int fd = open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return errno;
  int error = 0;
  if (fstat(fd, own) != 0) {
    error = errno;
  } else if (!S_ISSOCK(own->st_mode) || own->st_uid != geteuid() || own->st_nlink != 1) {
    error = EPERM;  // not what bind() made
  } else if (fchownat(fd, "", static_cast<uid_t>(-1), gid, AT_EMPTY_PATH) != 0 ||
             chmod(("/proc/self/fd/" + std::to_string(fd)).c_str(), mode) != 0) {
    error = errno;
  }
  close(fd);
  return error;
}

}  // namespace

int connect_unix(const std::string& path) {
  const auto address = address_of(path);
  if (!address) return errno = ENAMETOOLONG, -1;
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, generic(*address), sizeof *address) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
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
  // On Linux the file takes its mode from the unbound socket (less the umask), so it is never accessible to
  // more users than requested.
  const bool bound = fchmod(fd_, mode & 0700) == 0 && bind(fd_, generic(*address), sizeof *address) == 0;
  struct stat own {};
  int error = bound ? give_to_group(path, gid, mode, &own) : errno;
  if (error == 0 && listen(fd_, SOMAXCONN) != 0) error = errno;
  if (error != 0) {
    close(fd_);
    fail(error, "cannot listen on " + path);
  }
  device_ = own.st_dev;
  inode_ = own.st_ino;
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
  watch();
}

void UnixListener::watch() {
  pause_ = 0;
  loop_->add(fd_, EPOLLIN, [this](std::uint32_t) { accept_one(); });
}

void UnixListener::accept_one() {
  const int fd = accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd >= 0) return take_(fd);
  if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
  loop_->remove(fd_);
  pause_ = loop_->after(std::chrono::milliseconds{200}, [this] { watch(); });
}

}  // namespace wg::control
