// A line of the log, for those who follow it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/types.h"

namespace wg::control {

struct LogLine {
  std::chrono::system_clock::time_point at = {};
  config::LogLevel level = config::LogLevel::kInfo;
  std::string interface = {};  // empty: of the gateway
  std::string text = {};
  std::string event = {};  // a name of log_events.h or peer_event_kinds.h
  std::vector<std::pair<std::string, std::string>> fields = {};  // by the names of log_fields.h
  std::uint64_t lost = 0;  // lines before this one that whoever follows the log did not get
};

}  // namespace wg::control
