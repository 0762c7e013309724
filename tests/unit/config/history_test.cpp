// The history of configurations: numbers, bounds, modes.
#include "config/history.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "config/read_file.h"

namespace wg::config {
namespace {

struct HistoryTest : testing::Test {
  HistoryTest() {
    char name[] = "/tmp/linegate-history-XXXXXX";
    root = mkdtemp(name);
    directory = history_directory(root);
  }
  ~HistoryTest() override { std::filesystem::remove_all(root); }
  static mode_t mode_of(const std::string& path) {
    struct stat found {};
    return stat(path.c_str(), &found) == 0 ? found.st_mode & 07777 : 0;
  }
  [[nodiscard]] std::string text_of(std::size_t index) const {
    return read_file(history_of(directory).at(index).path)->text;
  }
  std::string root, directory;
};

TEST_F(HistoryTest, KeepsEachTextOnceInARow) {
  EXPECT_TRUE(history_of(directory).empty());
  for (const char* text : {"a", "a", "b", "a"}) ASSERT_TRUE(add_to_history(directory, text));
  const auto entries = history_of(directory);
  ASSERT_EQ(entries.size(), 3U);
  EXPECT_EQ(entries[0].number, 1U);
  EXPECT_EQ(entries[2].number, 3U);
  EXPECT_EQ(text_of(0) + text_of(1) + text_of(2), "aba");
}

TEST_F(HistoryTest, NoOtherUserReadsIt) {
  umask(0);
  ASSERT_TRUE(add_to_history(directory, "private_key: …"));
  EXPECT_EQ(mode_of(directory), 0700U);
  EXPECT_EQ(mode_of(history_of(directory)[0].path), 0600U);
  chmod(directory.c_str(), 0755);
  ASSERT_TRUE(add_to_history(directory, "b"));
  EXPECT_EQ(mode_of(directory), 0700U) << "a mode that was widened is narrowed again";
}

TEST_F(HistoryTest, IsBoundedByEntries) {
  for (std::size_t i = 1; i <= kHistoryEntries + 5; ++i)
    ASSERT_TRUE(add_to_history(directory, std::to_string(i)));
  const auto entries = history_of(directory);
  ASSERT_EQ(entries.size(), kHistoryEntries);
  EXPECT_EQ(entries.front().number, 6U);
  EXPECT_EQ(text_of(kHistoryEntries - 1), std::to_string(kHistoryEntries + 5));
}

TEST_F(HistoryTest, IsBoundedByBytes) {
  for (const char c : {'a', 'b', 'c'})
    ASSERT_TRUE(add_to_history(directory, std::string(kHistoryBytes / 2, c)));
  EXPECT_EQ(history_of(directory).size(), 2U);
  ASSERT_TRUE(add_to_history(directory, std::string(kHistoryBytes, 'd')));
  ASSERT_EQ(history_of(directory).size(), 1U) << "the newest is kept whatever its size";
  EXPECT_EQ(history_of(directory)[0].number, 4U);
}

TEST_F(HistoryTest, LooksAtNothingElse) {
  ASSERT_TRUE(add_to_history(directory, "a"));
  std::ofstream(directory + "/note.txt") << "x";
  std::ofstream(directory + "/x.yaml") << "x";
  std::filesystem::create_symlink("/etc/passwd", directory + "/000009.yaml");
  EXPECT_EQ(history_of(directory).size(), 1U);
}

TEST_F(HistoryTest, ADirectoryThatIsNoneIsRefused) {
  std::ofstream(root + "/history") << "a file";
  const auto added = add_to_history(directory, "a");
  ASSERT_FALSE(added);
  EXPECT_FALSE(added.error().text.empty());
}

}  // namespace
}  // namespace wg::config
