// Two builds of the path bench against each other: child processes by turns in one run, so that what the
// machine does to one it does to the other.
#pragma once

#include <string>

namespace wg::bench {

struct PairedOptions {
  std::string old_program;  // any build of bench/dataplane; it need not know --paired
  std::string only;         // the `path` lines that count: those that contain this text
  unsigned rounds = 20;
  bool small_pages = false;
};

// Prints one `paired` line for each path line, medians over the rounds; `program` is the new build.
// Throws std::runtime_error when a child fails or the two print different lines.
void measure_paired(const std::string& program, const PairedOptions& options);

}  // namespace wg::bench
