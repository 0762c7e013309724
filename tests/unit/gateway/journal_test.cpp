#include "control/journal.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace wg::control {
namespace {

TEST(Journal, LevelsAreSyslogsPriorities) {
  EXPECT_EQ(journal_priority(spdlog::level::critical), 2);
  EXPECT_EQ(journal_priority(spdlog::level::err), 3);
  EXPECT_EQ(journal_priority(spdlog::level::warn), 4);
  EXPECT_EQ(journal_priority(spdlog::level::info), 6);
  EXPECT_EQ(journal_priority(spdlog::level::debug), 7);
  EXPECT_EQ(journal_priority(spdlog::level::trace), 7);
}

TEST(Journal, AnEntryHasItsEventAndWhatItIsAbout) {
  const std::vector<std::string> of_wg0{"MESSAGE=wg0: up",
                                        "PRIORITY=4",
                                        "SYSLOG_IDENTIFIER=linegate",
                                        "LINEGATE_EVENT=roamed",
                                        "LINEGATE_INTERFACE=wg0",
                                        "LINEGATE_PUBLIC_KEY=a=b"};
  const std::string line = stored("up", "roamed", {.interface = "wg0", .public_key = "a=b"});
  EXPECT_EQ(journal_fields("wg0: up", spdlog::level::warn, read_stored(line)), of_wg0);
  const std::vector<std::string> of_nobody{"MESSAGE=a\nb", "PRIORITY=2", "SYSLOG_IDENTIFIER=linegate"};
  EXPECT_EQ(journal_fields("a\nb", spdlog::level::critical, {}), of_nobody);
}

TEST(Journal, StderrIsTheJournalsOnlyWhenItIsTheSameFile) {
  struct stat facts {};
  ASSERT_EQ(fstat(STDERR_FILENO, &facts), 0);
  const std::string same = std::to_string(facts.st_dev) + ":" + std::to_string(facts.st_ino);
  setenv("JOURNAL_STREAM", same.c_str(), 1);
  EXPECT_TRUE(stderr_is_journal());
  setenv("JOURNAL_STREAM", (same + "0").c_str(), 1);
  EXPECT_FALSE(stderr_is_journal());
  unsetenv("JOURNAL_STREAM");
  EXPECT_FALSE(stderr_is_journal());
}

TEST(Journal, ErrorsBeforeTheLogRunsAreMarkedLineByLine) {
  testing::internal::CaptureStderr();
  write_errors("a: 1\nb: 2\n");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "a: 1\nb: 2\n");
}

}  // namespace
}  // namespace wg::control
