// What operators are told of flows: each thing once, when it happens, and not again within a minute.
#include "control/flows/flow_events.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace wg::control {
namespace {

constexpr std::size_t kMax = 1000;
constexpr BootSeconds kStart{WholeSeconds(5000)};

class Events : public ::testing::Test {
 protected:
  // "name: words" of what the second brings that is so many after the start.
  std::vector<std::string> at(unsigned second, std::size_t carried = 10) {
    std::vector<std::string> out;
    for (const FlowNews& news : events.take(counts, carried, kMax, kStart + WholeSeconds(second))) {
      out.push_back(std::string(name_of(news.kind)) + ": " + news.words);
      lines.emplace_back(news.line.name);
    }
    return out;
  }

  FlowEvents events;
  FlowFollower::Counts counts;
  std::vector<std::string> lines;  // of the log
};

using Told = std::vector<std::string>;

TEST_F(Events, NothingHappensNothingIsTold) {
  counts.taken_over = 5;
  counts.handed_back = 2;
  EXPECT_EQ(at(0), Told{});
  EXPECT_EQ(at(1000), Told{});
}

TEST_F(Events, AFullTableIsToldOnceAndItsEndAfterAQuietMinute) {
  counts.refused_full = 3;
  EXPECT_EQ(at(0, kMax),
            Told{"flows_full: workers carry 1000 connections of at most 1000: others stay with Linux"});
  for (unsigned second = 1; second <= 100; ++second) {
    ++counts.refused_full;
    EXPECT_EQ(at(second, kMax - second % 2), Told{}) << second;
  }
  EXPECT_EQ(at(159, 500), Told{}) << "a minute has not passed";
  EXPECT_EQ(at(160, 500),
            Told{"flows_room: workers carry 500 connections of at most 1000: there is room again"});
  EXPECT_EQ(at(161, 500), Told{});
  ++counts.refused_full;
  EXPECT_EQ(at(162, kMax).size(), 1u) << "full again";
  EXPECT_EQ(lines, (Told{"flows_full", "flows_room", "flows_full"}));
}

TEST_F(Events, ChangesOfRulesAreGathered) {
  counts.rule_changes = 1;
  counts.returned_by_rules = 1;
  EXPECT_EQ(at(0),
            Told{"flows_returned: the rules of nftables have changed: 1 connection went back to Linux, to "
                 "earn the mark again"});
  for (unsigned second = 1; second < 60; ++second) {
    ++counts.rule_changes;
    counts.returned_by_rules += 100;
    EXPECT_EQ(at(second), Told{}) << "a program that changes a set every second";
  }
  EXPECT_EQ(at(60),
            Told{"flows_returned: the rules of nftables have changed 59 times: 5900 connections went back to "
                 "Linux, to earn the mark again"});
  EXPECT_EQ(at(200), Told{});
  ++counts.rule_changes;
  EXPECT_EQ(at(201).size(), 1u) << "after a quiet minute at once";
  EXPECT_EQ(lines, Told(3, "flows_rules_changed"));
}

TEST_F(Events, LostEventsAndWhatWasReadAgain) {
  counts.lost = 1;
  EXPECT_EQ(
      at(0),
      Told{"flows_lost: events of connection tracking were lost: all connections went back to Linux and "
           "are read again"});
  EXPECT_EQ(at(1), Told{});
  counts.read_again = 1;
  EXPECT_EQ(at(2, 77),
            Told{"flows_relearnt: connection tracking was read again: workers carry 77 connections"});
  counts.lost = counts.read_again = 4;
  EXPECT_EQ(at(3), Told{}) << "within a minute";
  const Told both = at(60);
  ASSERT_EQ(both.size(), 2u);
  EXPECT_EQ(both[0],
            "flows_lost: events of connection tracking were lost 3 times: all connections went back to Linux "
            "and are read again");
  EXPECT_EQ(both[1].substr(0, 15), "flows_relearnt:");
  EXPECT_EQ(lines, (Told{"flows_lost", "flows_relearnt", "flows_lost", "flows_relearnt"}));
}

}  // namespace
}  // namespace wg::control
