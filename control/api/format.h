// Formats figures as text, in the units of wg(8).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "control/api/status.h"

namespace wg::control {

std::string format_bytes(std::uint64_t bytes);               // "92 B", "1.50 KiB", "3.20 GiB"
std::string format_duration(std::chrono::nanoseconds span);  // "3.2 s", "2 minutes, 5 seconds"
// "now", "2 minutes, 5 seconds ago", "never".
std::string format_ago(const std::optional<WallTime>& at, WallTime now);
std::string format_time(WallTime at);    // "2026-11-20T09:52:39.123Z"
std::string format_share(double share);  // "12.5 %"

}  // namespace wg::control
