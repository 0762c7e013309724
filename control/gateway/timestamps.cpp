#include "control/gateway/timestamps.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "config/read_file.h"

namespace wg::control {

Timestamps::Timestamps(const Objects& objects, const RunningConfig& running, Background& background,
                       Logger log)
    : objects_(objects), running_(running), background_(background), log_(std::move(log)) {}

std::string Timestamps::path_of(const std::string& interface) const {
  return running_.value().control.state_directory + "/" + interface + ".timestamps";
}

void Timestamps::load(Interface& interface) {
  const std::string path = path_of(interface.name());
  std::ifstream file(path, std::ios::binary);
  if (!file) return;
  const std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
  if (!interface.engine().import_timestamps(bytes))
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
