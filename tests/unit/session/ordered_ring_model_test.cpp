// OrderedRing's claim() in all interleavings on a machine with weak memory: no worker claims a job that it
// has not seen published, so its slot holds what the owner wrote.
#include <gtest/gtest.h>

#include "tests/weak_memory/machine.h"

namespace wg::test::ordered_ring_model {
namespace {

constexpr int kJobs = 3;
constexpr std::size_t kPublished = 0, kClaimed = 1, kWords = 2;
constexpr std::size_t kOwner = 0, kThreads = 3;

struct Worker {
  int step = 0;  // 0 loads claimed_, 1 loads published_, 2 exchanges
  int next = 0;
  bool unpublished = false;  // it has claimed such a job
  auto operator<=>(const Worker&) const = default;
};

struct State {
  Memory memory{kWords, kThreads};
  int published = 0;
  Worker worker[kThreads - 1];
  auto operator<=>(const State&) const = default;
};

void publish(const State& state, std::vector<State>& out) {
  if (state.published == kJobs) return;
  State& next = out.emplace_back(state);
  next.memory.store(kOwner, kPublished, ++next.published, Order::kRelease);
}

// `order`: of the load of claimed_, and of a failed exchange.
void step_worker(const State& state, std::size_t i, Order order, std::vector<State>& out) {
  const std::size_t who = i + 1;
  const Worker& worker = state.worker[i];
  if (worker.step == 2) {
    State& next = out.emplace_back(state);
    next.worker[i].step = 0;
    if (state.memory.newest(kClaimed) != worker.next) return;  // tried again from the start
    next.memory.exchange(who, kClaimed, worker.next + 1);
    const std::size_t seen = next.memory.thread[who][kPublished];
    next.worker[i].unpublished |= next.memory.word[kPublished][seen].value <= worker.next;
    return;
  }
  const std::size_t word = worker.step == 0 ? kClaimed : kPublished;
  for (std::size_t choice = 0; choice < state.memory.choices(who, word); ++choice) {
    State next = state;
    const int value = next.memory.load(who, word, choice, worker.step == 0 ? order : Order::kAcquire);
    next.worker[i].step = worker.step + 1;
    if (worker.step == 0) next.worker[i].next = value;
    if (worker.step == 1 && value == worker.next) next.worker[i].step = 0;  // nothing to claim
    if (value <= kJobs) out.push_back(std::move(next));
  }
}

struct Result {
  std::size_t states = 0, unpublished = 0, all_claimed = 0;
};

Result walk(Order order) {
  Result result;
  const auto successors = [&](const State& state) {
    std::vector<State> out;
    if (state.worker[0].unpublished || state.worker[1].unpublished) return out;
    publish(state, out);
    for (std::size_t i = 0; i < kThreads - 1; ++i) step_worker(state, i, order, out);
    return out;
  };
  result.states = walk_states(State(), successors, [&](const State& state, bool) {
    result.unpublished += state.worker[0].unpublished || state.worker[1].unpublished ? 1 : 0;
    result.all_claimed += state.memory.newest(kClaimed) == kJobs ? 1 : 0;
  });
  return result;
}

TEST(OrderedRingModel, OnlyPublishedJobsAreClaimed) {
  const Result all = walk(Order::kAcquire);
  EXPECT_GT(all.states, 100U);
  EXPECT_GT(all.all_claimed, 0U);
  EXPECT_EQ(all.unpublished, 0U);
}

// Where loads are not reordered, as on x86-64, this cannot happen.
TEST(OrderedRingModel, ARelaxedLoadWouldNotDo) {
  EXPECT_GT(walk(Order::kRelaxed).unpublished, 0U);
}

}  // namespace
}  // namespace wg::test::ordered_ring_model
