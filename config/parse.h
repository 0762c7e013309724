// From a YAML file to a checked Gateway, or to the list of everything that is wrong with it.
//
// parse_file() and parse_text() do the whole way: read, YAML, values, peer files, key files, then
// validate(). A result with a value has passed every check; a result without one carries at least
// one problem and nothing may be started from it. Neither throws on any input.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "config/read_file.h"
#include "config/types.h"

namespace wg::config {

template <class T>
struct Result {
  std::optional<T> value;
  Problems problems;  ///< errors in order of position; empty exactly when `value` is set

  bool ok() const { return value.has_value(); }
  explicit operator bool() const { return ok(); }
};

struct ParseOptions {
  /// False: key files and peer files are neither opened nor required to exist (for fuzzing, and to
  /// check a file on another machine). Keys from files are then absent from the value.
  bool open_files = true;
  /// For reload on file change: each file must have been left alone for this long.
  std::chrono::milliseconds settle{0};
  /// What reads each file, key files included; replaceable, so that a text can be checked before it is
  /// written.
  std::function<FileText(const std::string& path, const ReadLimits& limits)> read =
      [](const std::string& path, const ReadLimits& limits) { return read_file(path, limits); };
};

Result<Gateway> parse_file(const std::string& path, const ParseOptions& options = {});
/// `filename` is what messages cite; relative key and peer files are looked up beside it.
Result<Gateway> parse_text(std::string_view text, const std::string& filename,
                           const ParseOptions& options = {});

/// All problems, one per line, each line ended.
std::string to_string(const Problems& problems);

}  // namespace wg::config
