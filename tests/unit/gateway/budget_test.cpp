// What packets of people without a key can make the daemon do beside the protocol: the rows of
// docs/security.md that name unit_gateway.
#include "tests/budget/table.h"

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <vector>

#include "control/gateway/timestamps.h"
#include "control/log_limit.h"
#include "tests/unit/gateway/log_to.h"
#include "tests/unit/noise/fake_host.h"

namespace wg::control::test {
namespace {

using wg::test::Measured;

// Replays and relayed packets of 1000 peers, five kinds of lines each, within a second.
Measured log_lines() {
  const std::size_t before = log_lines_limited();
  const LogLimit::Clock::time_point start{std::chrono::hours(100)};
  std::vector<LogLimits> peers(1000);
  std::uint64_t written = 0;
  for (int round = 0; round < 10; ++round) {
    for (LogLimits& limits : peers)
      for (std::uint8_t kind = 0; kind < 5; ++kind)
        written += limits[kind].take(start + std::chrono::milliseconds(round * 99)) ? 1 : 0;
  }
  return {written, log_lines_limited() - before};
}

// A disk that hangs, while handshakes go on.
Measured state_writes() {
  std::string directory = (std::filesystem::temp_directory_path() / "budget_XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) return {};
  EventLoop loop;
  std::uint64_t writes = 0;
  {
    Background background(loop);
    Timestamps timestamps(directory, background, silent_log());
    noise::test::TwoEngines engines;
    std::promise<void> release;
    background.run([&] { release.get_future().wait(); }, {});
    for (int i = 0; i < 10; ++i) {
      engines.pass(6 * noise::test::kSec);
      engines.handshake();
      timestamps.save("wg0", engines.b.engine);
      writes += engines.b.engine.timestamps_changed() ? 0 : 1;  // what is new went to the disk's queue
    }
    release.set_value();
  }
  std::filesystem::remove_all(directory);
  return {writes, 0};
}

TEST(Budget, EveryRowOfTheDaemonIsMeasured) {
  wg::test::check_budget(std::string(LINEGATE_SOURCE_DIR) + "/docs/security.md", "unit_gateway",
                         {{"log_lines", log_lines}, {"state_writes", state_writes}});
}

}  // namespace
}  // namespace wg::control::test
