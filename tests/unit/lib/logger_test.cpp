// The gateway's log in a program: levels, prefixes, restarts, and the end of a logger from anywhere.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/unit/lib/support.h"

namespace wg::control::test {
namespace {

class Heard {
 public:
  ~Heard() { lg_set_logger(nullptr, nullptr); }
  static void hear(lg_level level, std::int64_t at, const char* text, void* context) {
    auto& self = *static_cast<Heard*>(context);
    const std::lock_guard lock(self.mutex_);
    self.lines_.push_back(std::to_string(level) + " " + std::to_string(at) + " " + text);
    self.more_.notify_all();
  }
  std::vector<std::string> wait(std::size_t count) {
    std::unique_lock lock(mutex_);
    more_.wait_for(lock, std::chrono::seconds{20}, [&] { return lines_.size() >= count; });
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<std::string> lines_;
};

LogLine line(config::LogLevel level, const std::string& interface, const std::string& text) {
  return {std::chrono::system_clock::time_point{} + std::chrono::milliseconds{1'700'000'000'120}, level,
          interface, text};
}

// Until the library has subscribed.
bool say(GatewayProcess& gateway, const LogLine& said) {
  for (int i = 0; i < 4000; ++i) {
    if (gateway.say(said)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return false;
}

TEST(LibLogger, HearsTheLinesOfTheGateway) {
  GatewayProcess gateway;
  Heard heard;
  ASSERT_EQ(lg_set_logger(Heard::hear, &heard), LG_OK);
  ASSERT_TRUE(say(gateway, line(config::LogLevel::kInfo, "", "running: \"a\" \\ \n\xc3\xa4")));
  gateway.with([](FakeGateway&) { return true; });
  EXPECT_TRUE(gateway.say(line(config::LogLevel::kError, "wg0", "bad")));
  EXPECT_TRUE(gateway.say(line(config::LogLevel::kTrace, "wg0", "much")));
  EXPECT_EQ(heard.wait(3),
            (std::vector<std::string>{"3 1700000000120000000 running: \"a\" \\ \n\xc3\xa4",
                                      "1 1700000000120000000 bad", "5 1700000000120000000 much"}));
}

TEST(LibLogger, AdaptersHaveASwitchAndAPrefix) {
  GatewayProcess gateway;
  Heard heard;
  const Adapter adapter = created("app0");
  ASSERT_EQ(lg_set_logger(Heard::hear, &heard), LG_OK);
  EXPECT_EQ(lg_adapter_set_logging(adapter.get(), LG_LOG_ON_WITH_PREFIX), LG_OK);
  ASSERT_TRUE(say(gateway, line(config::LogLevel::kInfo, "app0", "one")));
  ASSERT_TRUE(say(gateway, line(config::LogLevel::kInfo, "wg0", "two")));
  heard.wait(2);
  EXPECT_EQ(lg_adapter_set_logging(adapter.get(), LG_LOG_ON), LG_OK);
  ASSERT_TRUE(say(gateway, line(config::LogLevel::kInfo, "app0", "three")));
  EXPECT_EQ(lg_adapter_set_logging(adapter.get(), LG_LOG_OFF), LG_OK);
  EXPECT_EQ(lg_adapter_set_logging(adapter.get(), 3), LG_INVALID);
  const auto lines = heard.wait(3);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_TRUE(lines[0].ends_with(" app0: one"));
  EXPECT_TRUE(lines[1].ends_with("000 two"));
  EXPECT_TRUE(lines[2].ends_with("000 three"));
  EXPECT_EQ(gateway.with([](FakeGateway& fake) { return fake.calls; }),
            (std::vector<std::string>{"log app0 info", "log app0 info", "log app0 off"}));
}

TEST(LibLogger, FollowsTheGatewayOverARestart) {
  GatewayProcess gateway;
  Heard heard;
  ASSERT_EQ(lg_set_logger(Heard::hear, &heard), LG_OK);
  ASSERT_TRUE(say(gateway, line(config::LogLevel::kWarn, "", "before")));
  heard.wait(1);
  gateway.stop();
  gateway.start();
  ASSERT_TRUE(say(gateway, line(config::LogLevel::kWarn, "", "after")));
  const auto lines = heard.wait(2);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_TRUE(lines[1].ends_with("after"));
}

TEST(LibLogger, AfterItsEndItIsNotCalled) {
  GatewayProcess gateway;
  for (int round = 0; round < 20; ++round) {
    std::atomic<bool> ended = false, late = false;
    struct Flags {
      std::atomic<bool>*ended, *late;
    } flags{&ended, &late};
    ASSERT_EQ(lg_set_logger(
                  [](lg_level, std::int64_t, const char*, void* context) {
                    const auto* f = static_cast<Flags*>(context);
                    std::this_thread::sleep_for(std::chrono::milliseconds{1});
                    if (*f->ended) *f->late = true;
                  },
                  &flags),
              LG_OK);
    ASSERT_TRUE(say(gateway, line(config::LogLevel::kInfo, "", "x")));
    for (int i = 0; i < 50; ++i) (void)gateway.say(line(config::LogLevel::kInfo, "", "y"));
    ASSERT_EQ(lg_set_logger(nullptr, nullptr), LG_OK);
    ended = true;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    ASSERT_FALSE(late);
  }
}

// The logger ends itself, and gives way to another.
TEST(LibLogger, MayBeChangedByTheLoggerItself) {
  GatewayProcess gateway;
  static Heard* second;
  static std::atomic<int> calls;
  Heard heard;
  second = &heard;
  ASSERT_EQ(lg_set_logger(
                [](lg_level, std::int64_t, const char*, void* context) {
                  ++*static_cast<std::atomic<int>*>(context);
                  lg_set_logger(Heard::hear, second);
                },
                &calls),
            LG_OK);
  ASSERT_TRUE(say(gateway, line(config::LogLevel::kInfo, "", "first")));
  std::vector<std::string> lines;
  for (int i = 0; i < 4000 && lines.empty(); ++i) {
    (void)gateway.say(line(config::LogLevel::kInfo, "", "second"));
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
    lines = heard.wait(0);
  }
  ASSERT_FALSE(lines.empty());
  EXPECT_TRUE(lines[0].ends_with("second"));
}

TEST(LibLogger, WithoutAGatewayItWaitsForOne) {
  const SocketDirectory directory;
  Heard heard;
  ASSERT_EQ(lg_set_logger(Heard::hear, &heard), LG_OK);
  std::this_thread::sleep_for(std::chrono::milliseconds{20});
  EXPECT_EQ(lg_set_logger(nullptr, nullptr), LG_OK);
  EXPECT_TRUE(heard.wait(0).empty());
}

}  // namespace
}  // namespace wg::control::test
