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

TEST_F(FileWatches, SayWhatCannotBeWatched) {
  EXPECT_EQ(watch.watch({path("no/such/directory")}).size(), 1u);
}

}  // namespace
}  // namespace wg::control::test
