// The files of timestamps: what is written, when it is tried again, and which write wins.
#include "control/gateway/timestamps.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "tests/unit/gateway/log_to.h"
#include "tests/unit/noise/fake_host.h"

namespace wg::control::test {
namespace {

using noise::test::TwoEngines;
using Bytes = std::vector<std::uint8_t>;

class TimestampFiles : public ::testing::Test {
 protected:
  TimestampFiles() = default;
  ~TimestampFiles() override {
    background.stop();
    std::filesystem::remove_all(directory);
  }

  // What the background thread was given is done, and reported.
  void settle() {
    bool done = false;
    background.run([] {}, [&done] { done = true; });
    for (int i = 0; i < 2000 && !done; ++i) loop.run_once(std::chrono::milliseconds(5));
    ASSERT_TRUE(done);
  }
  // A session more: both engines have newer timestamps.
  void handshake() {
    engines.pass(6 * noise::test::kSec);
    engines.handshake();
  }
  noise::Engine& engine() { return engines.b.engine; }
  [[nodiscard]] Bytes on_disk() const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // A directory cannot be replaced by a file, not even by root.
  void obstruct() { std::filesystem::create_directories(path + "/in the way"); }
  void clear_away() { std::filesystem::remove_all(path); }
  std::string logged() {
    std::string text = lines.str();
    lines.str("");
    return text;
  }

  static std::string make_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "timestamps_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    return name;
  }

  std::string directory = make_directory();
  std::ostringstream lines;
  Logger log = log_to(lines);
  EventLoop loop;
  Background background{loop};
  TwoEngines engines;
  Timestamps timestamps{directory, background, log};
  std::string path = directory + "/wg0.timestamps";
};

TEST_F(TimestampFiles, FailedWriteIsTriedAgainWithoutANewHandshake) {
  handshake();
  obstruct();
  timestamps.save("wg0", engine());
  settle();
  EXPECT_NE(logged().find("handshakes go on"), std::string::npos);
  timestamps.save("wg0", engine());
  settle();
  EXPECT_EQ(logged(), "") << "one line per error, not one per try";
  clear_away();
  ASSERT_FALSE(engine().timestamps_changed()) << "nothing but the failure asks for a write";
  timestamps.save("wg0", engine());
  settle();
  EXPECT_EQ(on_disk(), engine().export_timestamps());
  EXPECT_EQ(logged(), path + ": written again\n");

  clear_away();
  timestamps.save("wg0", engine());
  settle();
  EXPECT_FALSE(std::filesystem::exists(path)) << "what is on disk is not written again";
}

// The stop drops what the background thread has not begun, and waits for what it has.
TEST_F(TimestampFiles, StopWritesWhatTheBackgroundThreadHadWaiting) {
  std::promise<void> begun, release;
  background.run(
      [&] {
        begun.set_value();
        release.get_future().wait();
      },
      {});
  begun.get_future().wait();
  handshake();
  timestamps.save("wg0", engine());
  ASSERT_FALSE(engine().timestamps_changed());
  release.set_value();
  background.stop();
  timestamps.save_and_wait("wg0", engine());
  EXPECT_EQ(on_disk(), engine().export_timestamps());
}

TEST_F(TimestampFiles, NothingOvertakesTheWriteThatWaits) {
  std::promise<void> begun, release;
  background.run(
      [&] {
        begun.set_value();
        release.get_future().wait();
      },
      {});
  begun.get_future().wait();
  handshake();
  timestamps.save("wg0", engine());
  handshake();
  timestamps.save("wg0", engine());
  EXPECT_TRUE(engine().timestamps_changed()) << "newer ones stay with the engine meanwhile";
  release.set_value();
  settle();
  timestamps.save("wg0", engine());
  settle();
  EXPECT_EQ(on_disk(), engine().export_timestamps());
}

TEST_F(TimestampFiles, InterfaceThatIsRemovedLeavesItsNewestToTheNextOfItsName) {
  handshake();
  const auto recorded = engines.a.host.sent.front().bytes;
  obstruct();
  timestamps.save_last("wg0", engine());
  settle();
  noise::test::Side again(engines.now, 2);
  again.engine.set_private_key(again.key, engines.now);
  again.engine.up(engines.now);
  timestamps.load("wg0", again.engine);
  again.engine.add_peer(again.new_slot(), engines.a.engine.public_key(), engines.now);
  EXPECT_EQ(again.engine.on_handshake(recorded, engines.a_at, engines.b_at, engines.now),
            noise::Outcome::kTimestampNotNewer);
  again.host.collect();
}

TEST_F(TimestampFiles, OfARemovedInterfaceIsTriedAgainAndAtTheStop) {
  handshake();
  const Bytes newest = engine().export_timestamps();
  handshake();
  obstruct();
  timestamps.save_last("wg0", engine());
  settle();
  clear_away();
  timestamps.retry_removed();
  settle();
  EXPECT_EQ(on_disk(), engine().export_timestamps());
  EXPECT_NE(on_disk(), newest);

  handshake();
  clear_away();
  obstruct();
  timestamps.save_last("wg0", engine());
  settle();
  clear_away();
  background.stop();
  timestamps.finish();
  EXPECT_EQ(on_disk(), engine().export_timestamps());
}

TEST_F(TimestampFiles, AreReadBackWhole) {
  handshake();
  timestamps.save("wg0", engine());
  settle();
  noise::test::Side again(engines.now, 2);
  timestamps.load("wg0", again.engine);
  EXPECT_EQ(again.engine.export_timestamps(), engine().export_timestamps());
  std::ofstream(path, std::ios::binary) << "not ours";
  timestamps.load("wg0", again.engine);
  EXPECT_NE(logged().find("not a valid timestamps file"), std::string::npos);
}

}  // namespace
}  // namespace wg::control::test
