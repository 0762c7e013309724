// Sleeping and waking of layout.h, walked through in all interleavings on a machine whose stores wait in a
// buffer (x86-TSO). The words: `produced`, the flag of the sleeper, and the socket that wakes it.
#include <gtest/gtest.h>

#include <cstdint>
#include <set>
#include <tuple>
#include <vector>

#include "tests/weak_memory/machine.h"

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

// ---- The same on a machine with weak memory, as arm64's: loads may give old values.

namespace wg::test::wake_model {
namespace {

constexpr int kPackets = 2;
constexpr std::size_t kProduced = 0, kFlag = 1, kSocket = 2, kBytes = 3, kWords = 4;
constexpr std::size_t kProducer = 0, kConsumer = 1;

struct Rules {
  bool producer_fence = true, consumer_fence = true;
  bool clears_flag = false;
  Order publish = Order::kRelease, look = Order::kAcquire;
};

struct State {
  Memory memory{kWords, 2};
  int producer = 0, produced = 0;
  int consumer = 0, taken = 0;
  bool stale = false;  // a packet was taken whose bytes may be those of one before
  auto operator<=>(const State&) const = default;
};

using States = std::vector<State>;

// Calls then(state, value) for each value that the thread may read.
template <typename Then>
void read(const State& state, std::size_t who, std::size_t word, Order order, States& out, Then then) {
  for (std::size_t choice = 0; choice < state.memory.choices(who, word); ++choice) {
    State next = state;
    const int value = next.memory.load(who, word, choice, order);
    then(next, value);
    out.push_back(std::move(next));
  }
}

// 0 publish, 1 fence, 2 load, 3 exchange and wake.
void step_producer(const Rules& rules, const State& state, States& out) {
  if (state.producer == 0 && state.produced == kPackets) return;
  if (state.producer == 2)
    return read(state, kProducer, kFlag, Order::kRelaxed, out,
                [](State& next, int flag) { next.producer = flag != 0 ? 3 : 0; });
  State& next = out.emplace_back(state);
  next.producer = (state.producer + 1) % 4;
  if (state.producer == 0) {
    next.memory.store(kProducer, kBytes, ++next.produced, Order::kRelaxed);
    next.memory.store(kProducer, kProduced, next.produced, rules.publish);
  }
  if (state.producer == 1 && rules.producer_fence) next.memory.fence(kProducer);
  if (state.producer != 3) return;
  const bool waits = state.memory.newest(kFlag) != 0;
  next.memory.exchange(kProducer, kFlag, 0);
  if (waits) next.memory.exchange(kProducer, kSocket, 1);
}

// 0 empty the socket, 1 announce, 2 fence, 3 look, 4 asleep, 5 clear the flag, 6 take.
void step_consumer(const Rules& rules, const State& state, States& out) {
  switch (state.consumer) {
    case 3:
      return read(state, kConsumer, kProduced, rules.look, out,
                  [](State& next, int produced) { next.consumer = produced != next.taken ? 5 : 4; });
    case 6:
      return read(state, kConsumer, kProduced, rules.look, out, [](State& next, int produced) {
        // The oldest bytes that may be read now.
        const std::size_t bytes = next.memory.thread[kConsumer][kBytes];
        next.stale |= next.memory.word[kBytes][bytes].value < produced;
        next.taken = std::max(next.taken, produced);
        next.consumer = 0;
      });
    case 4:
      if (state.memory.newest(kSocket) == 0) return;
      break;
    default:
      break;
  }
  State& next = out.emplace_back(state);
  ++next.consumer;
  if (state.consumer == 0) next.memory.exchange(kConsumer, kSocket, 0);
  if (state.consumer == 1) next.memory.store(kConsumer, kFlag, 1, Order::kRelaxed);
  if (state.consumer == 2 && rules.consumer_fence) next.memory.fence(kConsumer);
  if (state.consumer == 5 && rules.clears_flag) next.memory.store(kConsumer, kFlag, 0, Order::kRelaxed);
}

struct Result {
  std::size_t states = 0, lost = 0, stale = 0;
};

Result walk(const Rules& rules) {
  Result result;
  const auto successors = [&](const State& state) {
    States out;
    step_producer(rules, state, out);
    step_consumer(rules, state, out);
    return out;
  };
  result.states = walk_states(State(), successors, [&](const State& state, bool stuck) {
    result.lost += stuck && state.consumer == 4 && state.taken != kPackets ? 1 : 0;
    result.stale += state.stale ? 1 : 0;
  });
  return result;
}

TEST(RingWakeModel, NoWakeUpIsLostOnWeakMemory) {
  for (const bool clears_flag : {false, true}) {
    const Result all = walk({.clears_flag = clears_flag});
    EXPECT_GT(all.states, 100U);
    EXPECT_EQ(all.lost, 0U) << "clears_flag " << clears_flag;
    EXPECT_EQ(all.stale, 0U) << "clears_flag " << clears_flag;
  }
}

TEST(RingWakeModel, WithoutAFenceOneIsLostOnWeakMemory) {
  EXPECT_GT(walk({.producer_fence = false}).lost, 0U);
  EXPECT_GT(walk({.consumer_fence = false}).lost, 0U);
}

TEST(RingWakeModel, WithoutReleaseAndAcquireAPacketIsStaleOnWeakMemory) {
  EXPECT_GT(walk({.look = Order::kRelaxed}).stale, 0U);
  EXPECT_GT(walk({.publish = Order::kRelaxed}).stale, 0U);
}

}  // namespace
}  // namespace wg::test::wake_model
