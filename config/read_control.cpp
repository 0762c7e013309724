// Reads `control`: sockets, metrics, log, and the user the process becomes.
#include "config/reader.h"

namespace wg::config {
namespace {

void read_socket(const Value& value, Control& control) {
  constexpr std::size_t kMaxSocketPath = 107;  // sun_path of unix(7) less the terminator
  auto path = read_string(value, kAbsolutePath.allowed);
  if (!path) return;
  if (const auto parsed = parse_absolute_path(*path); !parsed)
    value.refuse(*path, parsed.error().text, kAbsolutePath.allowed);
  else if (path->size() > kMaxSocketPath)
    value.refuse(*path, "is too long for a socket", "at most 107 bytes");
  else
    control.socket = *std::move(path);
}

void read_group(const Value& value, std::string& out) {
  constexpr std::string_view kAllowed = "the name of a group";
  auto name = read_string(value, kAllowed);
  if (!name) return;
  if (is_account_name(*name))
    out = *std::move(name);
  else
    value.refuse(*name, "is not a valid name", kAllowed);
}

void read_metrics(const Value& value, Control& control) {
  constexpr std::string_view kAllowed = "off, or address:port such as 127.0.0.1:9586 or [::1]:9586";
  const auto text = value.scalar(kAllowed);
  if (!text) return;
  if (*text == "off") return control.metrics.reset();
  const auto endpoint = parse_endpoint(*text);
  if (!endpoint)
    value.refuse(*text, endpoint.error().text, kAllowed);
  else if (endpoint->address() == nullptr || !endpoint->zone.empty())
    value.refuse(*text, "is not an address and port", kAllowed);
  else
    control.metrics = MetricsListen{*endpoint->address(), number_of(endpoint->port)};
}

}  // namespace

void read_control(const Value& value, Control& control) {
  static constexpr Field<Control> kFields[] = {
      {"socket", read_socket},
      {"admin_group", [](const Value& v, Control& c) { read_group(v, c.admin_group); }},
      {"read_group", [](const Value& v, Control& c) { read_group(v, c.read_group); }},
      {"metrics", read_metrics},
      {"metrics_per_peer", [](const Value& v, Control& c) { read_by<kFlag>(v, c.metrics_per_peer); }},
      {"log",
       [](const Value& v, Control& c) { read_map<Control>(v, {}, "a map with level and format", c, "log"); }},
  };
  control.where.self = value.at();
  if (!value.is_null()) read_map(value, kFields, "a map with socket, metrics, log and others", control);
}

}  // namespace wg::config
