#include "control/gateway/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "config/read_file.h"

namespace wg::control {

std::optional<std::vector<std::uint8_t>> read_state_file(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  struct stat found {};
  std::optional<std::vector<std::uint8_t>> bytes;
  if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) &&
      static_cast<std::size_t>(found.st_size) <= config::kMaxFileBytes) {
    bytes.emplace(static_cast<std::size_t>(found.st_size));
    const ssize_t got = read(fd, bytes->data(), bytes->size());
    bytes->resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  close(fd);
  return bytes;
}

Expected<> write_state_file(const std::string& path, const std::vector<std::uint8_t>& bytes) {
  return catch_refusal([&] {
    config::make_private_directory(std::filesystem::path(path).parent_path());
    return config::replace_file(path, {bytes.begin(), bytes.end()}, 0600);
  });
}

StateFileReports::StateFileReports(Logger log, std::string consequence)
    : log_(std::move(log)), consequence_(std::move(consequence)) {}

void StateFileReports::report(const std::string& path, const Expected<>& written) {
  if (written) {
    if (failing_.erase(path) != 0) log_->write(log_event::state_written, {}, "{}: written again", path);
    return;
  }
  std::string& logged = failing_[path];
  if (logged == written.error().text) return;
  logged = written.error().text;
  log_->write(log_event::state_unwritten, {}, "{}: {}; {}", path, logged, consequence_);
}

}  // namespace wg::control
