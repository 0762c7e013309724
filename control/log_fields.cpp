#include "control/log_fields.h"

namespace wg::control {

namespace {

constexpr char kBetween = '\0';

void append(std::string& line, std::string_view part) {
  for (const char c : part) line.push_back(c == kBetween ? ' ' : c);
}

// Up to the next separator; what is left stays in `line`.
std::string_view take_part(std::string_view& line) {
  const std::size_t end = line.find(kBetween);
  const std::string_view part = line.substr(0, end);
  line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  return part;
}

}  // namespace

std::string stored(std::string_view text, std::string_view event, const LogFields& fields) {
  std::string line;
  append(line, text);
  line.push_back(kBetween);
  append(line, event);
  const auto add = [&line](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    line.push_back(kBetween);
    append(line, name);
    line.push_back('=');
    append(line, value);
  };
#define X(field) add(#field, fields.field);
  WG_LOG_FIELDS(X)
#undef X
  return line;
}

StoredLine read_stored(std::string_view line) {
  StoredLine read;
  read.text = take_part(line);
  read.event = take_part(line);
  while (!line.empty()) {
    const std::string_view field = take_part(line);
    const std::size_t equals = field.find('=');
    read.fields.emplace_back(field.substr(0, equals), field.substr(equals + 1));
  }
  return read;
}

std::string on_one_line(std::string_view text) {
  std::string line(text);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = ' ';
  return line;
}

}  // namespace wg::control
