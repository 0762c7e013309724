// layout_of_stdout().
#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "control/cli/cli.h"

namespace wg::control::cli {
namespace {

constexpr std::size_t kLeastColumns = 40;  // narrower than this no table can be read

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view{} : value;
}

// 0: not given.
std::size_t columns_of_terminal() {
  const std::string_view wanted = environment("COLUMNS");
  std::size_t columns = 0;
  std::from_chars(wanted.data(), wanted.data() + wanted.size(), columns);
  if (columns != 0) return columns;
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

Layout layout_of_stdout() {
  Layout layout;
  layout.terminal = isatty(STDOUT_FILENO) != 0;
  if (!layout.terminal) return layout;
  layout.colour = environment("NO_COLOR").empty() && environment("TERM") != "dumb";
  if (const std::size_t columns = columns_of_terminal(); columns != 0)
    layout.columns = std::max(columns, kLeastColumns);
  return layout;
}

}  // namespace wg::control::cli
