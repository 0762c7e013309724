// One writer, one reader thread: no lookup may see a moment between two states of the table.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "tests/unit/lpm/oracle.h"

namespace wg::lpm::test {
namespace {

// Frees what was retired before the reader's last two rounds began: then the reader has been quiescent since.
class RoundReclaimer final : public Reclaimer {
 public:
  ~RoundReclaimer() override {
    for (const Retired& retired : retired_) retired.free_node(retired.node, retired.bytes);
  }

  void retire(void* node, void (*free_node)(void*, std::size_t), std::size_t bytes) override {
    const std::uint64_t round = rounds_.load(std::memory_order_acquire);
    retired_.push_back({node, free_node, bytes, round});
    while (retired_.front().round + 2 <= round) {
      const Retired& oldest = retired_.front();
      oldest.free_node(oldest.node, oldest.bytes);
      ++freed_;
      retired_.pop_front();
    }
  }

  void reader_is_quiescent() { rounds_.fetch_add(1, std::memory_order_acq_rel); }
  [[nodiscard]] std::uint64_t rounds() const { return rounds_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t freed() const { return freed_; }

 private:
  struct Retired {
    void* node;
    void (*free_node)(void*, std::size_t);
    std::size_t bytes;
    std::uint64_t round;
  };
  std::deque<Retired> retired_;
  std::size_t freed_ = 0;
  std::atomic<std::uint64_t> rounds_{0};
};

template <typename Family>
class LpmConcurrencyTest : public testing::Test {
 protected:
  // Runs `write` again and again while a reader checks every answer for `keys` with `allowed`.
  void race(const std::vector<typename Family::Address>& keys, const std::function<bool(Value)>& allowed,
            const std::function<void()>& write) {
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0};
    std::thread reader([&] {
      std::vector<Value> out(keys.size());
      while (!stop.load(std::memory_order_acquire)) {
        Family::lookup_burst(table_, keys, out.data());
        for (std::size_t i = 0; i < keys.size(); ++i) {
          const bool single_wrong = i == 0 && !allowed(table_.lookup(keys[i]));
          if (!allowed(out[i]) || single_wrong) wrong.fetch_add(1, std::memory_order_relaxed);
        }
        reclaimer_.reader_is_quiescent();
      }
    });
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(150);
    const std::uint64_t first_round = reclaimer_.rounds();
    std::size_t writes = 0;
    while (std::chrono::steady_clock::now() < end || reclaimer_.rounds() < first_round + 10 || writes < 2) {
      write();
      ++writes;
    }
    stop.store(true, std::memory_order_release);
    reader.join();
    EXPECT_EQ(wrong.load(), 0U);
  }

  // Company for the prefix under test, so that its slot holds a block or a branch.
  void add_neighbours(const typename Family::Address& address, unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
      auto near = neighbour<Family>(random_, address);
      Family::set_bit(near, 20, !Family::bit(address, 20));
      insert(table_, near, Family::kWidth - i % 8, 100 + i);
    }
  }

  RoundReclaimer reclaimer_;
  typename Family::Table table_{reclaimer_};
  Random random_{7};
};
using Families = testing::Types<Family4, Family6>;
TYPED_TEST_SUITE(LpmConcurrencyTest, Families);

TYPED_TEST(LpmConcurrencyTest, MovedPrefixIsNeverWithoutOwner) {
  for (const unsigned neighbours : {0U, 20U, 200U, 700U}) {
    const auto address = random_address<TypeParam>(this->random_);
    for (const unsigned length : {0U, 10U, 22U, TypeParam::kWidth}) {
      insert(this->table_, address, length, 1);
      if (length == 22) this->add_neighbours(address, neighbours);
      Value owner = 1;
      const std::vector<typename TypeParam::Address> keys(32, address);
      this->race(
          keys, [](Value value) { return value == 1 || value == 2; },
          [&] { insert(this->table_, address, length, owner = 3 - owner); });
      insert(this->table_, address, length, 1);
    }
    for (const unsigned length : {0U, 10U, 22U, TypeParam::kWidth}) this->table_.remove(address, length);
  }
  EXPECT_GT(this->reclaimer_.freed(), 0U);
}

// An owner at some length is inserted before the one at the previous length goes: there is always one.
TYPED_TEST(LpmConcurrencyTest, OwnerWandersOverAllLengths) {
  for (const unsigned neighbours : {0U, 60U, 700U}) {
    const auto address = random_address<TypeParam>(this->random_);
    this->add_neighbours(address, neighbours);
    unsigned length = 0;
    insert(this->table_, address, length, 1);
    const std::vector<typename TypeParam::Address> keys(8, address);
    this->race(
        keys, [](Value value) { return value == 1; },
        [&] {
          const unsigned next = (length + 1 + static_cast<unsigned>(this->random_() % TypeParam::kWidth)) %
                                (TypeParam::kWidth + 1);
          insert(this->table_, address, next, 1);
          if (next != length) this->table_.remove(address, length);
          length = next;
        });
    this->table_.remove(address, length);
  }
}

// The root grows and shrinks under the reader; the owner stays, wherever it is kept.
TYPED_TEST(LpmConcurrencyTest, OwnerStaysWhileTheRootGrowsAndShrinks) {
  for (const unsigned length : {0U, 5U, 24U}) {
    const auto address = random_address<TypeParam>(this->random_);
    insert(this->table_, address, length, 1);
    std::vector<typename TypeParam::Address> others;
    for (int i = 0; i < 700; ++i) {
      others.push_back(random_address<TypeParam>(this->random_));
      TypeParam::set_bit(others.back(), 0, !TypeParam::bit(address, 0));
    }
    const std::vector<typename TypeParam::Address> keys(16, address);
    this->race(
        keys, [](Value value) { return value == 1; },
        [&] {
          for (const auto& other : others) insert(this->table_, other, TypeParam::kWidth, 5);
          for (const auto& other : others) this->table_.remove(other, TypeParam::kWidth);
        });
    this->table_.remove(address, length);
  }
}

// A covering prefix changes its value while a longer one comes and goes: both owners are right, none is
// not.
TYPED_TEST(LpmConcurrencyTest, CoverMovesOverATableOfAllKindsOfNodes) {
  const auto address = random_address<TypeParam>(this->random_);
  this->add_neighbours(address, 2000);
  for (const unsigned length : {1U, 7U, 8U, 13U, 17U}) {
    insert(this->table_, address, length, 1);
    Value owner = 1;
    const unsigned inside = length + 1 + static_cast<unsigned>(this->random_() % 8);
    const std::vector<typename TypeParam::Address> keys(40, address);
    this->race(
        keys, [](Value value) { return value >= 1 && value <= 3; },
        [&] {
          insert(this->table_, address, inside, 3);
          insert(this->table_, address, length, owner = 3 - owner);
          this->table_.remove(address, inside);
        });
    this->table_.remove(address, length);
  }
}

}  // namespace
}  // namespace wg::lpm::test
