// The TAI64N timestamps of handshakes on disk, one file per interface in the state directory: the floor of
// our own, and the newest of each peer's. They survive a restart, so that neither a clock that went back nor
// a replayed initiation counts (docs/protocol.md C6-1, C6-3).
//
// Control thread only. Files are written on the background thread, one after the other.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "control/gateway/state_file.h"
#include "control/log.h"
#include "control/loop/background.h"
#include "control/noise/engine.h"
#include "dataplane/base/expected.h"

namespace wg::control {

class Timestamps {
 public:
  Timestamps(std::string directory, Background& background, Logger log);

  // Later writes go there.
  void use_directory(std::string directory) { directory_ = std::move(directory); }

  // Once, before the interface has peers, and so before it sends anything.
  void load(const std::string& interface, noise::Engine& engine);
  // Starts a write if the engine has new ones, or if the last write failed. While an older write of this
  // interface waits, nothing starts: what is new stays with the engine until the next call.
  void save(const std::string& interface, noise::Engine& engine);
  // The same before the interface is removed, also while an older write waits.
  void save_last(const std::string& interface, noise::Engine& engine);
  // Tries again to write what belongs to removed interfaces.
  void retry_removed();
  // At the stop, once the background thread has ended: writes what is new, in this thread.
  void save_and_wait(const std::string& interface, noise::Engine& engine);
  // After that: writes what belongs to removed interfaces and is not on disk.
  void finish();

 private:
  using Bytes = std::vector<std::uint8_t>;
  // An export that is not known to be on disk.
  struct Unwritten {
    std::shared_ptr<const Bytes> bytes;
    bool writing = false;  // on the background thread; false: the write failed
    bool removed = false;  // the interface is gone
  };

  [[nodiscard]] std::string path_of(const std::string& interface) const;
  void start(const std::string& interface, std::shared_ptr<const Bytes> bytes, bool removed);
  void on_written(const std::string& interface, const std::shared_ptr<const Bytes>& bytes,
                  const std::string& path, const Expected<>& written);

  std::string directory_;
  Background& background_;
  Logger log_;
  std::map<std::string, Unwritten> unwritten_;  // by interface
  StateFileReports reports_;
};

}  // namespace wg::control
