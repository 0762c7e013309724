// Reads `control`: sockets, metrics, log, and the user the process becomes.
#include <algorithm>

#include "config/reader.h"

namespace wg::config {
namespace {

bool read_absolute_path(const Value& value, std::string& out) {
  constexpr std::string_view kAllowed = "an absolute path";
  std::string path;
  if (!read_string(value, kAllowed, path)) return false;
  if (path.front() != '/') {
    value.refuse(path, "is not an absolute path", kAllowed);
    return false;
  }
  out = std::move(path);
  return true;
}

void read_socket(const Value& value, Control& control) {
  constexpr std::size_t kMaxSocketPath = 107;  // sun_path of unix(7) less the terminator
  control.where.socket = value.at();
  std::string path;
  if (!read_absolute_path(value, path)) return;
  if (path.size() > kMaxSocketPath)
    value.refuse(path, "is too long for a socket", "at most 107 bytes");
  else
    control.socket = std::move(path);
}

/// useradd(8): a letter or underscore first, then also digits, dashes and dots; at most 32.
bool is_account_name(std::string_view name) {
  const auto first = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto later = [&](char c) { return first(c) || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  return !name.empty() && name.size() <= 32 && first(name.front()) &&
         std::all_of(name.begin(), name.end(), later);
}

void read_account(const Value& value, std::string_view allowed, std::string& out) {
  std::string name;
  if (!read_string(value, allowed, name)) return;
  if (is_account_name(name))
    out = std::move(name);
  else
    value.refuse(name, "is not a valid name", allowed);
}

void read_metrics(const Value& value, Control& control) {
  constexpr std::string_view kAllowed = "off, or address:port such as 127.0.0.1:9586 or [::1]:9586";
  control.where.metrics = value.at();
  const auto text = value.scalar(kAllowed);
  if (!text) return;
  if (*text == "off") return control.metrics.reset();
  const auto [endpoint, fault] = parse_endpoint(*text);
  if (!endpoint)
    value.refuse(*text, fault, kAllowed);
  else if (endpoint->address() == nullptr || !endpoint->zone.empty())
    value.refuse(*text, "is not an address and port", kAllowed);
  else
    control.metrics = MetricsListen{*endpoint->address(), endpoint->port};
}

void read_log(const Value& value, Control& control) {
  static constexpr Field<Control> kFields[] = {
      {"level",
       [](const Value& v, Control& c) {
         c.where.log_level = v.at();
         read_log_level(v, c.log.level);
       }},
      {"format",
       [](const Value& v, Control& c) {
         c.where.log_format = v.at();
         read_choice<LogFormat>(v, {{"text", LogFormat::kText}, {"json", LogFormat::kJson}}, c.log.format);
       }},
  };
  read_fields(value, kFields, "a map with level and format", control);
}

}  // namespace

bool read_log_level(const Value& value, LogLevel& out) {
  return read_choice<LogLevel>(value,
                               {{"off", LogLevel::kOff},
                                {"error", LogLevel::kError},
                                {"warn", LogLevel::kWarn},
                                {"info", LogLevel::kInfo},
                                {"debug", LogLevel::kDebug},
                                {"trace", LogLevel::kTrace}},
                               out);
}

void read_control(const Value& value, Control& control) {
  static constexpr Field<Control> kFields[] = {
      {"socket", read_socket},
      {"admin_group",
       [](const Value& v, Control& c) {
         c.where.admin_group = v.at();
         read_account(v, "the name of a group", c.admin_group);
       }},
      {"read_group",
       [](const Value& v, Control& c) {
         c.where.read_group = v.at();
         read_account(v, "the name of a group", c.read_group);
       }},
      {"metrics", read_metrics},
      {"metrics_per_peer",
       [](const Value& v, Control& c) {
         c.where.metrics_per_peer = v.at();
         read_flag(v, c.metrics_per_peer);
       }},
      {"log", read_log},
      {"state_directory",
       [](const Value& v, Control& c) {
         c.where.state_directory = v.at();
         read_absolute_path(v, c.state_directory);
       }},
      {"user",
       [](const Value& v, Control& c) {
         c.where.user = v.at();
         read_account(v, "the name of a user", c.user);
       }},
      {"reload_on_change",
       [](const Value& v, Control& c) {
         c.where.reload_on_change = v.at();
         read_flag(v, c.reload_on_change);
       }},
  };
  control.where.self = value.at();
  if (!value.is_null()) read_fields(value, kFields, "a map with socket, metrics, log and others", control);
}

}  // namespace wg::config
