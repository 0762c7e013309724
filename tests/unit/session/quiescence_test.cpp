// Quiescence and mailbox, alone and between threads.
#include "dataplane/thread/quiescence.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "dataplane/thread/mailbox.h"

namespace wg::dataplane {
namespace {

TEST(Quiescence, WaitsForEveryOnlineWorkerAndForNoOther) {
  Quiescence q(3);
  int freed = 0;
  q.retire([&] { ++freed; });
  EXPECT_EQ(q.collect(), 0u) << "no worker is online";
  EXPECT_EQ(freed, 1);

  q.online(0);
  q.online(1);
  q.retire([&] { ++freed; });
  EXPECT_EQ(q.collect(), 1u);
  q.report(0);
  EXPECT_EQ(q.collect(), 1u) << "one has not reported";
  EXPECT_EQ(freed, 1);
  q.report(1);
  EXPECT_EQ(q.collect(), 0u);
  EXPECT_EQ(freed, 2);
}

TEST(Quiescence, AReportBeforeTheRetireDoesNotCount) {
  Quiescence q(1);
  q.online(0);
  q.report(0);
  bool freed = false;
  q.retire([&] { freed = true; });
  q.collect();
  EXPECT_FALSE(freed);
  q.report(0);
  q.collect();
  EXPECT_TRUE(freed);
}

TEST(Quiescence, GoingOfflineReleases) {
  Quiescence q(1);
  q.online(0);
  bool freed = false;
  q.retire([&] { freed = true; });
  q.offline(0);
  q.collect();
  EXPECT_TRUE(freed);
}

TEST(Quiescence, FreesInOrderAndAFreeMayRetire) {
  Quiescence q(1);
  std::vector<int> order;
  q.retire([&] {
    order.push_back(1);
    q.retire([&] { order.push_back(3); });
  });
  q.retire([&] { order.push_back(2); });
  while (q.collect() > 0) {
  }
  EXPECT_EQ(order, (std::vector<int>{1, 2, 3}));
}

TEST(Quiescence, Tickets) {
  Quiescence q(1);
  q.online(0);
  const auto ticket = q.ticket();
  EXPECT_FALSE(q.passed(ticket));
  q.report(0);
  EXPECT_TRUE(q.passed(ticket));
}

// The writer swaps an object and retires the old one; a reader must never see one whose life is over. Run
// under ThreadSanitizer and AddressSanitizer this finds missing edges and early frees.
TEST(QuiescenceThreads, ReadersNeverSeeARetiredObject) {
  struct Object {
    std::uint64_t value = 0;
    std::uint64_t check = ~std::uint64_t{0};
  };
  constexpr std::size_t kReaders = 2;
  Quiescence q(kReaders);
  std::atomic<Object*> published{new Object};
  std::atomic<bool> stop{false};
  std::atomic<int> torn{0};
  std::atomic<std::uint64_t> reads{0};

  const auto reader = [&](std::size_t id) {
    q.online(id);
    for (std::uint64_t loops = 1; !stop.load(std::memory_order_relaxed); ++loops) {
      q.report(id);
      const Object* const o = published.load(std::memory_order_acquire);
      if (o->value != ~o->check) torn.fetch_add(1);
      reads.fetch_add(1, std::memory_order_relaxed);
      if (loops % 64 == 0) {  // as a worker that sleeps
        q.offline(id);
        std::this_thread::yield();
        q.online(id);
      }
    }
    q.offline(id);
  };
  std::thread one(reader, 0);
  std::thread two(reader, 1);
  for (std::uint64_t i = 1; i < 5000 || reads.load() < 5000; ++i) {
    Object* const old = published.exchange(new Object{i, ~i}, std::memory_order_seq_cst);
    q.retire([old] {
      old->check = old->value;
      delete old;
    });
    q.collect();
  }
  stop.store(true);
  one.join();
  two.join();
  EXPECT_EQ(q.collect(), 0u);
  delete published.load();
  EXPECT_EQ(torn.load(), 0);
}

// ---- mailbox

TEST(Mailbox, BoundedAndInOrder) {
  Mailbox<int> box(5);
  EXPECT_EQ(box.capacity(), 8u) << "rounded up";
  EXPECT_TRUE(box.empty());
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(box.post(i));
  EXPECT_FALSE(box.post(8)) << "full is a refusal, never a wait";
  EXPECT_EQ(box.size(), 8u);
  std::vector<int> got;
  const auto take = [&](int m) { got.push_back(m); };
  EXPECT_EQ(box.drain(3, take), 3u);
  EXPECT_TRUE(box.post(9));
  EXPECT_EQ(box.drain(100, take), 6u);
  EXPECT_EQ(got, (std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7, 9}));
  EXPECT_EQ(box.drain(100, take), 0u);
}

TEST(Mailbox, WrapsForEver) {
  Mailbox<std::uint64_t> box(4);
  std::uint64_t expected = 0;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    ASSERT_TRUE(box.post(i));
    if (i % 3 == 2) {
      box.drain(10, [&](std::uint64_t m) { ASSERT_EQ(m, expected++); });
    }
  }
}

TEST(MailboxThreads, EveryMessageArrivesOnceInOrderAndWhole) {
  struct Message {
    std::uint64_t sequence;
    std::uint64_t complement[4];
  };
  constexpr std::uint64_t kMessages = 200'000;
  Mailbox<Message> box(64);
  std::thread producer([&] {
    for (std::uint64_t i = 0; i < kMessages;) {
      if (box.post({i, {~i, i, ~i, i}})) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
  });
  std::uint64_t expected = 0;
  int wrong = 0;
  while (expected < kMessages) {
    const auto n = box.drain(16, [&](const Message& m) {
      if (m.sequence != expected || m.complement[0] != ~expected || m.complement[3] != expected) ++wrong;
      ++expected;
    });
    if (n == 0) std::this_thread::yield();
  }
  producer.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(box.empty());
}

}  // namespace
}  // namespace wg::dataplane
