// Every drop reason that a worker can have for a packet is told by a trace: generated from the list, so that
// a new reason needs a scenario, or a row below with why it cannot have one.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "dataplane/drop_reason.h"
#include "tests/unit/dataplane/scenario.h"

namespace wg::test {
namespace {

// No worker notes these in a trace.
const std::map<std::string, const char*> kNotTold{
    {"no_mbuf", "there is no packet, for want of a buffer"},
    {"read_malformed", "what is read from Linux is dropped before it is in a buffer of its own"},
    {"read_too_long", "likewise"},
    {"read_truncated", "likewise"},
    {"staged_dropped", "the control thread's: its story ends with `staged`"},
    {"handshake_mailbox_full", "a worker alone has no mailbox that fills up"},
    {"kernel_path_full", "likewise"},
    {"command_mailbox_full", "the control thread's"},
    {"cookie_reply_unsent", "the control thread's"},
    {"socket_malformed", "the control thread's"},
    {"socket_oversized", "the control thread's"},
    {"socket_full", "the control thread's"},
    {"socket_send_failed", "the control thread's"}};

class EveryReasonIsTold : public ::testing::Environment {
 public:
  // After all tests of the program; a run of some of them tells nothing about the others.
  void TearDown() override {
    const auto& program = *::testing::UnitTest::GetInstance();
    if (GTEST_FLAG_GET(filter) != "*" || program.Failed() || program.skipped_test_count() != 0) return;
    for (const char* reason : dataplane::kDropNames) {
      const bool excused = kNotTold.contains(reason);
      EXPECT_EQ(told_reasons().contains(reason), !excused)
          << reason << (excused ? ": is told after all" : ": no scenario's trace tells it");
    }
    for (const auto& [reason, why] : kNotTold)
      EXPECT_NE(std::find(std::begin(dataplane::kDropNames), std::end(dataplane::kDropNames), reason),
                std::end(dataplane::kDropNames))
          << reason << " is in no list: " << why;
  }
};

const auto* const kEnvironment = ::testing::AddGlobalTestEnvironment(new EveryReasonIsTold);

}  // namespace
}  // namespace wg::test
