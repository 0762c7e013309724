// A text table with aligned columns.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace wg::control::cli {

class Table {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  // Adds a row with one cell per column. Control characters become '?', because names are outside input.
  void row(std::vector<std::string> cells);
  // Prints two spaces between columns and no trailing blanks. Prints the titles even when there are no rows.
  void print(std::ostream& out) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace wg::control::cli
