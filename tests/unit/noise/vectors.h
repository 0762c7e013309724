// Public test vectors that are read in place: from $LINEGATE_VECTORS or from ../shared/vectors beside the
// source tree. Tests print a message and skip where they are absent.
#pragma once

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace wg::noise::test {

inline std::optional<nlohmann::json> load_vectors(const std::string& file) {
  const char* const configured = std::getenv("LINEGATE_VECTORS");
  const std::string folder =
      configured != nullptr ? configured : std::string(LINEGATE_SOURCE_DIR) + "/../shared/vectors";
  std::ifstream in(folder + "/" + file);
  if (!in) return std::nullopt;
  return nlohmann::json::parse(in);
}

}  // namespace wg::noise::test

#define LOAD_VECTORS_OR_SKIP(name, file)                   \
  const auto name = ::wg::noise::test::load_vectors(file); \
  if (!name) GTEST_SKIP() << "vectors " << (file) << " not found; set LINEGATE_VECTORS"
