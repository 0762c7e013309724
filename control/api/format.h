// Formats figures as text, in the units of wg(8).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "control/api/status.h"

namespace wg::control {

std::string format_bytes(std::uint64_t bytes);               // "92 B", "1.50 KiB", "3.20 GiB"
std::string format_duration(std::chrono::nanoseconds span);  // "3.2 s", "12s", "1m29s", "3h5m", "2d4h"
std::string format_ago(const std::optional<WallTime>& at, WallTime now);  // "now", "1m29s ago", "never"

// For tables: three significant digits, at most 8 characters.
std::string format_age(WallTime at, WallTime now);  // "0s", "1m29s", "3h5m"
std::string format_size(std::uint64_t bytes);       // "92 B", "1.50 KiB", "15.0 KiB", "150 KiB"
std::string format_count(std::uint64_t count);      // exact below 10 million, then "12.3M"
std::string format_si(double value);                // "950", "12.3k", "10G"

std::string format_time(WallTime at);    // "2026-11-20T09:52:39.123Z"
std::string format_share(double share);  // "12.5 %"

}  // namespace wg::control
