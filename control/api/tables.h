// The tables of `linegate show`, one row each: the method of the control socket that answers, and the columns
// that are printed. What a table shows comes from StatusSource; status.h has the values.
//
// Everything here is constant data and pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "control/api/rpc_methods.h"

namespace wg::control {

// How a cell is coloured on a terminal. The text says the same without colour.
enum class Tone : std::uint8_t { kPlain, kGood, kWarning, kBad };

struct Cell {
  Cell(std::string shown, Tone with = Tone::kPlain) : text(std::move(shown)), tone(with) {}
  std::string text;
  Tone tone;
};

struct TableColumn {
  const char* title;
  Cell (*cell)(const Json& row, WallTime now);
  bool right = false;  // for numbers
  // 0: always printed. Otherwise printed when the line has room, columns of a smaller rank first.
  unsigned rank = 0;
  // 0: never shortened. Otherwise a terminal that is too narrow shows at least this many cells of it.
  std::size_t least = 0;
  const char* needs = nullptr;  // the column is left out while no row has this member
};

// Rows of one kind below each other, under a line of titles.
struct TableSection {
  Json (*rows)(const Json& result);  // an array of objects
  std::span<const TableColumn> columns;
};

struct ShowTable {
  RpcMethod method;  // "show.ports" answers {"ports": [rows]}
  const char* help;
  std::span<const TableSection> sections;

  [[nodiscard]] std::string_view name() const { return method.name.substr(method.name.find('.') + 1); }
};

// Every table of `show` but that of the peers, whose answer is filtered and streamed (rpc_methods.cpp).
std::span<const ShowTable> show_tables();
const ShowTable* find_show_table(std::string_view name);  // nullptr: no such table
const TableSection& peers_section();
// The table of `linegate peer list`, whose rows are made of the file.
const TableSection& configured_peers_section();

}  // namespace wg::control
