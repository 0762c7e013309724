// What a line of the log looks like, and which lines a level lets through.
#include "control/log.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "control/noise/peer_event_kinds.h"

namespace wg::control {
namespace {

std::string written(const config::Log& options, const std::function<void()>& write) {
  testing::internal::CaptureStderr();
  start_log(options);
  write();
  stop_log();
  return testing::internal::GetCapturedStderr();
}

void write_two(const std::string& name) {
  make_logger("wg0")->write(log_event::interface_up, {.peer = name, .remote = "[2001:db8::1]:51820"},
                            "peer {}: up", name);
  make_logger()->write(log_event::carrier_lost, {.interface = "wg1", .port = "lan0"}, "port {}: down",
                       "lan0");
}

TEST(LogText, HasTheTimeWithItsOffsetTheLevelAndTheInterface) {
  const std::string text = written({}, [] { write_two("alice"); });
  const std::string when = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d )";
  EXPECT_TRUE(std::regex_match(
      text, std::regex(when + "info    wg0: peer alice: up\n" + when + "warning port lan0: down\n")))
      << text;
}

// Names come from the file and from wg(8), texts from libraries.
TEST(LogText, NoNameMakesALineOfItsOwn) {
  const std::string text = written({}, [] { write_two(std::string("a\nb\0c\x1b[2J", 9)); });
  EXPECT_NE(text.find("peer a b c [2J: up\n"), std::string::npos) << text;
}

TEST(LogJson, HasTheEventAndWhatItIsAbout) {
  config::Log options;
  options.format = config::LogFormat::kJson;
  const std::string text = written(options, [] { write_two("a\"b\nc"); });
  const std::size_t end = text.find('\n');
  ASSERT_EQ(text.find('\n', end + 1), text.size() - 1) << text;
  nlohmann::json first = nlohmann::json::parse(text.substr(0, end));
  EXPECT_TRUE(std::regex_match(first["time"].get<std::string>(), std::regex(R"(.*T.*\.\d{6}[+-]\d\d:\d\d)")));
  EXPECT_GT(first["time_us"].get<std::int64_t>(), 1'600'000'000'000'000);
  first.erase("time"), first.erase("time_us");
  const nlohmann::json wanted{
      {"level", "info"},   {"event", "interface_up"},         {"interface", "wg0"},
      {"peer", "a\"b\nc"}, {"remote", "[2001:db8::1]:51820"}, {"message", "peer a\"b\nc: up"}};
  EXPECT_EQ(first, wanted);
  const nlohmann::json second = nlohmann::json::parse(text.substr(end + 1));
  EXPECT_EQ(second["interface"], "wg1");
  EXPECT_EQ(second["port"], "lan0");
}

TEST(LogLevels, EachLetsThroughItsOwnAndGraver) {
  const LogEvent events[] = {log_event::worker_stuck, log_event::task_failed,       log_event::notice,
                             log_event::started,      log_event::handshake_refused, log_event::asked_by};
  const std::pair<config::LogLevel, int> levels[] = {
      {config::LogLevel::kOff, 0},  {config::LogLevel::kError, 2}, {config::LogLevel::kWarn, 3},
      {config::LogLevel::kInfo, 4}, {config::LogLevel::kDebug, 5}, {config::LogLevel::kTrace, 6}};
  for (const auto& [level, wanted] : levels) {
    config::Log options;
    options.level = level;
    int said = 0;
    written(options, [&, &level = level] {
      const Logger log = make_logger("wg0");
      EXPECT_EQ(log->level(), level);
      for (const LogEvent& event : events) said += log->says(event) ? 1 : 0;
    });
    EXPECT_EQ(said, wanted) << config::to_string(level);
  }
}

TEST(LogFields, OfAStoredLineAreThoseThatWereGiven) {
  const std::string line = stored("a = b", "notice", {.peer = "x=y", .pid = "7"});
  const StoredLine read = read_stored(line);
  EXPECT_EQ(read.text, "a = b");
  EXPECT_EQ(read.event, "notice");
  const std::vector<std::pair<std::string_view, std::string_view>> wanted{{"peer", "x=y"}, {"pid", "7"}};
  EXPECT_EQ(read.fields, wanted);
  EXPECT_EQ(read_stored("a line of a library").text, "a line of a library");
}

TEST(LogEvents, NoTwoHaveOneName) {
  std::set<std::string> names;
#define X(name, severity, when) EXPECT_TRUE(names.insert(#name).second) << #name;
  WG_LOG_EVENTS(X)
#undef X
  for (const noise::PeerEventFacts& facts : noise::kPeerEventFacts)
    EXPECT_TRUE(names.insert(facts.name).second) << facts.name;
}

}  // namespace
}  // namespace wg::control
