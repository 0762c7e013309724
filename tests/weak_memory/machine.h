// A machine with weak memory for models of a few words: the release and acquire of C++ by views. Each word is
// the list of all values stored to it. A thread may read any of them that is not older than its view of the
// word, so a load may give an old value, and loads of different words take place in any order. A release
// attaches the storing thread's view to the value, and an acquire adds it to the reader's. A full fence adds
// the views of all fences before it. Not modelled: a load that reads a store which follows it in another
// thread's program (no algorithm here branches around its stores by such a load).
#pragma once

#include <algorithm>
#include <compare>
#include <cstddef>
#include <set>
#include <vector>

namespace wg::test {

enum class Order { kRelaxed, kAcquire, kRelease };

using View = std::vector<std::size_t>;  // word -> the oldest value that may be read

inline void join(View& view, const View& other) {
  for (std::size_t i = 0; i < view.size(); ++i) view[i] = std::max(view[i], other[i]);
}

struct Stored {
  int value;
  View view;
  auto operator<=>(const Stored&) const = default;
};

struct Memory {
  Memory(std::size_t words, std::size_t threads)
      : word(words, {{0, View(words)}}), thread(threads, View(words)), fences(words) {}
  std::vector<std::vector<Stored>> word;
  std::vector<View> thread;
  View fences;
  auto operator<=>(const Memory&) const = default;

  // How many values the thread may read now: the argument of load() is below it. 0 is the newest.
  [[nodiscard]] std::size_t choices(std::size_t who, std::size_t at) const {
    return word[at].size() - thread[who][at];
  }
  int load(std::size_t who, std::size_t at, std::size_t choice, Order order) {
    const std::size_t index = word[at].size() - 1 - choice;
    thread[who][at] = index;
    if (order != Order::kRelaxed) join(thread[who], word[at][index].view);
    return word[at][index].value;
  }
  void store(std::size_t who, std::size_t at, int value, Order order) {
    thread[who][at] = word[at].size();
    word[at].push_back({value, order == Order::kRelease ? thread[who] : View(word.size())});
  }
  // Exchange and compare-exchange read the newest value.
  [[nodiscard]] int newest(std::size_t at) const { return word[at].back().value; }
  void exchange(std::size_t who, std::size_t at, int value) {
    View released = word[at].back().view;
    join(thread[who], released);
    thread[who][at] = word[at].size();
    join(released, thread[who]);
    word[at].push_back({value, released});
  }
  void fence(std::size_t who) {
    join(thread[who], fences);
    fences = thread[who];
  }
};

// Visits every state that can be reached. `successors(state)` returns those after one step.
template <typename State, typename Successors, typename Visit>
std::size_t walk_states(const State& first, Successors&& successors, Visit&& visit) {
  std::set<State> seen;
  std::vector<State> left = {first};
  while (!left.empty()) {
    State state = std::move(left.back());
    left.pop_back();
    if (!seen.insert(state).second) continue;
    std::vector<State> next = successors(state);
    visit(state, next.empty());
    left.insert(left.end(), next.begin(), next.end());
  }
  return seen.size();
}

}  // namespace wg::test
