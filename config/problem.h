// A complaint about a configuration, and where in which file it applies.
//
// Text form: `file:line:column: key.path: what is wrong and what is allowed`. Lines and columns count
// from 1, columns in bytes; line 0 means the file as a whole.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace wg::config {

// Where a value stood. `file` is an index into Gateway::sources; line 0: the value was not read from
// a file (made by wg(8) or a default).
struct Position {
  std::uint32_t file = 0;
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  [[nodiscard]] bool known() const { return line != 0; }
};

enum class Severity : std::uint8_t {
  kError,
  kWarning,
  kNote,  // about the machine and not about the file: never a reason to refuse it
};

struct Problem {
  std::string file;
  Position at;
  std::string path;  // e.g. interfaces.wg0.peers[3].endpoint; empty for the file as a whole
  std::string message;
  Severity severity = Severity::kError;
};

using Problems = std::vector<Problem>;

// One line without a newline; warnings and notes carry that word after the position.
[[nodiscard]] std::string to_string(const Problem& problem);
// Sorts by file (in the order of reading), line, column; stable.
void sort_by_position(Problems& problems);

}  // namespace wg::config
