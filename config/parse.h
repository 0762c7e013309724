// From a YAML file to a checked Gateway, or to the list of everything that is wrong with it.
//
// parse_file() and parse_text() do the whole way: read, YAML, values, peer files, key files, then
// validate(). A value has passed every check; without one nothing may be started. Neither throws on
// any input.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "config/problem.h"
#include "config/read_file.h"
#include "config/types.h"
#include "dataplane/base/expected.h"

namespace wg::config {

// The value, or its errors in order of position, at least one.
using ParsedGateway = Expected<Gateway, Problems>;
// The errors of a result; none when it has a value.
template <class T>
[[nodiscard]] Problems problems_of(const Expected<T, Problems>& result) {
  return result ? Problems{} : result.error();
}

struct ParseOptions {
  // False: key files and peer files are neither opened nor required to exist (for fuzzing, and to
  // check a file on another machine). Keys from files are then absent from the value.
  bool open_files = true;
  // For reload on file change: each file must have been left alone for this long.
  std::chrono::milliseconds settle{0};
  // Reads each file, key files included; replaceable, so that a text can be checked before it is
  // written.
  std::function<Expected<FileText>(const std::string& path, const ReadLimits& limits)> read =
      [](const std::string& path, const ReadLimits& limits) { return read_file(path, limits); };
};

[[nodiscard]] ParsedGateway parse_file(const std::string& path, const ParseOptions& options = {});
// `filename` is what messages cite; relative key and peer files are looked up beside it.
[[nodiscard]] ParsedGateway parse_text(std::string_view text, const std::string& filename,
                                       const ParseOptions& options = {});

// All problems, one per line, each line ended.
[[nodiscard]] std::string to_string(const Problems& problems);

}  // namespace wg::config
