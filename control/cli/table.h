// A text table with aligned columns that fits its line.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "control/api/tables.h"

namespace wg::control::cli {

inline constexpr std::size_t kPlainColumns = 80;  // the line of a pipe or a file

// Where text goes. Without a terminal nothing is coloured or shortened: a program may read it.
struct Layout {
  bool terminal = false;
  bool colour = false;
  std::size_t columns = kPlainColumns;  // character cells of a line
};

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
    unsigned rank = 0;      // as TableColumn
    std::size_t least = 0;  // as TableColumn
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Adds a row with one cell per column. Control characters become '?', because names are outside input.
  void row(std::vector<Cell> cells);
  // Prints two spaces between columns and no trailing blanks. Prints the titles even when there are no rows.
  // Columns that the line has no room for are left out, those of the largest rank first.
  void print(std::ostream& out, const Layout& layout) const;

 private:
  struct Shown {
    std::size_t column;
    std::size_t width;
  };
  std::vector<Shown> fit(const Layout& layout) const;
  std::size_t needed(std::size_t column, bool shortened) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// `text` in the colour of `tone` when the layout has colours.
std::string painted(const std::string& text, Tone tone, const Layout& layout);
// Breaks `text` at spaces into lines of the layout's width; lines after the first start with `indent` spaces.
std::string wrapped(const std::string& text, std::size_t indent, const Layout& layout);

}  // namespace wg::control::cli
