// The subjects of a line of the log, apart from its words: text beside them, which the writer of the log
// turns into members of JSON and fields of the journal.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wg::control {

// X(field). The order is that of the output.
#define WG_LOG_FIELDS(X) \
  X(interface)           \
  X(peer)                \
  X(public_key)          \
  X(port)                \
  X(remote)              \
  X(local)               \
  X(method)              \
  X(uid)                 \
  X(pid)

struct LogFields {
#define X(field) std::string_view field = {};
  WG_LOG_FIELDS(X)
#undef X
};

// A line as it waits for the writer. The views are into the stored text.
struct StoredLine {
  std::string_view text;
  std::string_view event;
  std::vector<std::pair<std::string_view, std::string_view>> fields;
};

[[nodiscard]] std::string stored(std::string_view text, std::string_view event, const LogFields& fields);
// A text without event and fields is a line too: spdlog's own.
[[nodiscard]] StoredLine read_stored(std::string_view line);

// Control characters as spaces: no name and no text of a library makes a line of its own.
[[nodiscard]] std::string on_one_line(std::string_view text);

}  // namespace wg::control
