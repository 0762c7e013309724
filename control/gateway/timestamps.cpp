#include "control/gateway/timestamps.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "config/read_file.h"

namespace wg::control {

namespace {

// The directory may be another user's while we are root: no link is followed, and nothing but a regular file
// is read (opening a FIFO would wait for its writer). Empty: there is none.
std::optional<std::vector<std::uint8_t>> read_state(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  struct stat found {};
  std::optional<std::vector<std::uint8_t>> bytes;
  if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode)) {
    bytes.emplace(static_cast<std::size_t>(found.st_size));
    const ssize_t got = read(fd, bytes->data(), bytes->size());
    bytes->resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  close(fd);
  return bytes;
}

}  // namespace

Timestamps::Timestamps(const Objects& objects, const RunningConfig& running, Background& background,
                       Logger log)
    : objects_(objects), running_(running), background_(background), log_(std::move(log)) {}

std::string Timestamps::path_of(const std::string& interface) const {
  return running_.value().control.state_directory + "/" + interface + ".timestamps";
}

void Timestamps::load(Interface& interface) {
  const std::string path = path_of(interface.name());
  const auto bytes = read_state(path);
  if (!bytes) return;
  if (!interface.engine().import_timestamps(*bytes))
    interface.log()->warn("{}: not a valid timestamps file, ignored", path);
}

std::function<std::string()> Timestamps::writer_for(const Interface& interface) const {
  return [path = path_of(interface.name()), directory = running_.value().control.state_directory,
          bytes = interface.engine().export_timestamps()] {
    std::error_code ignored;
    std::filesystem::create_directories(directory, ignored);
    return config::replace_file(path, {bytes.begin(), bytes.end()}, 0600);
  };
}

void Timestamps::save() {
  for (const auto& [name, interface] : objects_.interfaces()) {
    if (!interface->engine().timestamps_changed()) continue;
    auto error = std::make_shared<std::string>();
    background_.run([write = writer_for(*interface), error] { *error = write(); },
                    [log = log_, error, path = path_of(name)] {
                      if (!error->empty()) log->warn("{}: {}; handshakes go on", path, *error);
                    });
  }
}

void Timestamps::save_and_wait() {
  for (const auto& [name, interface] : objects_.interfaces()) {
    if (!interface->engine().timestamps_changed()) continue;
    if (const std::string error = writer_for(*interface)(); !error.empty())
      log_->warn("{}: {}", path_of(name), error);
  }
}

}  // namespace wg::control
