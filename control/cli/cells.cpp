#include "control/cli/cells.h"

#include <clocale>
#include <cwchar>

namespace wg::control::cli {

namespace {

// Whatever the user's locale: names are UTF-8, as the file is. For one call, because the program's own locale
// stays "C".
class Utf8Locale {
 public:
  Utf8Locale() : before_(uselocale(utf8())) {}
  ~Utf8Locale() { uselocale(before_); }
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  static locale_t utf8() {
    static const locale_t found = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return found == nullptr ? LC_GLOBAL_LOCALE : found;
  }
  locale_t before_;
};

struct Character {
  std::size_t bytes = 1;
  std::size_t cells = 1;
};

Character first_character(std::string_view text) {
  std::mbstate_t state{};
  wchar_t wide = 0;
  const std::size_t bytes = std::mbrtowc(&wide, text.data(), text.size(), &state);
  if (bytes == 0 || bytes > text.size()) return {};  // a zero, or no character
  const int cells = wcwidth(wide);
  return {bytes, cells < 0 ? 1 : static_cast<std::size_t>(cells)};
}

}  // namespace

std::size_t cells_of(std::string_view text) {
  const Utf8Locale locale;
  std::size_t cells = 0;
  while (!text.empty()) {
    const Character next = first_character(text);
    cells += next.cells;
    text.remove_prefix(next.bytes);
  }
  return cells;
}

std::string_view first_cells(std::string_view text, std::size_t cells) {
  const Utf8Locale locale;
  std::size_t end = 0, used = 0;
  while (end < text.size()) {
    const Character next = first_character(text.substr(end));
    if (used + next.cells > cells) break;
    used += next.cells;
    end += next.bytes;
  }
  return text.substr(0, end);
}

}  // namespace wg::control::cli
