#include "config/read_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

namespace wg::config {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetryPause = 10ms;

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Refusal unreadable(int error) {
  return Refusal::from_errno(error, "cannot be read");
}

Refusal unwritable(int error) {
  return Refusal::from_errno(error, "cannot be written");
}

bool same_file_state(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

// A read lease is granted only while no process has the file open for writing (fcntl(2)). Where leases
// do not exist (other owner, network file system) the comparison of size and time stands alone.
bool is_open_for_writing(int fd) {
  // The default signal of a broken lease (SIGIO) would end the process; SIGURG is ignored by default.
  ::fcntl(fd, F_SETSIG, SIGURG);
  if (::fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
    ::fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
  }
  return errno == EAGAIN;
}

bool settled(const struct stat& state, std::chrono::milliseconds settle) {
  if (settle <= 0ms) return true;
  struct timespec now {};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const auto age = std::chrono::seconds(now.tv_sec - state.st_mtim.tv_sec) +
                   std::chrono::nanoseconds(now.tv_nsec - state.st_mtim.tv_nsec);
  return age < 0ns || age >= settle;  // a time in the future is a wrong clock, not a writer
}

// Reads up to one byte more than `size`, so that a file that grew is noticed.
Expected<std::string> read_bytes(int fd, std::size_t size) {
  std::string text(size + 1, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const ssize_t got = ::read(fd, text.data() + filled, text.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return unreadable(errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

// EBUSY: another attempt may succeed.
Expected<FileText> read_once(const std::string& path, const ReadLimits& limits) {
  // O_NONBLOCK so that a FIFO does not hold us; it has no effect on a regular file.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.get() < 0) return unreadable(errno);
  struct stat before {};
  struct stat after {};
  if (::fstat(file.get(), &before) != 0) return unreadable(errno);
  if (!S_ISREG(before.st_mode)) return Refusal{EINVAL, "is not a regular file"};
  if (static_cast<std::uint64_t>(before.st_size) > limits.max_bytes)
    return Refusal{EFBIG, "is too large: " + std::to_string(before.st_size) + " bytes; allowed are at most " +
                              std::to_string(limits.max_bytes)};
  if (!settled(before, limits.settle) || is_open_for_writing(file.get()))
    return Refusal{EBUSY, "is being written"};
  Expected<std::string> text = read_bytes(file.get(), static_cast<std::size_t>(before.st_size));
  if (!text) return text.error();
  const bool whole = ::stat(path.c_str(), &after) == 0 && same_file_state(before, after) &&
                     text->size() == static_cast<std::size_t>(before.st_size) &&
                     !is_open_for_writing(file.get());
  if (!whole) return Refusal{EBUSY, "changed while it was read"};
  return FileText{*std::move(text), before.st_mode & 07777};
}

Expected<> write_all(int fd, const std::string& text) {
  std::size_t written = 0;
  while (written < text.size()) {
    const ssize_t count = ::write(fd, text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unwritable(errno);
    written += static_cast<std::size_t>(count);
  }
  if (::fsync(fd) != 0) return unwritable(errno);
  return {};
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

// The rename is on disk only when the directory is.
void flush_directory(const std::string& path) {
  const Descriptor directory(::open(directory_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());
}

std::string resolved(const std::string& path) {
  char* real = ::realpath(path.c_str(), nullptr);
  if (real == nullptr) return path;
  std::string text(real);
  ::free(real);
  return text;
}

Expected<> fill_new_file(int fd, const std::string& text, const struct stat* old, mode_t mode,
                         mode_t at_most) {
  if (old != nullptr && ::fchown(fd, old->st_uid, old->st_gid) != 0 && errno != EPERM)
    return unwritable(errno);
  if (::fchmod(fd, old != nullptr ? old->st_mode & at_most : mode) != 0) return unwritable(errno);
  return write_all(fd, text);
}

}  // namespace

Expected<FileText> read_file(const std::string& path, const ReadLimits& limits) {
  const auto deadline = std::chrono::steady_clock::now() + limits.patience + limits.settle;
  while (true) {
    Expected<FileText> file = read_once(path, limits);
    if (file || file.error().code != EBUSY || std::chrono::steady_clock::now() >= deadline) return file;
    std::this_thread::sleep_for(kRetryPause);
  }
}

Expected<> replace_file(const std::string& path, const std::string& text, mode_t mode, mode_t at_most) {
  const std::string target = resolved(path);  // a symbolic link stays one
  struct stat old {};
  const bool exists = ::stat(target.c_str(), &old) == 0;
  std::string beside = target + ".XXXXXX";
  const Descriptor file(::mkostemp(beside.data(), O_CLOEXEC));
  if (file.get() < 0) return unwritable(errno);
  Expected<> done = fill_new_file(file.get(), text, exists ? &old : nullptr, mode, at_most);
  if (done && ::rename(beside.c_str(), target.c_str()) != 0) done = unwritable(errno);
  if (done) {
    flush_directory(target);
  } else {
    ::unlink(beside.c_str());
  }
  return done;
}

void make_private_directory(const std::string& path) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  static_cast<void>(::mkdir(path.c_str(), 0700));
}

}  // namespace wg::config
