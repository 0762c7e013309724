// The nearest known name, for words that are not known.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/scalars.h"

namespace wg::control::cli {

// "; did you mean 'NAME'?" for the name nearest to `word`, empty without one.
inline std::string suggestion(std::string_view word, const std::vector<std::string>& names) {
  const std::vector<std::string_view> views(names.begin(), names.end());
  const auto nearest = config::nearest_name(word, views);
  return nearest.empty() ? "" : "; did you mean '" + std::string(nearest) + "'?";
}

}  // namespace wg::control::cli
