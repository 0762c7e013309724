#include "config/forms.h"

#include <algorithm>

#include "config/scalars.h"

namespace wg::config {

using namespace std::chrono_literals;

// ---------------------------------------------------------------- true and false

Expected<bool> parse_flag(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return Refusal{EINVAL, "is not known here"};
}

std::string flag_text(const bool& on) {
  return on ? "true" : "false";
}

std::string flag_words(const bool& on) {
  return on ? "on" : "off";
}

// ---------------------------------------------------------------- MSS clamp

Expected<MssClamp> parse_mss_clamp(std::string_view text) {
  if (text == "off") return MssClamp{MssClamp::Mode::kOff, 0};
  if (text == "auto") return MssClamp{MssClamp::Mode::kAuto, 0};
  const auto bytes = parse_number(text);
  if (!bytes) return Refusal{EINVAL, "is not a whole number"};
  if (*bytes < 536 || *bytes > 9000) return Refusal{EINVAL, "is out of range"};
  return MssClamp{MssClamp::Mode::kFixed, static_cast<std::uint16_t>(*bytes)};
}

std::string mss_clamp_text(const MssClamp& clamp) {
  return to_string(clamp);
}

// ---------------------------------------------------------------- an interface's own log level

Expected<std::optional<LogLevel>> parse_own_log_level(std::string_view text) {
  const auto level = parse_choice<LogLevel>(text);
  if (!level) return level.error();
  return std::optional<LogLevel>(*level);
}

std::string own_log_level_text(const std::optional<LogLevel>& level) {
  return level ? std::string(to_string(*level)) : std::string();
}

std::string own_log_level_words(const std::optional<LogLevel>& level) {
  return level ? std::string(to_string(*level)) : "as control.log.level";
}

// ---------------------------------------------------------------- numbers with a unit

Expected<std::chrono::microseconds> parse_max_sleep(std::string_view text) {
  const auto duration = parse_duration(text);
  if (!duration) return Refusal{EINVAL, parse_number(text) ? "has no unit" : "is not a duration"};
  if (*duration > 100ms || *duration % 1us != 0ns) return Refusal{EINVAL, "is out of range"};
  return std::chrono::duration_cast<std::chrono::microseconds>(*duration);
}

std::string max_sleep_text(const std::chrono::microseconds& sleep) {
  return std::to_string(sleep.count()) + "us";
}

std::string max_sleep_words(const std::chrono::microseconds& sleep) {
  return std::to_string(sleep.count()) + " us";
}

Expected<Size> parse_memory(std::string_view text) {
  const auto size = parse_size(text);
  if (!size) return Refusal{EINVAL, parse_number(text) ? "has no unit" : "is not a size"};
  if (*size < Size{64ULL << 20} || *size > Size{1024ULL << 30}) return Refusal{EINVAL, "is out of range"};
  return *size;
}

std::string memory_text(const Size& size) {
  return to_string(size);
}

// ---------------------------------------------------------------- flows

Expected<std::uint32_t> parse_flow_mark(std::string_view text) {
  const auto mark = parse_mark(text);
  if (!mark) return Refusal{EINVAL, "is not a firewall mark"};
  if (*mark == 0) return Refusal{EINVAL, "has no bit that a rule could set"};
  return *mark;
}

std::string flow_mark_text(const std::uint32_t& mark) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string digits;
  for (std::uint32_t rest = mark; rest != 0; rest >>= 4) digits.insert(digits.begin(), kHex[rest & 15]);
  return "0x" + digits;
}

Expected<std::uint32_t> parse_flow_max(std::string_view text) {
  const auto max = parse_number(text);
  if (!max) return Refusal{EINVAL, "is not a whole number"};
  if (*max < 1024 || *max > 16'777'216) return Refusal{EINVAL, "is out of range"};
  return static_cast<std::uint32_t>(*max);
}

std::string flow_max_text(const std::uint32_t& max) {
  return std::to_string(max);
}

// ---------------------------------------------------------------- paths and names

Expected<std::string> parse_absolute_path(std::string_view text) {
  if (!text.starts_with('/')) return Refusal{EINVAL, "is not an absolute path"};
  return std::string(text);
}

Expected<std::string> parse_user_name(std::string_view text) {
  if (!is_account_name(text)) return Refusal{EINVAL, "is not a valid name"};
  return std::string(text);
}

std::string verbatim(const std::string& text) {
  return text;
}

std::string user_words(const std::string& name) {
  return name.empty() ? "the one who started it" : name;
}

std::string text_or_none(const std::string& text) {
  return text.empty() ? "none" : text;
}

Expected<std::string> parse_uuid(std::string_view text) {
  const bool dashes = text.size() == 36;
  std::string uuid;
  std::size_t digits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (dashes && (i == 8 || i == 13 || i == 18 || i == 23)) {
      if (text[i] != '-') return Refusal{EINVAL, "is not a UUID"};
      continue;
    }
    const char c = text[i] >= 'A' && text[i] <= 'F' ? static_cast<char>(text[i] + 32) : text[i];
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return Refusal{EINVAL, "is not a UUID"};
    if (digits == 8 || digits == 12 || digits == 16 || digits == 20) uuid += '-';
    uuid += c;
    ++digits;
  }
  if (digits != 32) return Refusal{EINVAL, "is not a UUID"};
  return uuid;
}

Expected<std::string> parse_type_name(std::string_view text) {
  if (text.empty() || text.size() > kTypeNameMax) return Refusal{EINVAL, "is too long or empty"};
  for (const char c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return Refusal{EINVAL, "has a control character"};
  return std::string(text);
}

bool is_account_name(std::string_view name) {
  const auto first = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto later = [&](char c) { return first(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  return !name.empty() && name.size() <= 32 && first(name.front()) &&
         std::all_of(name.begin(), name.end(), later);
}

}  // namespace wg::config
