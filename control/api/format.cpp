#include "control/api/format.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <string_view>

namespace wg::control {
namespace {

template <typename... Values>
std::string print(const char* format, Values... values) {
  char text[96];
  const int length = std::snprintf(text, sizeof text, format, values...);
  return {text, static_cast<std::size_t>(length)};
}

std::string counted(std::uint64_t count, const char* unit) {
  return std::to_string(count) + " " + unit + (count == 1 ? "" : "s");
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  static constexpr std::array<const char*, 6> kUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return print("%.2f %s", value, kUnits[unit]);
}

std::string format_duration(std::chrono::nanoseconds span) {
  using namespace std::chrono;
  const bool negative = span < 0ns;
  if (negative) span = -span;
  const std::string sign = negative ? "-" : "";
  if (span < 1ms) return sign + print("%.1f us", duration<double, std::micro>(span).count());
  if (span < 1s) return sign + print("%.0f ms", duration<double, std::milli>(span).count());
  if (span < 10s) return sign + print("%.1f s", duration<double>(span).count());
  const auto seconds_total = static_cast<std::uint64_t>(duration_cast<seconds>(span).count());
  static constexpr std::array<std::pair<std::uint64_t, const char*>, 4> kUnits{
      {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}}};
  std::string text;
  std::uint64_t rest = seconds_total;
  for (const auto& [length, unit] : kUnits) {
    if (rest < length) continue;
    text += (text.empty() ? "" : ", ") + counted(rest / length, unit);
    rest %= length;
  }
  return sign + text;
}

std::string format_ago(const std::optional<WallTime>& at, WallTime now) {
  using namespace std::chrono;
  if (!at) return "never";
  const auto age = duration_cast<seconds>(now - *at);
  if (age < 0s) return "in the future (clock went back)";
  if (age == 0s) return "now";
  return (age < 10s ? counted(static_cast<std::uint64_t>(age.count()), "second") : format_duration(age)) +
         " ago";
}

std::string format_time(WallTime at) {
  using namespace std::chrono;
  const auto whole = floor<seconds>(at);
  const std::time_t time = system_clock::to_time_t(whole);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  return print("%s.%03dZ", date, static_cast<int>(floor<milliseconds>(at - whole).count()));
}

std::string format_share(double share) {
  return print("%.1f %%", 100 * share);
}

}  // namespace wg::control
