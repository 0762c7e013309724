// A line of the log, for those who follow it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "config/types.h"

namespace wg::control {

struct LogLine {
  std::chrono::system_clock::time_point at = {};
  config::LogLevel level = config::LogLevel::kInfo;
  std::string interface = {};  // empty: of the gateway
  std::string text = {};
  std::uint64_t lost = 0;  // lines before this one that whoever follows the log did not get
};

}  // namespace wg::control
