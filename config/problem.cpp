#include "config/problem.h"

#include <algorithm>
#include <tuple>

namespace wg::config {

std::string to_string(const Problem& problem) {
  std::string text = problem.file;
  if (problem.at.known())
    text += ":" + std::to_string(problem.at.line) + ":" + std::to_string(problem.at.column);
  if (!text.empty()) text += ": ";
  if (problem.severity == Severity::kWarning) text += "warning: ";
  if (problem.severity == Severity::kNote) text += "note: ";
  if (!problem.path.empty()) text += problem.path + ": ";
  return text + problem.message;
}

void sort_by_position(Problems& problems) {
  const auto order = [](const Problem& problem) {
    return std::tuple(problem.at.file, problem.at.line, problem.at.column);
  };
  std::stable_sort(problems.begin(), problems.end(),
                   [&](const Problem& a, const Problem& b) { return order(a) < order(b); });
}

}  // namespace wg::config
