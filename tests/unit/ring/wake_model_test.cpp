// Sleeping and waking of layout.h, walked through in all interleavings on a machine whose stores wait in a
// buffer (x86-TSO). The words: `produced`, the flag of the sleeper, and the socket that wakes it.
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <tuple>
#include <vector>

namespace {

constexpr int kPackets = 3;

enum Word : std::uint8_t { kProduced, kFlag, kWords };

// A thread's stores that are not in memory yet, oldest first.
using StoreBuffer = std::vector<std::pair<Word, int>>;

struct State {
  int memory[kWords] = {0, 0};
  bool socket = false;  // readable
  int producer = 0, produced = 0;
  int consumer = 0, taken = 0;
  StoreBuffer of_producer, of_consumer;

  [[nodiscard]] auto key() const {
    return std::tuple(memory[0], memory[1], socket, producer, produced, consumer, taken, of_producer,
                      of_consumer);
  }
};

int load(const State& state, const StoreBuffer& own, Word word) {
  for (auto store = own.rbegin(); store != own.rend(); ++store)
    if (store->first == word) return store->second;
  return state.memory[word];
}

struct Rules {
  bool producer_fence = true, consumer_fence = true;
  bool clears_flag = false;  // the gateway's worker: awake() takes its flag back; the library leaves it up
};

// ring_store(produced); ring_must_wake(flag) and the wake-up. Steps: 0 publish, 1 fence, 2 load, 3 exchange.
bool step_producer(const Rules& rules, State& state) {
  if (state.produced == kPackets && state.producer == 0) return false;
  switch (state.producer) {
    case 0:
      state.of_producer.emplace_back(kProduced, ++state.produced);
      state.producer = 1;
      return true;
    case 1:
      if (rules.producer_fence && !state.of_producer.empty()) return false;
      state.producer = 2;
      return true;
    case 2:
      state.producer = load(state, state.of_producer, kFlag) != 0 ? 3 : 0;
      return true;
    default:
      if (!state.of_producer.empty()) return false;  // a locked instruction
      if (state.memory[kFlag] != 0) state.socket = true;
      state.memory[kFlag] = 0;
      state.producer = 0;
      return true;
  }
}

// 0 empty the socket, 1 ring_announce_sleep(), 2 its fence, 3 the last look, 4 asleep, 5 taking.
bool step_consumer(const Rules& rules, State& state) {
  switch (state.consumer) {
    case 0:
      state.socket = false;
      state.consumer = 1;
      return true;
    case 1:
      state.of_consumer.emplace_back(kFlag, 1);
      state.consumer = 2;
      return true;
    case 2:
      if (rules.consumer_fence && !state.of_consumer.empty()) return false;
      state.consumer = 3;
      return true;
    case 3:
      state.consumer = state.memory[kProduced] != state.taken ? 5 : 4;
      return true;
    case 4:
      if (!state.socket) return false;
      state.consumer = 5;
      return true;
    default:
      if (rules.clears_flag) state.of_consumer.emplace_back(kFlag, 0);
      state.taken = state.memory[kProduced];
      state.consumer = 0;
      return true;
  }
}

bool flush(State& state, StoreBuffer State::*buffer) {
  StoreBuffer& stores = state.*buffer;
  if (stores.empty()) return false;
  state.memory[stores.front().first] = stores.front().second;
  stores.erase(stores.begin());
  return true;
}

struct Walk {
  std::size_t states = 0, lost = 0;
};

// Nothing moves any more, and the consumer sleeps beside packets.
bool is_lost(const State& state) {
  return state.consumer == 4 && state.taken != state.memory[kProduced];
}

Walk walk(const Rules& rules) {
  std::set<decltype(State().key())> seen;
  std::vector<State> left = {State()};
  Walk result;
  while (!left.empty()) {
    const State state = left.back();
    left.pop_back();
    if (!seen.insert(state.key()).second) continue;
    bool moves = false;
    const auto follow = [&](State next, bool moved) {
      if (!moved) return;
      moves = true;
      left.push_back(next);
    };
    State next = state;
    bool moved = step_producer(rules, next);
    follow(next, moved);
    next = state;
    moved = step_consumer(rules, next);
    follow(next, moved);
    for (const auto buffer : {&State::of_producer, &State::of_consumer}) {
      next = state;
      moved = flush(next, buffer);
      follow(next, moved);
    }
    if (!moves && is_lost(state)) ++result.lost;
  }
  result.states = seen.size();
  return result;
}

TEST(RingWakeModel, NoWakeUpIsLost) {
  for (const bool clears_flag : {false, true}) {
    const Walk all = walk({.clears_flag = clears_flag});
    EXPECT_GT(all.states, 100U);
    EXPECT_EQ(all.lost, 0U) << "clears_flag " << clears_flag;
  }
}

TEST(RingWakeModel, WithoutAFenceOneIsLost) {
  EXPECT_GT(walk({.producer_fence = false}).lost, 0U);
  EXPECT_GT(walk({.consumer_fence = false}).lost, 0U);
}

}  // namespace
