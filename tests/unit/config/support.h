// Helpers of the configuration tests: error tables, keys, a temporary directory.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "config/parse.h"

namespace wg::config {

struct ErrorCase {
  std::string name;
  std::string text;
  std::string expected;  // every line ended

  friend void PrintTo(const ErrorCase& error_case, std::ostream* out) { *out << error_case.name; }
};

inline std::string name_of_case(const testing::TestParamInfo<ErrorCase>& info) {
  std::string name;
  for (const char c : info.param.name) name += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return name;
}

// Key and peer files are not opened: the cases are about the text alone.
inline void expect_errors(const ErrorCase& error_case) {
  ParseOptions options;
  options.open_files = false;
  const auto result = parse_text(error_case.text, "gw.yaml", options);
  EXPECT_FALSE(result);
  EXPECT_EQ(to_string(problems_of(result)), error_case.expected);
}

// 32 bytes of `n`: distinct for each n, and never all zero for n > 0.
inline std::array<std::uint8_t, kKeyBytes> key_bytes(unsigned n) {
  std::array<std::uint8_t, kKeyBytes> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(n >> (8 * (i % 4)));
  return bytes;
}
inline Key public_key(unsigned n) {
  return Key{key_bytes(n)};
}
inline SecretKey secret_key(unsigned n) {
  return SecretKey(key_bytes(n));
}

class TempDirectory {
 public:
  TempDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "linegate-config-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = pattern;
  }
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    const auto path = path_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
    ::chmod(path.c_str(), mode);
    return path.string();
  }

 private:
  std::filesystem::path path_;
};

inline std::string slurp(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace wg::config
