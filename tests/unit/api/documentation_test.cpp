// The documents name what the program shows: every drop reason with its sentence, and nothing else.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>

#include "dataplane/drop_reason.h"

namespace wg::control {
namespace {

/// The rows of the table below a heading: first column without its quotes, second column.
std::map<std::string, std::string> table_of(const std::string& document, const std::string& heading) {
  std::ifstream lines(std::string(LINEGATE_SOURCE_DIR) + "/docs/" + document);
  EXPECT_TRUE(lines) << document;
  std::map<std::string, std::string> rows;
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#")) inside = line.substr(line.find_first_not_of("# ")) == heading;
    if (!inside || !line.starts_with("| `")) continue;
    const auto name_end = line.find("` | "), text = name_end + 4;
    if (name_end == std::string::npos) continue;
    const bool fresh =
        rows.emplace(line.substr(3, name_end - 3), line.substr(text, line.find(" |", text) - text)).second;
    EXPECT_TRUE(fresh) << "twice: " << line;
  }
  return rows;
}

TEST(Documentation, OperationsListsEveryDropReason) {
  std::map<std::string, std::string> reasons;
  for (std::size_t i = 0; i < dataplane::kDropReasons; ++i)
    reasons[dataplane::kDropNames[i]] = dataplane::kDropTexts[i];
  const auto rows = table_of("operations.md", "Drops");
  for (const auto& [name, text] : reasons) {
    const auto row = rows.find(name);
    ASSERT_TRUE(row != rows.end()) << "docs/operations.md does not name " << name;
    EXPECT_TRUE(row->second.starts_with(text)) << name << ": " << row->second;
  }
  for (const auto& [name, text] : rows)
    EXPECT_TRUE(reasons.contains(name)) << "no such drop reason: " << name;
}

}  // namespace
}  // namespace wg::control
