#include "control/cli/table.h"

#include <algorithm>
#include <ostream>
#include <utility>

#include "control/cli/cells.h"

namespace wg::control::cli {
namespace {

constexpr std::size_t kGap = 2;

// Its beginning and an ellipsis when it takes more than `width` cells.
std::string shortened(const std::string& text, std::size_t width) {
  if (cells_of(text) <= width) return text;
  return std::string(first_cells(text, width - 1)) + "…";
}

}  // namespace

std::string painted(const std::string& text, Tone tone, const Layout& layout) {
  if (!layout.colour || tone == Tone::kPlain) return text;
  const char* start = tone == Tone::kGood ? "\033[32m" : tone == Tone::kWarning ? "\033[33m" : "\033[1;31m";
  return start + text + "\033[0m";
}

std::string wrapped(const std::string& text, std::size_t indent, const Layout& layout) {
  if (!layout.terminal) return text;
  std::string out;
  std::size_t line_width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, space - at);
    if (line_width != 0 && line_width + 1 + cells_of(word) > layout.columns) {
      out += "\n" + std::string(indent, ' ') + word;
      line_width = indent + cells_of(word);
    } else {
      out += (at == 0 ? "" : " ") + word;
      line_width += (at == 0 ? 0 : 1) + cells_of(word);
    }
    at = space + 1;
  }
  return out;
}

void Table::row(std::vector<Cell> cells) {
  for (Cell& cell : cells)
    for (char& c : cell.text)
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  rows_.push_back(std::move(cells));
}

std::size_t Table::needed(std::size_t column, bool shortened) const {
  const Column& facts = columns_[column];
  std::size_t width = cells_of(facts.title);
  for (const auto& cells : rows_) width = std::max(width, cells_of(cells[column].text));
  if (!shortened || facts.least == 0) return width;
  return std::min(width, std::max(facts.least, cells_of(facts.title)));
}

std::vector<Table::Shown> Table::fit(const Layout& layout) const {
  std::vector<std::size_t> order(columns_.size());  // by rank, then as printed
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return columns_[a].rank < columns_[b].rank; });
  std::vector<Shown> shown;
  std::size_t used = 0;
  for (const std::size_t column : order) {
    const std::size_t width = needed(column, true), more = width + (shown.empty() ? 0 : kGap);
    if (columns_[column].rank != 0 && used + more > layout.columns) continue;
    shown.push_back({column, width});
    used += more;
  }
  std::sort(shown.begin(), shown.end(), [](const Shown& a, const Shown& b) { return a.column < b.column; });
  std::size_t room = used < layout.columns ? layout.columns - used : 0;
  for (Shown& each : shown) {
    const std::size_t lacking = needed(each.column, false) - each.width;
    const std::size_t grant = layout.terminal ? std::min(lacking, room) : lacking;
    each.width += grant;
    room -= std::min(grant, room);
  }
  return shown;
}

void Table::print(std::ostream& out, const Layout& layout) const {
  const auto shown = fit(layout);
  const auto print_row = [&](const auto& cell_of) {
    std::string line;
    std::size_t blanks = 0;  // printed before the next text, so that no line ends with them
    for (const auto& [column, width] : shown) {
      const Cell cell = cell_of(column);
      const std::string text = shortened(cell.text, width);
      const std::size_t padding = width - cells_of(text);
      const bool left = columns_[column].align == Align::kLeft;
      blanks += (&column == &shown.front().column ? 0 : kGap) + (left ? 0 : padding);
      if (!text.empty())
        line += std::string(std::exchange(blanks, 0), ' ') + painted(text, cell.tone, layout);
      blanks += left ? padding : 0;
    }
    out << line << "\n";
  };
  print_row([&](std::size_t column) { return Cell(columns_[column].title); });
  for (const auto& cells : rows_) print_row([&](std::size_t column) { return cells[column]; });
}

}  // namespace wg::control::cli
