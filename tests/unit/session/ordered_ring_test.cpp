#include "dataplane/thread/ordered_ring.h"

#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <random>
#include <thread>
#include <vector>

namespace wg::dataplane {
namespace {

TEST(OrderedRing, FullIsAnAnswerAndAReleaseMakesRoom) {
  OrderedRing<int> ring(3);  // rounded up to 4
  for (int i = 0; i < 4; ++i) {
    int* job = ring.reserve();
    ASSERT_NE(job, nullptr) << i;
    *job = i;
    ring.publish();
  }
  EXPECT_EQ(ring.free(), 0u);
  EXPECT_EQ(ring.reserve(), nullptr);
  EXPECT_EQ(ring.oldest(), nullptr);  // not completed yet
  ring.claim().complete();
  ASSERT_NE(ring.oldest(), nullptr);
  EXPECT_EQ(*ring.oldest(), 0);
  ring.release();
  EXPECT_EQ(ring.in_flight(), 3u);
  EXPECT_EQ(ring.unclaimed(), 3u);
  EXPECT_NE(ring.reserve(), nullptr);
}

TEST(OrderedRing, AReservedSlotIsUnusedBeforeItIsPublished) {
  OrderedRing<int> ring(2);
  ASSERT_NE(ring.reserve(), nullptr);
  EXPECT_FALSE(ring.claim());
  EXPECT_EQ(ring.in_flight(), 0u);
  ring.publish();
  EXPECT_TRUE(ring.claim());
  EXPECT_FALSE(ring.claim());
}

TEST(OrderedRing, ALaterJobDoneEarlierWaitsForItsTurn) {
  OrderedRing<int> ring(4);
  for (int i = 0; i < 3; ++i) {
    *ring.reserve() = i;
    ring.publish();
  }
  auto a = ring.claim(), b = ring.claim(), c = ring.claim();
  c.complete();
  b.complete();
  EXPECT_EQ(ring.oldest(), nullptr);
  a.complete();
  for (int i = 0; i < 3; ++i) {
    ASSERT_NE(ring.oldest(), nullptr);
    EXPECT_EQ(*ring.oldest(), i);
    ring.release();
  }
  EXPECT_EQ(ring.oldest(), nullptr);  // slots that were used before are not taken for done
}

// Against a plain queue: random steps, one claim after another completed at random.
TEST(OrderedRing, BehavesLikeAQueueWhateverTheOrderOfCompletion) {
  std::mt19937 random(3);
  OrderedRing<unsigned> ring(8);
  struct Entry {
    unsigned value;
    bool done = false;
  };
  std::deque<Entry> model;
  std::size_t claimed = 0;  // of the model
  std::vector<std::pair<OrderedRing<unsigned>::Claim, unsigned>> open;
  unsigned next = 0, out = 0;
  for (int step = 0; step < 200'000; ++step) {
    switch (random() % 4) {
      case 0: {
        unsigned* job = ring.reserve();
        ASSERT_EQ(job == nullptr, model.size() == 8);
        if (job == nullptr) break;
        *job = next;
        model.push_back({next++});
        ring.publish();
        break;
      }
      case 1: {
        auto claim = ring.claim();
        ASSERT_EQ(static_cast<bool>(claim), claimed < model.size());
        if (!claim) break;
        ASSERT_EQ(claim.job(), model[claimed].value);
        open.emplace_back(claim, model[claimed++].value);
        break;
      }
      case 2: {
        if (open.empty()) break;
        const std::size_t pick = random() % open.size();
        open[pick].first.complete();
        for (Entry& entry : model) entry.done |= entry.value == open[pick].second;
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(pick));
        break;
      }
      default: {
        const unsigned* job = ring.oldest();
        ASSERT_EQ(job != nullptr, !model.empty() && model.front().done);
        if (job == nullptr) break;
        ASSERT_EQ(*job, out++);
        ring.release();
        model.pop_front();
        --claimed;
      }
    }
  }
  EXPECT_GT(out, 10'000u);
}

// One owner, three helpers on however many cores there are: every job done exactly once, released in order,
// whole.
TEST(OrderedRingThreads, EveryJobIsDoneOnceAndReleasedInOrder) {
  struct Job {
    unsigned number;
    std::array<unsigned, 16> words;
    unsigned done;
  };
  constexpr unsigned kJobs = 30'000;
  OrderedRing<Job> ring(16);
  std::atomic<bool> stop{false};
  std::array<unsigned, 4> shares{};
  const auto work = [&](unsigned worker) {
    auto claim = ring.claim();
    if (!claim) return false;
    Job& job = claim.job();
    for (unsigned& word : job.words) word = word * 3 + job.number;
    ++job.done;
    ++shares[worker];
    claim.complete();
    return true;
  };
  std::vector<std::thread> helpers;
  for (unsigned h = 1; h < shares.size(); ++h) {
    helpers.emplace_back([&, h] {
      while (!stop.load(std::memory_order_relaxed)) {
        if (!work(h)) std::this_thread::yield();
      }
    });
  }
  unsigned sent = 0, released = 0;
  while (released < kJobs) {
    if (sent < kJobs) {
      if (Job* job = ring.reserve(); job != nullptr) {
        job->number = sent;
        job->done = 0;
        for (unsigned i = 0; i < job->words.size(); ++i) job->words[i] = sent + i;
        ring.publish();
        ++sent;
      } else {
        work(0);
      }
    } else {
      work(0);
    }
    while (Job* job = ring.oldest()) {
      ASSERT_EQ(job->number, released);
      ASSERT_EQ(job->done, 1u);
      for (unsigned i = 0; i < job->words.size(); ++i)
        ASSERT_EQ(job->words[i], (released + i) * 3 + released);
      ring.release();
      ++released;
    }
  }
  stop = true;
  for (std::thread& helper : helpers) helper.join();
  EXPECT_EQ(shares[0] + shares[1] + shares[2] + shares[3], kJobs);
}

}  // namespace
}  // namespace wg::dataplane
