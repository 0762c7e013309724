// Aligned columns for people.
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
  /// As many cells as columns. Control characters become '?': names come from outside.
  void row(std::vector<std::string> cells);
  /// Two spaces between columns, no trailing blanks; titles also when there are no rows.
  void print(std::ostream& out) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace wg::control::cli
