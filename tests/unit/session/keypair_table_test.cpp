// receiver_index -> keypair, with forced collisions, growth, and readers beside the writer.
#include "dataplane/session/keypair_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/thread/quiescence.h"

namespace wg::dataplane {
namespace {

const auto kAtOnce = [](const std::function<void()>& free) { free(); };

TEST(KeypairTable, ReservedIndexHasNoKeypairUntilPublished) {
  KeypairTable table(4, kAtOnce);
  const std::uint32_t index = table.reserve([] { return 7u; });
  EXPECT_EQ(index, 7u);
  EXPECT_TRUE(table.reserved(7));
  EXPECT_EQ(table.find(7), nullptr) << "data may not hit a handshake (C4-7)";
  Keypair keypair;
  table.publish(7, &keypair);
  EXPECT_EQ(table.find(7), &keypair) << "the session takes the index over";
  table.remove(7);
  EXPECT_EQ(table.find(7), nullptr);
  EXPECT_FALSE(table.reserved(7));
  EXPECT_EQ(table.size(), 0u);
  table.remove(7);
  table.remove(0);
  EXPECT_EQ(table.size(), 0u);
}

TEST(KeypairTable, TakenZeroAndFullBucketsAreRedrawn) {
  KeypairTable table(16, kAtOnce);
  std::deque<std::uint32_t> draws{5, 0, 5, 5, 5 + 16, 5 + 32, 5 + 48, 5 + 64, 6};
  const auto random = [&] {
    const std::uint32_t n = draws.front();
    draws.pop_front();
    return n;
  };
  EXPECT_EQ(table.reserve(random), 5u);
  EXPECT_EQ(table.reserve(random), 21u) << "0 and taken ones are skipped";
  EXPECT_EQ(table.reserve(random), 37u);
  EXPECT_EQ(table.reserve(random), 53u);
  EXPECT_EQ(table.reserve(random), 6u) << "69 falls into a bucket that is full";
  EXPECT_TRUE(draws.empty());
}

TEST(KeypairTable, AnExactIndexIsReservedOrRefused) {
  KeypairTable table(16, kAtOnce);
  EXPECT_FALSE(table.reserve_exact(0));
  for (const std::uint32_t index : {5u, 5u + 16, 5u + 32, 5u + 48}) {
    EXPECT_TRUE(table.reserve_exact(index)) << index;
    EXPECT_FALSE(table.reserve_exact(index)) << index << " is taken";
    EXPECT_EQ(table.find(index), nullptr);
  }
  const std::size_t before = table.memory_bytes();
  EXPECT_FALSE(table.reserve_exact(5 + 64)) << "the bucket is full, the table nearly empty";
  EXPECT_EQ(table.memory_bytes(), before);
  for (std::uint32_t i = 6; i < 10; ++i) EXPECT_TRUE(table.reserve_exact(i));
  EXPECT_TRUE(table.reserve_exact(5 + 64)) << "now it grows";
  EXPECT_EQ(table.memory_bytes(), 2 * before);
  EXPECT_EQ(table.size(), 9u);
  Keypair keypair;
  table.publish(5 + 64, &keypair);
  EXPECT_EQ(table.find(5 + 64), &keypair);
  EXPECT_EQ(table.reserve([n = 4u]() mutable { return ++n; }), 10u) << "drawn ones avoid it";
}

// Whoever chooses the indices chooses those that never part.
TEST(KeypairTable, ChosenIndicesDoNotBlowItUp) {
  KeypairTable table(16, kAtOnce);
  std::size_t refused = 0;
  for (std::uint32_t i = 0; i < 4096; ++i) refused += table.reserve_exact(1 + (i << 20)) ? 0 : 1;
  EXPECT_EQ(refused, 4092u);
  EXPECT_LE(table.memory_bytes(), 16u * 64);
}

TEST(KeypairTable, PublishAndFindUnknownIndices) {
  KeypairTable table(4, kAtOnce);
  Keypair keypair;
  table.publish(9, &keypair);  // never reserved
  EXPECT_EQ(table.find(9), nullptr);
  EXPECT_EQ(table.find(0), nullptr) << "an empty entry has index 0";
}

TEST(KeypairTable, AgreesWithAMapWhileGrowing) {
  KeypairTable table(1, kAtOnce);
  std::map<std::uint32_t, Keypair*> oracle;
  std::mt19937 random(11);
  std::vector<std::unique_ptr<Keypair>> keypairs;
  for (int i = 0; i < 64; ++i) keypairs.push_back(std::make_unique<Keypair>());
  for (int step = 0; step < 100'000; ++step) {
    if (random() % 3 != 0 || oracle.empty()) {
      const std::uint32_t index = table.reserve([&] { return static_cast<std::uint32_t>(random()); });
      ASSERT_EQ(oracle.count(index), 0u);
      Keypair* const keypair = random() % 4 == 0 ? nullptr : keypairs[random() % 64].get();
      if (keypair != nullptr) table.publish(index, keypair);
      oracle[index] = keypair;
    } else {
      auto victim = oracle.lower_bound(static_cast<std::uint32_t>(random()));
      if (victim == oracle.end()) victim = oracle.begin();
      table.remove(victim->first);
      oracle.erase(victim);
    }
    ASSERT_EQ(table.size(), oracle.size());
  }
  for (const auto& [index, keypair] : oracle) {
    ASSERT_EQ(table.find(index), keypair);
    ASSERT_TRUE(table.reserved(index));
  }
  EXPECT_GT(oracle.size(), 30'000u);
  EXPECT_LE(table.memory_bytes(), oracle.size() * 64) << "half full at least, 16 bytes an entry";
}

// Readers look indices up while the writer reserves, publishes, removes, retires and grows. A reader may
// find nothing, but never a keypair of another index and never a freed one.
TEST(KeypairTableThreads, ReadersSeeTheRightKeypairOrNone) {
  constexpr std::size_t kReaders = 2;
  constexpr std::size_t kIndices = 64;
  Quiescence quiescence(kReaders);
  KeypairTable table(1, [&](std::function<void()> free) { quiescence.retire(std::move(free)); });
  std::array<std::atomic<std::uint32_t>, kIndices> known{};
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> hits{0};

  const auto reader = [&](std::size_t id) {
    quiescence.online(id);
    while (!stop.load(std::memory_order_relaxed)) {
      quiescence.report(id);
      for (auto& k : known) {
        const std::uint32_t index = k.load(std::memory_order_relaxed);
        const Keypair* const found = table.find(index);
        if (found == nullptr) continue;
        hits.fetch_add(1, std::memory_order_relaxed);
        if (found->local_index != index || found->remote_index != ~index) wrong.fetch_add(1);
      }
    }
    quiescence.offline(id);
  };
  std::thread one(reader, 0);
  std::thread two(reader, 1);

  std::mt19937 random(5);
  std::array<Keypair*, kIndices> live{};
  for (int round = 0; round < 4000 || hits.load() < 1000; ++round) {
    const std::size_t i = random() % kIndices;
    if (live[i] != nullptr) {
      Keypair* const old = live[i];
      table.remove(old->local_index);
      quiescence.retire([old] {
        old->local_index = 0;  // what a reader must never see
        delete old;
      });
    }
    // Few distinct indices, so that entries are reused at once by others.
    const std::uint32_t index = table.reserve([&] { return static_cast<std::uint32_t>(random() % 1024); });
    live[i] = new Keypair;
    live[i]->local_index = index;
    live[i]->remote_index = ~index;
    table.publish(index, live[i]);
    known[i].store(index, std::memory_order_relaxed);
    quiescence.collect();
  }
  stop.store(true);
  one.join();
  two.join();
  for (Keypair* const k : live) delete k;
  EXPECT_EQ(quiescence.collect(), 0u);
  EXPECT_EQ(wrong.load(), 0);
}

}  // namespace
}  // namespace wg::dataplane
