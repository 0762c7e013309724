#include "control/gateway/timestamps.h"

#include <utility>

#include "control/gateway/state_file.h"

namespace wg::control {

Timestamps::Timestamps(std::string directory, Background& background, Logger log)
    : directory_(std::move(directory)),
      background_(background),
      log_(log),
      reports_(std::move(log), "handshakes go on") {}

std::string Timestamps::path_of(const std::string& interface) const {
  return directory_ + "/" + interface + ".timestamps";
}

void Timestamps::load(const std::string& interface, noise::Engine& engine) {
  const std::string path = path_of(interface);
  if (const auto bytes = read_state_file(path); bytes && !engine.import_timestamps(*bytes))
    log_->write(log_event::state_unreadable, {.interface = interface},
                "{}: not a valid timestamps file, ignored", path);
  // An interface of that name was removed, and its write is not done.
  if (const auto at = unwritten_.find(interface); at != unwritten_.end()) {
    at->second.removed = false;
    static_cast<void>(engine.import_timestamps(*at->second.bytes));
  }
}

// ---- while running

void Timestamps::save(const std::string& interface, noise::Engine& engine) {
  const auto at = unwritten_.find(interface);
  const bool failed = at != unwritten_.end() && !at->second.writing;
  if (at != unwritten_.end() && !failed) return;
  if (failed || engine.timestamps_changed())
    start(interface, std::make_shared<const Bytes>(engine.export_timestamps()), false);
}

void Timestamps::save_last(const std::string& interface, noise::Engine& engine) {
  if (engine.timestamps_changed() || unwritten_.contains(interface))
    start(interface, std::make_shared<const Bytes>(engine.export_timestamps()), true);
}

void Timestamps::retry_removed() {
  for (auto& [interface, unwritten] : unwritten_) {
    if (unwritten.removed && !unwritten.writing) start(interface, unwritten.bytes, true);
  }
}

// The background thread writes in order, so the newest bytes are the last to be renamed into place.
void Timestamps::start(const std::string& interface, std::shared_ptr<const Bytes> bytes, bool removed) {
  unwritten_[interface] = {bytes, true, removed};
  const std::string path = path_of(interface);
  auto written = std::make_shared<Expected<>>();
  background_.run([path, bytes, written] { *written = write_state_file(path, *bytes); },
                  [this, interface, path, bytes, written] { on_written(interface, bytes, path, *written); });
}

void Timestamps::on_written(const std::string& interface, const std::shared_ptr<const Bytes>& bytes,
                            const std::string& path, const Expected<>& written) {
  reports_.report(path, written);
  const auto at = unwritten_.find(interface);
  if (at == unwritten_.end() || at->second.bytes != bytes) return;  // a newer write has begun
  if (written) {
    unwritten_.erase(at);
  } else {
    at->second.writing = false;
  }
}

// ---- at the stop

void Timestamps::save_and_wait(const std::string& interface, noise::Engine& engine) {
  if (!engine.timestamps_changed() && !unwritten_.contains(interface)) return;
  reports_.report(path_of(interface), write_state_file(path_of(interface), engine.export_timestamps()));
  unwritten_.erase(interface);
}

void Timestamps::finish() {
  for (const auto& [interface, unwritten] : unwritten_)
    reports_.report(path_of(interface), write_state_file(path_of(interface), *unwritten.bytes));
  unwritten_.clear();
}

}  // namespace wg::control
