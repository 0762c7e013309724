// The table of docs/security.md, "What unknown senders can cost", and the walk over it: each row is measured
// by the test program that it names, and has a function there.
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <vector>

namespace wg::test {

struct BudgetRow {
  std::uint64_t bound = 0;
  std::string counter;  // empty: none is needed
};

// What was done when much more than the bound was asked for, and how often the row's counter says so.
struct Measured {
  std::uint64_t done = 0;
  std::uint64_t counted = 0;
};

using Measurements = std::map<std::string, std::function<Measured()>>;

inline std::string without(const std::string& text, const std::string& unwanted) {
  std::string out;
  for (const char c : text)
    if (unwanted.find(c) == std::string::npos) out += c;
  return out;
}

// The first number of the cell: "100 000 a second" is 100000.
inline std::uint64_t number_in(const std::string& cell) {
  std::string digits;
  for (const char c : cell) {
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      digits += c;
    } else if (c != ' ') {
      break;
    }
  }
  return digits.empty() ? 0 : std::stoull(digits);
}

// | `name` | what | bound | counter | measured by |
inline std::map<std::string, BudgetRow> budget_rows(const std::string& document, const std::string& program) {
  std::ifstream lines(document);
  std::map<std::string, BudgetRow> rows;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) inside = line == "## What unknown senders can cost";
    if (!inside || !line.starts_with("| `")) continue;
    std::vector<std::string> cells;
    std::istringstream parts(line.substr(1));
    for (std::string cell; std::getline(parts, cell, '|');)
      cells.push_back(cell.substr(1, cell.size() < 2 ? 0 : cell.size() - 2));
    if (cells.size() < 5 || cells[4] != program) continue;
    rows[without(cells[0], "`")] = {number_in(cells[2]), without(cells[3], "` ")};
  }
  return rows;
}

// The bound holds, is reached (a bound that nothing reaches is not one), and its counter says so.
inline void check_budget(const std::string& document, const std::string& program,
                         const Measurements& measurements) {
  const auto rows = budget_rows(document, program);
  ASSERT_FALSE(rows.empty()) << document << " has no rows of " << program;
  for (const auto& [name, measure] : measurements)
    EXPECT_TRUE(rows.contains(name)) << name << " is measured, but not in the table";
  for (const auto& [name, row] : rows) {
    const auto found = measurements.find(name);
    if (found == measurements.end()) {
      ADD_FAILURE() << name << " is not measured";
      continue;
    }
    const Measured measured = found->second();
    std::printf("budget of=%s bound=%llu done=%llu counter=%s counted=%llu\n", name.c_str(),
                static_cast<unsigned long long>(row.bound), static_cast<unsigned long long>(measured.done),
                row.counter.empty() ? "-" : row.counter.c_str(),
                static_cast<unsigned long long>(measured.counted));
    EXPECT_GT(row.bound, 0u) << name;
    EXPECT_LE(measured.done, row.bound) << name;
    EXPECT_GE(measured.done * 2, row.bound) << name << ": the bound is not reached";
    const bool counted = row.counter.empty() || measured.counted != 0;
    EXPECT_TRUE(counted) << name << ": nothing counts";
  }
}

}  // namespace wg::test
