// The parts that serve programs: interfaces that are bound to a connection beside a reload and a save, the
// ifindex that follows from an id, the lines of the log.
#include <gtest/gtest.h>
#include <net/if.h>

#include <set>
#include <thread>

#include "control/gateway/bound_interfaces.h"
#include "control/gateway/log_lines.h"
#include "control/interface/stable_index.h"
#include "control/log.h"

namespace wg::control {
namespace {

config::Gateway with(std::initializer_list<std::pair<const char*, std::uint64_t>> interfaces) {
  config::Gateway value;
  for (const auto& [name, bound_to] : interfaces) value.interfaces[name].bound_to = bound_to;
  return value;
}

std::set<std::string> names(const config::Gateway& value) {
  std::set<std::string> all;
  for (const auto& [name, interface] : value.interfaces) all.insert(name);
  return all;
}

TEST(BoundInterfaces, AReloadLeavesThemAsTheyRun) {
  const config::Gateway running = with({{"wg0", 0}, {"old", 0}, {"app0", 7}, {"taken", 8}});
  config::Gateway next = with({{"wg0", 0}, {"new", 0}, {"gone", 9}, {"taken", 0}});
  keep_bound_interfaces(running, next);
  EXPECT_EQ(names(next), (std::set<std::string>{"wg0", "new", "app0", "taken"}));
  EXPECT_EQ(next.interfaces["app0"].bound_to, 7U);
  EXPECT_EQ(next.interfaces["taken"].bound_to, 0U);  // the file has taken it
}

TEST(BoundInterfaces, ThoseOfOneConnectionGo) {
  config::Gateway value = with({{"wg0", 0}, {"app0", 7}, {"app1", 7}, {"app2", 8}});
  EXPECT_TRUE(remove_interfaces_bound_to(7, value));
  EXPECT_FALSE(remove_interfaces_bound_to(7, value));
  EXPECT_EQ(names(value), (std::set<std::string>{"wg0", "app2"}));
  EXPECT_TRUE(remove_bound_interfaces(value));
  EXPECT_EQ(names(value), (std::set<std::string>{"wg0"}));
}

TEST(BoundInterfaces, AnIdHasOneHolder) {
  config::Gateway value = with({{"wg0", 0}, {"app0", 7}});
  value.interfaces["app0"].id = "6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11";
  EXPECT_EQ(holder_of_id(value, "6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11"), "app0");
  EXPECT_EQ(holder_of_id(value, "00112233-4455-6677-8899-aabbccddeeff"), "");
  EXPECT_EQ(holder_of_id(value, ""), "");
}

// The numbers themselves are a promise: monitoring knows interfaces by them.
TEST(StableIndex, IsTheSameForEver) {
  EXPECT_EQ(stable_index("6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11", 0), 0x4ea7d1a3U);
  EXPECT_EQ(stable_index("6f0a4b5e-0a1c-4f7e-9a53-3f0c1b7d2e11", 1), 0x44745347U);
}

TEST(StableIndex, StaysInItsRangeAndSpreads) {
  std::set<std::uint32_t> seen;
  for (int id = 0; id < 1000; ++id) {
    const std::uint32_t index = stable_index(std::to_string(id), 0);
    EXPECT_EQ(index >> 28, 4U);
    seen.insert(index);
  }
  EXPECT_GE(seen.size(), 999U);
}

TEST(LogLines, ComeToTheControlThreadWhileTheyAreFollowed) {
  start_log({});
  EventLoop loop;
  LogLines lines(loop);
  std::vector<std::string> heard;
  const std::thread::id here = std::this_thread::get_id();
  const auto logger = make_logger("wg9");
  logger->write(log_event::started, {}, "before");
  const std::uint64_t id = lines.follow([&](const LogLine& line) {
    EXPECT_EQ(std::this_thread::get_id(), here);
    EXPECT_EQ(line.interface, "wg9");
    std::string fields;
    for (const auto& [name, value] : line.fields) fields += name + "=" + value + " ";
    heard.push_back(std::string(config::to_string(line.level)) + " " + line.text + ": " + line.event + " " +
                    fields);
  });
  logger->write(log_event::notice, {.port = "lan0"}, "a {}", 1);
  logger->write(log_event::request_ignored, {}, "not logged");
  logger->write(log_event::task_failed, {}, "b");
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  const auto wait = [&](std::size_t count) {
    while (heard.size() < count && std::chrono::steady_clock::now() < patience)
      loop.run_once(std::chrono::milliseconds{5});
  };
  wait(2);
  // "before" may have been written only after the tap was set: it was queued for the writer.
  if (!heard.empty() && heard.front() == "info before: started interface=wg9 ")
    wait(3), heard.erase(heard.begin());
  EXPECT_EQ(heard, (std::vector<std::string>{"warn a 1: notice interface=wg9 port=lan0 ",
                                             "error b: task_failed interface=wg9 "}));
  lines.unfollow(id);
  logger->write(log_event::task_failed, {}, "after");
  for (int i = 0; i < 20; ++i) loop.run_once(std::chrono::milliseconds{1});
  EXPECT_EQ(heard.size(), 2U);
}

TEST(LogLines, BeyondTheLimitAreCountedNotKept) {
  start_log({});
  EventLoop loop;
  LogLines lines(loop);
  std::uint64_t heard = 0, lost = 0;
  bool last = false;
  const std::uint64_t id = lines.follow([&](const LogLine& line) {
    ++heard;
    lost += line.lost;
    last = last || line.text == "last";
  });
  const auto logger = make_logger("flood");
  constexpr std::uint64_t kLines = LogLines::kWaitingMax + 500;
  for (std::uint64_t i = 0; i < kLines; ++i) {
    logger->write(log_event::started, {}, "line");
    if (i % 500 == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds{20});  // the writer's own queue is bounded
  }
  std::this_thread::sleep_for(std::chrono::milliseconds{200});
  for (int i = 0; i < 10; ++i) loop.run_once(std::chrono::milliseconds{1});
  EXPECT_EQ(heard, LogLines::kWaitingMax);
  logger->write(log_event::started, {}, "last");
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!last && std::chrono::steady_clock::now() < patience) loop.run_once(std::chrono::milliseconds{5});
  EXPECT_TRUE(last);
  EXPECT_EQ(heard + lost, kLines + 1);
  lines.unfollow(id);
}

}  // namespace
}  // namespace wg::control
