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

// The two largest units that are not zero: an age of days is not read to the second.
std::string compact(std::uint64_t seconds) {
  static constexpr std::array<std::pair<std::uint64_t, char>, 4> kUnits{
      {{86400, 'd'}, {3600, 'h'}, {60, 'm'}, {1, 's'}}};
  std::size_t unit = 0;
  while (unit + 1 < kUnits.size() && seconds < kUnits[unit].first) ++unit;
  std::string text = std::to_string(seconds / kUnits[unit].first) + kUnits[unit].second;
  const std::uint64_t rest = seconds % kUnits[unit].first;
  if (unit + 1 == kUnits.size() || rest < kUnits[unit + 1].first) return text;
  return text + std::to_string(rest / kUnits[unit + 1].first) + kUnits[unit + 1].second;
}

// Three significant digits of a value below 1024.
std::string three_digits(double value) {
  return print(value < 9.995 ? "%.2f" : value < 99.95 ? "%.1f" : "%.0f", value);
}

constexpr std::array<const char*, 6> kBinaryUnits{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};

// The value in the largest of kBinaryUnits that leaves at least one; bytes are at least 1024.
std::pair<double, const char*> in_binary_unit(std::uint64_t bytes) {
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kBinaryUnits.size(); ++unit) value /= 1024;
  return {value, kBinaryUnits[unit]};
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  const auto [value, unit] = in_binary_unit(bytes);
  return print("%.2f %s", value, unit);
}

std::string format_size(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  const auto [value, unit] = in_binary_unit(bytes);
  return three_digits(value) + " " + unit;
}

std::string format_si(double value) {
  static constexpr std::array<const char*, 7> kUnits{"", "k", "M", "G", "T", "P", "E"};
  std::size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return print(unit == 0 ? "%.0f%s" : "%.3g%s", value, kUnits[unit]);
}

std::string format_count(std::uint64_t count) {
  return count < 10'000'000 ? std::to_string(count) : format_si(static_cast<double>(count));
}

std::string format_duration(std::chrono::nanoseconds span) {
  using namespace std::chrono;
  const bool negative = span < 0ns;
  if (negative) span = -span;
  const std::string sign = negative ? "-" : "";
  if (span == 0ns) return "0 s";
  if (span < 1ms) return sign + print("%.1f us", duration<double, std::micro>(span).count());
  if (span < 1s) return sign + print("%.0f ms", duration<double, std::milli>(span).count());
  if (span < 10s) return sign + print("%.1f s", duration<double>(span).count());
  return sign + compact(static_cast<std::uint64_t>(duration_cast<seconds>(span).count()));
}

std::string format_age(WallTime at, WallTime now) {
  using namespace std::chrono;
  return at > now ? "future" : compact(static_cast<std::uint64_t>(duration_cast<seconds>(now - at).count()));
}

std::string format_ago(const std::optional<WallTime>& at, WallTime now) {
  using namespace std::chrono;
  if (!at) return "never";
  const auto age = duration_cast<seconds>(now - *at);
  if (age < 0s) return "in the future (clock went back)";
  return age == 0s ? "now" : compact(static_cast<std::uint64_t>(age.count())) + " ago";
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
