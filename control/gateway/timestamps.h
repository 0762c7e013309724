// The TAI64N timestamps of handshakes on disk, one file per interface in the state directory: the floor of
// our own, and the newest of each peer's. They survive a restart, so that neither a clock that went back nor
// a replayed initiation counts (protocol facts C3).
#pragma once

#include <functional>
#include <string>

#include "control/gateway/objects.h"
#include "control/gateway/running_config.h"
#include "control/log.h"
#include "control/loop/background.h"

namespace wg::control {

class Timestamps {
 public:
  Timestamps(const Objects& objects, const RunningConfig& running, Background& background, Logger log);

  // Once, before the interface's first handshake.
  void load(Interface& interface);
  // Of interfaces with new ones: on the background thread.
  void save();
  void save_and_wait();

 private:
  [[nodiscard]] std::string path_of(const std::string& interface) const;
  // Returns what went wrong; empty: nothing. From any thread.
  [[nodiscard]] std::function<std::string()> writer_for(const Interface& interface) const;

  const Objects& objects_;
  const RunningConfig& running_;
  Background& background_;
  Logger log_;
};

}  // namespace wg::control
