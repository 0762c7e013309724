// Changes one after the other: what is worked out elsewhere, what is carried out in steps, what is refused.
#include "control/gateway/change_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace wg::control {
namespace {

using namespace std::chrono_literals;

class ChangeQueueTest : public testing::Test {
 protected:
  // Its plan has so many steps; `refused`: the system refuses the last one.
  std::shared_ptr<ChangeTask> task(const std::string& name, std::size_t steps, bool refused = false) {
    auto made = std::make_shared<ChangeTask>();
    made->work_out = [this, name, steps](const config::Gateway& value, ChangeTask& wanted) -> Expected<> {
      EXPECT_EQ(&value, &running.value());
      wanted.next = std::make_shared<config::Gateway>(value);
      wanted.run.wanted.plan.actions.resize(steps);
      wanted.run.back = [this] {
        ++ways_back;
        GatewayPlan back;
        back.plan.actions.resize(2);
        return back;
      };
      return {};
    };
    if (refused) refused_ = name;
    return with_end(name, std::move(made));
  }
  std::shared_ptr<ChangeTask> with_end(const std::string& name, std::shared_ptr<ChangeTask> made) {
    made->run.outcome.plan = {name};
    made->end = [this, name](ChangeTask& ended) { log += "(" + name + (ended.ok() ? ")" : " refused)"); };
    return made;
  }
  // One action in each step, as PlanRunner::step() does it.
  bool step(PlanRun& run) {
    const std::string& name = run.outcome.plan.front();
    run.tried = true;
    if (run.refused) {
      log += "-";
      return ++run.taken_back == run.way_back->plan.actions.size();
    }
    if (name == fails_) throw std::runtime_error("out of memory");
    if (++run.reached < run.wanted.plan.actions.size()) {
      log += name;
      return false;
    }
    log += name;
    run.refused = name == refused_;
    if (run.refused) run.outcome.errors.push_back({EIO, "the system refuses"});
    return !run.refused;
  }
  // Until `ends` changes have ended.
  void turn_until(std::size_t ends) {
    const auto late = EventLoop::Clock::now() + 60s;
    while (std::size_t(std::count(log.begin(), log.end(), ')')) < ends && EventLoop::Clock::now() < late)
      loop.run_once(1ms);
  }

  EventLoop loop;
  Background background{loop};
  RunningConfig running{"/none", {}};
  ChangeQueue queue{loop, background, [this](PlanRun& run) { return step(run); }, running};
  std::string log;  // a letter per step, (name) at the end
  std::string refused_, fails_;
  std::atomic<int> ways_back{0};
};

TEST_F(ChangeQueueTest, ALargeOneIsCarriedOutOverManyRoundsAndTheNextWaits) {
  queue.add(task("a", 3));
  queue.add(task("b", 2));
  EXPECT_EQ(log, "") << "nothing within the call";
  EXPECT_FALSE(queue.half_done());
  while (log.empty()) loop.run_once(1ms);
  EXPECT_EQ(log, "a") << "one step a round";
  EXPECT_TRUE(queue.half_done());
  turn_until(2);
  EXPECT_EQ(log, "aaa(a)bb(b)");
  EXPECT_FALSE(queue.half_done());
  EXPECT_EQ(ways_back, 0);
}

std::shared_ptr<ChangeTask> small() {
  auto made = std::make_shared<ChangeTask>();
  made->begin = [](ChangeTask& begun) -> Expected<> {
    begun.run.wanted.plan.actions.resize(1);
    return {};
  };
  return made;
}

TEST_F(ChangeQueueTest, ASmallOneIsDoneWithinTheCallUnlessOthersAreOnTheirWay) {
  queue.add(with_end("s", small()));
  EXPECT_EQ(log, "s(s)");
  log.clear();
  queue.add(task("a", 2));
  queue.add(with_end("s", small()));
  queue.add(with_end("t", small()));
  EXPECT_EQ(log, "");
  turn_until(3);
  EXPECT_EQ(log, "aa(a)s(s)t(t)");
}

// A small one that comes between the end of a change and the begin of one that waits does not pass it.
TEST_F(ChangeQueueTest, NoRequestIsOvertaken) {
  const auto first = task("a", 1);
  first->end = [this](ChangeTask&) {
    log += "(a)";
    queue.add(with_end("s", small()));
  };
  queue.add(first);
  queue.add(task("b", 2));
  turn_until(3);
  EXPECT_EQ(log, "a(a)bb(b)s(s)");
}

TEST_F(ChangeQueueTest, WhatIsRefusedInTheMiddleTakesTheWayBackInSteps) {
  queue.add(task("a", 3, true));
  queue.add(task("b", 1));
  turn_until(2);
  EXPECT_EQ(log, "aaa--(a refused)b(b)");
  EXPECT_EQ(ways_back, 1);
}

TEST_F(ChangeQueueTest, WhatIsRefusedAtTheBeginIsNeitherWorkedOutNorCarriedOut) {
  const auto first = task("a", 3);
  first->begin = [](ChangeTask&) -> Expected<> { return Refusal{ENODEV, "no interface"}; };
  first->work_out = [](const config::Gateway&, ChangeTask&) -> Expected<> {
    ADD_FAILURE();
    return {};
  };
  queue.add(first);
  EXPECT_EQ(log, "(a refused)");
  EXPECT_EQ(first->run.outcome.errors.size(), 0U) << "what it held is destroyed elsewhere";
}

TEST_F(ChangeQueueTest, WhoseWorkFailsIsRefusedAndTheOthersGoOn) {
  const auto first = task("a", 3);
  first->work_out = [](const config::Gateway&, ChangeTask&) -> Expected<> {
    throw std::runtime_error("out of memory");
  };
  queue.add(first);
  fails_ = "b";
  queue.add(task("b", 2));
  queue.add(task("c", 1));
  turn_until(3);
  EXPECT_EQ(log, "(a refused)(b refused)c(c)");
  EXPECT_FALSE(queue.half_done());
}

TEST_F(ChangeQueueTest, ADryRunIsWorkedOutAndNotCarriedOut) {
  const auto dry = task("d", 5);
  dry->dry_run = true;
  std::size_t actions = 0;
  dry->end = [&](ChangeTask& ended) {
    actions = ended.run.wanted.plan.actions.size();
    log += "(d)";
  };
  queue.add(dry);
  turn_until(1);
  EXPECT_EQ(log, "(d)");
  EXPECT_EQ(actions, 5U);
}

}  // namespace
}  // namespace wg::control
