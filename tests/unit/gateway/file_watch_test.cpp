#include "control/loop/file_watch.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace wg::control::test {
namespace {

using namespace std::chrono_literals;

class FileWatches : public ::testing::Test {
 protected:
  FileWatches() {
    directory = (std::filesystem::temp_directory_path() / "file_watch_XXXXXX").string();
    if (mkdtemp(directory.data()) == nullptr) std::abort();
  }
  ~FileWatches() override { std::filesystem::remove_all(directory); }

  [[nodiscard]] std::string path(const char* name) const { return directory + "/" + name; }
  void write(const char* name) const { std::ofstream(path(name)) << "x"; }
  void run(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < end) loop.run_once(10ms);
  }

  std::string directory;
  EventLoop loop;
  int changes = 0;
  FileWatch watch{loop, [this] { ++changes; }};
};

TEST_F(FileWatches, TellOnceOfWhatTheyWatch) {
  EXPECT_TRUE(watch.watch({path("one"), path("*.yaml")}).empty());
  write("other");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 0);
  write("one");
  write("two.yaml");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 1);
}

TEST_F(FileWatches, WithNothingToWatchAreSilentAndCanBeUsedAgain) {
  EXPECT_TRUE(watch.watch({path("one")}).empty());
  write("one");
  run(50ms);  // seen, and waiting for the writer to be done
  EXPECT_TRUE(watch.watch({}).empty());
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 0) << "forgotten";
  write("one");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 0);
  EXPECT_TRUE(watch.watch({path("one")}).empty());
  write("one");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 1);
}

// As an editor or a package does, and `mv peers.d peers.old; mkdir peers.d`.
TEST_F(FileWatches, FollowADirectoryThatIsReplaced) {
  std::filesystem::create_directory(path("peers.d"));
  EXPECT_TRUE(watch.watch({path("peers.d/*.yaml")}).empty());
  std::filesystem::rename(path("peers.d"), path("peers.old"));
  std::filesystem::create_directory(path("peers.d"));
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 1) << "the files of before are gone";
  write("peers.d/new.yaml");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 2);
  write("peers.old/late.yaml");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 2) << "it is another directory's now";
}

TEST_F(FileWatches, FollowADirectoryThatIsDeletedAndMadeAgain) {
  std::filesystem::create_directory(path("peers.d"));
  EXPECT_TRUE(watch.watch({path("peers.d/*.yaml")}).empty());
  std::filesystem::remove(path("peers.d"));
  run(FileWatch::kQuiet + 100ms);
  const int gone = changes;
  std::filesystem::create_directory(path("peers.d"));
  run(FileWatch::kQuiet + 100ms);
  EXPECT_GT(changes, gone);
  const int back = changes;
  write("peers.d/new.yaml");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, back + 1);
}

// As Kubernetes does: config -> ..data/config, ..data -> a directory of this version.
TEST_F(FileWatches, FollowLinks) {
  std::filesystem::create_directory(path("v1"));
  std::filesystem::create_directory(path("v2"));
  write("v1/config");
  write("v2/config");
  std::filesystem::create_directory_symlink("v1", path("data"));
  std::filesystem::create_symlink("data/config", path("config"));
  EXPECT_TRUE(watch.watch({path("config")}).empty());
  write("v1/config");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 1) << "the file behind the links was written";
  std::filesystem::create_directory_symlink("v2", path("data.new"));
  std::filesystem::rename(path("data.new"), path("data"));
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 2) << "a link leads elsewhere";
  write("v2/config");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 3);
  write("v1/config");
  run(FileWatch::kQuiet + 100ms);
  EXPECT_EQ(changes, 3);
}

TEST_F(FileWatches, SayWhatCannotBeWatched) {
  EXPECT_EQ(watch.watch({path("no/such/directory")}).size(), 1u);
}

}  // namespace
}  // namespace wg::control::test
