// Files of the state directory, which may belong to another user while we are root.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "control/log.h"
#include "dataplane/base/expected.h"

namespace wg::control {

// Follows no link and reads nothing but a regular file: opening a FIFO would wait for its writer. Empty:
// there is none, or it is larger than any that we write (64 MiB).
std::optional<std::vector<std::uint8_t>> read_state_file(const std::string& path);

// Makes the directory if need be and replaces the file (mode 0600). From any
// thread.
Expected<> write_state_file(const std::string& path, const std::vector<std::uint8_t>& bytes);

// Logs failed writes: one line per error and file, not one per try. Control thread only.
class StateFileReports {
 public:
  // `consequence`: what the failure means to people, after the error.
  StateFileReports(Logger log, std::string consequence);
  // Reports a write that has ended.
  void report(const std::string& path, const Expected<>& written);

 private:
  Logger log_;
  std::string consequence_;
  std::map<std::string, std::string> failing_;  // by path: the error that was logged
};

}  // namespace wg::control
