// State files lie in a directory that may belong to another user while the gateway is root.
#include "control/gateway/state_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "config/read_file.h"

namespace wg::control::test {
namespace {

class StateFile : public ::testing::Test {
 protected:
  ~StateFile() override { std::filesystem::remove_all(directory); }

  static std::string make_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "state_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    return name;
  }

  std::string directory = make_directory();
  std::string path = directory + "/made/wg0.timestamps";
};

TEST_F(StateFile, IsReadAsItWasWritten) {
  const std::vector<std::uint8_t> bytes{0, 1, 2, 255, '\n'};
  EXPECT_FALSE(read_state_file(path));
  ASSERT_TRUE(write_state_file(path, bytes));
  EXPECT_EQ(read_state_file(path), bytes);
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(StateFile, NoLinkIsFollowedAndNoFifoWaitedFor) {
  ASSERT_TRUE(write_state_file(path, {1}));
  std::filesystem::create_symlink(path, directory + "/link");
  EXPECT_FALSE(read_state_file(directory + "/link"));
  ASSERT_EQ(mkfifo((directory + "/fifo").c_str(), 0600), 0);
  EXPECT_FALSE(read_state_file(directory + "/fifo"));
  EXPECT_FALSE(read_state_file(directory));
}

TEST_F(StateFile, LargerThanAnyOfOursIsNotRead) {
  ASSERT_TRUE(write_state_file(path, {1}));
  std::filesystem::resize_file(path, config::kMaxFileBytes + 1);
  EXPECT_FALSE(read_state_file(path));
}

TEST_F(StateFile, AWriteThatFailsSaysWhy) {
  std::filesystem::create_directories(path + "/in the way");
  const Expected<> written = write_state_file(path, {1});
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().text, "");
}

}  // namespace
}  // namespace wg::control::test
