#include "control/cli/table.h"

#include <algorithm>
#include <ostream>

namespace wg::control::cli {
namespace {

// The width in terminal cells: UTF-8 continuation bytes occupy none.
std::size_t width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

void Table::row(std::vector<std::string> cells) {
  for (auto& cell : cells)
    for (char& c : cell)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  rows_.push_back(std::move(cells));
}

void Table::print(std::ostream& out) const {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(width(columns_[i].title));
    for (const auto& cells : rows_) widths[i] = std::max(widths[i], width(cells[i]));
  }
  const auto print_row = [&](const auto& cell) {
    std::string line;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const std::string& text = cell(i);
      const std::string padding(widths[i] - width(text), ' ');
      line += (i == 0 ? "" : "  ") + (columns_[i].align == Align::kLeft ? text + padding : padding + text);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  };
  print_row([&](std::size_t i) -> const std::string& { return columns_[i].title; });
  for (const auto& cells : rows_) print_row([&](std::size_t i) -> const std::string& { return cells[i]; });
}

}  // namespace wg::control::cli
